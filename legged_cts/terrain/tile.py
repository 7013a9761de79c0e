"""One sub-terrain to be: a square grid of points, how hard it shall be, and its own random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Bounds = float | Sequence[float]
"""(low, high), or one number for both."""

PLATFORM = 1.0
"""Half the side [m] of the level square in the middle, where robots start."""
RIM = 0.3
"""Width [m] of the level edge, so that sub-terrains meet at one height."""


@dataclass(frozen=True)
class Tile:
    """A square of side ``size`` [m] around its centre.

    Attributes:
        size: Side [m].
        cell: Distance between neighbouring points [m]; the size is a whole multiple of it.
        difficulty: 0 (easiest) to 1 (hardest).
        rng: Random numbers of this tile alone.
    """

    size: float
    cell: float
    difficulty: float
    rng: np.random.Generator
    axis: Array = field(init=False)
    """Positions of the points along either axis [m]."""

    def __post_init__(self) -> None:
        """Lay the points."""
        points = round(self.size / self.cell) + 1
        object.__setattr__(self, "axis", (np.arange(points) - (points - 1) / 2) * self.cell)

    @property
    def x(self) -> Array:
        """Coordinate along x of each point [P, P] in m; the first index runs along x."""
        return np.broadcast_to(self.axis[:, None], (len(self.axis),) * 2)

    @property
    def y(self) -> Array:
        """Coordinate along y of each point [P, P] in m."""
        return np.broadcast_to(self.axis[None, :], (len(self.axis),) * 2)

    @property
    def ring(self) -> Array:
        """Distance [P, P] from the centre along the farther axis [m]: squares around the centre have one value."""
        return np.maximum(np.abs(self.x), np.abs(self.y))

    @property
    def reach(self) -> float:
        """Distance [m] from the centre to the level edge."""
        return self.size / 2 - RIM

    def at(self, bounds: Bounds) -> float:
        """Return the value for this difficulty, from the easiest to the hardest."""
        low, high = bounds if isinstance(bounds, Sequence) else (bounds, bounds)
        return float(low + self.difficulty * (high - low))

    def draw(self, bounds: Bounds) -> float:
        """Return a number between the bounds, drawn for this tile."""
        if not isinstance(bounds, Sequence):
            return float(bounds)
        low, high = bounds
        return float(self.rng.uniform(low, high))

    def flat(self) -> Array:
        """Return level ground [P, P]."""
        return np.zeros((len(self.axis),) * 2)

    def open(self, heights: Array) -> Array:
        """Return the heights [P, P] with the platform and the edge at 0."""
        return np.where((self.ring <= PLATFORM) | (self.ring >= self.reach), 0.0, heights)

    def across(self, heights: Array) -> Array:
        """Return the heights [P, P] of what lies across the x axis, with level edges along y."""
        return np.where(np.abs(self.y) >= self.reach, 0.0, heights)
