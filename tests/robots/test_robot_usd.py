"""The USD says what the MJCF says, and its cache follows the content."""

# MuJoCo's and USD's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportGeneralTypeIssues=false
# pyright: reportReturnType=false, reportOptionalSubscript=false
from __future__ import annotations

import os
import shutil
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

usd = pytest.importorskip("legged_cts.robots.usd", reason="needs the train extra")
from pxr import Gf, Usd, UsdGeom, UsdPhysics, UsdShade  # noqa: E402

from legged_cts.robots.mjcf import robot_model  # noqa: E402
from legged_cts.robots.spec import RobotSpec, load_robot  # noqa: E402

SPEC = load_robot("go2")
MODEL = mujoco.MjModel.from_xml_path(str(SPEC.mjcf))
BODIES = [MODEL.body(i).name for i in range(1, MODEL.nbody)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEGGED_CTS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return usd.usd_path(SPEC)


@pytest.fixture(scope="module")
def stage(path: Path) -> Usd.Stage:
    return Usd.Stage.Open(str(path))


def prims(stage: Usd.Stage) -> dict[str, Usd.Prim]:
    return {prim.GetName(): prim for prim in stage.Traverse()}


def schemas(prim: Usd.Prim) -> list[str]:
    """Applied schemas, also those that are not registered here."""
    applied = prim.GetMetadata("apiSchemas")
    return list(applied.GetAddedOrExplicitItems()) if applied else []


def quat_matrix(quat: Gf.Quatf) -> np.ndarray:
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, np.array([quat.GetReal(), *quat.GetImaginary()], float))
    return rotation.reshape(3, 3)


def test_one_floating_articulation(stage: Usd.Stage):
    roots = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.ArticulationRootAPI)]
    assert [root.GetName() for root in roots] == ["base"]
    assert roots[0].GetAttribute("newton:selfCollisionEnabled").Get() is False
    assert roots[0].GetAttribute("physxArticulation:enabledSelfCollisions").Get() is False
    assert "PhysxArticulationAPI" in schemas(roots[0])
    bodies = [prim.GetName() for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.RigidBodyAPI)]
    assert sorted(bodies) == sorted(BODIES)
    for prim in stage.Traverse():
        if prim.IsA(UsdPhysics.Joint):
            assert UsdPhysics.Joint(prim).GetBody1Rel().GetTargets()[0].name != "base"
    assert not any(prim.IsA(UsdPhysics.Scene) for prim in stage.Traverse())


@pytest.mark.parametrize("name", BODIES)
def test_mass_properties(stage: Usd.Stage, name: str):
    body, mass = MODEL.body(name), UsdPhysics.MassAPI(prims(stage)[name])
    assert mass.GetMassAttr().Get() == pytest.approx(body.mass[0], rel=1e-6)
    np.testing.assert_allclose(mass.GetCenterOfMassAttr().Get(), body.ipos, atol=1e-8)
    axes = quat_matrix(mass.GetPrincipalAxesAttr().Get())
    tensor = axes @ np.diag(mass.GetDiagonalInertiaAttr().Get()) @ axes.T
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, body.iquat)
    rotation = rotation.reshape(3, 3)
    expected = rotation @ np.diag(body.inertia) @ rotation.T
    np.testing.assert_allclose(tensor, expected, rtol=0, atol=1e-6 * body.inertia.max())
    xx, yy, zz, xy, xz, yz = prims(stage)[name].GetAttribute("newton:inertia").Get()
    np.testing.assert_allclose(
        [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], expected, rtol=0, atol=1e-6 * body.inertia.max()
    )


