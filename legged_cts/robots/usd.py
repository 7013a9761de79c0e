"""From a robot's MJCF to the USD that Isaac Lab spawns, kept in a cache named by its content."""

# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportCallIssue=false
from __future__ import annotations

import contextlib
import hashlib
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import mujoco
import numpy as np
import usdex.core
from mujoco_usd_converter import Converter
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics

from legged_cts.robots.mjcf import robot_model
from legged_cts.robots.spec import RobotSpec

# Raise this when the code below writes something else from the same MJCF, so that old caches are not used.
_FORMAT = 4

# MuJoCo, which trains, knows no limit of a joint's speed. PhysX would clamp it: a policy trained without then fell in
# 7 % of episodes instead of 5 %. So it is free there too [deg/s].
_FREE_SPEED = 1.0e5

# Coulomb friction of a joint is one more constraint in every tick, which costs 15 % of MuJoCo's time (12 joints of a
# Go2). Training takes a damping instead that does the same work at this typical speed of a walking leg [rad/s]; plain
# MuJoCo keeps the friction, so that `sim2sim` judges what that leaves out.
FRICTION_SPEED = 5.0


def cache_dir() -> Path:
    """Return the folder of all caches: `LEGGED_CTS_CACHE` if set, else `~/.cache/legged_cts`."""
    override = os.environ.get("LEGGED_CTS_CACHE")
    return Path(override).expanduser() if override else Path.home() / ".cache" / "legged_cts"


def content_hash(spec: RobotSpec) -> str:
    """Hash everything that the USD is made of, 16 hex digits: the compiled model has what the MJCF includes in it."""
    model = robot_model(spec)
    buffer = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    gains = repr((spec.joints, spec.stiffness, spec.damping))
    made_by = f"{_FORMAT} {metadata.version('mujoco-usd-converter')} {gains}"
    return hashlib.sha256(buffer.tobytes() + made_by.encode()).hexdigest()[:16]


def usd_path(spec: RobotSpec) -> Path:
    """Convert a robot's MJCF to USD, unless this very content has been converted before.

    The USD holds the articulation (floating base, joints with limits, armature and PD drives, their friction as
    damping, exact mass properties) and its collision shapes; visual shapes and their materials are left out, which
    keeps cloning scenes fast. Processes that convert at the same time do not disturb each other: each writes a folder
    of its own and renames it. Returns the path of the .usdc file in `cache_dir()/usd/<content hash>/`.
    """
    # Not named after the robot: two robots of the same content share the file.
    target = cache_dir() / "usd" / content_hash(spec)
    path = target / "robot.usdc"
    if path.is_file():
        return path
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        complete = Path(scratch) / "complete"
        complete.mkdir()
        _convert(spec, Path(scratch) / "converted", complete / path.name)
        try:
            complete.replace(target)
        except OSError:
            # Another process was first; a folder with other content than the file is not something we ever write.
            if not path.is_file():
                raise
    return path


def _convert(spec: RobotSpec, scratch: Path, path: Path) -> None:
    with _warnings_only():
        asset = Converter(layer_structure=False, scene=False).convert(str(spec.mjcf), str(scratch))
    stage = Usd.Stage.Open(asset.path)
    model = robot_model(spec)
    _drop_visuals(stage)
    _name_joints(stage)
    _weld_locked(stage, spec, model)
    for prim in stage.Traverse():
        if prim.HasAPI(UsdPhysics.ArticulationRootAPI):
            _author_self_collision(prim, model)
        if prim.IsA(UsdPhysics.RevoluteJoint):
            _author_drive(prim, spec)
    # A fresh export leaves behind the space that the dropped prims took in the file.
    stage.GetRootLayer().Export(str(path))


@contextlib.contextmanager
def _warnings_only() -> Iterator[None]:
    # The converter reports every file it saves on stderr; its delegate filters by level, and lets warnings through.
    if usdex.core.isDiagnosticsDelegateActive():
        yield
        return
    usdex.core.activateDiagnosticsDelegate()
    try:
        yield
    finally:
        usdex.core.deactivateDiagnosticsDelegate()


def _drop_visuals(stage: Usd.Stage) -> None:
    # Dropped from the USD and not from the MJCF: MuJoCo may infer masses from visual geoms, and writing an MJCF anew
    # would round every figure to six digits.
    visuals = []
    for prim in stage.Traverse():
        schemas = prim.GetAppliedSchemas()
        solid = prim.HasAPI(UsdPhysics.CollisionAPI) or "NewtonSiteAPI" in schemas
        if prim.IsA(UsdGeom.Gprim) and not solid:
            visuals.append(prim.GetPath())
        if "MaterialBindingAPI" in schemas and prim.HasRelationship("material:binding"):
            prim.RemoveProperty("material:binding")
    if materials := stage.GetDefaultPrim().GetChild("Materials"):
        visuals.append(materials.GetPath())
    for path in visuals:
        stage.RemovePrim(path)


