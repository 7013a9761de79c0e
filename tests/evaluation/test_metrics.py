"""Metrics against values computed by hand."""

import math

import pytest
import torch

from legged_cts.evaluation.metrics import EpisodeAccumulator, Episodes, Sample
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


def sample(vx: float, command: float = 1.0) -> Sample:
    """Two environments; the second has twice the torque, and a foot in the air."""
    return Sample(
        command=torch.tensor([[command, 0.0, 0.0]]).repeat(2, 1),
        velocity=torch.tensor([[vx, 0.0, 0.1]]).repeat(2, 1),
        torque=torch.tensor([[10.0, -10.0], [20.0, -20.0]]),
        joint_vel=torch.tensor([[1.0, 2.0], [1.0, 2.0]]),
        action=torch.tensor([[0.5, 0.5], [0.5, 0.5]]),
        previous_action=torch.tensor([[0.5, 0.3], [0.1, 0.5]]),
        foot_speed=torch.tensor([[0.2, 0.4], [0.2, 0.4]]),
        foot_force=torch.tensor([[50.0, 50.0], [50.0, 0.5]]),
    )


def episodes(sums, level=(0, 0), promoted=(False, False)):
    return sums.episodes(torch.tensor(promoted), torch.tensor(level), torch.tensor([0, 1]))


def test_an_episode_is_summed_as_defined():
    sums = EpisodeAccumulator(2, weight=100.0, dt=0.02)
    yes, first = torch.tensor([True, True]), torch.tensor([True, False])
    for velocity, running, settled in ((9.0, yes, ~yes), (0.5, yes, yes), (0.9, first, yes)):
        sums.count_step(torch.tensor([True, True]), torch.tensor([False, False]))
        sums.add(sample(velocity), running, settled)
    got = episodes(sums)
    # The first step is unsettled; the second environment ended in the third.
    assert got.lin_error.tolist() == pytest.approx([0.3, 0.5])
    assert got.yaw_error.tolist() == pytest.approx([0.1, 0.1])
    assert got.action_rate.tolist() == pytest.approx([0.1, 0.2])
    assert got.slip.tolist() == pytest.approx([0.3, 0.2])
    # |10 * 1| + |-10 * 2| = 30 W per step over 100 N times the speeds.
    assert got.cost_of_transport.tolist() == pytest.approx([60.0 / (100.0 * 1.4), 60.0 / (100.0 * 0.5)])
    assert got.duration.tolist() == pytest.approx([0.06, 0.06])


def test_standing_has_no_cost_of_transport_and_unmeasured_is_nan():
    sums = EpisodeAccumulator(2, weight=100.0, dt=0.02)
    yes = torch.tensor([True, True])
    sums.add(sample(0.3, command=0.05), torch.tensor([True, False]), yes)
    got = episodes(sums)
    assert got.lin_error[0].item() == pytest.approx(0.25)
    assert got.cost_of_transport.isnan().all()
    assert got.lin_error[1].isnan() and got.slip[1].isnan()


def test_not_finite_values_of_unmeasured_environments_do_no_harm():
    sums = EpisodeAccumulator(2, weight=100.0, dt=0.02)
    yes, first = torch.tensor([True, True]), torch.tensor([True, False])
    bad = sample(0.5)
    bad.velocity[1] = torch.nan
    bad.torque[1] = torch.inf
    sums.add(bad, first, yes)
    sums.add(sample(0.5), yes, yes)
    assert episodes(sums).lin_error.tolist() == pytest.approx([0.5, 0.5])


def test_a_fall_counts_once_and_only_while_the_episode_is_on():
    sums = EpisodeAccumulator(2, weight=1.0, dt=0.5)
    on, fell = torch.tensor([True, True]), torch.tensor([True, False])
    sums.count_step(on, fell)
    sums.count_step(on & ~fell, fell)
    got = episodes(sums)
    assert got.fall.tolist() == [1.0, 0.0] and got.duration.tolist() == [0.5, 1.0]


def test_reached_level_is_that_of_promoted_robots():
    got = episodes(EpisodeAccumulator(2, 1.0, 1.0), level=(3, 5), promoted=(True, False))
    assert got.promoted_level[0] == 3.0 and got.promoted_level[1].isnan()
    joined = Episodes.join([got, got])
    assert len(joined) == 4 and joined.where(joined.level == 5).kind.tolist() == [1, 1]
