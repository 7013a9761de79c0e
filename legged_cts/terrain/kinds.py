"""Kinds of sub-terrain. A kind is one function: from a :class:`Tile` and its parameters to heights.

What a function takes beyond the tile are the keys of its entry in ``terrain.kinds``, its defaults the values that plain
MuJoCo uses. Pairs called after a height or a slope run from the easiest to the hardest level; other pairs are drawn
from, once per sub-terrain. All kinds are level at their edge, at height 0, and in the middle, where robots start.

A kind of your own is such a function in a module of your own: ``mine: {kind: my_terms:humps, proportion: 1}``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from legged_cts.terrain.tile import PLATFORM, Array, Bounds, Tile
from legged_cts.trust.names import is_function_name, own_function

KINDS: dict[str, Callable[..., Array]] = {}
"""Functions by the name of their kind."""
LEAST: dict[str, float] = dict.fromkeys(("step_width", "distance", "grain", "radius"), 0.05)
"""Least value [m] of some parameters; below it a sub-terrain would take for ever to lay out."""


def terrain_kind(function: Callable[..., Array]) -> Callable[..., Array]:
    """Enter a function (Tile, parameters by name) -> heights [P, P] in m under its name."""
    KINDS[function.__name__] = function
    return function


@terrain_kind
def slopes(tile: Tile, slope: Bounds = (0.0, 0.568)) -> Array:
    """A truncated pyramid, up or down, of this gradient (rise over run); 0.568 is 29.6 degrees."""
    sign = tile.rng.choice((-1.0, 1.0))
    return sign * slope_down(tile, slope)


DIRECTED = ("slope_down", "slope_up", "slope_across")
"""Kinds that a mixture of all kinds leaves out: its slopes are one or the other."""


@terrain_kind
def slope_down(tile: Tile, slope: Bounds = (0.0, 0.568)) -> Array:
    """A truncated pyramid of this gradient (rise over run): the robot starts at the top."""
    return tile.at(slope) * (tile.reach - np.clip(tile.ring, PLATFORM, tile.reach))


@terrain_kind
def slope_up(tile: Tile, slope: Bounds = (0.0, 0.568)) -> Array:
    """A pit with slopes of this gradient (rise over run) on its four sides: the robot starts at the bottom."""
    return -slope_down(tile, slope)


@terrain_kind
def slope_across(tile: Tile, slope: Bounds = (0.0, 0.568)) -> Array:
    """A hillside along x that falls to the right with this gradient (rise over run), which no other place exceeds."""
    x, y = np.abs(tile.x), np.abs(tile.y)
    # Like a hipped roof. Where it levelled out within a metre instead, whoever had drifted that far met 32 degrees for
    # 25, and slid.
    level = np.minimum(np.minimum(y, tile.reach - y), np.minimum(x - PLATFORM, tile.reach - x))
    return tile.at(slope) * np.sign(tile.y) * np.maximum(level, 0.0)


@terrain_kind
def rough_slopes(tile: Tile, slope: Bounds = (0.0, 0.4), noise: float = 0.03) -> Array:
    """A slope with noise of this half width [m] at points 10 cm apart."""
    return slopes(tile, slope) + tile.open(_grains(tile, 0.1) * noise)


@terrain_kind
def stairs_up(tile: Tile, step_height: Bounds = (0.02, 0.257), step_width: Bounds = (0.25, 0.4)) -> Array:
    """A pit with stairs on its four sides: the robot starts at the bottom. Risers and treads [m]."""
    return -_pyramid(tile, tile.at(step_height), tile.draw(step_width))


@terrain_kind
def stairs_down(tile: Tile, step_height: Bounds = (0.02, 0.257), step_width: Bounds = (0.25, 0.4)) -> Array:
    """A pyramid of stairs: the robot starts at the top. Risers and treads [m]."""
    return _pyramid(tile, tile.at(step_height), tile.draw(step_width))


@terrain_kind
def flights(
    tile: Tile,
    step_height: Bounds = (0.02, 0.257),
    step_width: Bounds = (0.25, 0.4),
    landing: Bounds = (0.0, 0.6),
) -> Array:
    """Straight stairs on either side of a level way, across the tile's width: up, a landing, and down again [m]."""
    tread, level = tile.draw(step_width), tile.draw(landing)
    there = np.abs(tile.x) - PLATFORM
    steps = max(1, int((tile.reach - PLATFORM - level) / (2.0 * tread)))
    back = 2.0 * steps * tread + level - there
    return tile.across(tile.at(step_height) * np.clip(_floor(np.minimum(there, back) / tread) + 1, 0, steps))


