"""Every observation term declares its left-right mirror; one without is an error where a mirror is needed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from legged_cts.robots.spec import RobotSpec
from legged_cts.robots.symmetry import Mirror

Rule = Callable[[RobotSpec], Mirror]
"""Makes the mirror of a quantity for one robot."""

Term = TypeVar("Term", bound=Callable[..., Any])

_RULES: dict[Callable[..., Any], Rule] = {}


def mirrors_as(rule: Rule) -> Callable[[Term], Term]:
    """Declare how the values of an observation term are mirrored, as its decorator."""

    def declare(term: Term) -> Term:
        _RULES[term] = rule
        return term

    return declare


def term_mirror(term: Callable[..., Any], spec: RobotSpec) -> Mirror:
    """Return the mirror of a term's values.

    Raises:
        ValueError: If the term declares none.
    """
    term = inspect.unwrap(term)
    if term not in _RULES:
        name = getattr(term, "__name__", repr(term))
        raise ValueError(
            f"the observation term '{name}' has no mirror; declare it with @mirrors_as where the term is defined, "
            "leave the term out of env.observations, or train with algorithm.symmetry_cfg=null"
        )
    return _RULES[term](spec)
