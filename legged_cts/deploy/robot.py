"""What a robot, real or simulated, offers to a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class RobotState:
    """One reading of the sensors; d joints in the order of the robot spec.

    Attributes:
        quat: orientation of the base in the world, (w, x, y, z), [4].
        ang_vel: angular velocity of the base, in the base frame [3] in rad/s.
        joint_pos: joint angles [d] in rad.
        joint_vel: joint velocities [d] in rad/s.
    """

    quat: Array
    ang_vel: Array
    joint_pos: Array
    joint_vel: Array


class RobotInterface(Protocol):
    """The four things a driver has to provide. `MujocoRobot` is one; a bridge to a robot's SDK is another."""

    joints: tuple[str, ...]
    control_dt: float

    def read_state(self) -> RobotState:
        """The newest sensor reading."""
        ...

    def send_targets(self, targets: Array) -> None:
        """Asks the joint PD controllers for these angles [d] in rad; returns when the next reading is due."""
        ...


def projected_gravity(quat: Array) -> Array:
    """The direction of gravity in the base frame, R(quat)^T (0, 0, -1); (0, 0, -1) on a level robot.

    Args:
        quat: unit quaternion (w, x, y, z), [4].
    """
    w, x, y, z = np.asarray(quat, dtype=np.float64) / np.linalg.norm(quat)
    return np.array([2 * (w * y - x * z), -2 * (y * z + w * x), 2 * (x * x + y * y) - 1])


def yaw_of(quat: Array) -> float:
    """Heading of the base about the vertical [rad] from a quaternion (w, x, y, z)."""
    w, x, y, z = quat
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))
