"""Regular expressions of a stranger, matched in time that grows with the name and not with all its ways to match."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

try:
    from re import _compiler as compiler  # type: ignore[attr-defined]
    from re import _constants as kinds  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_compile as compiler
    import sre_constants as kinds
    import sre_parse as parser

MAX_PATTERN = 500
MAX_NAME = 100
MAX_COUNT = 20

Ends = Callable[[int], frozenset[int]]
"""From where a part of a pattern begins in a name to all the places where it may end."""


class PatternError(ValueError):
    """A pattern that is no regular expression, or of a kind that is not allowed."""


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that a pattern fits as a whole, in their order.

    Python's matcher tries one way after the other, and ``(a+)+b`` has twice as many with every letter. Here all ways
    are followed together (Thompson 1968), which leaves out references and looking around.

    Raises:
        PatternError: If it is no regular expression, or not such a one.
    """
    return list(_matching(pattern, tuple(names)))


@lru_cache(maxsize=1024)  # a robot is read several times by one program
def _matching(pattern: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"a pattern of {len(pattern)} characters, at most {MAX_PATTERN} are allowed")
    try:
        tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"{pattern!r} is not a regular expression: {error}") from error
    if tree.state.flags & ~re.UNICODE:
        raise PatternError(f"{pattern!r}: flags such as (?i) are not allowed")
    _sequence(tree, "")  # also where there are no names
    return tuple(name for name in names if len(name) <= MAX_NAME and len(name) in _sequence(tree, name)(0))


def _sequence(items: Any, name: str) -> Ends:
    parts = [_part(kind, argument, name) for kind, argument in items]

    def ends(start: int) -> frozenset[int]:
        places = frozenset([start])
        for part in parts:
            if not places:
                break
            places = _all(part, places)
        return places

    return _remember(ends)


def _part(kind: Any, argument: Any, name: str) -> Ends:
    if kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT):
        low, high, items = argument
        if low > MAX_COUNT or (high is not kinds.MAXREPEAT and high > MAX_COUNT):
            raise PatternError(f"a pattern may repeat a part at most {MAX_COUNT} times by {{}}")
        return _repeat(low, min(int(high), len(name) + 1), _sequence(items, name))
    if kind is kinds.SUBPATTERN and not argument[1] and not argument[2]:
        return _sequence(argument[3], name)
    if kind is kinds.BRANCH:
        branches = [_sequence(items, name) for items in argument[1]]
        return lambda start: frozenset().union(*(branch(start) for branch in branches))
    if kind in (kinds.LITERAL, kinds.NOT_LITERAL, kinds.ANY, kinds.IN):
        # A single character, which Python's matcher cannot take long for.
        fits = compiler.compile(parser.SubPattern(parser.State(), [(kind, argument)])).fullmatch
        return lambda start: frozenset([start + 1] if start < len(name) and fits(name[start]) else [])
    if kind is kinds.AT and argument in (kinds.AT_BEGINNING, kinds.AT_BEGINNING_STRING):
        return lambda start: frozenset([0] if start == 0 else [])
    if kind is kinds.AT and argument in (kinds.AT_END, kinds.AT_END_STRING):
        return lambda start: frozenset([start] if start == len(name) else [])
    raise PatternError("a pattern may hold characters, '.', [], |, (), *, +, ? and {}, and no references or conditions")


def _repeat(low: int, high: int, body: Ends) -> Ends:
    def ends(start: int) -> frozenset[int]:
        new = frozenset([start])
        for _ in range(low):
            new = _all(body, new)
        found = new
        for _ in range(high - low):
            new = _all(body, new) - found
            found |= new
        return found

    return _remember(ends)


def _all(part: Ends, places: frozenset[int]) -> frozenset[int]:
    return frozenset().union(*(part(place) for place in places))


def _remember(ends: Ends) -> Ends:
    known: dict[int, frozenset[int]] = {}

    def remembered(start: int) -> frozenset[int]:
        if start not in known:
            known[start] = ends(start)
        return known[start]

    return remembered
