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
    """A periodic gait. The clock's phase runs from 0 to 1; a foot stands while phase + offset is within [0, duty).

    Attributes:
        frequency: Cycles per second [Hz].
        offsets: How far each foot is ahead of the clock, in cycles, in the order of the robot spec's feet.
        duty: Share of the cycle that a foot stands, between 0 and 1.
        foot_height: Clearance of a foot at the apex of its swing [m].
        still: The clock rests, and all feet should stand, while the command's norm is below this [m/s or rad/s]; 0:
            it never does, as for a robot that balances by stepping.
        linger: Seconds that the clock goes on after the command fell below that, for the steps in which a robot stops.
    """

    frequency: float
    offsets: tuple[float, ...]
    duty: float
    foot_height: float
    still: float = 0.0
    linger: float = 0.0

    def __post_init__(self) -> None:
        """Check every field and bring it to its exact type.

        Raises:
            ValueError: Naming the first field that is wrong.
        """
        put = object.__setattr__
        for name in ("frequency", "duty", "foot_height"):
            value = _number(f"gait.{name}", getattr(self, name))
            if not 0.0 < value < (1.0 if name == "duty" else math.inf):
                wanted = "lie between 0 and 1" if name == "duty" else "be above 0"
                raise ValueError(f"gait.{name} must {wanted}, got {value!r}")
            put(self, name, value)
        for name in RESTING:
            value = _number(f"gait.{name}", getattr(self, name))
            if value < 0.0:
                raise ValueError(f"gait.{name} must not be below 0, got {value!r}")
            put(self, name, value)
        if not isinstance(self.offsets, Sequence) or isinstance(self.offsets, str) or not self.offsets:
            raise ValueError(f"gait.offsets must be a list with one number per foot, got {self.offsets!r}")
        put(self, "offsets", tuple(_number(f"gait.offsets[{i}]", value) for i, value in enumerate(self.offsets)))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)
