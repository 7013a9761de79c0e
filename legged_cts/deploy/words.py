"""Command lines of `key=value` words, as Hydra has them, without Hydra."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import math
import os
import sys
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from legged_cts.trust.names import take_trust

T = TypeVar("T")
LARGEST = 2**31 - 1
"""No whole number on a command line is larger."""


@contextmanager
def user_errors(name: str = "error") -> Iterator[None]:
    """Turn errors about the user's input into one line on stderr and exit status 2.

    ``HYDRA_FULL_ERROR=1`` shows the trace instead.

    Args:
        name: What the line begins with.
    """
    try:
        yield
    except Exception as error:
        wandb = type(error).__module__.startswith("wandb.")
        wrong = wandb or isinstance(error, (ValueError, OSError, FloatingPointError))
        if os.environ.get("HYDRA_FULL_ERROR") == "1" or not wrong:
            raise
        rank = os.environ.get("RANK", "0")
        who = "" if rank == "0" else f" (rank {rank})"
        text = " ".join(str(error).split())
        print(f"{name}{who}: {'wandb: ' if wandb else ''}{text}", file=sys.stderr)
        sys.exit(2)


class WordError(ValueError):
    """A word on the command line that cannot be understood."""


RENAMED = {
    "seconds": "duration",
    "duration_s": "duration",
    "length": "duration",
    "push": "pushes",
    "envs": "environments",
    "num_envs": "environments",
    "terrains": "terrain",
    "sizes": "size",
    "folder": "output",
    "out": "output",
    "model": "checkpoint",
}
"""Words of older versions and of other projects, and what they are called here."""


def option(default: Any, text: str) -> Any:
    """A dataclass field with a default and a line of help."""
    return dataclasses.field(default=default, metadata={"help": text})


def parse_words(argv: Sequence[str], options: type[T]) -> T:
    """Reads `key=value` words into a dataclass whose fields are str, int, float or bool, or one of them or None.

    Args:
        argv: the words.
        options: dataclass; its fields are the keys.

    Raises:
        WordError: naming the word and what was meant perhaps.
    """
    kinds = typing.get_type_hints(options)
    values: dict[str, Any] = {}
    for word in argv:
        key, sign, text = word.partition("=")
        if not sign or key not in kinds:
            name = key.lstrip("-").replace("-", "_")
            renamed = [RENAMED[name]] if RENAMED.get(name) in kinds else []
            close = renamed or difflib.get_close_matches(name, kinds, n=1)
            what = f"unknown key '{key}' in '{word}'" if sign else f"'{word}' is no key=value word"
            meant = close[0] if close and sign else f"{close[0]}=..." if close else ""
            hint = f"did you mean '{meant}'?" if meant else f"the keys are: {', '.join(kinds)}"
            raise WordError(f"{what}; {hint}")
        if key in values:
            raise WordError(f"the key '{key}' is given twice")
        values[key] = _convert(key, text, kinds[key])
    try:
        return options(**values)
    except TypeError as error:
        required = [field.name for field in dataclasses.fields(options) if _required(field)]  # type: ignore[arg-type]
        missing = [name for name in required if name not in values]
        if not missing:
            raise
        raise WordError(f"the key '{missing[0]}' is missing: give {missing[0]}=...") from error


def describe(options: type) -> str:
    """One line per key: its default and what it means."""
    lines = []
    for field in dataclasses.fields(options):
        default = "(required)" if _required(field) else f"(default: {field.default})"
        lines.append(f"  {field.name}=...  {field.metadata.get('help', '')} {default}")
    return "\n".join(lines)


def run_words(
    name: str,
    doc: str | None,
    options: type[T],
    function: Callable[[T], Any] | str,
    argv: Sequence[str],
    trust: bool = False,
) -> int:
    """A whole command: prints its help, or runs it; what is wrong with words or files is one line on stderr.

    Args:
        name: of the command, for that line.
        doc: what the help begins with.
        options: see `parse_words`.
        function: takes the options; may be given as `module:name`, to be imported once the words are read.
        argv: the words.
        trust: whether `trust=module` is a word, too.

    Returns:
        The exit status: 2 for what is wrong, else what the function returned if that is a whole number, else 0.
    """
    if {"help", "-h", "--help"} & set(argv):
        print(f"{doc}\n\n{describe(options)}")
        return 0
    try:
        chosen = parse_words(take_trust(argv) if trust else argv, options)
        run: Any = function
        if isinstance(function, str):
            module, _, attribute = function.partition(":")
            run = getattr(importlib.import_module(module), attribute)
        status = run(chosen)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return status if isinstance(status, int) else 0


def require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises a ValueError unless the value is an allowed one."""
    if value not in allowed:
        close = difflib.get_close_matches(value, allowed, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got '{value}'{hint}")


def need_file(key: str, path: str | None) -> None:
    """Refuse a path where there is nothing, before anything large is imported; None is none.

    Raises:
        FileNotFoundError: naming the word.
    """
    if path is not None and not os.path.exists(path):
        raise FileNotFoundError(f"{key}: there is no file or folder {path}")


def need_checkpoint(name: str | None) -> None:
    """Refuse a checkpoint that is neither there nor shipped, before anything large is imported; None is none.

    Raises:
        FileNotFoundError: naming the word.
    """
    if name is None or os.path.exists(name):
        return
    from legged_cts.deploy.policy_file import shipped_model  # late: it imports MuJoCo

    if shipped_model(name) is None:
        raise FileNotFoundError(f"checkpoint: there is no file, folder or shipped policy {name}")


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING


def _convert(key: str, text: str, kind: Any) -> Any:
    if isinstance(kind, types.UnionType):
        if text in ("null", "none", ""):
            return None
        kind = next(part for part in kind.__args__ if part is not type(None))
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise WordError(f"{key}: expected true or false, got '{text}'")
        return text.lower() == "true"
    try:
        value = kind(text)
    except ValueError as error:
        raise WordError(f"{key}: expected {kind.__name__}, got '{text:.80}'") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise WordError(f"{key}: expected a finite number, got '{text}'")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise WordError(f"{key}: expected a whole number of at most {LARGEST}, got '{text:.80}'")
    return value
