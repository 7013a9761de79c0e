"""Heights over a rectangle, as MuJoCo takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legged_cts.terrain.tile import Array


@dataclass(frozen=True)
class Heightfield:
    """Heights over a rectangle centred on the origin.

    Attributes:
        heights: height [m] at each grid point [rows, cols]; rows run along y, columns along x, both ascending.
        cell: distance between neighbouring points [m].
    """

    heights: Array
    cell: float

    @property
    def half_size(self) -> tuple[float, float]:
        """Half the extent along x and along y [m]."""
        rows, cols = self.heights.shape
        return (cols - 1) * self.cell / 2, (rows - 1) * self.cell / 2

    def height_at(self, x: Array | float, y: Array | float) -> Array:
        """Height [m] at the points (x, y) [m] by bilinear interpolation; the edge's height beyond the edge."""
        rows, cols = self.heights.shape
        half_x, half_y = self.half_size
        u = np.clip((np.asarray(x, dtype=np.float64) + half_x) / self.cell, 0, cols - 1)
        v = np.clip((np.asarray(y, dtype=np.float64) + half_y) / self.cell, 0, rows - 1)
        i, j = np.minimum(u.astype(int), cols - 2), np.minimum(v.astype(int), rows - 2)
        fu, fv = u - i, v - j
        h = self.heights
        low = h[j, i] * (1 - fu) + h[j, i + 1] * fu
        high = h[j + 1, i] * (1 - fu) + h[j + 1, i + 1] * fu
        return low * (1 - fv) + high * fv
