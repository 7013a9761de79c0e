"""Grids of sub-terrains: levels of difficulty by kinds for training, a mixture of one difficulty for plain MuJoCo."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from legged_cts.terrain.heights import Heightfield
from legged_cts.terrain.kinds import DIRECTED, KINDS, check_kind, function_of, riser
from legged_cts.terrain.tile import Array, Tile

CELL = 0.05
"""Distance between neighbouring heights [m] where nothing else is said: a riser is a ramp as wide as this."""
SIZE = 8.0
"""Side of a sub-terrain [m]."""


@dataclass(frozen=True)
class Entry:
    """A kind of sub-terrain and the parameters that differ from its defaults."""

    kind: str
    values: Mapping[str, Any]

    @classmethod
    def checked(cls, name: str, node: Mapping[str, Any]) -> Entry:
        """Return the entry ``name`` of ``terrain.kinds``; its kind is its name unless ``kind`` says otherwise.

        Raises:
            ValueError: If the kind, a key or a value cannot be.
        """
        kind = str(node.get("kind") or name)
        values = {key: value for key, value in node.items() if key not in ("kind", "proportion")}
        check_kind(name, kind, values)
        return cls(kind, values)

    def heights(self, tile: Tile) -> Array:
        """Return the heights [P, P] of a tile in m."""
        heights = function_of(self.kind)(tile, **self.values)
        if np.shape(heights) != np.shape(tile.x) or not np.isfinite(heights).all():
            raise ValueError(f"terrain.kinds: {self.kind} must return finite heights {list(np.shape(tile.x))} [m]")
        return heights


@dataclass(frozen=True)
class Ground:
    """A grid of sub-terrains, centred on the world's origin, its lowest point at height 0.

    Newton 1.6.1 forgets the offset of a height field's lowest point when it copies shape poses to MuJoCo Warp, so that
    robots on a field that reaches below 0 would start inside it.

    Attributes:
        heights: Height [m] at each point [X, Y]; the first index runs along x.
        cell: Distance between neighbouring points [m].
        origins: Middle of each sub-terrain, on the ground [levels, columns, 3] in m.
        risers: Height [m] of a step on each sub-terrain [levels, columns], 0 where there are none of one height.
    """

    heights: Array
    cell: float
    origins: Array
    risers: Array


def lay_ground(
    columns: Sequence[Entry], levels: int, size: float = SIZE, border: float = 3.0, cell: float = CELL, seed: int = 0
) -> Ground:
    """Lay levels along x, from the easiest to the hardest in equal steps, and one entry per column along y.

    What lies at random in a column follows from the seed, the level and the entry, not from where the column is.

    Args:
        columns: What is in each column.
        levels: Number of levels; a single one is of medium difficulty.
        size: Side of a sub-terrain [m].
        border: Width of the level edge around all [m].
        cell: Distance between neighbouring points [m].
        seed: Of all random numbers.

    Raises:
        ValueError: If size or border are no whole multiples of the cell.
    """
    for name, value in (("size", size), ("border", border)):
        if abs(value / cell - round(value / cell)) > 1e-6:
            raise ValueError(f"terrain.{name} must be a whole multiple of terrain.resolution, {cell} m, got {value}")
    tiles, risers, own = [], np.zeros((levels, len(columns))), list(_own_seeds(columns))
    for level in range(levels):
        difficulty = level / (levels - 1) if levels > 1 else 0.5
        row = []
        for column, entry in enumerate(columns):
            tile = Tile(size, cell, difficulty, np.random.default_rng((seed, level, *own[column])))
            row.append(entry.heights(tile))
            risers[level, column] = riser(entry.kind, tile, entry.values)
        tiles.append(row)
    heights = _join(tiles, round(border / cell))
    heights -= heights.min()
    middle = [(np.arange(count) - (count - 1) / 2) * size for count in (levels, len(columns))]
    x, y = np.meshgrid(*middle, indexing="ij")
    half = [(points - 1) / 2 for points in heights.shape]
    z = heights[np.rint(x / cell + half[0]).astype(int), np.rint(y / cell + half[1]).astype(int)]
    return Ground(heights, cell, np.stack((x, y, z), axis=2), risers)


def _own_seeds(columns: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Yield two numbers for each column: of its entry, and how many columns before it have the same one."""
    before: Counter[int] = Counter()
    for entry in columns:
        number = zlib.crc32(repr((entry.kind, sorted(entry.values.items()))).encode())
        yield number, before[number]
        before[number] += 1


def rough_terrain(
    difficulty: float, seed: int, kinds: Sequence[str] | None = None, tiles: int = 5, border: float = 5.0
) -> Heightfield:
    """A square of sub-terrains of the given kinds in random order, with a level border around it.

    Args:
        difficulty: 0 (easiest) to 1 (hardest).
        seed: the same seed gives the same heights.
        kinds: names in `KINDS`, none is all but level ground and `DIRECTED`; each comes equally often, up to rounding.
        tiles: sub-terrains along each side; an odd number puts the origin in the middle of one.
        border: width of the level border [m].

    Raises:
        ValueError: if the difficulty, the kinds or the number of tiles is not as above.
    """
    kinds = [kind for kind in KINDS if kind not in ("flat", *DIRECTED)] if kinds is None else list(kinds)
    if not 0.0 <= difficulty <= 1.0:
        raise ValueError(f"difficulty must lie in [0, 1], got {difficulty}")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"kinds: {unknown} unknown, choose from {sorted(KINDS)}")
    if tiles < 1:
        raise ValueError(f"tiles must be at least 1, got {tiles}")
    order = np.random.default_rng(seed).permutation(np.resize(np.asarray(kinds), tiles * tiles))
    field = [
        [
            KINDS[order[row * tiles + col]](Tile(SIZE, CELL, difficulty, np.random.default_rng((seed, row, col))))
            for col in range(tiles)
        ]
        for row in range(tiles)
    ]
    return Heightfield(_join(field, round(border / CELL)).T, CELL)


def _join(tiles: Sequence[Sequence[Array]], rim: int) -> Array:
    """Put tiles side by side, the first index along x, with a rim of so many level points; they share their edges."""
    cells = len(tiles[0][0]) - 1
    heights = np.zeros((len(tiles) * cells + 2 * rim + 1, len(tiles[0]) * cells + 2 * rim + 1))
    for row, line in enumerate(tiles):
        for col, tile in enumerate(line):
            x, y = rim + row * cells, rim + col * cells
            heights[x : x + cells + 1, y : y + cells + 1] = tile
    return heights
