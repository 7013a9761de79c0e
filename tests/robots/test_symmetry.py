"""The left-right mirror: hand-checked examples, and the identity when used twice."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
import pytest

from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import load_robot
from legged_cts.robots.symmetry import joint_mirror, mirror_joints, mirror_proprioception, proprioception_mirror

SPEC = load_robot("go2")


def test_joints_by_hand():
    # FL, FR, RL, RR with hip, thigh, calf each: sides change place and hips change sign.
    x = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    assert mirror_joints(SPEC, x).tolist() == [-4, 5, 6, -1, 2, 3, -10, 11, 12, -7, 8, 9]


def test_proprioception_by_hand():
    joints = np.arange(1, 13)
    x = np.concatenate([[1, 2, 3], [4, 5, 6], [7, 8, 9], joints, 100 * joints, 10000 * joints])
    mirrored = np.array([-4, 5, 6, -1, 2, 3, -10, 11, 12, -7, 8, 9])
    expected = np.concatenate([[-1, 2, -3], [4, -5, 6], [7, -8, -9], mirrored, 100 * mirrored, 10000 * mirrored])
    assert mirror_proprioception(SPEC, x).tolist() == expected.tolist()


@pytest.mark.parametrize(("make", "size"), [(joint_mirror, 12), (proprioception_mirror, 45)])
def test_twice_is_the_identity(make, size: int):
    x = np.random.default_rng(0).normal(size=(4, 3, size)).astype(np.float32)
    mirror = make(SPEC)
    once = mirror(x)
    assert once.dtype == np.float32
    assert not np.array_equal(once, x)
    assert np.array_equal(mirror(once), x)


def test_the_nominal_pose_is_its_own_mirror():
    assert np.array_equal(mirror_joints(SPEC, SPEC.nominal_pose), SPEC.nominal_pose)


def test_a_wrong_size_is_refused():
    with pytest.raises(ValueError, match=r"12 entries, got the shape \(2, 11\)"):
        mirror_joints(SPEC, np.zeros((2, 11)))


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

    here, there = feet(pose), feet(mirror_joints(SPEC, pose))
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
    spec = load_robot(robot)
    mirror = proprioception_mirror(spec, gait(*offsets))
    size = 9 + 3 * len(spec.joints)
    x = np.random.default_rng(0).normal(size=(5, size + 2))
    assert np.array_equal(mirror(x)[:, :size], mirror_proprioception(spec, x[:, :size]))
    assert np.array_equal(mirror(x)[:, size:], sign * x[:, size:])
    assert np.array_equal(mirror_proprioception(spec, x, gait(*offsets)), mirror(x))
    # A mirrored robot at the mirrored phase has each foot where its partner was.
    phase = 0.3
    shifted = phase + (0.5 if sign < 0 else 0.0)
    partners = (1, 0, 3, 2)[: len(offsets)]
    for foot, partner in enumerate(partners):
        assert np.isclose((shifted + offsets[foot]) % 1.0, (phase + offsets[partner]) % 1.0)


@pytest.mark.parametrize("offsets", [(0.0, 0.25, 0.5, 0.75), (0.0, 0.5, 0.0, 0.0)])
def test_a_gait_without_a_mirror_is_refused(offsets: tuple):
    with pytest.raises(ValueError, match="have no mirror; the feet FL_foot, FR_foot"):
        proprioception_mirror(SPEC, gait(*offsets))
