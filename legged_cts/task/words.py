"""Hydra's words, ``key=value``: brought into one form, read, and checked one by one without composing anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from legged_cts import beside
from legged_cts.task.check import all_paths, check_path, check_value
from legged_cts.task.fields import suggest

TASKS = beside("tasks")
"""The Hydra tree."""
PATHS = ("resume", "checkpoint", "robot", "hydra.run.dir", "hydra.sweep.dir")
"""Keys whose values are paths, which may hold what Hydra's grammar reads as its own."""
SHORT: dict[str, Callable[[str], list[str]]] = {
    "environments": lambda value: [f"env.scene.num_envs={value}"],
    "pushes": lambda value: (
        ["env.pushes.enabled=false"]
        if value in ("0", "0.0", "false")
        else ["env.pushes.enabled=true", f"env.pushes.lin_vel={value}"]
    ),
}
"""Words that all scripts share, and what they mean in the task tree."""
_REWARD = re.compile(r"([+]*env\.rewards\.\w+)=([-+]?[\d.][\d.eE+,-]*)")


def plain_words(words: Sequence[str]) -> list[str]:
    """Return words as Hydra reads them.

    Short words become the keys they stand for; a reward that is given a bare number is given its weight, and keeps its
    parameters; paths that exist are quoted where Hydra's grammar would take them apart.
    """
    result = []
    for word in words:
        key, sign, value = word.partition("=")
        reward = _REWARD.fullmatch(word)
        if sign and key in SHORT:
            result += SHORT[key](value)
        elif key.lstrip("+") == "experiment":
            # The tree's root knows the group, where others have to add it; none is what there is without the word.
            result += [] if value == "null" else [f"experiment={value}"]
        elif reward:
            result.append(f"{reward[1]}.weight={reward[2]}")
        elif sign and _needs_quotes(key, value):
            result.append(quoted(key, value))
        else:
            result.append(word)
    return result


def quoted(key: str, value: str) -> str:
    """Return ``key='value'``, which Hydra reads as this very text."""
    return key + "='" + re.sub(r"(\\*)(')", r"\1\1\\\2", value) + "'"


def parse_word(word: str) -> Override:
    """Read one word.

    Raises:
        ValueError: One line that says what is wrong with it.
    """
    key, sign, value = word.partition("=")
    if not sign and not word.startswith("~"):
        raise ValueError(f"'{word}' is no key=value word{_hint(word.lstrip('-'))}")
    if not re.fullmatch(r"[+~]*[\w@/:-]+(\.[\w@/:-]+)*", key):
        raise ValueError(f"{word:.200}: '{key:.100}' is no key")
    try:
        return OverridesParser.create().parse_override(word)
    except (HydraException, RecursionError) as error:
        raise ValueError(f"{word:.200}: cannot be read; put quotes around the value: \"{key}='...'\"") from error


def check_word(override: Override) -> None:
    """Check the key and the values of an override that chooses no option of a group.

    Raises:
        ValueError: Naming the nearest key, or what its value may be.
    """
    key = override.key_or_group
    if key.partition(".")[0] == "hydra" or "@" in key or "/" in key:
        return
    path = tuple(key.split("."))
    check_path(path)
    if override.is_delete():
        return
    for value in values(override):
        if not isinstance(value, str) or ("${" not in value and value != "???"):
            check_value(path, value)


def check_overrides(words: Sequence[str], own: Iterable[str] = ()) -> None:
    """Check overrides of a configuration that is already composed.

    Args:
        words: The overrides.
        own: Words of the script itself, which may have been meant.

    Raises:
        ValueError: Naming the word and the nearest right one.
    """
    for word in words:
        if word.startswith("-"):
            raise ValueError(unknown_flag(word, [f"--{name}" for name in own]))
        near = suggest(word.partition("=")[0], own)
        try:
            override = parse_word(word)
            if override.is_sweep_override():
                raise ValueError(f"{word}: a sweep over values is not possible here; give one value")
            group = TASKS / override.key_or_group
            if not (group.is_dir() and isinstance(override.value(), str)):
                check_word(override)
            elif not (group / f"{override.value()}.yaml").is_file():
                options = sorted(path.stem for path in group.glob("*.yaml"))
                hint = suggest(str(override.value()), options)
                raise ValueError(f"{word.replace('=', "='", 1)}' is unknown{hint or '.'} Allowed: {', '.join(options)}")
        except ValueError as error:
            text = str(error)
            raise ValueError(f"'{word}' is unknown{near}" if near and "is unknown" in text else text) from None


def values(override: Override) -> list[Any]:
    """Return the plain value of an override, or the values that it sweeps over."""
    if not override.is_sweep_override():
        return [_unquoted(override.value())]
    try:
        return [
            _unquoted(OverridesParser.create().parse_override(f"key={text}").value())
            for text in override.sweep_string_iterator()
        ]
    except (HydraException, NotImplementedError):
        return []  # a glob, which Hydra expands


def rewards_with_weight(words: Sequence[str]) -> list[str]:
    """Return the rewards that words give a weight, but no schedule: their weight is meant to hold."""
    weights, schedules = set(), set()
    for override in map(parse_word, words):
        match = re.fullmatch(r"env\.rewards\.(\w+)(\.weight|\.later.*)?", override.key_or_group)
        if match is None:
            continue
        given = _unquoted(override.value()) if not override.is_sweep_override() else None
        if (match[2] or "").startswith(".later") or (isinstance(given, dict) and "later" in given):
            schedules.add(match[1])
        elif match[2] or not isinstance(given, dict) or "weight" in given:
            weights.add(match[1])
    return sorted(weights - schedules)


def unknown_flag(flag: str, flags: Sequence[str]) -> str:
    """Return the line about an option that starts with dashes and is none."""
    name = flag.partition("=")[0]
    near = _hint(name.lstrip("-").replace("-", "_"))
    return f"'{name}' is no option{near or suggest(name, flags) or '; words are key=value, without dashes'}"


def _hint(key: str) -> str:
    known = [*SHORT, *all_paths()]
    last = [path for path in known if path.rpartition(".")[2] == key]
    if last:
        return f"; did you mean '{last[0]}=...'?"
    return suggest(key, known) if key else ""


def _needs_quotes(key: str, value: str) -> bool:
    plain = re.fullmatch(r"[\w./~:$*%+@?|-]*", value) or value[:1] in ("'", '"') or "${" in value
    if plain or (key.lstrip("+") not in PATHS and "/" not in value):
        return False
    try:
        return Path(value).exists()
    except OSError:
        return False


def _unquoted(value: Any) -> Any:
    """Plain values of what Hydra's parser returns, whose quoted texts are objects of their own, also as keys."""
    if isinstance(value, dict):
        return {str(_unquoted(key)): _unquoted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    return getattr(value, "text", value) if type(value).__name__ == "QuotedString" else value
