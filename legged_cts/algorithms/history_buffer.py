"""Observation histories of those environments that train the student encoder."""

from __future__ import annotations

import torch


class HistoryBuffer:
    """Histories [T, K, H, n] of K chosen environments; the others' are never stored, for they are large."""

    def __init__(self, steps: int, num_envs: int, ids: torch.Tensor, shape: tuple[int, ...]) -> None:
        """Allocate the buffer.

        Args:
            steps: Steps per rollout T.
            num_envs: Number of all environments N.
            ids: Indices [K] of the environments to store.
            shape: (H, n).
        """
        self.ids = ids
        self._num_envs = num_envs
        self._column = torch.full((num_envs,), -1, device=ids.device)
        self._column[ids] = torch.arange(len(ids), device=ids.device)
        self._data = torch.zeros(steps, len(ids), *shape, device=ids.device)

    def record(self, step: int, histories: torch.Tensor) -> None:
        """Store the chosen rows of histories [N, H, n] at ``step``."""
        self._data[step] = histories[self.ids]

    def at(self, index: torch.Tensor) -> torch.Tensor:
        """Return histories [B, H, n] for flat rollout positions ``step * num_envs + environment`` [B]."""
        return self._data[index // self._num_envs, self._column[index % self._num_envs]]

    def flat(self) -> torch.Tensor:
        """Return all stored histories [T * K, H, n], environments running fastest."""
        return self._data.flatten(0, 1)
