"""The MuJoCo model of a robot: its MJCF, with the joints that the spec locks held for good."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import mujoco
import numpy as np

if TYPE_CHECKING:
    from legged_cts.robots.spec import RobotSpec


def robot_mjspec(spec: RobotSpec) -> mujoco.MjSpec:
    """Read a robot's MJCF for editing, with its locked joints fused.

    Returns:
        A new MjSpec. The body of a locked joint stands at the locked angle and has no joint; bodies, masses and shapes
        are those of the MJCF.
    """
    return fused_mjspec(spec.mjcf, spec.locked)


def robot_model(spec: RobotSpec) -> mujoco.MjModel:
    """Compile `robot_mjspec`."""
    return robot_mjspec(spec).compile()


def nominal_state(spec: RobotSpec) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """Put a robot in its nominal pose, the base level at the origin.

    Returns:
        The model, and its data with the kinematics of the pose.
    """
    model = robot_model(spec)
    data = mujoco.MjData(model)
    for joint, angle in zip(spec.joints, spec.nominal_pose, strict=True):
        data.qpos[model.joint(joint).qposadr[0]] = angle
    root = model.jnt_qposadr[model.body_jntadr[model.body(spec.base).id]]
    data.qpos[root : root + 7] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    mujoco.mj_kinematics(model, data)
    return model, data


def sideways_joints(spec: RobotSpec) -> tuple[str, ...]:
    """Return the joints that move a leg sideways or turn it: those whose axis is not lateral in the nominal pose."""
    model, data = nominal_state(spec)
    return tuple(joint for joint in spec.joints if abs(data.xaxis[model.joint(joint).id, 1]) < 0.5)


def fused_mjspec(mjcf: Path, locked: Mapping[str, float]) -> mujoco.MjSpec:
    """Read an MJCF and fuse joints.

    Actuators of a fused joint go with it, and so do all key frames, whose coordinates no longer fit.

    Args:
        mjcf: Path of the file.
        locked: Angle [rad] of each hinge to fuse. Each must be the only joint of its body.

    Raises:
        ValueError: If MuJoCo cannot read the file, or a joint is not the only one of its body.
    """
    robot = mujoco.MjSpec.from_file(str(mjcf))
    if not locked:
        return robot
    # Compiled, axes have unit length and angles are in radians, whatever the file's units.
    model = mujoco.MjModel.from_xml_path(str(mjcf))
    for name, angle in locked.items():
        _fuse(robot, model, name, angle)
    for key in list(robot.keys):
        robot.delete(key)
    return robot


def _fuse(robot: mujoco.MjSpec, model: mujoco.MjModel, name: str, angle: float) -> None:
    joint, compiled = robot.joint(name), model.joint(name)
    body = joint.parent
    if len(body.joints) > 1:
        raise ValueError(f"{name!r} shares {body.name!r} with another joint; give each a body of its own to lock it")
    if body.alt.type != mujoco.mjtOrientation.mjORIENTATION_QUAT:
        body.quat = robot.resolve_orientation(
            degree=body.compiler.degree, sequence=body.compiler.eulerseq, orientation=body.alt
        )
        body.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    quat, turn, turned, offset = np.array(body.quat), np.zeros(4), np.zeros(4), np.zeros(3)
    mujoco.mju_normalize4(quat)
    # A joint is at its reference, not at zero, in the pose that the file describes.
    mujoco.mju_axisAngle2Quat(turn, compiled.axis, angle - model.qpos0[compiled.qposadr[0]])
    # The turn leaves the anchor where it is: pos + quat (anchor - turn anchor).
    mujoco.mju_rotVecQuat(offset, compiled.pos, turn)
    mujoco.mju_rotVecQuat(offset, compiled.pos - offset, quat)
    mujoco.mju_mulQuat(turned, quat, turn)
    body.pos, body.quat = body.pos + offset, turned
    for actuator in list(robot.actuators):
        joint_driven = actuator.trntype in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)
        if joint_driven and actuator.target == name:
            robot.delete(actuator)
    robot.delete(joint)
