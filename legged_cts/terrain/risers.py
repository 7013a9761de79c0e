"""Upright risers: between two heights that are far apart the ground is a wall, and no ramp as wide as a cell.

Heights on a grid can only say where ground is high and where it is low; whoever makes a surface of them leans the
points on either side of a riser towards each other until the wall stands (legged_gym shifts the lower one alone, by a
whole cell). Native MuJoCo's contacts and the meshes of other engines do it alike.
"""

from __future__ import annotations

import numpy as np

from legged_cts.terrain.tile import Array

STEEP = 0.75
"""Rise between neighbouring points, over their distance, from which on it is a riser (legged_gym's
``slope_threshold``)."""
LEAN = 0.49
"""How far a point goes towards a riser beside it, in cells. By half a cell walls would have no outside."""


def leaning(heights: Array, cell: float) -> Array:
    """Return whither points of a grid go along both axes: -1, 0 or 1, times :data:`LEAN` cells.

    A point goes towards the riser beside it, and stays between two. In the corner of a cell whose far edges are both
    risers it goes towards where they meet, so that corners of boxes are upright too.

    Args:
        heights: [rows, cols] in m.
        cell: Distance between neighbouring points [m].

    Returns:
        [rows, cols, 2], along rows' axis and along columns'.
    """
    rows, cols = heights.shape
    around = np.pad(heights, 1, mode="edge")
    lean = np.zeros((rows, cols, 2), dtype=int)
    for i in (-1, 1):
        for j in (-1, 1):
            along, aside = around[1 + i : 1 + i + rows, 1:-1], around[1:-1, 1 + j : 1 + j + cols]
            across = around[1 + i : 1 + i + rows, 1 + j : 1 + j + cols]
            riser_i, riser_j = (np.abs(other - heights) > STEEP * cell for other in (along, aside))
            far = (np.abs(across - along) > STEEP * cell) & (np.abs(across - aside) > STEEP * cell)
            corner = far & ~riser_i & ~riser_j
            lean[..., 0] += i * (riser_i + 2 * corner)
            lean[..., 1] += j * (riser_j + 2 * corner)
    return np.clip(lean, -1, 1)
