"""How well a command is followed, one definition for the training's display and the evaluation.

Velocities are compared in the heading frame: the base frame turned about gravity only, so that a robot that pitches and
rolls is judged by how it moves over the ground.
"""

from __future__ import annotations

import torch


def heading_velocity(quat: torch.Tensor, lin_vel_b: torch.Tensor, ang_vel_b: torch.Tensor) -> torch.Tensor:
    """Return v_x, v_y [m/s] and yaw rate [rad/s] in the heading frame.

    Args:
        quat: Orientation of the base in the world [N, 4], XYZW.
        lin_vel_b: Linear velocity in the base frame [N, 3].
        ang_vel_b: Angular velocity in the base frame [N, 3].

    Returns:
        Tensor [N, 3].
    """
    x, y, z, w = quat.unbind(dim=1)
    lin_w = _rotate(quat, lin_vel_b)
    yaw = torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    cos, sin = torch.cos(yaw), torch.sin(yaw)
    # Third row of the rotation matrix: the world's vertical in the base frame.
    up = torch.stack((2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)), dim=1)
    return torch.stack(
        (
            cos * lin_w[:, 0] + sin * lin_w[:, 1],
            cos * lin_w[:, 1] - sin * lin_w[:, 0],
            (up * ang_vel_b).sum(dim=1),
        ),
        dim=1,
    )


def tracking_errors(command: torch.Tensor, velocity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return |v_xy,cmd - v_xy| [N] in m/s and |w_cmd - w_z| [N] in rad/s.

    Args:
        command: v_x, v_y, yaw rate [N, 3].
        velocity: The same as measured [N, 3], see :func:`heading_velocity`.
    """
    difference = command - velocity
    return difference[:, :2].norm(dim=1), difference[:, 2].abs()


def _rotate(quat: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    axis, w = quat[:, :3], quat[:, 3:]
    twice = 2.0 * torch.linalg.cross(axis, vector, dim=1)
    return vector + w * twice + torch.linalg.cross(axis, twice, dim=1)
