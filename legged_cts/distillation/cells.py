"""Where the student fails: a running mean of its success in each cell, such as terrain and level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from legged_cts.distillation.drivers import failing_cell_shares

MEMORY = 20
"""Episodes of a cell after which an older one counts 1 / e; ours."""


class FailingCells:
    """Gives the teacher a share of the episodes in cells where the student fails, and none elsewhere (AMPO, adapted).

    AMPO lets teachers join where all attempts at a prompt failed. Here a cell takes the prompt's place; an attempt is
    an episode that the student drove, and a success one that did not end in a fall. Its success is a running mean over
    about ``MEMORY`` episodes and has to be below a bound, for many environments share a cell and no two episodes in it
    are alike. A cell that the student has not been in gets no teacher.
    """

    def __init__(self, num_envs: int, device: str | torch.device = "cpu") -> None:
        """Start without a cell; ``watch`` names them.

        Args:
            num_envs: N.
            device: Device of the learner.
        """
        self._device = torch.device(device)
        self._read: Callable[[], torch.Tensor] | None = None
        self._successes = torch.zeros(0, device=self._device)
        self._attempts = torch.zeros(0, device=self._device)
        self._cells = torch.zeros(num_envs, dtype=torch.long, device=self._device)

    def watch(self, read: Callable[[], torch.Tensor], count: int) -> None:
        """Set where environments are, and forget all episodes.

        Args:
            read: Returns the cell of each environment's running episode, integers [N] in [0, ``count``).
            count: Number of cells C.
        """
        self._read = read
        self._successes = torch.zeros(count, device=self._device)
        self._attempts = torch.zeros(count, device=self._device)
        self._cells = self._now()

    def advance(self, dones: torch.Tensor, time_outs: torch.Tensor, teacher_acts: torch.Tensor) -> None:
        """Count a step's ends of episodes; those environments are in the cell of their next episode now.

        Args:
            dones: Ends of episodes [N].
            time_outs: Those by a time limit, bool [N]; the others are falls.
            teacher_acts: Who drove the step, bool [N].
        """
        dones = dones.bool()
        attempts, successes = (
            torch.zeros_like(self._attempts).index_add(0, self._cells, counted.float())
            for counted in (dones & ~teacher_acts, dones & ~teacher_acts & time_outs)
        )
        kept = (1.0 - 1.0 / MEMORY) ** attempts
        self._attempts = kept * self._attempts + attempts
        self._successes = kept * self._successes + successes
        self._cells = torch.where(dones, self._now(), self._cells)

    def shares(self, share: float, below: float) -> torch.Tensor:
        """Teacher's share [N] of the episode that each environment is in: ``share`` in failing cells, else 0.

        Args:
            share: Share in cells where the student fails.
            below: Running mean of the success under which it fails.

        Raises:
            ValueError: If nobody called ``watch``.
        """
        self._reader()
        return failing_cell_shares(self._cells, self._successes, self._attempts, share, below)

    def summary(self, below: float) -> dict[str, float]:
        """Means over the cells that the student was in: its ``success``, and whether the cell is ``failing``.

        Nothing before its first episode ends.
        """
        known = self._attempts > 0
        if not bool(known.any()):
            return {}
        means = self._successes[known] / self._attempts[known]
        numbers = torch.stack([means.mean(), (means < below).float().mean()]).tolist()
        return dict(zip(("success", "failing"), numbers, strict=True))

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Running sums [C] and the cells [N] of the episodes under way."""
        names = ("successes", "attempts", "cells")
        return {name: getattr(self, f"_{name}").clone() for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict``; sums of other cells and episodes of other environments are left out."""
        if state["attempts"].shape == self._attempts.shape:
            self._successes, self._attempts = (state[name].to(self._device) for name in ("successes", "attempts"))
            if state["cells"].shape == self._cells.shape:
                self._cells = state["cells"].to(self._device)

    def _now(self) -> torch.Tensor:
        return self._reader()().to(self._device).long().clone()

    def _reader(self) -> Callable[[], torch.Tensor]:
        if self._read is None:
            raise ValueError(
                "distillation.driver.failing_cells: nobody said which cells there are;"
                " legged_cts.training.runner:Runner does"
            )
        return self._read
