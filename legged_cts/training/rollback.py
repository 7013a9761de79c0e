"""The way back from networks that are no longer finite."""

from __future__ import annotations

import copy
from typing import Any

import torch
from rsl_rl.algorithms import PPO

INTERVAL = 10
"""Iterations between two copies."""
GRACE = 100
"""A second failure within this many iterations is not forgiven."""


class Rollback:
    """Holds a copy of the last sound networks and optimizers in memory.

    Args:
        alg: The algorithm.
    """

    def __init__(self, alg: PPO) -> None:
        self._alg = alg
        self._copy: dict[str, Any] | None = None
        self._copied = 0
        self._failed: int | None = None

    @torch.no_grad()
    def sound(self) -> bool:
        """Whether all parameters and statistics of all networks are finite; waits for the device once."""
        sums = [
            value.sum()
            for name, state in self._alg.save().items()
            if name.endswith("_state_dict") and "optimizer" not in name
            for value in state.values()
            if isinstance(value, torch.Tensor) and value.is_floating_point()
        ]
        return bool(torch.stack(sums).isfinite().all())

    def keep(self, iteration: int) -> None:
        """Copy networks known to be sound, once every :data:`INTERVAL` iterations."""
        if self._copy is None or iteration >= self._copied + INTERVAL:
            with torch.inference_mode(False):
                self._copy, self._copied = copy.deepcopy(self._alg.save()), iteration

    def restore(self, iteration: int) -> bool:
        """Go back to the copy, with half its learning rates.

        Returns:
            False if there is none, or if the last failure was less than :data:`GRACE` iterations ago.
        """
        forgiven = self._failed is None or iteration >= self._failed + GRACE
        self._failed = iteration
        if self._copy is None or not forgiven:
            return False
        # Optimizer states made in inference mode could never be updated again.
        with torch.inference_mode(False):
            self._alg.load(copy.deepcopy(self._copy), None, True)
        self._alg.learning_rate *= 0.5
        for optimizer in vars(self._alg).values():
            if isinstance(optimizer, torch.optim.Optimizer):
                for group in optimizer.param_groups:
                    group["lr"] *= 0.5
        return True
