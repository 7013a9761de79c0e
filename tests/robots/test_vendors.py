"""Robots as vendors write them: a draft keeps what they are, mends or names what training cannot use, and passes the
doctor."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
from vendor_files import biped, dog, drafted

from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.robots import draft_plain
from legged_cts.robots.doctor import Status, examine_spec
from legged_cts.robots.draft import DraftError, draft_robot
from legged_cts.robots.feet import upright_weights
from legged_cts.robots.mjcf import add_geom, robot_model, robot_scene
from legged_cts.robots.spec import RobotSpec, load_robot


def failures(spec: RobotSpec, usd: bool = False) -> list[str]:
    return [f"{row.name}: {row.measured}" for row in examine_spec(spec, usd)[0] if row.status is Status.FAIL]


def refused(tmp_path: Path, text: str, name: str) -> str:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DraftError) as error:
        draft_robot(path)
    message = str(error.value)
    assert "\n" not in message
    return message


# Kinematics.

TURNED = """<link name="a"/><joint name="fix_a" type="fixed"><parent link="torso"/><child link="a"/>
<origin xyz="0 0 0" rpy="1.5708 0.3 0"/></joint><link name="b"/>
<joint name="fix_b" type="fixed"><parent link="a"/><child link="b"/><origin xyz="0.01 0 0" rpy="0 0 0"/></joint>
<link name="c"/><joint name="fix_c" type="fixed"><parent link="b"/><child link="c"/>
<origin xyz="{back}" rpy="{turn}"/></joint>"""


def undone() -> str:
    """Fixed links that turn and shift, the last one back to where the torso is."""
    rpy = np.array([1.5708, 0.3, 0.0])
    cr, sr, cp, sp = np.cos(rpy[0]), np.sin(rpy[0]), np.cos(rpy[1]), np.sin(rpy[1])
    turn = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]]) @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    back = turn.T
    pitch = -np.arcsin(back[2, 0])
    roll, yaw = np.arctan2(back[2, 1], back[2, 2]), np.arctan2(back[1, 0], back[0, 0])
    return TURNED.format(back="-0.01 0 0", turn=f"{roll} {pitch} {yaw}")


def test_chains_of_fixed_links_that_turn_keep_axes_places_and_masses(tmp_path: Path):
    _, spec = drafted(tmp_path, biped(undone(), hips="c"))
    model = robot_model(spec)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    for side, y in (("left", 0.1), ("right", -0.1)):
        joint = model.joint(f"{side}_hip").id
        np.testing.assert_allclose(data.xaxis[joint], [0, 1, 0], atol=1e-6)
        np.testing.assert_allclose(data.xanchor[joint] - data.xpos[1], [0, y, 0], atol=1e-6)
    assert model.body_mass.sum() == pytest.approx(11.4)
    assert not failures(spec)


def test_a_draft_that_moved_something_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every place and axis is compared with the source, so a fault of the drafter stops the draft."""
    right = draft_plain.rotation
    monkeypatch.setattr(draft_plain, "quaternion", lambda matrix: np.array([1.0, 0.01, 0, 0]))
    message = refused(tmp_path, dog(), "dog.xml")
    assert "does not keep the" in message and "off by" in message
    assert right is draft_plain.rotation


def test_degrees_references_and_euler_angles_are_what_the_file_means(tmp_path: Path):
    text = (
        dog()
        .replace('angle="radian"', 'angle="degree" eulerseq="zyx"')
        .replace('axis="1 0 0" range="-1 1"', 'axis="1 0 0" range="-57 57" ref="5"')
        .replace('range="-1.5 3"', 'range="-86 172"')
        .replace('range="-2.7 -.5"', 'range="-155 -29"')
        .replace('name="FL_hip" pos', 'name="FL_hip" euler="0 0 3" pos')
        .replace('name="FR_hip" pos', 'name="FR_hip" euler="0 0 -3" pos')
    )
    draft, spec = drafted(tmp_path, text)
    assert spec.joint_lower[:2] == pytest.approx(np.radians([-57, -86]), abs=1e-6)
    model = robot_model(spec)
    assert not model.qpos0[7:].any()
    # The draft stands at 0 where the file's hip is turned by its 3 degrees less its reference of 5.
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    turned = data.body("FL_hip").xmat.reshape(3, 3)
    assert np.degrees(np.arctan2(turned[2, 1], turned[1, 1])) == pytest.approx(3 - 5, abs=1e-4)


