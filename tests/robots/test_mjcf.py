"""Locked joints are fused: the model is the robot whose joints are held there, whatever its MJCF looks like."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from legged_cts.robots.mjcf import fused_mjspec, robot_model
from legged_cts.robots.spec import load_robot

# Everything that may go wrong at once: degrees, Euler angles in an order of their own, an anchor beside the origin, an
# axis that is not of unit length, a reference angle, a frame around the body, and things that refer to the joint.
ARM = """<mujoco><compiler angle="degree" eulerseq="zyx"/>
<worldbody><body name="base"><freejoint name="root"/><geom size=".1"/>
  <frame pos="0 .1 .3" euler="0 20 30">
    <body name="upper" pos=".1 .2 1" euler="10 20 30">
      <joint name="shoulder" axis="1 2 0" pos=".1 -.2 .05" ref="25" range="-50 90"/>
      <geom type="box" size=".1 .02 .3" pos=".1 0 0"/>
      <body name="lower" pos="0 0 1" quat="2 0 0 1">
        <joint name="elbow" axis="0 0 1" pos="0 .3 0"/><geom type="box" size=".05 .1 .02"/>
      </body>
    </body>
  </frame>
</body></worldbody>
<actuator><motor name="a" joint="shoulder"/><motor name="b" joint="elbow"/></actuator>
<keyframe><key name="home" qpos="0 0 0 1 0 0 0 0 0"/></keyframe></mujoco>"""


def write(folder: Path, text: str) -> Path:
    (folder / "robot.xml").write_text(text)
    return folder / "robot.xml"


def state(model: mujoco.MjModel, joints: dict[str, float], base: np.ndarray | None = None) -> mujoco.MjData:
    """Forward kinematics with joints [rad] and the base [7] there."""
    data = mujoco.MjData(model)
    if base is not None:
        data.qpos[:7] = base
    for joint, angle in joints.items():
        data.qpos[model.joint(joint).qposadr[0]] = angle
    mujoco.mj_forward(model, data)
    return data


def spatial_inertia(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Inertia [6, 6] of the whole robot at its free joint."""
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    return full[:6, :6]


def check_same(full: mujoco.MjModel, held: mujoco.MjData, fused: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Every body, shape and site of the two is at the same place, and they resist being moved alike."""
    assert [full.body(i).name for i in range(full.nbody)] == [fused.body(i).name for i in range(fused.nbody)]
    for name in ("xpos", "xmat", "xipos", "geom_xpos", "geom_xmat", "site_xpos"):
        np.testing.assert_allclose(getattr(data, name), getattr(held, name), atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(fused.body_mass, full.body_mass)
    np.testing.assert_allclose(fused.body_inertia, full.body_inertia, rtol=1e-12)
    np.testing.assert_allclose(spatial_inertia(fused, data), spatial_inertia(full, held), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("lock", [("shoulder",), ("elbow",), ("shoulder", "elbow")])
def test_the_fused_model_is_the_full_one_held(tmp_path: Path, lock: tuple[str, ...]):
    path = write(tmp_path, ARM)
    angles = {"shoulder": 1.1, "elbow": -0.7}
    full = mujoco.MjModel.from_xml_path(str(path))
    fused = fused_mjspec(path, {joint: angles[joint] for joint in lock}).compile()
    free = {joint: angle for joint, angle in angles.items() if joint not in lock}
    assert [fused.joint(i).name for i in range(fused.njnt)] == ["root", *free]
    base = np.array([0.3, -0.2, 0.5, 0.5, -0.5, 0.1, 0.7])
    base[3:] /= np.linalg.norm(base[3:])
    check_same(full, state(full, angles, base), fused, state(fused, free, base))
    # What drove the joint is gone, and so is the pose that had a number for it.
    assert fused.nu == 2 - len(lock) and fused.nkey == 0
    assert full.nu == 2 and full.nkey == 1


def test_nothing_locked_leaves_the_mjcf_as_it_is(tmp_path: Path):
    path = write(tmp_path, ARM)
    assert fused_mjspec(path, {}).compile().nkey == 1


def test_a_body_with_two_joints_is_refused(tmp_path: Path):
    second = '<joint name="twist" axis="0 0 1"/><geom type="box" size=".1 .02 .3" pos=".1 0 0"/>'
    path = write(tmp_path, ARM.replace('<geom type="box" size=".1 .02 .3" pos=".1 0 0"/>', second))
    with pytest.raises(ValueError, match="'shoulder' shares 'upper' with another joint"):
        fused_mjspec(path, {"shoulder": 0.0})


def test_the_legs_of_the_g1_are_the_g1_with_its_arms_held():
    """At random poses of the legs and the base."""
    whole, legs = load_robot("g1"), load_robot("g1_12")
    full, fused = robot_model(whole), robot_model(legs)
    assert (full.nv, fused.nv) == (35, 18)
    assert (full.nbody, full.ngeom) == (fused.nbody, fused.ngeom)
    assert fused.body_mass.sum() == full.body_mass.sum()
    generator = np.random.default_rng(0)
    for _ in range(5):
        pose = dict(zip(legs.joints, generator.uniform(legs.joint_lower, legs.joint_upper), strict=True))
        base = generator.normal(size=7)
        base[3:] /= np.linalg.norm(base[3:])
        check_same(full, state(full, pose | legs.locked, base), fused, state(fused, pose, base))