@pytest.mark.parametrize("name", SPEC.joints)
def test_joints(stage: Usd.Stage, name: str):
    prim, joint = prims(stage)[name], MODEL.joint(name)
    index = SPEC.joints.index(name)
    revolute = UsdPhysics.RevoluteJoint(prim)
    body, parent = MODEL.body(joint.bodyid[0]), MODEL.body(MODEL.body(joint.bodyid[0]).parentid[0])
    assert revolute.GetBody0Rel().GetTargets()[0].name == parent.name
    assert revolute.GetBody1Rel().GetTargets()[0].name == body.name
    limits = np.radians([revolute.GetLowerLimitAttr().Get(), revolute.GetUpperLimitAttr().Get()])
    np.testing.assert_allclose(limits, joint.range, rtol=1e-6)
    unit = np.eye(3)["XYZ".index(revolute.GetAxisAttr().Get())]
    np.testing.assert_allclose(quat_matrix(revolute.GetLocalRot1Attr().Get()) @ unit, joint.axis, atol=1e-6)
    np.testing.assert_allclose(quat_matrix(revolute.GetLocalRot0Attr().Get()) @ unit, joint.axis, atol=1e-6)
    np.testing.assert_allclose(revolute.GetLocalPos1Attr().Get(), joint.pos, atol=1e-8)
    np.testing.assert_allclose(revolute.GetLocalPos0Attr().Get(), body.pos, atol=1e-7)
    for armature in ("mjc:armature", "newton:armature", "physxJoint:armature"):
        assert prim.GetAttribute(armature).Get() == pytest.approx(SPEC.armature[index])
    assert "PhysxJointAPI" in schemas(prim)
    # No engine clamps the speed, because the one that trains cannot.
    assert prim.GetAttribute("physxJoint:maxJointVelocity").Get() >= 1e5
    # The friction of 0.05 N m is a damping that takes as much at 5 rad/s.
    assert prim.GetAttribute("mjc:damping").Get() == pytest.approx(0.06)
    assert prim.GetAttribute("newton:damping").Get() == pytest.approx(0.06 * np.pi / 180)
    assert prim.GetAttribute("mjc:frictionloss").Get() == prim.GetAttribute("newton:friction").Get() == 0.0
    drive = UsdPhysics.DriveAPI(prim, "angular")
    # A gain per degree is a gain per radian times pi / 180.
    assert drive.GetStiffnessAttr().Get() == pytest.approx(25.0 * np.pi / 180)
    assert drive.GetDampingAttr().Get() == pytest.approx(0.5 * np.pi / 180)
    assert drive.GetMaxForceAttr().Get() == pytest.approx(45.43 if "calf" in name else 23.7)


def test_feet_are_fixed_to_their_calves(stage: Usd.Stage):
    fixed = {}
    for prim in stage.Traverse():
        if prim.IsA(UsdPhysics.FixedJoint):
            joint = UsdPhysics.FixedJoint(prim)
            fixed[joint.GetBody1Rel().GetTargets()[0].name] = joint.GetBody0Rel().GetTargets()[0].name
            np.testing.assert_allclose(joint.GetLocalPos0Attr().Get(), [-0.002, 0, -0.213], atol=1e-7)
    assert fixed == {f"{leg}_foot": f"{leg}_calf" for leg in ("FL", "FR", "RL", "RR")}


def test_only_collision_shapes_are_left(stage: Usd.Stage):
    colliding = [i for i in range(MODEL.ngeom) if MODEL.geom_contype[i] or MODEL.geom_conaffinity[i]]
    shapes = [p for p in stage.Traverse() if p.IsA(UsdGeom.Gprim) and p.GetName() != "imu"]
    assert sorted(p.GetName() for p in shapes) == sorted(MODEL.geom(i).name for i in colliding)
    cache = UsdGeom.XformCache()
    for shape in shapes:
        assert shape.HasAPI(UsdPhysics.CollisionAPI)
        geom = MODEL.geom(shape.GetName())
        assert shape.GetAttribute("mjc:priority").Get() == 1
        local = cache.GetLocalTransformation(shape)[0]
        np.testing.assert_allclose(local.ExtractTranslation(), geom.pos, atol=1e-7)
        if shape.IsA(UsdGeom.Cube):
            half = UsdGeom.Cube(shape).GetSizeAttr().Get() / 2 * np.array(Gf.Transform(local).GetScale())
            np.testing.assert_allclose(half, geom.size, rtol=1e-6)
        elif shape.IsA(UsdGeom.Sphere):
            assert UsdGeom.Sphere(shape).GetRadiusAttr().Get() == pytest.approx(geom.size[0])
        else:
            assert UsdGeom.Capsule(shape).GetRadiusAttr().Get() == pytest.approx(geom.size[0])
            assert UsdGeom.Capsule(shape).GetHeightAttr().Get() == pytest.approx(2 * geom.size[1], rel=1e-6)
        material, _ = UsdShade.MaterialBindingAPI(shape).ComputeBoundMaterial("physics")
        assert UsdPhysics.MaterialAPI(material).GetDynamicFrictionAttr().Get() == pytest.approx(0.8)
    assert not any(prim.GetName() == "Materials" for prim in stage.Traverse())


@pytest.fixture(scope="module")
def legs(tmp_path_factory: pytest.TempPathFactory) -> Usd.Stage:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEGGED_CTS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Usd.Stage.Open(str(usd.usd_path(load_robot("g1_12"))))


