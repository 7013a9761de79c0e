"""Observation histories of a rollout, kept as single frames; windows are gathered when they are needed."""

from __future__ import annotations

import torch

from legged_cts.algorithms.options import HISTORY_RESETS


class HistoryBuffer:
    """Frames [T + H - 1, K, n] of K chosen environments, and where their episodes start.

    The stack [T, K, H, n] would hold every frame H times. The window of the first step is kept whole, so what happened
    before the rollout need not be known; later steps add their newest frame.
    """

    def __init__(
        self,
        steps: int,
        num_envs: int,
        ids: torch.Tensor,
        shape: tuple[int, ...],
        reset: str = "backfill",
        group: str = "history",
        check: bool = True,
    ) -> None:
        """Allocate the buffer.

        Args:
            steps: Steps per rollout T.
            num_envs: Number of all environments N.
            ids: Indices [K] of the environments to store.
            shape: (H, n).
            reset: How the environment fills a history when an episode starts, one of ``HISTORY_RESETS``.
            group: Name of the observation group, for error messages.
            check: Compare windows with the histories given to ``record`` until a rollout in which an episode started
                has agreed.
        """
        self.ids = ids
        self.steps = steps
        self.length, features = shape
        self.num_envs = num_envs
        self._reset = reset
        self._group = group
        self._check = check
        self._column = torch.full((num_envs,), -1, device=ids.device)
        self._column[ids] = torch.arange(len(ids), device=ids.device)
        self._offset = torch.arange(self.length, device=ids.device)
        self._frames = torch.zeros(steps + self.length - 1, len(ids), features, device=ids.device)
        # Where in _frames the episode began that each step belongs to; -1: before the rollout.
        self._first = torch.full((steps, len(ids)), -1, device=ids.device)
        self._restarted = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    @property
    def nbytes(self) -> int:
        """Bytes of all stored tensors that grow with the rollout."""
        return self._frames.nbytes + self._first.nbytes

    def record(self, step: int, histories: torch.Tensor) -> None:
        """Store what histories [N, H, n] add at ``step``.

        Raises:
            ValueError: If the histories are not windows of the frames recorded before.
        """
        window = histories[self.ids]
        newest = step + self.length - 1
        if step == 0:
            self._check = self._check and not bool((self._first >= 0).any())
            self._frames[: self.length] = window.transpose(0, 1)
        else:
            self._frames[newest] = window[:, -1]
            self._first[step] = torch.where(self._restarted, newest, self._first[step - 1])
        self._restarted.fill_(False)
        if self._check and step > 0:
            self._compare(step, window)

    def restart(self, dones: torch.Tensor) -> None:
        """Note that the environments with non-zero ``dones`` [N] start a new episode with the next record."""
        self._restarted |= dones[self.ids].bool()

    def as_first(self, histories: torch.Tensor, environments: torch.Tensor) -> torch.Tensor:
        """Return histories [N, H, n] in which ``environments`` (bool [N]) have seen their newest frame alone."""
        newest = histories[:, -1:]
        before = newest if self._reset == "backfill" else torch.zeros_like(newest)
        first = torch.cat([before.expand(-1, self.length - 1, -1), newest], dim=1)
        return torch.where(environments.view(-1, 1, 1), first, histories)

    def at(self, index: torch.Tensor) -> torch.Tensor:
        """Return histories [B, H, n] for flat rollout positions ``step * num_envs + environment`` [B]."""
        step, column = index // self.num_envs, self._column[index % self.num_envs]
        return self._windows(step, column, self._reset)

    def sequences(self, environments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the newest frames [T, B, n] of environments [B], and whether an episode starts there, bool [T, B].

        The first step never counts as a start.
        """
        column = self._column[environments]
        newest = torch.arange(self.steps, device=column.device).unsqueeze(1) + self.length - 1
        return self._frames[self.length - 1 :, column], self._first[:, column] == newest

    def columns(self, environments: torch.Tensor) -> torch.Tensor:
        """Return the places [B] of environments [B] among ``ids``."""
        return self._column[environments]

    def _windows(self, step: torch.Tensor, column: torch.Tensor, reset: str) -> torch.Tensor:
        place = step.unsqueeze(1) + self._offset
        first = self._first[step, column].unsqueeze(1)
        row = torch.maximum(place, first) * len(self.ids) + column.unsqueeze(1)
        # Whole rows of a matrix are much faster to gather than elements at two indices.
        window = self._frames.flatten(0, 1).index_select(0, row.flatten()).unflatten(0, row.shape)
        return window if reset == "backfill" else window.masked_fill((place < first).unsqueeze(2), 0.0)

    def _compare(self, step: int, given: torch.Tensor) -> None:
        column = torch.arange(len(self.ids), device=given.device)
        steps = torch.full_like(column, step)
        fits = [rule for rule in HISTORY_RESETS if _same(self._windows(steps, column, rule), given)]
        if self._reset in fits:
            return
        if fits:
            raise ValueError(
                f"algorithm.history_reset is '{self._reset}', but at a reset the environment fills its observation"
                f" group '{self._group}' by the rule '{fits[0]}'; set algorithm.history_reset to '{fits[0]}'"
            )
        raise ValueError(
            f"the observation group '{self._group}' (runner.obs_groups.student) is not a window of its newest frames,"
            f" oldest first, that algorithm.history_reset ({' or '.join(HISTORY_RESETS)}) describes; give the student a"
            " group with such a history, and report every end of an episode in dones"
        )


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(((a == b) | (a.isnan() & b.isnan())).all())
