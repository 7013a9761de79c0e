"""Plain values out of a stranger's file: bounded in depth and number, and every number finite."""

from __future__ import annotations

import math
import os
import re
import reprlib
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAX_DEPTH = 32
MAX_VALUES = 200_000
MAX_TEXT = 10_000
MAX_INTEGER = 2**63
IDENTIFIER = r"[A-Za-z_][\w-]{0,63}"
"""What a robot may be called: its name becomes file names, USD prims and words of command lines."""

BUILDING_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError),
    *(LookupError, MemoryError, RuntimeError, TypeError),
)

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
show = _SHORT.repr
"""Like ``repr``, but short whatever the value is."""


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a file, unless it is larger than `limit` bytes or no regular one, which might never end.

    Raises:
        ValueError: If it is too large or no regular file.
        OSError: If it cannot be read.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is no regular file")
    if status.st_size > limit:
        raise ValueError(f"has {status.st_size:,} bytes, more than the {limit:,} that such a file may have")
    return path.read_bytes()


def check_plain(value: Any, name: str = "", leaf: Callable[[str, Any], None] | None = None) -> None:
    """Check that a value is None, a truth value, a finite number, a text, or a list or mapping by name of such.

    A value that is reached by two ways counts twice, so that references which multiply are refused too.

    Args:
        value: What was read.
        name: Of the value, for messages.
        leaf: Checks values of other types, given their name; without it they are refused. It then also judges numbers,
            which need not be finite.

    Raises:
        ValueError: Naming the first value that is wrong.
    """
    todo: list[tuple[str, Any, int]] = [(name, value, 0)]
    count = 0
    while todo:
        where, one, depth = todo.pop()
        if isinstance(one, dict):
            for key in one:
                if not isinstance(key, str) and (leaf is None or not isinstance(key, int)):
                    raise ValueError(f"{where or 'the file'}: has {show(key)} for a name")
            items = [(f"{where}.{key!s:.80}" if where else f"{key!s:.80}", item) for key, item in one.items()]
        elif isinstance(one, list | tuple):
            items = [(f"{where}[{index}]", item) for index, item in enumerate(one)]
        else:
            _check_leaf(where, one, leaf)
            continue
        count += len(items)
        if depth > MAX_DEPTH or count > MAX_VALUES:
            raise ValueError(f"{where[:200]}: holds values in more than {MAX_DEPTH} levels or {MAX_VALUES:,} of them")
        todo += [(inner, item, depth + 1) for inner, item in items]


def _check_leaf(where: str, value: Any, leaf: Callable[[str, Any], None] | None) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"{where}: is a text of {len(value):,} characters, more than {MAX_TEXT:,}")
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError(f"{where}: must be below 2^63, got a whole number of {value.bit_length()} bits")
    elif leaf is not None:
        leaf(where, value)
    elif not isinstance(value, float):
        raise ValueError(f"{where}: must be a plain value, got a {type(value).__name__}")
    elif not math.isfinite(value):
        raise ValueError(f"{where}: must be a finite number, got {value!r}")


def check_number(name: str, value: Any, low: float, high: float, whole: bool = False) -> float:
    """Return a finite number within bounds; a truth value is none.

    Raises:
        ValueError: Naming it.
    """
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        what = "whole number" if whole else "number"
        raise ValueError(f"{name}: must be a {what} from {low:g} to {high:g}, got {show(value)}")
    return value


def check_identifier(name: str, value: Any) -> str:
    """Return a name of letters, digits, '_' and '-' that begins with a letter or '_'.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, str) or not re.fullmatch(IDENTIFIER, value, re.ASCII):
        raise ValueError(
            f"{name}: must be at most 64 letters, digits, '_' and '-', beginning with a letter, got {show(value)}"
        )
    return value


def one_line(error: BaseException, limit: int = 300) -> str:
    """The text of an error in one line, or its kind where it has none."""
    text = " ".join(str(error).split())
    return f"{text[:limit]}..." if len(text) > limit else text or type(error).__name__


@contextmanager
def building(what: str) -> Iterator[None]:
    """Turn what goes wrong while something is built from a file's values into a ValueError with one line.

    Checks find what they know of; libraries raise errors of every kind about the rest.
    """
    try:
        yield
    except BUILDING_ERRORS as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else one_line(error)
        raise ValueError(f"{what}: {reason}") from error
