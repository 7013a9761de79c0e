"""Which kind of sub-terrain is in which column of a curriculum terrain, and under which environment."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch


def column_names(generator: Any) -> list[str]:
    """Return the name of the sub-terrain in each column of a curriculum terrain.

    The generator fills column c with the first sub-terrain whose cumulated proportion exceeds c / num_cols.

    Args:
        generator: A ``TerrainGeneratorCfg``; its ``sub_terrains`` and ``num_cols`` are read.
    """
    names = list(generator.sub_terrains)
    share = np.array([generator.sub_terrains[name].proportion for name in names], dtype=float)
    cumulated = np.cumsum(share / share.sum())
    return [
        names[int(np.flatnonzero(column / generator.num_cols + 0.001 < cumulated)[0])]
        for column in range(generator.num_cols)
    ]


def left_out(terrain: Any) -> str:
    """Return a line about kinds of terrain for which there is no column, nothing if all have one.

    Args:
        terrain: The scene's terrain importer.
    """
    generator = terrain.cfg.terrain_generator
    if terrain.cfg.terrain_type != "generator" or generator is None:
        return ""
    present = column_names(generator)
    missing = [name for name in generator.sub_terrains if name not in present]
    if not missing:
        return ""
    shares = [kind.proportion for kind in generator.sub_terrains.values()]
    enough = math.ceil(sum(shares) / min(shares))
    return f"terrain.columns={generator.num_cols} have no room for {', '.join(missing)}; {enough} have"


def terrain_kinds(terrain: Any, num_envs: int) -> tuple[list[str], torch.Tensor]:
    """Return the names of the kinds of terrain, and the index of each environment's kind [N], on the CPU.

    Args:
        terrain: The scene's terrain importer.
        num_envs: Number of environments N.
    """
    generator = terrain.cfg.terrain_generator
    if terrain.cfg.terrain_type != "generator" or generator is None:
        return ["flat"], torch.zeros(num_envs, dtype=torch.long)
    columns = column_names(generator)
    names = list(dict.fromkeys(columns))
    of_column = torch.tensor([names.index(name) for name in columns])
    return names, of_column[terrain.terrain_types.cpu()]