def _name_joints(stage: Usd.Stage) -> None:
    """Give joints their own names, where a shape to look at, which is dropped, had the same one in the same body."""
    editor = Usd.NamespaceEditor(stage)
    for prim in [prim for prim in stage.Traverse() if prim.IsA(UsdPhysics.RevoluteJoint)]:
        title = _name(prim)
        beside = prim.GetParent().GetChild(title)
        if prim.GetName() != title and not beside and Sdf.Path.IsValidIdentifier(title):
            editor.RenamePrim(prim, title)
            editor.ApplyEdits()


def _weld_locked(stage: Usd.Stage, spec: RobotSpec, model: mujoco.MjModel) -> None:
    # Welded in the USD, because writing the fused MJCF for the converter would round every figure to six digits.
    joints = [prim for prim in stage.Traverse() if prim.IsA(UsdPhysics.RevoluteJoint) and _name(prim) in spec.locked]
    for prim in joints:
        path, revolute = prim.GetPath(), UsdPhysics.RevoluteJoint(prim)
        ends = revolute.GetBody0Rel(), revolute.GetBody1Rel()
        parent, body = (stage.GetPrimAtPath(end.GetTargets()[0]) for end in ends)
        fused = model.body(_name(body))
        usdex.core.setLocalTransform(body, Gf.Vec3d(*fused.pos.tolist()), Gf.Quatf(*fused.quat.tolist()))
        for actuator in [prim for prim in stage.Traverse() if prim.GetTypeName() == "MjcActuator"]:
            if path in actuator.GetRelationship("mjc:target").GetTargets():
                stage.RemovePrim(actuator.GetPath())
        stage.RemovePrim(path)
        frame = usdex.core.JointFrame(usdex.core.JointFrame.Space.Body1, Gf.Vec3d(0), Gf.Quatd.GetIdentity())
        usdex.core.definePhysicsFixedJoint(stage, path, parent, body, frame)


def _name(prim: Usd.Prim) -> str:
    # A name that USD does not allow is kept as the display name.
    return str(prim.GetDisplayName() or prim.GetName())


def _author_self_collision(root: Usd.Prim, model: mujoco.MjModel) -> None:
    # MuJoCo's bit masks have no counterpart in USD. What they mean for a robot is one switch: may it touch itself.
    robot = model.geom_bodyid != 0
    contype, conaffinity = model.geom_contype[robot], model.geom_conaffinity[robot]
    touches_itself = bool(np.any(contype[:, None] & conaffinity[None, :]))
    _author(root, "NewtonArticulationRootAPI", {"newton:selfCollisionEnabled": touches_itself})
    _author(root, "PhysxArticulationAPI", {"physxArticulation:enabledSelfCollisions": touches_itself})


def _author_drive(prim: Usd.Prim, spec: RobotSpec) -> None:
    # Newton and PhysX both make an actuator only where there is a drive; Isaac Lab then sets its gains.
    index = spec.joints.index(_name(prim))
    drive = UsdPhysics.DriveAPI.Apply(prim, UsdPhysics.Tokens.angular)
    drive.CreateTypeAttr(UsdPhysics.Tokens.force)
    # USD measures angles in degrees.
    drive.CreateStiffnessAttr(math.radians(spec.stiffness[index]))
    drive.CreateDampingAttr(math.radians(spec.damping[index]))
    drive.CreateMaxForceAttr(spec.effort_limit[index])
    friction, damping = (prim.GetAttribute(f"mjc:{name}") for name in ("frictionloss", "damping"))
    if friction and friction.Get():
        total = (damping.Get() or 0.0) + friction.Get() / FRICTION_SPEED
        damping.Set(total)
        friction.Set(0.0)
        prim.GetAttribute("newton:damping").Set(math.radians(total))
        prim.GetAttribute("newton:friction").Set(0.0)
    limits = {"physxJoint:armature": spec.armature[index], "physxJoint:maxJointVelocity": _FREE_SPEED}
    _author(prim, "PhysxJointAPI", limits)


def _author(prim: Usd.Prim, schema: str, values: Mapping[str, bool | float]) -> None:
    # By name: PhysX's schemas are not registered outside Isaac Sim, yet both PhysX backends read them.
    prim.AddAppliedSchema(schema)
    for name, value in values.items():
        kind = Sdf.ValueTypeNames.Bool if isinstance(value, bool) else Sdf.ValueTypeNames.Float
        prim.CreateAttribute(name, kind, custom=False).Set(value)
