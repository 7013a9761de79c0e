"""Velocities in the heading frame, and what they miss of the command."""

import math

import pytest
import torch

from legged_cts.mdp.tracking import heading_velocity, tracking_errors


def quaternion(axis, angle):
    """XYZW quaternion of a rotation about a unit axis."""
    return torch.tensor([[*(math.sin(angle / 2) * a for a in axis), math.cos(angle / 2)]])


def test_heading_frame_follows_yaw_and_ignores_pitch():
    forward, spin = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 2.0]])
    got = heading_velocity(quaternion((0, 0, 1), 2.0), forward, spin)
    assert torch.allclose(got, torch.tensor([[1.0, 0.0, 2.0]]), atol=1e-6)
    # Pitched down by 60 degrees: forward in the base is mostly downward in the world.
    got = heading_velocity(quaternion((0, 1, 0), math.pi / 3), forward, spin)
    assert torch.allclose(got, torch.tensor([[0.5, 0.0, 1.0]]), atol=1e-6)
    # Rolled by 90 degrees: the base's y axis points up, so a rotation about it is a yaw rate, about z is none.
    got = heading_velocity(quaternion((1, 0, 0), math.pi / 2), torch.zeros(1, 3), torch.tensor([[0.0, 3.0, 5.0]]))
    assert torch.allclose(got, torch.tensor([[0.0, 0.0, 3.0]]), atol=1e-6)


def test_heading_velocity_of_any_pose_matches_the_rotation_matrix():
    torch.manual_seed(0)
    quat = torch.nn.functional.normalize(torch.randn(50, 4, dtype=torch.float64), dim=1)
    lin, ang = torch.randn(2, 50, 3, dtype=torch.float64)
    x, y, z, w = quat.unbind(1)
    matrix = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ], dim=1,
    ).view(-1, 3, 3)  # fmt: skip
    lin_w, ang_w = (matrix @ lin[:, :, None])[..., 0], (matrix @ ang[:, :, None])[..., 0]
    yaw = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0])
    expected = torch.stack(
        [yaw.cos() * lin_w[:, 0] + yaw.sin() * lin_w[:, 1], yaw.cos() * lin_w[:, 1] - yaw.sin() * lin_w[:, 0],
         ang_w[:, 2]], dim=1,
    )  # fmt: skip
    assert torch.allclose(heading_velocity(quat, lin, ang), expected)


def test_tracking_errors():
    lin, yaw = tracking_errors(torch.tensor([[1.0, 0.0, 0.5]]), torch.tensor([[0.7, 0.4, -0.25]]))
    assert lin.item() == pytest.approx(0.5) and yaw.item() == pytest.approx(0.75)
