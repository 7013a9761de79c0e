"""Learning rates that a resumed run was given anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RATES = {"learning_rate": "optimizer", "student_learning_rate": "student_optimizer"}
"""Option of ``algorithm`` that is a learning rate -> attribute of the optimiser that takes it."""


def apply_new_rates(alg: Any, stored: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> None:
    """Give the optimisers the rates that differ from those of the checkpoint's configuration.

    A checkpoint brings its optimisers' rates, for an adaptive one goes on from where it was. So a rate that the user
    changed on resuming would be ignored without this.

    Args:
        alg: The algorithm, after it loaded the checkpoint.
        stored: ``algorithm`` of the checkpoint's configuration; None if it has none.
        wanted: ``algorithm`` of this run's; None if it has none.
    """
    for option in RATES:
        if not stored or not wanted or option not in wanted or wanted[option] == stored.get(option):
            continue
        apply_rate(alg, option, wanted[option])


def apply_rate(alg: Any, option: str, rate: float) -> None:
    """Give the optimiser of one of :data:`RATES` another rate; an algorithm without it is left as it is."""
    optimizer = getattr(alg, RATES[option], None)
    if optimizer is None:
        return
    for group in optimizer.param_groups:
        group["lr"] = rate
    if option == "learning_rate":
        alg.learning_rate = rate
