"""Reading a mapping field by field, with errors that name the file, the field, the bad value and the allowed ones."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from legged_cts.trust.patterns import PatternError, matching
from legged_cts.trust.plain import show

LARGEST = 1.0e6
"""No quantity of a robot is larger, in SI units."""
Patterns = Sequence[tuple[str, str]]
"""Regular expressions of joints' names, each with any tag."""


class RobotSpecError(ValueError):
    """A robot spec is wrong; the message names the file, the field, the bad value and the allowed ones."""


def suggest(value: object, allowed: Iterable[str]) -> str:
    """Return the end of an error message: the allowed name that is nearest to `value`, and all the allowed ones."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (allowed: {', '.join(allowed) or 'none'})"


class Fields:
    """Checks of the fields of one file; every error goes through `fail`, so that it names the file and the field.

    `field` is always the dotted path of the field that is read, empty for the file as a whole.
    """

    def __init__(self, path: Path):
        self.path = path

    def fail(self, field: str, message: str) -> NoReturn:
        """Raise a `RobotSpecError` about a field."""
        raise RobotSpecError(f"{self.path}: {field}: {message}" if field else f"{self.path}: {message}")

    def need(self, right: object, field: str, message: str) -> None:
        """Fail unless something is right."""
        if not right:
            self.fail(field, message)

    def fields(self, field: str, mapping: Mapping[str, Any], required: Sequence[str], *optional: str) -> None:
        """Check that a mapping has all the required fields and none that is neither required nor optional."""
        allowed = (*required, *optional)
        for key in mapping:
            if key not in allowed:
                self.fail(field, f"unknown field {key!r}{suggest(key, allowed)}")
        for key in required:
            self.need(key in mapping, field, f"missing field {key!r}")

    def mapping(self, field: str, value: Any, empty: bool = False) -> dict[str, Any]:
        """Return a mapping with names as keys."""
        right = isinstance(value, dict) and all(isinstance(key, str) for key in value) and (value or empty)
        self.need(right, field, f"must be a mapping with names as keys, got {show(value)}")
        return value

    def string(self, field: str, value: Any) -> str:
        """Return a string that is not empty."""
        self.need(isinstance(value, str) and value, field, f"must be a string, got {show(value)}")
        return value

    def strings(self, field: str, value: Any, empty: bool = False) -> tuple[str, ...]:
        """Return a list of strings."""
        self.need(isinstance(value, list) and (value or empty), field, f"must be a list of strings, got {show(value)}")
        return tuple(self.string(f"{field}[{i}]", item) for i, item in enumerate(value))

    def number(self, field: str, value: Any, positive: bool = False, minimum: float = -LARGEST) -> float:
        """Return a finite number within its bounds."""
        finite = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
        self.need(finite, field, f"must be a finite number, got {show(value)}")
        self.need(abs(value) <= LARGEST, field, f"must be at most {LARGEST:g}, got {show(value)}")
        bound = "positive" if positive else f"at least {minimum}"
        self.need(value > 0 if positive else value >= minimum, field, f"must be {bound}, got {show(value)}")
        return float(value)

    def member(self, field: str, value: Any, allowed: Sequence[str]) -> str:
        """Return a name that is one of the allowed ones."""
        if self.string(field, value) not in allowed:
            self.fail(field, f"unknown {value!r}{suggest(value, allowed)}")
        return value

    def members(self, field: str, value: Any, allowed: Sequence[str], empty: bool = False) -> tuple[str, ...]:
        """Return a list of different names that are all allowed."""
        names = self.strings(field, value, empty)
        for i, name in enumerate(names):
            self.member(f"{field}[{i}]", name, allowed)
            self.need(name not in names[:i], f"{field}[{i}]", f"{name!r} is listed twice")
        return names

    def match(self, field: str, patterns: Patterns, joints: Sequence[str], some: bool = False) -> dict[str, str]:
        """Return the tag of the pattern that fits each joint's whole name, in the order of `joints`.

        Each pattern must fit a joint that no other one fits, and each joint a pattern unless `some` may be left out.
        """
        found: dict[str, tuple[str, str]] = {}
        for pattern, tag in patterns:
            try:
                matched = matching(pattern, joints)
            except PatternError as error:
                self.fail(field, str(error))
            if not matched:
                self.fail(field, f"{pattern!r} matches no joint{suggest(pattern, joints)}")
            for joint in matched:
                if joint in found:
                    self.fail(field, f"{joint!r} is matched twice, by {found[joint][0]!r} and by {pattern!r}")
                found[joint] = (pattern, tag)
        absent = [joint for joint in joints if joint not in found]
        names = [pattern for pattern, _ in patterns]
        self.need(some or not absent, field, f"no pattern matches {absent} (patterns: {names})")
        return {joint: found[joint][1] for joint in joints if joint in found}

    def values(self, field: str, content: Any, joints: Sequence[str], some: bool = False) -> dict[str, float]:
        """Return one number per joint from a mapping of patterns to numbers; only for some of the joints if `some`."""
        patterns = self.mapping(field, content, empty=some)
        found = self.match(field, [(pattern, pattern) for pattern in patterns], joints, some)
        return {joint: self.number(f"{field}.{key}", patterns[key]) for joint, key in found.items()}
