"""A gait: which foot should stand when, by a clock that a policy sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RESTING = ("still", "linger")
"""Fields that say when the clock rests."""


@dataclass(frozen=True)
class Gait:
    """A periodic gait. The clock's phase runs from 0 to 1; a foot stands while phase + offset is within [0, duty)."""

    frequency: float  # cycles per second [Hz]
    offsets: tuple[float, ...]  # how far each foot of the spec is ahead of the clock, in cycles
    duty: float  # share of the cycle that a foot stands, between 0 and 1
    foot_height: float  # clearance of a foot at the apex of its swing [m]
    # The clock rests, and all feet should stand, while the command's norm is below this [m/s or rad/s]; 0: it never
    # does, as for a robot that balances by stepping.
    still: float = 0.0
    linger: float = 0.0  # seconds that the clock goes on after that, for the steps in which a robot stops

    def __post_init__(self) -> None:
        """Bring every field to its exact type; a `ValueError` names the first that is wrong."""
        put = object.__setattr__
        for name in ("frequency", "duty", "foot_height", *RESTING):
            value = _number(f"gait.{name}", getattr(self, name))
            if name in RESTING:
                right, wanted = value >= 0.0, "not be below 0"
            elif name == "duty":
                right, wanted = 0.0 < value < 1.0, "lie between 0 and 1"
            else:
                right, wanted = value > 0.0, "be above 0"
            if not right:
                raise ValueError(f"gait.{name} must {wanted}, got {value!r}")
            put(self, name, value)
        if not isinstance(self.offsets, Sequence) or isinstance(self.offsets, str) or not self.offsets:
            raise ValueError(f"gait.offsets must be a list with one number per foot, got {self.offsets!r}")
        put(self, "offsets", tuple(_number(f"gait.offsets[{i}]", value) for i, value in enumerate(self.offsets)))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)