@terrain_kind
def curbs(tile: Tile, step_height: Bounds = (0.02, 0.257), step_width: Bounds = (0.6, 1.4)) -> Array:
    """Pavements and roads by turns on either side of a level way: single steps of this height, so far apart [m]."""
    edges, side = [PLATFORM], tile.reach
    while edges[-1] < side:
        edges.append(edges[-1] + tile.draw(step_width))
    # A pavement without an end would leave a step at the tile's edge.
    inside = [edge for edge in edges if edge <= side]
    inside = inside[: len(inside) - len(inside) % 2]
    crossed = np.searchsorted(np.array(inside), np.abs(tile.x) + 1e-9)
    return tile.across(tile.at(step_height) * (crossed % 2))


@terrain_kind
def hurdles(tile: Tile, height: Bounds = (0.02, 0.2), width: float = 0.1, distance: Bounds = (0.6, 1.2)) -> Array:
    """Beams to step over, of this height and width [m], across the tile's width and so far apart [m]."""
    heights, place = tile.flat(), PLATFORM
    while place + width <= tile.reach:
        beam = (np.abs(tile.x) >= place - 1e-9) & (np.abs(tile.x) <= place + width + 1e-9)
        heights[beam] = tile.at(height)
        place += width + tile.draw(distance)
    return tile.across(heights)


@terrain_kind
def tyres(tile: Tile, height: Bounds = (0.02, 0.2), radius: Bounds = (0.3, 0.45)) -> Array:
    """Rings of this height, lying side by side: as thick as half their outer radius [m]."""
    heights = tile.flat()
    outer = tile.draw(radius)
    for cx in np.arange(-tile.reach + outer, tile.reach - outer + 1e-9, 2.2 * outer):
        for cy in np.arange(-tile.reach + outer, tile.reach - outer + 1e-9, 2.2 * outer):
            away = np.hypot(tile.x - cx, tile.y - cy)
            heights[(away <= outer) & (away >= 0.5 * outer)] = tile.at(height)
    return tile.open(heights)


@terrain_kind
def obstacles(
    tile: Tile, height: Bounds = (0.02, 0.275), width: Bounds = (0.8, 2.4), count: int = 20, pits: float = 1.0
) -> Array:
    """So many boxes and pits of up to this height and between these widths [m], at random places.

    Pits are ``pits`` times as deep as boxes are high: a pit beside a box is a step of both. With 0 there are none.
    """
    heights = tile.flat()
    for _ in range(int(count)):
        x, y = tile.rng.uniform(-tile.reach, tile.reach, 2)
        box = (np.abs(tile.x - x) <= tile.draw(width) / 2.0) & (np.abs(tile.y - y) <= tile.draw(width) / 2.0)
        heights[box] = tile.at(height) * tile.rng.choice((-pits, -0.5 * pits, 0.5, 1.0))
    return tile.open(heights)


@terrain_kind
def gravel(tile: Tile, height: Bounds = (0.01, 0.1), grain: Bounds = (0.1, 0.3)) -> Array:
    """Stones side by side, their tops at random heights up to this and so wide [m]."""
    return tile.open(0.5 * tile.at(height) * (1.0 + _grains(tile, tile.draw(grain))))


