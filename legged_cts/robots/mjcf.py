"""The MuJoCo model of a robot: its MJCF, with the joints that the spec locks held for good."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import mujoco
import numpy as np

if TYPE_CHECKING:
    from legged_cts.robots.spec import RobotSpec


IMPRATIO = 10.0
"""How much stiffer friction is than contact where robots are measured; at 1 feet that stand creep."""


def robot_mjspec(spec: RobotSpec) -> mujoco.MjSpec:
    """Read a robot's MJCF for editing; the body of a locked joint stands at the locked angle and has no joint."""
    return fused_mjspec(spec.mjcf, spec.locked)


def robot_model(spec: RobotSpec) -> mujoco.MjModel:
    """Compile `robot_mjspec`."""
    return robot_mjspec(spec).compile()


def body_mass(spec: RobotSpec, body: str) -> float:
    """Return the mass of a body [kg]."""
    return float(robot_model(spec).body(body).mass[0])


def robot_scene(spec: RobotSpec, timestep: float, prefix: str = "") -> mujoco.MjSpec:
    """Return `robot_mjspec` with the integrator of training, a tick [s], and PD controllers `prefix` + joint."""
    robot = robot_mjspec(spec)
    robot.option.timestep = timestep
    robot.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # Training may cut the solver short and take pyramids for cones of friction; this is the reference.
    robot.option.cone, robot.option.impratio = mujoco.mjtCone.mjCONE_ELLIPTIC, IMPRATIO
    robot.option.iterations, robot.option.ls_iterations = 100, 50
    _add_motors(robot, spec, prefix)
    return robot


def add_geom(body: mujoco.MjsBody, **words: object) -> mujoco.MjsGeom:
    """Add a geom with MuJoCo's own defaults, whatever the robot's MJCF sets for its geoms."""
    geom = body.add_geom()
    _factory_settings(geom, _FACTORY.default.geom, _OF_GEOMS)
    for name, value in words.items():
        setattr(geom, name, value)
    return geom


def _add_motors(robot: mujoco.MjSpec, spec: RobotSpec, prefix: str) -> None:
    """Add the PD controller of each joint, named after it and in the spec's order; its control is the target [rad]."""
    gains = zip(spec.joints, spec.stiffness, spec.damping, spec.effort_limit, strict=True)
    for joint, kp, kd, limit in gains:
        motor = robot.add_actuator()
        _factory_settings(motor, _FACTORY.default.actuator, _OF_MOTORS)
        motor.name, motor.target, motor.trntype = prefix + joint, joint, mujoco.mjtTrn.mjTRN_JOINT
        motor.gaintype, motor.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        motor.gainprm[0] = kp
        motor.biasprm[:3] = (0.0, -kp, -kd)
        motor.forcelimited, motor.forcerange = True, (-limit, limit)


def _factory_settings(element: object, factory: object, names: str) -> None:
    """Undo what the robot's MJCF has set: it is about the robot, not about what is added to it and around it."""
    for name in names.split():
        value = getattr(factory, name)
        if isinstance(value, np.ndarray):
            getattr(element, name)[:] = value
        else:
            setattr(element, name, value)


# Kept alive, since its defaults are views.
_FACTORY = mujoco.MjSpec()
# Isaac Lab's worlds have gravity, and no air; nothing but the ground holds a base.
_OF_SURROUNDINGS = "gravity wind density viscosity"
_OF_GEOMS = "contype conaffinity condim priority friction solmix solref solimp margin gap group rgba material"
_OF_MOTORS = (
    "gear ctrllimited ctrlrange actlimited actrange dyntype dynprm gainprm biasprm actearly actdim group cranklength "
    "lengthrange inheritrange damping armature delay nsample interp"
)


def fused_mjspec(mjcf: Path, locked: Mapping[str, float]) -> mujoco.MjSpec:
    """Read an MJCF and fuse hinges at an angle [rad], each the only joint of its body, else it is a `ValueError`.

    Actuators of a fused joint go with it, and so do all key frames, whose coordinates no longer fit.
    """
    robot = mujoco.MjSpec.from_file(str(mjcf))
    _factory_settings(robot.option, _FACTORY.option, _OF_SURROUNDINGS)
    for joint in [joint for joint in robot.joints if joint.type == mujoco.mjtJoint.mjJNT_FREE]:
        _factory_settings(joint, _FACTORY.default.joint, "damping armature frictionloss stiffness")
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
        degree, sequence = body.compiler.degree, body.compiler.eulerseq
        body.quat = robot.resolve_orientation(degree=degree, sequence=sequence, orientation=body.alt)
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
    drives = (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)
    for actuator in [a for a in robot.actuators if a.trntype in drives and a.target == name]:
        robot.delete(actuator)
    robot.delete(joint)
