"""Ground of few plane faces as these faces, instead of triangles whose seams trip feet.

MuJoCo collides a foot with every triangle of a height field, and beside a seam a contact leans away from it, on a plane
too: by up to 34 degrees for a foot of 2.2 cm that is 4 mm deep, on cells of 5 cm.
"""

from __future__ import annotations

import numpy as np

from legged_cts.terrain.blocks import rectangles
from legged_cts.terrain.heights import Heightfield

MOST = 64
"""Ground of more faces stays a height field."""
_FLAT = 1e-4
"""A point so close to a plane lies on it [m]."""
_BENT = 0.05
"""Ground of which a larger share of cells is not plane has too many faces."""


def facets(field: Heightfield) -> list[np.ndarray] | None:
    """Cover a ground with convex plane polygons that do not overlap, seen from above.

    Where two planes meet along the diagonal of a cell, its triangles are theirs.

    Returns:
        The corners [k, 3] of each in m, counterclockwise; None if the ground is no such, or has more than ``MOST``.
    """
    heights, cell = field.heights.astype(np.float64), field.cell
    rows, cols = heights.shape
    half_x, half_y = field.half_size
    x, y = np.arange(cols) * cell - half_x, np.arange(rows) * cell - half_y
    a, b, c = heights[:-1, :-1], heights[:-1, 1:], heights[1:, :-1]
    bent = np.abs(a + heights[1:, 1:] - b - c) >= _FLAT
    if bent.mean() > _BENT:
        return None
    slopes = np.round(((b - a) + 1j * (c - a))[~bent] / cell, 2)
    if len(np.unique(slopes)) > MOST:
        return None
    owner = np.where(bent, -2, -1)  # the plane of a cell; -1 is not known yet, -2 two planes
    halves = np.full((4, *bent.shape), -1)  # the plane of a cell's half without its corner 0, 1, 2 or 3
    planes: list[np.ndarray] = []
    while (owner == -1).any():
        if len(planes) == MOST:
            return None
        row, col = np.unravel_index(np.argmax(owner == -1), owner.shape)
        slope_x, slope_y = (b - a)[row, col] / cell, (c - a)[row, col] / cell
        plane = a[row, col] + slope_x * (x - x[col]) + slope_y * (y - y[row])[:, None]
        on = np.stack(_corners(np.abs(heights - plane) < _FLAT))
        face = _connected((int(row), int(col)), on.all(axis=0) & (owner == -1))
        owner[face] = len(planes)
        beside = bent & _spread(face) & (on.sum(axis=0) == 3)
        for missing in range(4):
            halves[missing][beside & ~on[missing]] = len(planes)
        planes.append(plane)
    # The halves of a cell lack opposite corners.
    split = (halves[0] >= 0) & (halves[3] >= 0)
    halves[1:3, split] = halves[0, ~split] = halves[3, ~split] = -1
    if ((halves >= 0).sum(axis=0) != 2)[bent].any():
        return None
    found = []
    for index, plane in enumerate(planes):
        for points in _polygons(owner == index, halves == index):
            row, col = points.T
            found.append(np.column_stack([x[col], y[row], plane[row, col]]))
        if len(found) > MOST:
            return None
    return found


def _corners(points: np.ndarray) -> list[np.ndarray]:
    """Return views of points [R, C] at the corners 0 to 3 of cells [R - 1, C - 1]: along x, then along y."""
    return [points[:-1, :-1], points[:-1, 1:], points[1:, :-1], points[1:, 1:]]


def _connected(start: tuple[int, int], flags: np.ndarray) -> np.ndarray:
    """Return which of the cells that are set [R, C] hang together with one."""
    found, size = np.zeros_like(flags), 0
    found[start] = True
    while (now := int(found.sum())) > size:
        size = now
        found = _runs(_runs(found, flags).T, flags.T).T
    return found


def _runs(found: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Return which cells [R, C] are in a run of set ones along a row in which one is found."""
    before = np.zeros_like(flags)
    before[:, 1:] = flags[:, :-1]
    run = np.cumsum(flags & ~before).reshape(flags.shape)
    hit = np.zeros(int(run.max(initial=0)) + 1, dtype=bool)
    hit[run[found]] = True
    return flags & hit[run]


def _spread(flags: np.ndarray) -> np.ndarray:
    """Return the cells that are set [R, C] and their neighbours along x and y."""
    wide = flags.copy()
    wide[1:] |= flags[:-1]
    wide[:-1] |= flags[1:]
    wide[:, 1:] |= flags[:, :-1]
    wide[:, :-1] |= flags[:, 1:]
    return wide


def _polygons(whole: np.ndarray, halves: np.ndarray) -> list[np.ndarray]:
    """Cover cells [R, C] and halves of cells, which lack corner 0 to 3 [4, R, C], with convex polygons.

    Returns:
        The corners (row, column) [k, 2] of each.
    """
    used = np.zeros((whole.shape[0] + 1, whole.shape[1] + 1), dtype=bool)
    for k, corner in enumerate(_corners(used)):
        corner |= whole | halves[[other for other in range(4) if other != k]].any(axis=0)
    hull = _hull(used)
    if np.isclose(_area(hull), whole.sum() + halves.sum() / 2):
        return [hull]
    found = []
    for row, col, length, width in rectangles(whole, whole):
        low, high = (row, col), (row + length, col + width)
        found.append(np.array([low, (low[0], high[1]), high, (high[0], low[1])]))
        if len(found) > MOST:
            break
    for missing, row, col in np.argwhere(halves)[:MOST]:
        found.append(np.array([(row + k // 2, col + k % 2) for k in (0, 1, 3, 2) if k != missing]))
    return found


def _hull(points: np.ndarray) -> np.ndarray:
    """Return the corners (row, column) [k, 2] of the convex hull of the points that are set [R, C]."""
    some = np.flatnonzero(points.any(axis=1))
    first = points[some].argmax(axis=1)
    last = points.shape[1] - 1 - points[some, ::-1].argmax(axis=1)
    ends = [(row, col) for row, *both in zip(some.tolist(), first.tolist(), last.tolist(), strict=True) for col in both]
    chains: list[tuple[int, int]] = []
    for order in (ends, ends[::-1]):
        chain: list[tuple[int, int]] = []
        for point in order:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) >= 0:
                chain.pop()
            chain.append(point)
        chains += chain[:-1]
    return np.array(chains)


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return int((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _area(polygon: np.ndarray) -> float:
    """Return the area within a polygon (row, column) [k, 2], in cells."""
    row, col = polygon.T
    return float(abs(np.dot(row, np.roll(col, 1)) - np.dot(col, np.roll(row, 1))) / 2)
