"""Terms of the user's own in the managers' form, each of which is told in one line when it returns the wrong thing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from isaaclab.managers import EventTermCfg, ObservationTermCfg, TerminationTermCfg

from legged_cts.task.own import own_term, own_terms


def own_observations(node: Mapping[str, Any] | None) -> dict[str, ObservationTermCfg]:
    """Return the privileged observations of the user's own, from ``env.observations.privileged``.

    Raises:
        ValueError: Naming the key, if one cannot be had.
    """
    path, terms = "env.observations.privileged", {}
    for name, term in own_terms(node).items():
        function, params = own_term(f"{path}.{name}", term)
        checked = returning(function, f"{path}.{name}", "a column or more for each environment [N, k]", _is_columns)
        terms[name] = ObservationTermCfg(func=checked, params=params)
    return terms


def own_terminations(node: Mapping[str, Any] | None) -> dict[str, TerminationTermCfg]:
    """Return the terminations of the user's own, from ``env.terminations``.

    Raises:
        ValueError: Naming the key, if one cannot be had.
    """
    terms = {}
    for name, term in own_terms(node).items():
        function, params = own_term(f"env.terminations.{name}", term)
        checked = returning(function, f"env.terminations.{name}", "true or false for each environment [N]", _is_flags)
        terms[name] = TerminationTermCfg(func=checked, params=params, time_out=bool(term.get("time_out", False)))
    return terms


def own_events(node: Mapping[str, Any] | None) -> dict[str, EventTermCfg]:
    """Return the events of the user's own, from ``env.events``.

    Raises:
        ValueError: Naming the key, if one cannot be had.
    """
    terms = {}
    for name, term in own_terms(node).items():
        function, params = own_term(f"env.events.{name}", term, given=2)
        every = term.get("interval_s")
        terms[name] = EventTermCfg(
            func=function,
            mode=term["mode"],
            interval_range_s=None if every is None else (float(every[0]), float(every[1])),
            params=params,
        )
    return terms


def own_reward(name: str, term: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the function of a reward of the user's own, from its node in ``env.rewards``.

    Raises:
        ValueError: Naming the key, if it cannot be had.
    """
    function, _ = own_term(f"env.rewards.{name}", term)
    return returning(function, f"env.rewards.{name}", "one number for each environment [N]", _is_numbers)


def returning(
    function: Callable[..., Any], path: str, says: str, right: Callable[[torch.Tensor, int], bool]
) -> Callable[..., Any]:
    """Return a function that checks what another returns; a class, which Isaac Lab makes an object of, stays as it is.

    Raises:
        ValueError: When called, if the value is no tensor or not ``right`` for the number of environments.
    """
    if inspect.isclass(function):
        return function

    @functools.wraps(function)
    def term(env: Any, **params: Any) -> torch.Tensor:
        value = function(env, **params)
        if not isinstance(value, torch.Tensor) or not right(value, env.num_envs):
            got = f"{value.dtype} {list(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"{path}: {function.__name__} must return {says}, N = {env.num_envs}; it returned {got}")
        return value

    return term


def _is_numbers(value: torch.Tensor, environments: int) -> bool:
    return tuple(value.shape) == (environments,) and value.dtype != torch.bool


def _is_flags(value: torch.Tensor, environments: int) -> bool:
    return tuple(value.shape) == (environments,) and value.dtype == torch.bool


def _is_columns(value: torch.Tensor, environments: int) -> bool:
    return value.dim() == 2 and len(value) == environments and value.is_floating_point()
