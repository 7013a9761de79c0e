"""A robot on a course of the benchmark: kept to its way, and judged by the benchmark's rule."""

from __future__ import annotations

import math

import numpy as np

from legged_cts.deploy.passages import heading_rate
from legged_cts.deploy.robot import Array
from legged_cts.terrain.courses import WAY, limit

SLOWEST = 0.05
"""Who is told to go slower along the course is not judged [m/s]."""


class Crossing:
    """The attempts of one robot.

    Attributes:
        arrived: how often it reached the end in time.
        late: how often its time was over.
        way: how far it is along the course [m].
        seconds: for how long it has been under way [s].
    """

    def __init__(self) -> None:
        self.arrived = self.late = 0
        self.begin()

    def begin(self) -> None:
        """The robot stands at the start."""
        self.way = self.seconds = 0.0

    def steer(self, command: Array, yaw: float, limits: tuple[float, float]) -> Array:
        """The command [3] with a turn back to the course, unless it asks for a turn itself.

        Args:
            command: (v_x, v_y, yaw rate) [m/s, m/s, rad/s].
            yaw: heading of the robot [rad].
            limits: of the yaw rate [rad/s].
        """
        return command if command[2] else np.array([*command[:2], float(heading_rate(yaw, limits))])

    def follow(self, x: float, speed: float, dt: float) -> bool:
        """Takes notice of a place `dt` seconds after the last; whether the attempt is over.

        Args:
            x: of the base, from the start [m].
            speed: that it is told along the course [m/s].
            dt: seconds.
        """
        if abs(speed) < SLOWEST:
            return False
        self.way, self.seconds = math.copysign(1.0, speed) * x, self.seconds + dt
        arrived, late = self.way >= WAY, self.seconds > limit(speed)
        self.arrived += arrived
        self.late += late and not arrived
        return bool(arrived or late)

    def __str__(self) -> str:
        """How far it is."""
        return f"{self.way:.1f} of {WAY:.1f} m, {self.seconds:.0f} s"
