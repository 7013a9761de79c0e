"""What passes between the control loop and a robot, whatever wire it goes over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from legged_cts.deploy.robot import Array, RobotState

BUTTONS = ("R1", "L1", "start", "select", "R2", "L2", "F1", "F2", "A", "B", "X", "Y", "up", "right", "down", "left")
"""Buttons of the remote control, in the order of the bits in Unitree's bytes 2 and 3, lowest first."""


@dataclass(frozen=True)
class Remote:
    """The remote control.

    Attributes:
        buttons: names in `BUTTONS` of those that are held.
        left: left stick, (right, up), each -1 to 1.
        right: right stick, (right, up), each -1 to 1.
    """

    buttons: frozenset[str] = frozenset()
    left: tuple[float, float] = (0.0, 0.0)
    right: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Reading:
    """One message of the robot; d joints in the contract's order.

    Attributes:
        time: the robot's clock [s]; only differences count.
        state: what the policy sees.
        torque: estimated torques [N m] [d].
        temperature: of the motors [deg C] [d].
        remote: the remote control; None if the robot hears none.
        fault: (name of a guard, detail) that the link itself found, or None.
    """

    time: float
    state: RobotState
    torque: Array
    temperature: Array
    remote: Remote | None = None
    fault: tuple[str, str] | None = None


@dataclass(frozen=True)
class MotorCommand:
    """What the motors' own controllers do until the next command: torque = kp (q - angle) - kd speed.

    Attributes:
        q: angles [rad] [d].
        kp: [N m/rad] [d].
        kd: [N m s/rad] [d].
    """

    q: Array
    kp: Array
    kd: Array


class Link(Protocol):
    """A wire to a robot."""

    def read(self, timeout: float) -> Reading | None:
        """The newest message since the last call; waits at most this long [s] for one, None if there is none."""
        ...

    def send(self, command: MotorCommand) -> None:
        """Sends a command to the motors."""
        ...

    def close(self) -> None:
        """Leaves the wire."""
        ...