@terrain_kind
def waves(tile: Tile, amplitude: Bounds = (0.02, 0.4), waves: int = 3) -> Array:
    """So many waves along either axis, each of this height from crest to trough [m], around a level middle."""
    wave = 2.0 * np.pi * int(waves) / tile.size
    fade = np.clip(np.minimum(tile.reach - tile.ring, tile.ring - PLATFORM) / 0.5, 0.0, 1.0)
    return 0.5 * tile.at(amplitude) * fade * (np.cos(wave * tile.x) + np.sin(wave * tile.y))


@terrain_kind
def flat(tile: Tile) -> Array:
    """Level ground."""
    return tile.flat()


def function_of(kind: str) -> Callable[..., Array]:
    """Return the function of a kind, given its name or ``module:function``.

    Raises:
        ValueError: If it is the user's own, and the command line does not trust its module, or it is not there.
    """
    return own_function(kind, "terrain.kinds: kind") if is_function_name(kind) else KINDS[kind]


def parameters(kind: str) -> dict[str, Any]:
    """Return the parameters of a kind with their defaults."""
    given = list(inspect.signature(function_of(kind)).parameters.values())[1:]
    return {parameter.name: parameter.default for parameter in given}


def riser(kind: str, tile: Tile, values: Mapping[str, Any]) -> float:
    """Return the height of a step [m] on a tile of this kind, 0 where it has no steps of one height."""
    bounds = (parameters(kind) | dict(values)).get("step_height")
    return 0.0 if bounds is None else tile.at(bounds)


def check_kind(name: str, kind: str, values: Mapping[str, Any]) -> None:
    """Check the entry ``name`` of ``terrain.kinds``.

    Raises:
        ValueError: In one line, if there is no such kind, or it has no such key, or the value cannot be.
    """
    path = f"terrain.kinds.{name}"
    if kind not in KINDS and not is_function_name(kind):
        raise ValueError(f"{path}: no kind of terrain '{kind}'{_hint(kind, KINDS)}; there are {', '.join(KINDS)}")
    known = parameters(kind)
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{path}.{key} unknown{_hint(key, known)}; {kind} has {', '.join(known) or 'no keys'}")
        pair = isinstance(value, Sequence) and not isinstance(value, str)
        numbers: list[Any] = list(value) if pair else [value]
        good = all(isinstance(n, int | float) and not isinstance(n, bool) and 0.0 <= n < 1e3 for n in numbers)
        if not good or (pair and (len(numbers) != 2 or numbers[0] > numbers[1])):
            raise ValueError(
                f"{path}.{key} must be a number of at least 0 and below 1000, or two in ascending order, got {value!r}"
            )
        if pair and not isinstance(known[key], Sequence) and known[key] is not inspect.Parameter.empty:
            raise ValueError(f"{path}.{key} must be one number, got {value!r}")
        if isinstance(known[key], int) and numbers[0] != int(numbers[0]):
            raise ValueError(f"{path}.{key} must be a whole number, got {value!r}")
        if min(numbers) < LEAST.get(key, 0.0):
            raise ValueError(f"{path}.{key} must be at least {LEAST[key]:g} m, got {value!r}")
    for key, default in known.items():
        if default is inspect.Parameter.empty and key not in values:
            raise ValueError(f"{path}.{key} is missing, which {kind} needs")


def _pyramid(tile: Tile, rise: float, tread: float) -> Array:
    steps = max(1, int((tile.reach - PLATFORM) / tread + 1e-9))
    return rise * np.clip(steps - (_floor((tile.ring - PLATFORM) / tread) + 1), 0, steps)


def _floor(values: Array) -> Array:
    """Round down, but values a rounding error below a whole number to that number."""
    return np.floor(values + 1e-9)


def _grains(tile: Tile, width: float) -> Array:
    """Uniform noise in [-1, 1] at points so far apart [m], the same in a square around each [P, P]."""
    index = np.rint((tile.axis + tile.size / 2) / width).astype(int)
    noise = tile.rng.uniform(-1.0, 1.0, (index[-1] + 1,) * 2)
    return noise[np.ix_(index, index)]


def _hint(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
