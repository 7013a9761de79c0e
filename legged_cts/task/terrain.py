"""The task tree's ``terrain``: a plane, or a grid of sub-terrains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, model_validator

from legged_cts.task.fields import (
    Node,
    NotNegative,
    Positive,
    Rule,
    Seed,
    leaf,
    number_in,
    one_of,
    shown,
    whole,
)


def _check_kinds(value: Any) -> Any:
    if value is None:
        return None
    # Late, because a wrong word elsewhere should be answered before NumPy is imported.
    from legged_cts.terrain.grid import Entry

    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping from names to kinds of sub-terrain, got {shown(value)}")
    for name, kind in value.items():
        if kind is None:
            continue
        if not isinstance(kind, Mapping):
            raise Rule(f"terrain.kinds.{name} must be null or a group with a proportion, got {shown(kind)}")
        if not number_in(0.0)(kind.get("proportion", 0.0)):
            raise Rule(
                f"terrain.kinds.{name}.proportion must be a number of at least 0, got {shown(kind['proportion'])}"
            )
        try:
            Entry.checked(str(name), kind)
        except ValueError as error:
            raise Rule(str(error)) from error
    return value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w-]{1,64}", value) is not None


Kinds = Annotated[Any, PlainValidator(_check_kinds)]
"""Kinds of sub-terrain by name, see :mod:`legged_cts.terrain.kinds`; null leaves one out."""
_GRID = ("levels", "columns", "size", "border", "resolution", "initial_level", "seed", "kinds")


MOST_HEIGHTS = 10**8
"""Of a grid; the rough terrain has 1.6 million."""


def check_heights(terrain: Mapping[str, Any]) -> None:
    """Refuse a grid with more heights than fit into memory, whose sizes may each be in bounds.

    Raises:
        ValueError: Naming them.
    """
    size, border, resolution = terrain["size"], terrain["border"], terrain["resolution"]
    sides = [(terrain[name] * size + 2 * border) / resolution for name in ("levels", "columns")]
    if sides[0] * sides[1] > MOST_HEIGHTS:
        raise ValueError(
            f"terrain: levels, columns, size, border and resolution make {sides[0] * sides[1]:.3g} heights, "
            f"more than the {MOST_HEIGHTS:.0e} that fit into memory"
        )


class Terrain(Node):
    """The ground; all that only a grid has is null on a plane."""

    name: Annotated[str, leaf("a name of letters, digits, - and _, for it is part of the run's folder", _is_name)]
    type: Annotated[str, one_of("plane", "grid")]
    levels: Annotated[int, whole(1, 1000)] | None = None
    columns: Annotated[int, whole(1, 1000)] | None = None
    size: Positive | None = None
    border: NotNegative | None = None
    resolution: Annotated[float, leaf("a number of metres of at least 0.01", number_in(0.01))] | None = None
    initial_level: Annotated[int, whole(0, 1000)] | None = None
    seed: Seed | None = None
    kinds: Kinds = None

    @model_validator(mode="after")
    def fits_its_type(self) -> Terrain:
        """Refuse a grid that lacks something, and a plane with something of a grid."""
        for name in _GRID:
            value = getattr(self, name)
            if self.type == "grid" and value is None:
                raise Rule(f"terrain.{name} is missing; a grid needs {', '.join(_GRID)}")
            if self.type == "plane" and value is not None:
                raise Rule(f"terrain.{name} has no effect on a plane; choose terrain=rough, or leave it out")
        if self.type == "grid":
            try:
                check_heights(vars(self))
            except ValueError as error:
                raise Rule(str(error)) from error
        if self.kinds is not None:
            for name, kind in self.kinds.items():
                if kind and "proportion" not in kind:
                    raise Rule(f"terrain.kinds.{name}.proportion is missing")
            if not any(kind and kind["proportion"] for kind in self.kinds.values()):
                raise Rule("terrain.kinds: every proportion is zero")
        return self
