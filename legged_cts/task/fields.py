"""The kinds of value that the task tree holds, each with the words that say what it may be."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainValidator

LARGE = 1.0e12
"""No quantity of a task is larger; beyond it a typing error would pass as a number."""


class Rule(ValueError):
    """What several keys break together; the message names them."""


class Unknown(ValueError):
    """A key that is none of its group's."""


class Node(BaseModel):
    """A group of keys, all of them known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OpenNode(BaseModel):
    """A group of keys of which the named ones are checked; a class that reads the others checks them."""

    model_config = ConfigDict(extra="allow", strict=True)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def number_in(
    low: float = -LARGE, high: float = LARGE, above: float | None = None, below: float | None = None
) -> Callable[[Any], bool]:
    """Return a test for finite numbers between bounds; ``above`` and ``below`` are bounds that are not allowed."""

    def test(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return False
        return (above is None or value > above) and (below is None or value < below)

    return test


def leaf(says: str, test: Callable[[Any], bool]) -> Any:
    """Return the validator of a value that passes a test, or else ``must be <says>``."""

    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError(f"must be {says}, got {shown(value)}")
        return value

    return PlainValidator(check)


def shown(value: Any) -> str:
    """Return a value as an error message shows it: whole, unless it is endless."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a whole number of more than 18 digits"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def whole(low: int, high: int = 10**9) -> Any:
    """Return the validator of a whole number."""
    most = f" and at most {high}" if high < 10**9 else ""
    return leaf(f"a whole number of at least {low}{most}", is_whole(low, high))


def is_whole(low: int, high: int = 10**9) -> Callable[[Any], bool]:
    """Return a test for whole numbers between bounds."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def one_of(*choices: str) -> Any:
    """Return the validator of one of some words, which names the nearest."""

    def check(value: Any) -> Any:
        if value not in choices or not isinstance(value, str):
            hint = suggest(str(value), choices)
            raise ValueError(f"'{value}' is unknown{hint or '.'} Allowed: {', '.join(choices)}")
        return value

    return PlainValidator(check)


def _pair(low: float = -LARGE, high: float = LARGE) -> Any:
    bounds = "" if low == -LARGE else f" from {low:g}" + ("" if high == LARGE else f" to {high:g}")
    test = number_in(low, high)

    def check(value: Any) -> Any:
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2 or not all(map(test, value)):
            raise ValueError(f"must be a range [low, high] of numbers{bounds}, got {shown(value)}")
        if value[0] > value[1]:
            raise ValueError(f"must be a range [low, high] with low <= high, got {shown(value)}")
        return value

    return PlainValidator(check)


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, got {shown(value)}")
    return value


def _numbers(says: str, test: Callable[[Any], bool], empty: bool = False) -> Any:
    def check(value: Any) -> Any:
        listed = isinstance(value, Sequence) and not isinstance(value, str)
        if not listed or not all(map(test, value)) or not (value or empty):
            raise ValueError(f"must be a list of {says}, got {shown(value)}")
        return value

    return PlainValidator(check)


def is_text(value: Any) -> bool:
    """Whether a value is a text that is not empty."""
    return isinstance(value, str) and bool(value)


Flag = Annotated[bool, PlainValidator(_flag)]
Text = Annotated[str, leaf("a text", is_text)]
Number = Annotated[float, leaf("a finite number", number_in())]
NotNegative = Annotated[float, leaf("a number of at least 0", number_in(0.0))]
Positive = Annotated[float, leaf("a number above 0", number_in(0.0, above=0.0))]
Share = Annotated[float, leaf("a number from 0 to 1", number_in(0.0, 1.0))]
Count = Annotated[int, whole(1)]
Range = Annotated[Sequence[float], _pair()]
PositiveRange = Annotated[Sequence[float], _pair(0.0)]
Widths = Annotated[Sequence[int], _numbers("whole numbers of at least 1", is_whole(1, 10**6), empty=True)]
Delays = Annotated[Sequence[float], _numbers("at least one delay of at least 0 ms; [0] means no delay", number_in(0.0))]
Seed = Annotated[int, leaf("a whole number in [0, 2^32)", is_whole(0, 2**32 - 1))]
