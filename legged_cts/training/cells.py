"""Tells an algorithm in which cell each environment is: its terrain and level, or the speed that it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from rsl_rl.env import VecEnv

from legged_cts.mdp.terrain_columns import terrain_kinds

SPEED_STEP = 0.5
"""Width of a cell of commanded speeds [m/s]; ours."""
SPEED_CELLS = 6
"""Cells of commanded speeds, the last of which is open."""


def supply_cells(alg: Any, env: VecEnv) -> None:
    """Let ``distillation.driver.failing_cells`` know the cells; a no-op for algorithms without it."""
    cells = getattr(alg, "cells", None)
    if cells is not None:
        cells.watch(*cells_of(env))


def cells_of(env: VecEnv) -> tuple[Callable[[], torch.Tensor], int]:
    """Return what tells the cell of each environment's running episode, integers [N], and the number of cells.

    On a terrain with levels a cell is a kind of terrain at a level. Else it is ``SPEED_STEP`` of the commanded speed
    along the ground, and an environment without commands is one cell.
    """
    unwrapped: Any = env.unwrapped
    terrain: Any = getattr(getattr(unwrapped, "scene", None), "terrain", None)
    if getattr(terrain, "terrain_origins", None) is not None:
        kinds, kind = terrain_kinds(terrain, env.num_envs)
        levels = len(terrain.terrain_origins)
        first = kind.to(terrain.terrain_levels.device) * levels
        return lambda: first + terrain.terrain_levels, len(kinds) * levels
    if hasattr(unwrapped, "command"):
        return lambda: _speed_cell(unwrapped.command[:, :2].norm(dim=1)), SPEED_CELLS
    return lambda: torch.zeros(env.num_envs, dtype=torch.long), 1


def _speed_cell(speed: torch.Tensor) -> torch.Tensor:
    return (speed / SPEED_STEP).long().clamp(max=SPEED_CELLS - 1)
