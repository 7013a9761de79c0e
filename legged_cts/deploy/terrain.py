"""Rough ground for the plain MuJoCo simulation: a grid of heights, made by numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from legged_cts.deploy.robot import Array

CELL = 0.1
"""Distance between neighbouring heights [m]."""


@dataclass(frozen=True)
class Heightfield:
    """Heights over a rectangle centred on the origin.

    Attributes:
        heights: height [m] at each grid point [rows, cols]; rows run along y, columns along x, both ascending.
        cell: distance between neighbouring points [m].
    """

    heights: Array
    cell: float = CELL

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


def steps(x: Array, y: Array, difficulty: float, rng: np.random.Generator) -> Array:
    """A square pyramid of stairs, up or down; steps of 4 to 15 cm, 40 cm deep, a level top of 2 m."""
    rise = (0.04 + 0.11 * difficulty) * rng.choice((-1.0, 1.0))
    edge = 4.0 - np.maximum(np.abs(x), np.abs(y))
    return rise * np.floor(np.clip(edge, 0, 3.0) / 0.4)


def slopes(x: Array, y: Array, difficulty: float, rng: np.random.Generator) -> Array:
    """A square pyramid of smooth slopes, up or down; 3 to 22 degrees, a level top of 2 m."""
    slope = (0.05 + 0.35 * difficulty) * rng.choice((-1.0, 1.0))
    edge = 4.0 - np.maximum(np.abs(x), np.abs(y))
    return slope * np.clip(edge, 0, 3.0)


def waves(x: Array, y: Array, difficulty: float, rng: np.random.Generator) -> Array:
    """Two crossing waves of 2 m length and 2 to 12 cm amplitude, fading out towards the tile's edge."""
    amplitude = 0.02 + 0.10 * difficulty
    phase_x, phase_y = rng.uniform(0, 2 * np.pi, 2)
    fade = np.clip(4.0 - np.maximum(np.abs(x), np.abs(y)), 0, 1)
    return 0.5 * amplitude * fade * (np.sin(np.pi * x + phase_x) + np.sin(np.pi * y + phase_y))


def obstacles(x: Array, y: Array, difficulty: float, rng: np.random.Generator) -> Array:
    """Forty boxes or pits of 3 to 15 cm at random places, none on the tile's edge."""
    height = np.zeros_like(x)
    for _ in range(40):
        centre, half = rng.uniform(-3.0, 3.0, 2), rng.uniform(0.2, 0.7, 2)
        level = (0.03 + 0.12 * difficulty) * rng.choice((-1.0, -0.5, 0.5, 1.0))
        height[(np.abs(x - centre[0]) <= half[0]) & (np.abs(y - centre[1]) <= half[1])] = level
    return height


TILES: dict[str, Callable[[Array, Array, float, np.random.Generator], Array]] = {
    "steps": steps,
    "slopes": slopes,
    "waves": waves,
    "obstacles": obstacles,
}
"""Height [m] of a tile, 8 m square and level at its edge, over (x, y) [m] from its centre."""

TILE = 8.0


def rough_terrain(
    difficulty: float, seed: int, kinds: tuple[str, ...] = tuple(TILES), tiles: int = 5, border: float = 5.0
) -> Heightfield:
    """A square of tiles of the given kinds in random order, with a level border around it.

    Args:
        difficulty: 0 (easiest) to 1 (hardest).
        seed: the same seed gives the same heights.
        kinds: names in `TILES`; every kind comes equally often, up to rounding.
        tiles: tiles along each side; an odd number puts the origin in the middle of a tile.
        border: width of the level border [m].

    Raises:
        ValueError: if the difficulty, the kinds or the number of tiles is not as above.
    """
    if not 0.0 <= difficulty <= 1.0:
        raise ValueError(f"difficulty must lie in [0, 1], got {difficulty}")
    unknown = [kind for kind in kinds if kind not in TILES]
    if unknown or not kinds:
        raise ValueError(f"kinds: {unknown} unknown, choose from {sorted(TILES)}")
    if tiles < 1:
        raise ValueError(f"tiles must be at least 1, got {tiles}")
    rng = np.random.default_rng(seed)
    per_tile, rim = round(TILE / CELL), round(border / CELL)
    points = tiles * per_tile + 2 * rim + 1
    heights = np.zeros((points, points))
    axis = np.linspace(-TILE / 2, TILE / 2, per_tile + 1)
    x, y = np.meshgrid(axis, axis)
    order = rng.permutation(np.resize(np.asarray(kinds), tiles * tiles)).reshape(tiles, tiles)
    for row in range(tiles):
        for col in range(tiles):
            top, left = rim + row * per_tile, rim + col * per_tile
            height = TILES[order[row, col]](x, y, difficulty, rng)
            heights[top : top + per_tile + 1, left : left + per_tile + 1] = height
    return Heightfield(heights)
