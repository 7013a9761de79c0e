"""The left-right mirror: hand-checked examples, and the identity when used twice."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import load_robot
from legged_cts.robots.symmetry import (
    foot_mirror,
    joined,
    joint_gain_mirror,
    joint_mirror,
    phase_mirror,
    planar_velocity_mirror,
    pseudovector_mirror,
    scalar_mirror,
    vector_mirror,
)

SPEC = load_robot("go2")


def test_joints_by_hand():
    # FL, FR, RL, RR with hip, thigh, calf each: sides change place and hips change sign.
    x = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    assert joint_mirror(SPEC)(x).tolist() == [-4, 5, 6, -1, 2, 3, -10, 11, 12, -7, 8, 9]


SIDES = [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]


@pytest.mark.parametrize(
    ("make", "x", "expected"),
    [
        (scalar_mirror, [7], [7]),
        (vector_mirror, [1, 2, 3], [1, -2, 3]),
        (pseudovector_mirror, [1, 2, 3], [-1, 2, -3]),
        (planar_velocity_mirror, [1, 2, 3], [1, -2, -3]),
        (foot_mirror, [1, 2, 3, 4], [2, 1, 4, 3]),
        (joint_gain_mirror, range(24), [*SIDES, *(12 + joint for joint in SIDES)]),
    ],
)
def test_quantities_by_hand(make, x, expected):
    assert make(SPEC)(list(x)).tolist() == expected


def test_joined_mirrors_keep_their_parts_apart():
    both = joined((foot_mirror(SPEC), vector_mirror(SPEC), scalar_mirror(SPEC)))
    assert both([1, 2, 3, 4, 5, 6, 7, 8]).tolist() == [2, 1, 4, 3, 5, -6, 7, 8]
    assert len(both) == 8 and len(joined(())) == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=12, max_size=12))
def test_twice_is_the_identity(x):
    x = np.array(x, np.float32)
    once = joint_mirror(SPEC)(x)
    assert once.dtype == np.float32
    assert np.array_equal(joint_mirror(SPEC)(once), x)


def test_the_nominal_pose_is_its_own_mirror():
    assert np.array_equal(joint_mirror(SPEC)(SPEC.nominal_pose), SPEC.nominal_pose)


def test_a_wrong_size_is_refused():
    with pytest.raises(ValueError, match=r"12 entries, got the shape \(2, 11\)"):
        joint_mirror(SPEC)(np.zeros((2, 11)))


def test_mirrored_joints_put_the_feet_at_mirrored_places():
    """The spec's signs against the kinematics of the MJCF, in a pose that is not symmetric."""
    model = mujoco.MjModel.from_xml_path(str(SPEC.mjcf))
    address = [model.joint(joint).qposadr[0] for joint in SPEC.joints]
    pose = np.random.default_rng(1).uniform(SPEC.joint_lower, SPEC.joint_upper)

    def feet(joints: np.ndarray) -> dict[str, np.ndarray]:
        data = mujoco.MjData(model)
        data.qpos[address] = joints
        mujoco.mj_kinematics(model, data)
        return {foot: data.body(foot).xpos.copy() for foot in SPEC.feet}

    here, there = feet(pose), feet(joint_mirror(SPEC)(pose))
    for left, right in (("FL_foot", "FR_foot"), ("RL_foot", "RR_foot")):
        np.testing.assert_allclose(there[left], here[right] * [1, -1, 1], atol=1e-12)
        np.testing.assert_allclose(there[right], here[left] * [1, -1, 1], atol=1e-12)


def gait(*offsets: float) -> Gait:
    return Gait(frequency=2.0, offsets=offsets, duty=0.5, foot_height=0.1)


@pytest.mark.parametrize(
    ("robot", "offsets", "sign"),
    [
        ("tron1", (0.0, 0.5), -1.0),
        ("tron1", (0.75, 0.25), -1.0),
        ("go2", (0.0, 0.5, 0.5, 0.0), -1.0),
        ("go2", (0.0, 0.0, 0.5, 0.5), 1.0),
        ("go2", (0.1, 1.1, 0.5, 0.5), 1.0),
    ],
)
def test_mirroring_shifts_the_clock_of_legs_half_a_cycle_apart(robot: str, offsets: tuple, sign: float):
    mirror = phase_mirror(load_robot(robot), gait(*offsets))
    assert mirror([2.0, 3.0]).tolist() == [2.0 * sign, 3.0 * sign]
    # A mirrored robot at the mirrored phase has each foot where its partner was.
    phase = 0.3
    shifted = phase + (0.5 if sign < 0 else 0.0)
    partners = (1, 0, 3, 2)[: len(offsets)]
    for foot, partner in enumerate(partners):
        assert np.isclose((shifted + offsets[foot]) % 1.0, (phase + offsets[partner]) % 1.0)


@pytest.mark.parametrize("offsets", [(0.0, 0.25, 0.5, 0.75), (0.0, 0.5, 0.0, 0.0)])
def test_a_gait_without_a_mirror_is_refused(offsets: tuple):
    with pytest.raises(ValueError, match="have no mirror; the feet FL_foot, FR_foot"):
        phase_mirror(SPEC, gait(*offsets))
