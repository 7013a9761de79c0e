"""A kind of ground: ditches to step over."""

import numpy as np

from legged_cts.terrain.tile import PLATFORM, Array, Bounds, Tile


def ditches(tile: Tile, depth: float = 0.3, width: Bounds = (0.05, 0.3), distance: Bounds = (0.8, 1.4)) -> Array:
    """Ditches of this depth [m] across the tile's width; they grow wider with the level, and lie so far apart [m]."""
    heights, place = tile.flat(), PLATFORM
    while place + tile.at(width) <= tile.reach:
        heights[(np.abs(tile.x) >= place) & (np.abs(tile.x) <= place + tile.at(width))] = -depth
        place += tile.at(width) + tile.draw(distance)
    return tile.across(heights)
