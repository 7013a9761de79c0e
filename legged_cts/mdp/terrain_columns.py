"""Which kind of sub-terrain is in which column of a curriculum terrain."""

from __future__ import annotations

from typing import Any

import numpy as np


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
