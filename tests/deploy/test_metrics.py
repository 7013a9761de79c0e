"""Metrics against values computed by hand."""

import math

import numpy as np
import pytest

from legged_cts.deploy.metrics import EpisodeAccumulator, Episodes, Sample, student_t, summarise, wilson


def sample(vx: float, command: float = 1.0) -> Sample:
    """Two environments; the second has twice the torque, and a foot in the air."""
    return Sample(
        command=np.array([[command, 0.0, 0.0]] * 2),
        velocity=np.array([[vx, 0.0, 0.1]] * 2),
        torque=np.array([[10.0, -10.0], [20.0, -20.0]]),
        joint_vel=np.array([[1.0, 2.0], [1.0, 2.0]]),
        change=np.array([[0.0, 0.2], [0.4, 0.0]]),
        foot_speed=np.array([[0.2, 0.4], [0.2, 0.4]]),
        contact=np.array([[True, True], [True, False]]),
    )


def episodes(sums, level=(0, 0), promoted=(False, False)):
    return sums.episodes(np.array(promoted), np.array(level), np.array([0, 1]))


def test_an_episode_is_summed_as_defined():
    sums = EpisodeAccumulator(2, weight=100.0, dt=0.02)
    yes, first = np.array([True, True]), np.array([True, False])
    for velocity, running, settled in ((9.0, yes, ~yes), (0.5, yes, yes), (0.9, first, yes)):
        sums.count_step(np.array([True, True]), np.array([False, False]))
        sums.add(sample(velocity), running & settled)
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
    sums.add(sample(0.3, command=0.05), np.array([True, False]))
    got = episodes(sums)
    assert got.lin_error[0].item() == pytest.approx(0.25)
    assert np.isnan(got.cost_of_transport).all()
    assert np.isnan(got.lin_error[1]) and np.isnan(got.slip[1])


def test_not_finite_values_of_unmeasured_environments_do_no_harm():
    sums = EpisodeAccumulator(2, weight=100.0, dt=0.02)
    yes, first = np.array([True, True]), np.array([True, False])
    bad = sample(0.5)
    bad.velocity[1] = np.nan
    bad.torque[1] = np.inf
    sums.add(bad, first)
    sums.add(sample(0.5), yes)
    assert episodes(sums).lin_error.tolist() == pytest.approx([0.5, 0.5])


def test_a_fall_counts_once_and_only_while_the_episode_is_on():
    sums = EpisodeAccumulator(2, weight=1.0, dt=0.5)
    on, fell = np.array([True, True]), np.array([True, False])
    sums.count_step(on, fell)
    sums.count_step(on & ~fell, fell)
    got = episodes(sums)
    assert got.fall.tolist() == [1.0, 0.0] and got.duration.tolist() == [0.5, 1.0]


def test_reached_level_is_that_of_promoted_robots():
    got = episodes(EpisodeAccumulator(2, 1.0, 1.0), level=(3, 5), promoted=(True, False))
    assert got.promoted_level[0] == 3.0 and np.isnan(got.promoted_level[1])
    joined = Episodes.join([got, got])
    assert len(joined) == 4 and joined.where(joined.level == 5).kind.tolist() == [1, 1]


def test_a_robot_on_its_own_ground_has_no_level() -> None:
    sums = EpisodeAccumulator(2, 1.0, 1.0)
    got = sums.episodes()
    assert got.level.tolist() == got.kind.tolist() == [0, 0] and np.isnan(got.promoted_level).all()


def test_mean_and_interval_by_hand() -> None:
    got = summarise(np.array([1.0, 2.0, 3.0, math.nan]))
    # Standard deviation 1, three values, t(2) = 4.302653.
    assert got.episodes == 3 and got.mean == 2.0
    assert [got.high - 2.0, 2.0 - got.low] == pytest.approx([4.302653 / math.sqrt(3)] * 2, rel=1e-5)
    # Sample deviation 0.129099, t(3) = 3.182446.
    got = summarise(np.array([0.1, 0.2, 0.3, 0.4]))
    assert [got.low, got.high] == pytest.approx([0.25 - 0.205426, 0.25 + 0.205426], abs=1e-3)
    assert math.isnan(summarise(np.array([1.0])).low)
    assert summarise(np.array([math.nan])).record() == {"mean": None, "low": None, "high": None, "episodes": 0}


def test_share_of_falls_has_wilsons_interval() -> None:
    got = summarise(np.zeros(10), share=True)
    # Wilson's upper bound for none of ten: z^2 / (n + z^2).
    assert (got.mean, got.low) == (0.0, 0.0) and got.high == pytest.approx(1.959964**2 / (10 + 1.959964**2))
    assert wilson(1, 4) == pytest.approx((0.0456, 0.6994), abs=1e-4)
    assert wilson(0, 20)[0] == 0.0 and wilson(20, 20)[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("dof", "value"), [(1, 12.706205), (2, 4.302653), (3, 3.182446), (5, 2.570582), (19, 2.093024), (99, 1.984217)]
)
def test_quantiles_of_student_t(dof: int, value: float) -> None:
    assert student_t(dof) == pytest.approx(value, rel=2e-3)