def test_a_base_that_the_file_tilts_stands_upright(tmp_path: Path):
    """Trunk frames of some CAD programs have y up."""
    text = dog().replace('pos="0 0 .4"', 'pos="0 0 .4" quat="0.70710678 0.70710678 0 0"')
    inner = text.replace("<freejoint/>", '<freejoint/><body name="up" quat="0.70710678 -0.70710678 0 0">', 1)
    draft, spec = drafted(tmp_path, inner.replace("</body></worldbody>", "</body></body></worldbody>"))
    assert spec.feet == ("FL_foot", "FR_foot", "RL_foot", "RR_foot")
    assert any("turned to stand upright" in line for line in draft.notes.changed)
    assert 0.25 < spec.nominal_height < 0.45


@pytest.mark.parametrize("key", ["", '<keyframe><key name="home" qpos="0 0 0 1 0 0 0{}"/></keyframe>'])
def test_a_base_frame_on_the_ground_is_lifted_to_the_hips(tmp_path: Path, key: str):
    draft, spec = drafted(tmp_path, dog(rise=0.42, end=key.format(" 0 .8 -1.5" * 4)))
    assert 0.2 < spec.nominal_height < 0.42
    assert any("lay at the feet" in line for line in draft.notes.changed)
    assert not failures(spec)


def test_two_hinges_in_a_body_become_a_chain(tmp_path: Path):
    text = dog().replace(
        '<joint name="FL_hip" axis="1 0 0" range="-1 1"/>',
        '<joint name="FL_yaw" axis="0 0 1" range="-.3 .3"/><joint name="FL_hip" axis="1 0 0" range="-1 1"/>',
    )
    text = text.replace(
        '<joint name="FR_hip" axis="1 0 0" range="-1 1"/>',
        '<joint name="FR_yaw" axis="0 0 1" range="-.3 .3"/><joint name="FR_hip" axis="1 0 0" range="-1 1"/>',
    )
    draft, spec = drafted(tmp_path, text)
    model = robot_model(spec)
    assert model.body_jntnum.max() == 1 and (model.body_mass[1:] > 0).all()
    assert model.body_mass.sum() == pytest.approx(14.6)
    assert spec.joints[:3] == ("FL_yaw", "FL_hip", "FL_thigh")
    assert any("chains with a body for each: FL_hip, FR_hip" in line for line in draft.notes.changed)


# The base.


@pytest.mark.parametrize("root", ["base_link", "world", "odom"])
def test_a_floating_joint_to_an_empty_root_is_the_free_base(tmp_path: Path, root: str):
    extra = f"""<link name="{root}"/><joint name="float" type="floating"><parent link="{root}"/>
    <child link="torso"/></joint>"""
    draft, spec = drafted(tmp_path, biped(extra))
    assert spec.base == "torso"
    assert any(f"link '{root}' and the floating joint 'float' are left out" in line for line in draft.notes.changed)


def test_a_floating_joint_inside_the_robot_is_named(tmp_path: Path):
    extra = """<link name="payload"/><joint name="loose" type="floating"><parent link="torso"/><child link="payload"/>
    </joint>"""
    assert "joint 'loose' is floating" in refused(tmp_path, biped(extra), "biped.urdf")


def test_a_trunk_that_is_the_world_becomes_a_body(tmp_path: Path):
    text = dog()
    start, end = text.index('<body name="base"'), text.index('<geom type="box"')
    text = (text[:start] + text[end:]).replace("</body></worldbody>", "</worldbody>")
    draft, spec = drafted(tmp_path, text)
    assert spec.base == "trunk" and len(spec.joints) == 12
    # Its box of 0.4 x 0.14 x 0.1 m weighs 5.6 kg as water does.
    assert robot_model(spec).body("trunk").mass[0] == pytest.approx(5.6)
    assert any("4 bodies with joints hang in the world" in line for line in draft.notes.warnings)
    assert "guess: mass" in spec.mjcf.read_text()