def matrix(transform: Gf.Matrix4d) -> np.ndarray:
    """Homogeneous matrix [4, 4] that acts on columns."""
    return np.array(transform).T


def joint_frames(stage: Usd.Stage, joint: UsdPhysics.Joint) -> list[np.ndarray]:
    """The joint's frame [4, 4] in the world as each of its two bodies has it."""
    cache, frames = UsdGeom.XformCache(), []
    for body, position, rotation in (
        (joint.GetBody0Rel(), joint.GetLocalPos0Attr(), joint.GetLocalRot0Attr()),
        (joint.GetBody1Rel(), joint.GetLocalPos1Attr(), joint.GetLocalRot1Attr()),
    ):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = quat_matrix(rotation.Get()), position.Get()
        prim = stage.GetPrimAtPath(body.GetTargets()[0])
        frames.append(matrix(cache.GetLocalToWorldTransform(prim)) @ local)
    return frames


def test_locked_joints_are_welded_where_they_are_held(legs: Usd.Stage):
    spec = load_robot("g1_12")
    model = robot_model(spec)
    moving = [prim.GetName() for prim in legs.Traverse() if prim.IsA(UsdPhysics.RevoluteJoint)]
    assert sorted(moving) == sorted(spec.joints)
    welds = [prim for prim in legs.Traverse() if prim.IsA(UsdPhysics.FixedJoint)]
    assert set(spec.locked) <= {weld.GetName() for weld in welds}
    assert len(welds) == len(spec.locked) + len(spec.feet)
    for weld in welds:
        # Nothing of a joint that moves is left: no limits, no drive, no armature.
        assert not [name for name in schemas(weld) if "Joint" in name or "Drive" in name]
        here, there = joint_frames(legs, UsdPhysics.FixedJoint(weld))
        np.testing.assert_allclose(here, there, atol=1e-6)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    cache, named = UsdGeom.XformCache(), prims(legs)
    origin = np.linalg.inv(matrix(cache.GetLocalToWorldTransform(named["pelvis"])))
    mass = 0.0
    for i in range(1, model.nbody):
        prim, body = named[model.body(i).name], model.body(i)
        place = origin @ matrix(cache.GetLocalToWorldTransform(prim))
        np.testing.assert_allclose(place[:3, 3], data.xpos[i] - data.body("pelvis").xpos, atol=1e-6)
        np.testing.assert_allclose(place[:3, :3], data.xmat[i].reshape(3, 3), atol=1e-6)
        mass += UsdPhysics.MassAPI(prim).GetMassAttr().Get()
        xx, yy, zz, xy, xz, yz = prim.GetAttribute("newton:inertia").Get()
        expected = quat_matrix(Gf.Quatf(*body.iquat.tolist()))
        expected = expected @ np.diag(body.inertia) @ expected.T
        tolerance = 1e-5 * body.inertia.max()
        np.testing.assert_allclose([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], expected, rtol=0, atol=tolerance)
    assert mass == pytest.approx(spec.total_mass, rel=1e-6)


def test_the_actuator_of_a_locked_joint_is_left_out(mine: Path):
    content = yaml.safe_load((mine / "robot.yaml").read_text())
    content["joints"] = [joint for joint in content["joints"] if "hip" not in joint]
    content["nominal_pose"] = {name: value for name, value in content["nominal_pose"].items() if "hip" not in name}
    content["actuators"]["legs"]["joints"] = [".*_thigh_joint"]
    content["locked"] = {".*_hip_joint": 0}
    (mine / "robot.yaml").write_text(yaml.safe_dump(content))
    motors = "".join(f'<motor name="{name}_motor" joint="FL_{name}_joint"/>' for name in ("hip", "calf"))
    spec = replace(mine, "go2.xml", "</worldbody>", f"</worldbody><actuator>{motors}</actuator>")
    stage = Usd.Stage.Open(str(usd.usd_path(spec)))
    assert [prim.GetName() for prim in stage.Traverse() if prim.GetTypeName() == "MjcActuator"] == ["calf_motor"]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEGGED_CTS_CACHE", str(tmp_path / "cache"))
    for name in ("go2.xml", "robot.yaml"):
        shutil.copy(SPEC.mjcf.parent / name, tmp_path)
    return tmp_path


def replace(folder: Path, name: str, old: str, new: str) -> RobotSpec:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    return load_robot(folder)


