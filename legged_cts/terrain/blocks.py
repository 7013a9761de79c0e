"""Ground of steps as blocks with upright sides, instead of heights with ramps between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from legged_cts.terrain.heights import Heightfield

TREADS = 0.95
"""Share of points that must lie on a tread for ground to count as steps; the rest are gaps between boxes."""


@dataclass(frozen=True)
class Block:
    """A rectangle of one height.

    Attributes:
        centre: Its middle (x, y) [m].
        half: Half its extent along x and along y [m].
        height: Of its top [m].
    """

    centre: tuple[float, float]
    half: tuple[float, float]
    height: float


def is_steps(field: Heightfield) -> bool:
    """Whether nearly every point has a neighbour as high as itself along x, and one along y: treads, and no slope."""
    return bool(np.mean(_level(field.heights, axis=0) & _level(field.heights, axis=1)) >= TREADS)


def blocks(field: Heightfield) -> list[Block]:
    """Cover a ground of steps with rectangles that do not overlap; they grow along x first, then along y.

    Each point owns the square around it, so that a riser stands in the middle of what was its ramp.
    """
    cell, (half_x, half_y) = field.cell, field.half_size
    found = []
    for row, col, length, width in rectangles(field.heights, np.ones(field.heights.shape, dtype=bool)):
        centre = (col + (width - 1) / 2) * cell - half_x, (row + (length - 1) / 2) * cell - half_y
        found.append(Block(centre, (width * cell / 2, length * cell / 2), float(field.heights[row, col])))
    return found


def rectangles(values: np.ndarray, flags: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """Cover what is set [R, C] with rectangles of one value (row, column, rows, columns), which do not overlap.

    They grow along columns first, then along rows.
    """
    free = flags.copy()
    while free.any():
        row, col = map(int, np.unravel_index(free.argmax(), free.shape))
        same = free[row:, col:] & (values[row:, col:] == values[row, col])
        width = _run(same[0])
        length = _run(same[:, :width].all(axis=1))
        free[row : row + length, col : col + width] = False
        yield row, col, length, width


def _level(heights: np.ndarray, axis: int) -> np.ndarray:
    """Return which points have a neighbour along an axis that is as high."""
    equal = np.diff(heights, axis=axis) == 0
    edge = [(0, 0), (0, 0)]
    edge[axis] = (1, 0)
    before = np.pad(equal, edge)
    edge[axis] = (0, 1)
    return np.asarray(before | np.pad(equal, edge))


def _run(flags: np.ndarray) -> int:
    """Return how many of the first flags are set without a gap."""
    return len(flags) if flags.all() else int(np.argmin(flags))