def test_joints_that_move_the_base_are_replaced(tmp_path: Path):
    slides = "".join(f'<joint name="root{a}" type="slide" axis="{x}"/>' for a, x in (("x", "1 0 0"), ("z", "0 0 1")))
    draft, spec = drafted(tmp_path, dog().replace("<freejoint/>", slides + '<joint name="tilt" axis="0 1 0"/>'))
    assert spec.base == "base" and len(spec.joints) == 12
    assert any("joints rootx, rootz, tilt, which moved the base" in line for line in draft.notes.changed)


def test_an_arm_is_told_from_a_walker(tmp_path: Path):
    arm = """<mujoco><worldbody><body name="stand"><geom size=".1"/><body pos="0 0 .1"><joint name="a" axis="0 1 0"/>
    <geom type="capsule" size=".03" fromto="0 0 0 0 0 .3"/><body pos="0 0 .3"><joint name="b" axis="0 1 0"/>
    <geom type="capsule" size=".03" fromto="0 0 0 0 0 .3"/></body></body></body></worldbody></mujoco>"""
    assert "only one limb" in refused(tmp_path, arm, "arm.xml")


# Names.


def test_names_that_usd_changes_are_changed_in_the_draft(tmp_path: Path):
    text = dog(base="dog-base").replace('"FL_calf" pos', '"FL.calf" pos').replace('"FR_calf" pos', '"FR.calf" pos')
    text = text.replace('name="RL_thigh" pos', 'name="3rd" pos').replace('joint="FL_hip"', 'joint="FL hip"')
    draft, spec = drafted(tmp_path, text.replace('joint name="FL_hip"', 'joint name="FL hip"'))
    assert spec.base == "dog_base"
    model = robot_model(spec)
    assert {"FL_calf", "n3rd"} <= {model.body(i).name for i in range(model.nbody)}
    assert any("dog-base is dog_base" in line for line in draft.notes.changed)
    assert not failures(spec, usd=True)


MESH = """<asset><mesh name="FL_hip" file="FL_hip.obj"/></asset>"""


def hand_made(tmp_path: Path, text: str) -> RobotSpec:
    """A drafted robot with another MJCF put in its place, as if written by hand."""
    _, spec = drafted(tmp_path, text)
    return spec


