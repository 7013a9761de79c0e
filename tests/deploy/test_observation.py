import numpy as np
import pytest
from deploy_policies import make_gait_contract

from legged_cts.deploy.contract import PolicyContract
from legged_cts.deploy.observation import build_observation
from legged_cts.deploy.robot import RobotState, projected_gravity, yaw_of


def _about(axis: int, angle: float) -> np.ndarray:
    quat = np.array([np.cos(angle / 2), 0.0, 0.0, 0.0])
    quat[1 + axis] = np.sin(angle / 2)
    return quat


def test_gravity_of_a_level_robot() -> None:
    for yaw in (0.0, 1.0, -2.5):
        np.testing.assert_allclose(projected_gravity(_about(2, yaw)), [0, 0, -1], atol=1e-12)


def test_gravity_of_a_tilted_robot() -> None:
    # Rolled by +30 degrees about x, the left side is up: gravity points to the right, -y, in the base.
    np.testing.assert_allclose(projected_gravity(_about(0, np.pi / 6)), [0, -0.5, -np.sqrt(3) / 2], atol=1e-12)
    # Pitched by +30 degrees about y, the nose is down: gravity points forward.
    np.testing.assert_allclose(projected_gravity(_about(1, np.pi / 6)), [0.5, 0, -np.sqrt(3) / 2], atol=1e-12)


def test_heading() -> None:
    assert yaw_of(_about(2, 0.7)) == pytest.approx(0.7)


def test_terms_stand_in_order_and_are_scaled(contract: PolicyContract) -> None:
    default = np.array(contract.default_joint_pos)
    offset = np.arange(12) / 100
    state = RobotState(
        quat=_about(0, np.pi / 6),
        ang_vel=np.array([1.0, 2.0, 4.0]),
        joint_pos=default + offset,
        joint_vel=np.full(12, 2.0),
    )
    frame = build_observation(contract, state, np.array([0.5, -0.25, 1.0]), np.arange(12.0))
    expected = np.concatenate(
        ([0.25, 0.5, 1.0], [0, -0.5, -np.sqrt(3) / 2], [1.0, -0.5, 2.0], offset, np.full(12, 0.1), np.arange(12.0))
    )
    assert frame.dtype == np.float32
    np.testing.assert_allclose(frame, expected, atol=1e-6)


def test_a_wrong_size_is_named(contract: PolicyContract) -> None:
    state = RobotState(_about(0, 0.0), np.zeros(3), np.zeros(12), np.zeros(11))
    with pytest.raises(ValueError, match=r"'joint_vel': expected shape \(12,\), got \(11,\)"):
        build_observation(contract, state, np.zeros(3), np.zeros(12))


def test_the_clock_comes_last() -> None:
    contract = make_gait_contract()
    state = RobotState(_about(0, 0.0), np.zeros(3), np.zeros(12), np.zeros(12))
    frame = build_observation(contract, state, np.zeros(3), np.zeros(12), phase=1 / 12)
    assert frame.shape == (47,)
    np.testing.assert_allclose(frame[-2:], [0.5, np.sqrt(3) / 2], atol=1e-6)


def test_a_clock_that_rests_is_two_zeros() -> None:
    state = RobotState(_about(0, 0.0), np.zeros(3), np.zeros(12), np.zeros(12))
    frame = build_observation(make_gait_contract(), state, np.zeros(3), np.zeros(12))
    np.testing.assert_array_equal(frame[-2:], [0.0, 0.0])
