"""What must hold while a robot moves, and which state follows when it does not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from legged_cts.deploy.onboard.link import Reading
from legged_cts.deploy.robot import projected_gravity
from legged_cts.robots.spec import RobotSpec


class Mode(str, Enum):
    """The states of a robot."""

    DAMPING = "damping"
    STAND_UP = "stand_up"
    STAND = "stand"
    WALK = "walk"
    STOP = "stop"
    LIE_DOWN = "lie_down"


class Fault(NamedTuple):
    """A guard that tripped, and why."""

    name: str
    detail: str


RESPONSES = {
    "stale": Mode.DAMPING,
    "corrupt": Mode.DAMPING,
    "tilt": Mode.DAMPING,
    "joint_limit": Mode.DAMPING,
    "other_controller": Mode.DAMPING,
    "wrong_robot": Mode.DAMPING,
    "torque": Mode.STOP,
    "temperature": Mode.STOP,
    "blocked": Mode.LIE_DOWN,
    "policy": Mode.DAMPING,
    "late": Mode.DAMPING,
    "command_lost": Mode.STOP,
}
"""The state that a fault leads to at once. A robot that may not know where it is, or has no policy to walk with, goes
limp: out of a step it tips over any fixed pose, but sinks softly on damped joints. One without an operator stops."""

LIES_AFTERWARDS = ("torque", "temperature")
"""Faults after which a robot that has stopped lies down, as does one that does not walk."""

SITS_DOWN = ("stale", "corrupt", "policy", "late")
"""Faults out of which a biped that walks sits down where it is: its motors still hold angles, if nobody knows where the
robot is or where to step. It falls over all the same, but from lower than a limp one does."""


@dataclass(frozen=True)
class Limits:
    """When the guards trip.

    Attributes:
        state_timeout: without a new state [s].
        tilt: of the base from the vertical [rad].
        joint_margin: of a joint beyond its limit [rad].
        torque: share of a joint's torque limit, for longer than `torque_time`.
        torque_time: [s].
        temperature: of a motor [deg C].
        command_timeout: without a command or a remote control while walking [s].
        misses: deadlines missed in a row.
    """

    state_timeout: float = 0.05
    tilt: float = 1.0
    joint_margin: float = 0.1
    torque: float = 0.98
    torque_time: float = 0.4
    temperature: float = 85.0
    command_timeout: float = 0.5
    misses: int = 5


class Guards:
    """Looks at each reading.

    Args:
        spec: the robot, joints in the order of the readings.
        limits: when to trip.
    """

    def __init__(self, spec: RobotSpec, limits: Limits) -> None:
        """Start with nothing seen."""
        self._spec, self._limits = spec, limits
        self._lower = np.asarray(spec.joint_lower) - limits.joint_margin
        self._upper = np.asarray(spec.joint_upper) + limits.joint_margin
        self._effort = limits.torque * np.asarray(spec.effort_limit)
        self._fresh: float | None = None
        self._stamp: float | None = None
        self._strained: float | None = None
        self._misses = 0

    def check(self, now: float, reading: Reading | None, late: bool) -> Fault | None:
        """The first fault of this period.

        Args:
            now: the loop's clock [s].
            reading: the newest one since the last call, or None.
            late: whether the last period missed its deadline.
        """
        self._misses = self._misses + 1 if late else 0
        # A state that is sent again and again is none.
        if reading is None or reading.time == self._stamp:
            age = np.inf if self._fresh is None else now - self._fresh
            if age > self._limits.state_timeout - 1e-9:
                return Fault("stale", f"no new state for {1e3 * age:.0f} ms")
            return self._late()
        self._fresh, self._stamp = now, reading.time
        own = None if reading.fault is None else Fault(*reading.fault)
        return self._corrupt(reading) or own or self._posture(reading) or self._strain(now, reading) or self._late()

    def _late(self) -> Fault | None:
        if self._misses >= self._limits.misses:
            return Fault("late", f"{self._misses} deadlines missed in a row")
        return None

    def _corrupt(self, reading: Reading) -> Fault | None:
        state = reading.state
        for name in ("quat", "ang_vel", "joint_pos", "joint_vel"):
            if not np.isfinite(getattr(state, name)).all():
                return Fault("corrupt", f"{name} holds a value that is not finite")
        length = float(np.linalg.norm(state.quat))
        if not 0.9 < length < 1.1:
            return Fault("corrupt", f"the orientation is no unit quaternion but of the length {length:.2f}")
        for name in ("torque", "temperature"):
            if not np.isfinite(getattr(reading, name)).all():
                return Fault("corrupt", f"{name} holds a value that is not finite")
        return None

    def _posture(self, reading: Reading) -> Fault | None:
        angle = tilt(reading)
        if angle > self._limits.tilt:
            return Fault("tilt", f"{angle:.2f} rad from the vertical, at most {self._limits.tilt:g}")
        q = reading.state.joint_pos
        beyond = np.flatnonzero((q < self._lower) | (q > self._upper))
        if beyond.size:
            joint = beyond[0]
            low, high = self._spec.joint_lower[joint], self._spec.joint_upper[joint]
            return Fault("joint_limit", f"{self._spec.joints[joint]} at {q[joint]:.2f} rad, [{low:.2f}, {high:.2f}]")
        return None

    def _strain(self, now: float, reading: Reading) -> Fault | None:
        hot = int(np.argmax(reading.temperature))
        if reading.temperature[hot] > self._limits.temperature:
            joint, degrees = self._spec.joints[hot], reading.temperature[hot]
            return Fault("temperature", f"{joint} at {degrees:.0f} deg C, at most {self._limits.temperature:g}")
        strained = np.flatnonzero(np.abs(reading.torque) > self._effort)
        if not strained.size:
            self._strained = None
            return None
        self._strained = now if self._strained is None else self._strained
        if now - self._strained < self._limits.torque_time - 1e-9:
            return None
        joint = strained[0]
        return Fault("torque", f"{self._spec.joints[joint]} at {reading.torque[joint]:.1f} N m for too long")


def tilt(reading: Reading) -> float:
    """Angle between the base's upward axis and the vertical [rad]."""
    return float(np.arccos(np.clip(-projected_gravity(reading.state.quat)[2], -1.0, 1.0)))