def test_a_joint_named_as_a_mesh_keeps_its_name(tmp_path: Path):
    (tmp_path / "FL_hip.obj").write_text("v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    text = dog().replace("<worldbody>", MESH + "<worldbody>").replace('"FL_hip" pos', '"FL_hip_link" pos')
    look = '<geom type="mesh" mesh="FL_hip" contype="0" conaffinity="0"/><joint name="FL_hip"'
    _, spec = drafted(tmp_path, text.replace('<joint name="FL_hip"', look))
    assert not failures(spec, usd=True)
    assert (spec.mjcf.parent / "meshes" / "FL_hip.stl").is_file()
    # In an MJCF by hand the shape's name may still be that of the joint: the conversion gives it back to the joint.
    xml = spec.mjcf.read_text().replace('name="FL_hip_link_visual"', 'name="FL_hip_x"')
    spec.mjcf.write_text(xml.replace('name="FL_hip_x"', ""))
    assert not failures(load_robot(spec.mjcf.parent), usd=True)


def test_the_doctor_sees_the_names_that_isaac_lab_sees(tmp_path: Path):
    _, spec = drafted(tmp_path, dog())
    folder = spec.mjcf.parent
    for file in (spec.mjcf, folder / "robot.yaml"):
        file.write_text(
            file.read_text().replace("RR_thigh,", "RR.thigh,").replace('body name="RR_thigh"', 'body name="RR.thigh"')
        )
    found = failures(load_robot(folder), usd=True)
    assert any(line.startswith("Isaac Lab articulation: missing RR.thigh") for line in found), found


def test_the_doctor_wants_a_body_for_each_joint_and_no_loops(tmp_path: Path):
    _, spec = drafted(tmp_path, dog())
    text = spec.mjcf.read_text()
    spec.mjcf.write_text(
        text.replace("</worldbody>", '</worldbody><equality><connect body1="FL_calf" body2="FL_thigh" anchor="0 0 0"/>'
        "</equality>")
    )  # fmt: skip
    assert any("1 closed loops" in line for line in failures(load_robot(spec.mjcf.parent)))
    yaml = spec.mjcf.parent / "robot.yaml"
    joint = '<joint name="FL_x" range="-1 1" actuatorfrcrange="-9 9" axis="0 0 1"/><joint name="FL_hip"'
    more = joint.replace("FL_", "FR_")
    spec.mjcf.write_text(text.replace('<joint name="FL_hip"', joint).replace('<joint name="FR_hip"', more))
    words = yaml.read_text().replace("joints:\n  - FL_hip", "joints:\n  - FL_x\n  - FR_x\n  - FL_hip", 1)
    words = words.replace("nominal_pose:", "nominal_pose:\n  '[FR][LR]_x': 0\n  #", 1)
    words = words.replace("  .*_hip: -1", "  .*_hip: -1\n  '[FR][LR]_x': -1")
    yaml.write_text(words.replace("joints: [.*_hip", "joints: ['[FR][LR]_x', .*_hip"))
    try:
        found = failures(load_robot(spec.mjcf.parent))
    except ValueError as error:
        pytest.skip(f"the spec cannot be made by hand here: {error}")
    assert any(line.startswith("one joint in each body: more in FL_hip") for line in found), found


# Humanoids' joints, by their axes.


def test_a_humanoids_joints_are_known_by_axes_and_not_by_names():
    spec = load_robot("g1")
    weights = dict(zip(spec.joints, upright_weights(spec), strict=True))
    for joint, weight in weights.items():
        right = (
            1.0 if any(word in joint for word in ("hip_yaw", "hip_roll", "waist"))
            else 0.5 if "ankle_roll" in joint
            else 0.3 if any(word in joint for word in ("shoulder", "elbow", "wrist"))
            else 0.0
        )  # fmt: skip
        assert weight == right, joint


# Inertias.

CAMERA = """<link name="camera"><inertial><mass value="{m}"/><inertia ixx="{xx}" iyy="{yy}" izz="{zz}" ixy="{xy}"
ixz="{xz}" iyz="0"/></inertial></link><joint name="cam" type="fixed"><parent link="torso"/><child link="camera"/>
<origin xyz=".1 0 .3"/></joint>"""
SLOPPY = {
    "A + B < C": (0.16, 6.4e-4, 9.3e-4, 4.8e-4, 4.8e-4, 4.2e-4),
    "a moment is not positive": (0.16, 6.4e-4, 9.3e-4, 1e-5, 4.8e-4, 9e-4),
    "": (1e-9, 1e-27, 1e-27, 1e-27, 0, 0),
}


@pytest.mark.parametrize("kind", SLOPPY)
def test_one_sloppy_inertia_does_not_stop_the_robot(tmp_path: Path, kind: str):
    figures = dict(zip(("m", "xx", "yy", "zz", "xy", "xz"), SLOPPY[kind], strict=True))
    draft, spec = drafted(tmp_path, biped(CAMERA.format(**figures)))
    told = [line for line in draft.notes.warnings if "impossible" in line]
    assert told == (
        [f"inertia of 'camera' is impossible ({kind}): the nearest possible one is written"] if kind else []
    )
    assert spec.total_mass == pytest.approx(11.4 + (0.16 if kind else 0.0))
    assert not failures(spec)


def test_a_sloppy_inertia_in_an_mjcf_is_mended_too(tmp_path: Path):
    draft, _ = drafted(
        tmp_path, dog(torso='<body name="lidar"><inertial pos="0 0 0" mass=".5" diaginertia="1 2 9"/></body>')
    )
    assert any("inertia of 'lidar' is impossible (A + B < C)" in line for line in draft.notes.warnings)


@pytest.mark.parametrize(("mass", "message"), [("-2", "mass -2 kg is negative"), ("nan", "not a finite number")])
def test_masses_that_cannot_be_are_refused_by_name(tmp_path: Path, mass: str, message: str):
    text = dog(torso=f'<body name="lidar"><inertial pos="0 0 0" mass="{mass}" diaginertia="1 1 1"/></body>')
    assert "body 'lidar': " in refused(tmp_path, text, "dog.xml")
    assert message in refused(tmp_path, text, "dog.xml")


# What the file must not bring along.


def test_a_vendors_defaults_do_not_reach_the_ground_and_the_motors(tmp_path: Path):
    """Neither in a draft nor where a hand-made MJCF has them."""
    on = 'contype="1" conaffinity="1"'
    off = 'contype="0" conaffinity="0" condim="6" margin=".1" group="4" solref=".5 1" priority="3"'
    _, spec = drafted(tmp_path, dog(geom=off, collider=on))
    assert not failures(spec)
    text = spec.mjcf.read_text().replace("<default>", f'<default><geom {off}/><motor gear="7" ctrlrange="-1 1"/>', 1)
    spec.mjcf.write_text(text)
    spec = load_robot(spec.mjcf.parent)
    robot = MujocoRobot(spec, 0.02, 0.005)
    ground = robot.model.geom("ground")
    assert (ground.contype[0], ground.conaffinity[0], ground.condim[0], ground.margin[0]) == (1, 1, 3, 0)
    np.testing.assert_allclose(ground.solref, [0.02, 1])
    assert (robot.model.actuator_gear[:, 0] == 1).all() and not robot.model.actuator_ctrllimited.any()
    mjcf = robot_scene(spec, 0.005)
    add_geom(mjcf.worldbody, name="plane", size=(0, 0, 1), type=mujoco.mjtGeom.mjGEOM_PLANE)
    assert mjcf.compile().geom("plane").contype[0] == 1


def test_closed_loops_and_the_rest_that_is_dropped_are_said(tmp_path: Path):
    end = """<equality><connect body1="FL_calf" body2="FL_thigh" anchor="0 0 0"/></equality>
    <sensor><jointpos joint="FL_hip"/></sensor><tendon><fixed><joint joint="FL_hip" coef="1"/></fixed></tendon>"""
    draft, spec = drafted(tmp_path, dog(end=end))
    model = robot_model(spec)
    assert (model.neq, model.ntendon, model.nsensor) == (0, 0, 0)
    told = draft.summary()
    assert "1 closed loops (equality constraints) are left out" in told
    assert "1 tendons are left out" in told and "1 sensors" in told


def test_looks_do_not_stop_a_draft(tmp_path: Path):
    """An image beside the file, and a material that a geom takes off again."""
    (tmp_path / "skin.png").write_bytes(b"no image")
    looks = """<asset><texture name="skin" type="2d" file="skin.png"/>
    <material name="skin" texture="skin" rgba="1 0 0 1"/></asset><worldbody>"""
    text = dog(torso='<geom class="visual" material="" type="box" size=".2 .07 .05"/>').replace("<worldbody>", looks)
    default = '<default class="visual"><geom material="nothing" contype="0" conaffinity="0"/></default><joint arm'
    text = text.replace("<joint arm", default, 1).replace('<geom type="box"', '<geom material="skin" type="box"', 1)
    _, spec = drafted(tmp_path, text)
    np.testing.assert_allclose(robot_model(spec).geom("base_collision").rgba, [1, 0, 0, 1])


# Files.


def test_any_ending_and_includes_and_plugins_load(tmp_path: Path):
    (tmp_path / "motors.xml").write_text("<mujocoinclude><sensor><gyro site='imu'/></sensor></mujocoinclude>")
    text = dog(torso='<site name="imu"/>', end='<include file="motors.xml"/>')
    text = text.replace("<compiler", '<extension><plugin plugin="mujoco.pid"/></extension><compiler', 1)
    draft, spec = drafted(tmp_path, text, "dog.mjcf")
    assert len(spec.joints) == 12 and "plugins are left out" in draft.notes.changed
    assert "1 sensors" in draft.summary()


XACRO = {
    "formula": biped().replace('value="8"', 'value="${mass}"'),
    "macro": biped('<xacro:payload xmlns:xacro="http://www.ros.org/wiki/xacro" mass="5"/>'),
    "undeclared": biped("<xacro:payload/>"),
}


@pytest.mark.parametrize("kind", XACRO)
@pytest.mark.parametrize("name", ["biped.xacro", "biped.urdf.xacro", "biped.urdf"])
def test_a_xacro_is_told_to_be_expanded(tmp_path: Path, kind: str, name: str):
    message = refused(tmp_path, XACRO[kind], name)
    assert f"a xacro, not a URDF: expand it first: `xacro {name} > " in message
    assert message.endswith(".urdf`") and f"> {name}`" not in message


def test_a_urdf_that_a_xacro_was_expanded_to_is_drafted(tmp_path: Path):
    text = biped().replace("<robot ", '<robot xmlns:xacro="http://www.ros.org/wiki/xacro" ')
    assert drafted(tmp_path, text)[1].base == "torso"


def test_git_lfs_pointers_are_named(tmp_path: Path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    assert "git lfs pull" in refused(tmp_path, pointer, "dog.xml")
    (tmp_path / "hip.stl").write_text(pointer)
    assets = '<asset><mesh name="hip" file="hip.stl"/></asset><worldbody>'
    text = dog(torso='<geom type="mesh" mesh="hip"/>').replace("<worldbody>", assets)
    assert "mesh 'hip' is a Git LFS pointer" in refused(tmp_path, text, "dog.xml")
    draft, _ = drafted(tmp_path, text.replace('mesh="hip"', 'mesh="hip" contype="0" conaffinity="0"'))
    assert any("Git LFS pointers (`git lfs pull`), are left out: hip" in line for line in draft.notes.changed)


# Joints.


def test_wheels_are_named_and_held(tmp_path: Path):
    wheel = '<origin rpy="1.5708 0 0"/><geometry><cylinder radius=".1" length=".04"/></geometry>'
    text = biped(ankle='type="continuous"', ankle_limit='effort="20" velocity="80"', foot=wheel)
    draft, spec = drafted(tmp_path, text)
    assert spec.morphology == "point_foot_biped"
    assert spec.joints == ("left_hip", "left_knee", "right_hip", "right_knee")
    assert spec.feet == ("left_foot", "right_foot")
    assert any(line.startswith("left_ankle, right_ankle turn without end") for line in draft.notes.warnings)
    rows, joints = examine_spec(spec, usd=False)
    assert not [row for row in rows if row.status is Status.FAIL]
    # Gains are chosen by the torques that the doctor measures, under a wheel as under a ball.
    assert max(joint.sag for joint in joints) < 0.121


def test_what_is_no_hinge_of_a_leg_is_held(tmp_path: Path):
    extra = """<link name="grip"><inertial><mass value=".1"/><inertia ixx=".001" iyy=".001" izz=".001" ixy="0" ixz="0"
    iyz="0"/></inertial></link><joint name="grip" type="prismatic"><parent link="torso"/><child link="grip"/>
    <limit lower="0" upper=".1" effort="1" velocity="1"/></joint>""" + "".join(
        f"""<link name="{name}"><inertial><mass value=".1"/><inertia ixx=".001" iyy=".001" izz=".001" ixy="0" ixz="0"
        iyz="0"/></inertial></link><joint name="{name}" type="revolute"><parent link="torso"/><child link="{name}"/>
        <limit {limit} effort="1" velocity="1"/>{more}</joint>"""
        for name, limit, more in (
            ("stuck", 'lower=".3" upper=".3"', ""),
            ("finger", 'lower="0" upper="1"', '<mimic joint="left_hip" offset="0.2"/>'),
        )
    )
    draft, spec = drafted(tmp_path, biped(extra))
    assert not {"grip", "stuck", "finger"} & set(spec.joints)
    told = "\n".join(draft.notes.warnings)
    for words in ("slide joints are held in place", "no way between their limits are held there: stuck", "mimic"):
        assert words in told


def test_placeholder_limits_are_named_and_replaced(tmp_path: Path):
    draft, spec = drafted(tmp_path, biped(limits='effort="1000" velocity="1000"'))
    assert max(spec.effort_limit) < 100 and max(spec.stiffness) < 400
    assert spec.velocity_limit[0] == 20
    told = "\n".join(draft.notes.warnings)
    assert "a torque limit of 1000 N m is a placeholder" in told and "1000 rad/s on are placeholders" in told
    assert not failures(spec)


def test_a_joint_may_have_its_origin_anywhere_along_its_axis(tmp_path: Path):
    """The head turns about a line through the middle; where along it the file puts the origin means nothing."""
    extra = """<link name="head"><inertial><origin xyz="0 -0.02 .05"/><mass value=".4"/><inertia ixx=".001" iyy=".001"
    izz=".001" ixy="0" ixz="0" iyz="0"/></inertial></link>
    <joint name="head_pitch" type="revolute"><parent link="torso"/><child link="head"/><origin xyz="0 0.02 .4"/>
    <axis xyz="0 1 0"/><limit lower="-1" upper="1" effort="3" velocity="9"/></joint>"""
    draft, spec = drafted(tmp_path, biped(extra))
    assert spec.mirror_swap["head_pitch"] == "head_pitch" and spec.mirror_sign["head_pitch"] == 1
    assert not failures(spec) and not any("no mirror" in line for line in draft.notes.warnings)


@pytest.mark.parametrize(("left", "right"), [("LL_", "LR_"), ("LL_", "RL_"), ("JL", "JR"), ("m3_", "m7_")])
def test_hinges_across_a_robot_have_their_partners_whatever_they_are_called(tmp_path: Path, left: str, right: str):
    """A knee's axis runs through its own mirror image, which does not put the knee in the middle."""
    text = re.sub(r'(<joint name=")left_', rf"\g<1>{left}", re.sub(r'(<joint name=")right_', rf"\g<1>{right}", biped()))
    draft, spec = drafted(tmp_path, text)
    mirrored = {joint: f"{right}{joint.removeprefix(left)}" for joint in spec.joints if joint.startswith(left)}
    assert len(mirrored) == 3 and {joint: spec.mirror_swap[joint] for joint in mirrored} == mirrored
    assert not failures(spec) and not any("mirror" in line for line in draft.notes.warnings)


# Poses and gains.


def test_a_key_frame_that_lies_does_not_make_a_dog_a_biped(tmp_path: Path):
    qpos = "0 0 .1 1 0 0 0" + " 0 -1.4 -2.5" * 2 + " 0 .9 -2" * 2
    draft, spec = drafted(tmp_path, dog(end=f'<keyframe><key name="home" qpos="{qpos}"/></keyframe>'))
    assert spec.morphology == "quadruped" and len(spec.feet) == 4
    told = "\n".join(draft.notes.warnings)
    assert "hang above the ground in the key frame 'home', but are legs" in told and "does not stand" in told
    assert not failures(spec)


def test_drafted_gains_pass_the_doctors_own_test(tmp_path: Path):
    """A heavy dog on long legs, whose thighs hold no torque in the pose and would be drafted soft."""
    text = (
        dog(4.0).replace("-100 100", "-45 45").replace("-.18", "-.31").replace("-.21", "-.35").replace("-.15", "-.29")
    )
    draft, spec = drafted(tmp_path, text.replace('armature="0.04"', 'armature="0.01"'))
    assert not failures(spec), draft.summary()


def test_motors_are_even_left_and_right(tmp_path: Path):
    text = dog().replace('name="FL_hip" axis', 'name="FL_hip" armature="0.02" axis')
    draft, spec = drafted(tmp_path, text.replace('joint="FR_hip"', 'joint="FR_hip" ctrlrange="-20 20"'))
    assert spec.armature[0] == spec.armature[3] == 0.02 and spec.effort_limit[0] == spec.effort_limit[3] == 20
    assert any("motors differ left and right" in line for line in draft.notes.warnings)
    assert not failures(spec)


def test_shapes_that_only_a_scene_lets_collide_are_colliders(tmp_path: Path):
    off = 'contype="0" conaffinity="0"'
    draft, spec = drafted(tmp_path, dog(geom=off))
    assert len(spec.feet) == 4 and any("taken for colliders" in line for line in draft.notes.warnings)


def test_a_vendors_servo_gains_stand_beside_the_guess(tmp_path: Path):
    draft, _ = drafted(tmp_path, dog().replace("<motor joint", '<position kp="77" kv="3" joint'))
    assert "the file's own servos have 77 and 3" in draft.yaml


def test_mass_is_randomised_in_shares_of_a_light_base(tmp_path: Path):
    from legged_cts.deploy.evaluate import Conditions

    _, spec = drafted(tmp_path, dog(1 / 12))
    assert not failures(spec)
    low, high = Conditions().base_mass
    for share in (low, high):
        robot = MujocoRobot(spec, 0.02, 0.005, base_mass=share * 7 / 12)
        assert robot.model.body("base").mass[0] == pytest.approx((1 + share) * 7 / 12)
    assert low > -0.5
