"""What the students' ended episodes climbed, by kind and by level of terrain."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import torch

from legged_cts.algorithms.reduce import joint_sum


class ClimbStatistics:
    """Means over the last iterations of what :class:`legged_cts.mdp.curriculum.TerrainLevels` sums up.

    Args:
        env: The unwrapped environment; it may have no levels, then there is nothing to report.
        window: Iterations that the means cover.
    """

    def __init__(self, env: Any, window: int) -> None:
        self._env = env
        self._window: deque[torch.Tensor] = deque(maxlen=window)

    def state(self) -> list[torch.Tensor]:
        """Return the window."""
        return list(self._window)

    def load(self, window: list[torch.Tensor]) -> None:
        """Restore what :meth:`state` returned, or nothing if the terrain is another."""
        levels = getattr(self._env, "levels", None)
        if levels is not None:
            fitting = [sums for sums in window if sums.shape == levels.climbs.shape]
            self._window = deque(fitting, maxlen=self._window.maxlen)

    def summary(self) -> dict[str, float]:
        """Close an iteration; return means per episode over window and processes, NaN where none ended.

        ``student/climb`` [m], ``student/steps`` (of stairs) and ``student/passed`` (share promoted), over all and, as
        ``<name>/<kind>`` and ``<name>/level_<i>``, by the terrain on which the episode began.
        """
        levels = getattr(self._env, "levels", None)
        if levels is None:
            return {}
        self._window.append(joint_sum(levels.climbs).to("cpu", copy=True))
        levels.climbs.zero_()
        total = torch.stack(list(self._window)).sum(dim=0)
        parts = {"": total.sum(dim=(0, 1))}
        parts |= {f"/{kind}": row for kind, row in zip(levels.names, total.sum(dim=1), strict=True)}
        parts |= {f"/level_{level}": row for level, row in enumerate(total.sum(dim=0))}
        result: dict[str, float] = {}
        for column, name in enumerate(levels.columns[1:], start=1):
            for part, row in parts.items():
                episodes = float(row[0])
                result[f"student/{name}{part}"] = float(row[column]) / episodes if episodes > 0.0 else math.nan
        return result
