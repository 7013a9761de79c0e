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


class RobotSpecError(ValueError):
    """A robot spec is wrong; the message names the file, the field, the bad value and the allowed ones."""


def suggest(value: object, allowed: Iterable[str]) -> str:
    """Return the end of an error message: the allowed name that is nearest to `value`, and all the allowed ones."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (allowed: {', '.join(allowed) or 'none'})"


class Fields:
    """Type checks of the fields of one file; every error goes through `fail`, so that it names the file and the field.

    `field` is always the dotted path of the field that is read, empty for the file as a whole.
    """

    def __init__(self, path: Path):
        self.path = path

    def fail(self, field: str, message: str) -> NoReturn:
        """Raise a `RobotSpecError` about a field."""
        raise RobotSpecError(f"{self.path}: {field}: {message}" if field else f"{self.path}: {message}")

    def fields(
        self, field: str, mapping: Mapping[str, Any], required: Sequence[str], optional: Sequence[str] = ()
    ) -> None:
        """Check that a mapping has all the required fields and none that is neither required nor optional."""
        allowed = (*required, *optional)
        for key in mapping:
            if key not in allowed:
                self.fail(field, f"unknown field {key!r}{suggest(key, allowed)}")
        for key in required:
            if key not in mapping:
                self.fail(field, f"missing field {key!r}")

    def mapping(self, field: str, value: object, empty: bool = False) -> dict[str, Any]:
        """Return a mapping with names as keys."""
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value) or not (value or empty):
            self.fail(field, f"must be a mapping with names as keys, got {show(value)}")
        return value

    def string(self, field: str, value: object) -> str:
        """Return a string that is not empty."""
        if not isinstance(value, str) or not value:
            self.fail(field, f"must be a string, got {show(value)}")
        return value

    def strings(self, field: str, value: object, empty: bool = False) -> tuple[str, ...]:
        """Return a list of strings."""
        if not isinstance(value, list) or not (value or empty):
            self.fail(field, f"must be a list of strings, got {show(value)}")
        return tuple(self.string(f"{field}[{i}]", item) for i, item in enumerate(value))

    def number(self, field: str, value: object, positive: bool = False, minimum: float = -LARGEST) -> float:
        """Return a finite number within its bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
            self.fail(field, f"must be a finite number, got {show(value)}")
        if abs(value) > LARGEST:
            self.fail(field, f"must be at most {LARGEST:g}, got {show(value)}")
        if (positive and value <= 0) or value < minimum:
            self.fail(field, f"must be {'positive' if positive else f'at least {minimum}'}, got {show(value)}")
        return float(value)

    def member(self, field: str, value: object, allowed: Sequence[str]) -> str:
        """Return a name that is one of the allowed ones."""
        name = self.string(field, value)
        if name not in allowed:
            self.fail(field, f"unknown {name!r}{suggest(name, allowed)}")
        return name

    def members(self, field: str, value: object, allowed: Sequence[str], empty: bool = False) -> tuple[str, ...]:
        """Return a list of different names that are all allowed."""
        names = self.strings(field, value, empty)
        for i, name in enumerate(names):
            self.member(f"{field}[{i}]", name, allowed)
            if name in names[:i]:
                self.fail(f"{field}[{i}]", f"{name!r} is listed twice")
        return names

    def match(
        self, field: str, patterns: Sequence[tuple[str, str]], joints: Sequence[str]
    ) -> dict[str, tuple[str, str]]:
        """Find the joints whose whole name a pattern fits.

        Args:
            field: The field that holds the patterns.
            patterns: Pairs of a regular expression and any tag. Each must fit a joint that no other one fits.
            joints: Names of joints.

        Returns:
            The pair that fits, for each joint that one fits, in the order of `joints`.
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
        return {joint: found[joint] for joint in joints if joint in found}

    def cover(
        self, field: str, patterns: Sequence[tuple[str, str]], joints: Sequence[str]
    ) -> dict[str, tuple[str, str]]:
        """Match as `match` does, but fail where no pattern fits a joint."""
        found = self.match(field, patterns, joints)
        if absent := [joint for joint in joints if joint not in found]:
            self.fail(field, f"no pattern matches {absent} (patterns: {[pattern for pattern, _ in patterns]})")
        return found

    def values(self, field: str, content: object, joints: Sequence[str], some: bool = False) -> dict[str, float]:
        """Return one number per joint from a mapping of patterns to numbers; only for some of the joints if `some`."""
        patterns = self.mapping(field, content, empty=some)
        tagged = [(pattern, f"{field}.{pattern}") for pattern in patterns]
        found = (self.match if some else self.cover)(field, tagged, joints)
        return {joint: self.number(tag, patterns[pattern]) for joint, (pattern, tag) in found.items()}