def test_the_cache_is_reused_until_the_content_changes(mine: Path, monkeypatch: pytest.MonkeyPatch):
    converted = []
    convert = usd._convert
    monkeypatch.setattr(usd, "_convert", lambda *args: (converted.append(1), convert(*args)))
    first = usd.usd_path(load_robot(mine))
    assert first.is_relative_to(mine / "cache" / "usd")
    stamp = first.stat().st_mtime_ns
    assert usd.usd_path(load_robot(mine)) == first
    assert (len(converted), first.stat().st_mtime_ns) == (1, stamp)

    heavier = usd.usd_path(replace(mine, "go2.xml", 'mass="6.921"', 'mass="7.921"'))
    assert heavier.parent != first.parent
    assert len(converted) == 2
    stage = Usd.Stage.Open(str(heavier))
    assert UsdPhysics.MassAPI(prims(stage)["base"]).GetMassAttr().Get() == pytest.approx(7.921)

    stiffer = usd.usd_path(replace(mine, "robot.yaml", "stiffness: 25.0", "stiffness: 40.0"))
    assert stiffer.parent not in (first.parent, heavier.parent)
    # Neither the words of the MJCF nor what the USD leaves out of the spec make another USD.
    replace(mine, "go2.xml", "Unitree Go2 with primitive shapes", "A robot")
    assert usd.usd_path(replace(mine, "robot.yaml", "action_scale: 0.25", "action_scale: 0.5")) == stiffer
    assert len(converted) == 3
    # A robot that is a copy under another name is the same robot to the simulator.
    assert usd.usd_path(replace(mine, "robot.yaml", "name: go2", "name: mygo2")) == stiffer
    assert len(converted) == 3
    assert sorted(os.listdir(mine / "cache" / "usd")) == sorted(p.parent.name for p in (first, heavier, stiffer))


def test_the_hash_sees_an_included_file(mine: Path):
    shape = '<geom name="FL_foot_collision" class="collision" type="sphere" size="0.022"/>'
    (mine / "foot.xml").write_text(f"<mujoco>{shape}</mujoco>")
    spec = replace(mine, "go2.xml", shape, '<include file="foot.xml"/>')
    before = usd.content_hash(spec)
    (mine / "foot.xml").write_text(f"<mujoco>{shape.replace('0.022', '0.023')}</mujoco>")
    assert usd.content_hash(spec) != before


def test_another_process_that_was_first_wins(mine: Path, monkeypatch: pytest.MonkeyPatch):
    spec = load_robot(mine)
    target = mine / "cache" / "usd" / usd.content_hash(spec)

    def meanwhile(spec: RobotSpec, scratch: Path, path: Path) -> None:
        target.mkdir()
        (target / path.name).write_text("theirs")
        path.write_text("ours")

    monkeypatch.setattr(usd, "_convert", meanwhile)
    assert usd.usd_path(spec).read_text() == "theirs"
    assert os.listdir(mine / "cache" / "usd") == [target.name]


def test_a_failed_conversion_leaves_nothing_behind(mine: Path, monkeypatch: pytest.MonkeyPatch):
    spec = load_robot(mine)

    def fail(spec: RobotSpec, scratch: Path, path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(usd, "_convert", fail)
        with pytest.raises(RuntimeError, match="disk full"):
            usd.usd_path(spec)
    assert os.listdir(mine / "cache" / "usd") == []
    assert Usd.Stage.Open(str(usd.usd_path(spec)))


def test_self_collision_follows_the_bit_masks(mine: Path):
    spec = replace(mine, "go2.xml", 'contype="0" conaffinity="1"', 'contype="1" conaffinity="1"')
    stage = Usd.Stage.Open(str(usd.usd_path(spec)))
    assert prims(stage)["base"].GetAttribute("newton:selfCollisionEnabled").Get() is True


def test_mass_inferred_from_visual_geoms_survives_dropping_them(mine: Path):
    """An MJCF without <inertial> whose only weight on a body is a visual geom."""
    foot = '<inertial mass="0.04" pos="0 0 0" fullinertia="7.744e-06 7.744e-06 7.744e-06 0 0 0"/>'
    spec = replace(mine, "go2.xml", foot, '<geom class="visual" type="sphere" size="0.02" mass="0.123"/>')
    stage = Usd.Stage.Open(str(usd.usd_path(spec)))
    assert UsdPhysics.MassAPI(prims(stage)["FL_foot"]).GetMassAttr().Get() == pytest.approx(0.123)
