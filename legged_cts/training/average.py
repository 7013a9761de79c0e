"""The running mean of a policy's weights over the last iterations, which is what gets deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

PARTS = ("actor_state_dict", "student_encoder_state_dict")
"""What acts, by the names of a checkpoint."""
KEY = "averaged"
"""Where a checkpoint holds the mean."""
SHARE = 10
"""Early in a training the mean spans a tenth of it, so that it does not lag behind what is learned fast."""


class PolicyAverage:
    """Exponential running mean of actor (with E^t and normalisers) and E^s.

    Each iteration of PPO moves the policy back and forth by more than it gains. The mean of the weights of neighbouring
    iterations keeps the gain (Polyak and Juditsky 1992; Izmailov et al. 2018, arXiv 1803.05407). Training does not see
    it: rollouts are made by the newest weights.
    """

    def __init__(self, iterations: int) -> None:
        """Start without a mean.

        Args:
            iterations: Span of the mean, in iterations; 0 switches it off.

        Raises:
            ValueError: If it is negative or no whole number.
        """
        if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
            raise ValueError(
                f"runner.average_iterations must be a number of iterations, 0 for no average, got {iterations!r}"
            )
        self.iterations = iterations
        self._count = 0
        self._mean: dict[str, dict[str, torch.Tensor]] = {}

    @torch.no_grad()
    def add(self, state: Mapping[str, Any]) -> None:
        """Take the weights after an iteration.

        Args:
            state: What the algorithm's ``save`` returns.
        """
        if not self.iterations:
            return
        self._count += 1
        weight = 1.0 / max(1, min(self._count // SHARE, self.iterations))
        for part in PARTS:
            for name, value in state.get(part, {}).items():
                mean = self._mean.setdefault(part, {}).get(name)
                if mean is None:
                    self._mean[part][name] = value.detach().clone()
                elif mean.is_floating_point() and weight < 1.0:
                    mean.lerp_(value, weight)
                else:  # counters of normalisers, and a mean of one iteration
                    mean.copy_(value)

    def save(self) -> dict[str, Any]:
        """Return an entry for a checkpoint; empty without a mean."""
        return {KEY: {"iterations": self._count, **self._mean}} if self._mean else {}

    def load(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue the mean of a checkpoint, or start anew where it has none."""
        entry = dict(checkpoint.get(KEY, {}))
        self._count = entry.pop("iterations", 0)
        self._mean = {part: {name: value.clone() for name, value in state.items()} for part, state in entry.items()}


def averaged(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint with the mean in place of the newest weights of what acts.

    It is returned as it is if it holds no mean, or if its ``runner.average_iterations`` is 0.
    """
    wanted = checkpoint["config"].get("runner", {}).get("average_iterations", 0)
    entry = checkpoint.get(KEY, {}) if wanted else {}
    return {**checkpoint, **{part: entry[part] for part in PARTS if part in entry}}
