"""Configuration errors that name the key and what may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def check_keys(path: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Check that every key of a configuration node is known.

    Raises:
        ValueError: Naming the first unknown key, the nearest known one and all of them.
    """
    allowed = list(allowed)
    for key in given:
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"{path}.{key} is unknown{hint or '.'} Allowed: {', '.join(allowed) or 'none'}")


def pair(path: str, value: Any) -> tuple[float, float]:
    """Return a range given as [low, high].

    Raises:
        ValueError: If it is not two numbers in ascending order.
    """
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} must be a range [low, high], got {value!r}") from error
    if not low <= high:
        raise ValueError(f"{path} must be a range [low, high] with low <= high, got [{low}, {high}]")
    return low, high


def optional_pair(path: str, node: Mapping[str, Any], key: str) -> tuple[float, float] | None:
    """Return the range at ``key``, or None where it is null or absent."""
    value = node.get(key)
    return None if value is None else pair(f"{path}.{key}", value)
