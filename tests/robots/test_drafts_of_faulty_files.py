"""What vendors' files get wrong, or say in a way of their own: read right, or refused in one line that names it."""

from __future__ import annotations

import struct
from pathlib import Path

import mujoco
import numpy as np
import pytest
from vendor_files import biped, dog, drafted

from legged_cts.robots.doctor import Status, examine_spec
from legged_cts.robots.draft import DraftError, draft_robot
from legged_cts.robots.mjcf import robot_scene
from legged_cts.robots.spec import load_robot


def box_stl(path: Path, x: float, y: float, z: float) -> str:
    """Write the box of these half sizes [m] as STL, of which MuJoCo takes the hull."""
    corners = np.array([(i, j, k) for i in (-x, x) for j in (-y, y) for k in (-z, z)], "<f4")
    faces = corners[[(0, 1, 2), (1, 3, 2), (4, 6, 5), (5, 6, 7), (0, 4, 1), (1, 4, 5), (2, 3, 6), (3, 7, 6)]]
    path.parent.mkdir(exist_ok=True)
    records = b"".join(struct.pack("<3f", 0, 0, 1) + face.tobytes() + b"\0\0" for face in faces)
    path.write_bytes(bytes(80) + struct.pack("<I", len(faces)) + records)
    return path.name


def refused(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(DraftError, match=message) as caught:
        draft_robot(path)
    assert "\n" not in str(caught.value)


def test_meshes_of_one_name_in_two_folders_are_two_meshes(tmp_path: Path) -> None:
    box_stl(tmp_path / "visual" / "trunk.stl", 0.3, 0.3, 0.3)
    box_stl(tmp_path / "collision" / "trunk.stl", 0.05, 0.1, 0.2)
    shape = '<origin xyz="0 0 0.2"/><geometry><box size=".15 .25 .4"/></geometry>'
    meshes = "".join(
        f'<{kind}><geometry><mesh filename="{kind}/trunk.stl"/></geometry></{kind}>' for kind in ("visual", "collision")
    )
    draft, _ = drafted(tmp_path, biped().replace(f"<collision>{shape}</collision>", meshes, 1), "robot.urdf")
    (size,) = [geom.get("size", "") for body, geom in draft.plain.geoms() if geom.get("name") == "torso_collision"]
    np.testing.assert_allclose(np.array(size.split(), float), (0.05, 0.1, 0.2), rtol=1e-6)


@pytest.mark.parametrize("file", ["flat", "triangle", "text"])
def test_a_decal_of_which_mujoco_makes_no_body_is_left_out(tmp_path: Path, file: str) -> None:
    decal = tmp_path / "logo.stl"
    if file == "text":
        decal.write_text("solid logo\nendsolid logo\n")
    else:
        box_stl(decal, 0.1, 0.1, 0.0)
        if file == "triangle":
            content = decal.read_bytes()
            decal.write_bytes(content[:80] + struct.pack("<I", 1) + content[84:134])
    look = '<visual><geometry><mesh filename="logo.stl"/></geometry></visual>'
    text = biped().replace('<link name="torso">', f'<link name="torso">{look}')
    draft, _ = drafted(tmp_path, text, "robot.urdf")
    assert any("meshes to look at" in line and "logo" in line for line in draft.notes.changed)


def test_wheels_with_limits_of_many_turns_are_wheels(tmp_path: Path) -> None:
    wheel = '<geometry><sphere radius=".05"/></geometry>'
    turning = 'lower="-10000" upper="10000" effort="20" velocity="20"'
    draft, spec = drafted(tmp_path, biped(ankle_limit=turning, foot=wheel), "robot.urdf")
    assert any("wheels" in line for line in draft.notes.warnings)
    assert len(spec.joints) == 4


def test_limits_in_degrees_are_doubted_by_name(tmp_path: Path) -> None:
    text = biped().replace('lower="-1.5" upper="1.5"', 'lower="-860" upper="860"')
    draft, _ = drafted(tmp_path, text, "robot.urdf")
    (line,) = [line for line in draft.notes.warnings if "degrees" in line]
    assert "left_hip" in line and "left_knee" not in line


def test_what_stands_still_beside_a_trunk_in_the_world_is_part_of_it(tmp_path: Path) -> None:
    free = '<body name="base" pos="0 0 .4"><freejoint/><inertial pos="0 0 0.0" mass="7" diaginertia="0.03 0.1 0.12"/>'
    battery = '<body name="battery" pos="0 0 .1"><inertial pos="0 0 0" mass="5" diaginertia=".01 .01 .01"/></body>'
    assert free in dog()
    text = dog().replace(free, "").replace("</body></worldbody>", f"{battery}</worldbody>")
    draft, _ = drafted(tmp_path, text)
    trunk = draft.plain.compile().body("trunk")
    # A box of .4 x .14 x .1 m at 1000 kg/m^3, and the battery above it.
    assert float(trunk.mass[0]) == pytest.approx(5.6 + 5.0)
    assert float(trunk.ipos[2]) == pytest.approx(5.0 * 0.1 / 10.6)


def test_a_fixed_link_without_inertial_weighs_nothing(tmp_path: Path) -> None:
    camera = """<link name="cam"><collision><geometry><box size=".2 .2 .2"/></geometry></collision></link>
<joint name="cam" type="fixed"><parent link="torso"/><child link="cam"/><origin xyz="0.1 0 .4"/></joint>"""
    draft, _ = drafted(tmp_path, biped(camera), "robot.urdf")
    # A torso of 8 kg and twice 1.7 kg of leg.
    assert draft.plain.compile().body_mass.sum() == pytest.approx(11.4)
    assert "fixed links without <inertial> weigh nothing: cam" in draft.notes.changed


@pytest.mark.parametrize(
    ("drive", "effort", "hip"),
    [
        ('<position kp="60" forcerange="-25 25"/><velocity kv="1" ctrlrange="-1 1"/>', 25.0, (-1.0, 1.0)),
        ('<velocity kv="1" ctrlrange="-1 1"/><position kp="60" forcerange="-25 25"/>', 25.0, (-1.0, 1.0)),
        ('<intvelocity kp="60" ctrlrange="-6 6" actrange="-1.5 1.5" forcerange="-25 25"/>', 25.0, (-1.5, 1.5)),
    ],
)
def test_the_range_of_a_speed_is_neither_torque_nor_angle(
    tmp_path: Path, drive: str, effort: float, hip: tuple[float, float]
) -> None:
    start, end = dog().index("<actuator>"), dog().index("</actuator>")
    joints = [f"{leg}_{part}" for leg in ("FL", "FR", "RL", "RR") for part in ("hip", "thigh", "calf")]
    motors = "".join(drive.replace(" k", f' joint="{joint}" k') for joint in joints)
    text = dog()[:start] + "<actuator>" + motors + dog()[end:]
    if "intvelocity" in drive:
        text = text.replace('axis="1 0 0" range="-1 1"', 'axis="1 0 0"')
    _, spec = drafted(tmp_path, text)
    assert set(spec.effort_limit) == {effort}
    assert tuple(draft_range(tmp_path, "FL_hip")) == pytest.approx(hip)


def draft_range(folder: Path, joint: str) -> list[float]:
    (path,) = folder.rglob("robot.yaml")
    model = robot_scene(load_robot(path.parent), 0.005).compile()
    return model.joint(joint).range.tolist()


def test_a_body_of_two_hinges_may_have_its_centre_of_mass_beside_them(tmp_path: Path) -> None:
    text = dog()
    for leg in ("FL", "FR", "RL", "RR"):
        pitch = f'<joint name="{leg}_thigh" axis="0 1 0"'
        text = text.replace(pitch, f'<joint name="{leg}_roll" axis="1 0 0" pos="0 0 .02" range="-.3 .3"/>{pitch}')
    draft, _ = drafted(tmp_path, text)
    assert draft.plain.compile().body_mass.sum() == pytest.approx(14.6)


def test_a_base_beside_the_hips_is_moved_between_them(tmp_path: Path) -> None:
    text = dog().replace('<inertial pos="0 0 0.0" mass="7"', '<inertial pos="0 .08 0" mass="7"')
    for y in ("0.05", "-0.05"):
        text = text.replace(f' {y} 0.0">', f' {float(y) + 0.08:g} 0.0">')
    draft, _ = drafted(tmp_path, text)
    assert any("8.0 cm to the left" in line for line in draft.notes.changed)
    model = draft.plain.compile()
    np.testing.assert_allclose(model.body("FL_hip").pos[1], -model.body("FR_hip").pos[1], atol=1e-9)


def test_a_robot_that_faces_backwards_is_told_so(tmp_path: Path) -> None:
    swap = {"FL": "QR", "FR": "QL", "RL": "PR", "RR": "PL"}
    text = dog()
    for old, new in swap.items():
        text = text.replace(f'"{old}', f'"{new}')
    text = text.replace('"Q', '"R').replace('"P', '"F')
    draft, spec = drafted(tmp_path, text)
    (row,) = [row for row in examine_spec(spec, usd=False)[0] if row.name == "left is left"]
    assert row.status is Status.FAIL
    assert "FR_foot" in row.measured and "ahead" in row.hint
    assert any("left is left" in line for line in draft.notes.warnings)


def test_a_robot_that_faces_sideways_is_told_so(tmp_path: Path) -> None:
    """Its line was "nominal_pose: 'FL_calf_joint' at -1.07 is no mirror of 'FR_calf_joint' at -0.83776"."""
    mjcf = mujoco.MjSpec.from_string(dog())
    turn = np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
    for body in mjcf.worldbody.first_body().bodies:
        x, y, z = body.pos
        quat = np.zeros(4)
        mujoco.mju_mulQuat(quat, turn, body.quat)
        body.pos, body.quat = (-y, x, z), quat
    mjcf.compile()
    with pytest.raises(
        DraftError, match=r"the base faces sideways: 'FL_\w+' and 'FR_\w+' are left and right by their n"
    ):
        drafted(tmp_path, mjcf.to_xml())


@pytest.mark.parametrize("what", ["joint", "geom"])
def test_the_body_made_for_a_foot_has_a_name_of_its_own_in_usd(tmp_path: Path, what: str) -> None:
    text = dog()
    for leg in ("FL", "FR", "RL", "RR"):
        if what == "joint":
            text = text.replace(f'joint name="{leg}_calf"', f'joint name="{leg}_foot"')
            text = text.replace(f'motor joint="{leg}_calf"', f'motor joint="{leg}_foot"')
        else:
            text = text.replace(f'<geom name="{leg}" ', f'<geom name="{leg}_foot" ')
    draft, spec = drafted(tmp_path, text)
    for body in draft.plain.root.iter("body"):
        beside = [child.get("name") for child in body if child.tag in ("body", "geom", "joint")]
        assert len(set(beside)) == len(beside)
    assert len(spec.feet) == 4


ENCODED = "its encoding is not read .*convert it to UTF-8"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('lower="-1.5" upper="1.5"', 'lower="1.5" upper="-1.5"', "'left_hip': limit lower 1.5 is above upper -1.5"),
        ('lower="-1.5"', 'lower="-inf"', "'left_hip': limit lower and upper: both or neither"),
        ('name="biped">', 'name="biped"><include filename="a.xacro"/>', "a xacro, not a URDF"),
        ('<robot name="biped">', '<?xml version="1.0" encoding="utf8x"?><robot name="biped">', ENCODED),
        ('<robot name="biped">', '<?xml version="1.0" encoding="gb2312"?><robot name="biped">', ENCODED),
    ],
)
def test_a_urdf_is_refused_in_a_line_that_names_the_fix(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in biped()
    refused(tmp_path / "robot.urdf", biped().replace(old, new, 1), message)


def test_an_mjcf_is_refused_in_a_line_that_names_the_fix(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "arm.xml").write_text(pointer)
    file = tmp_path / "dog.xml"
    refused(file, dog(end='<include file="arm.xml"/>'), r"arm\.xml: a Git LFS pointer")
    refused(file, dog(end='<include file="dog.xml"/>'), r"dog\.xml: includes itself")
    negative = dog().replace('name="FL_hip" axis', 'name="FL_hip" armature="-.01" axis')
    refused(file, negative, "joint 'FL_hip': armature -0.01 is negative")
    many = '<replicate count="10000"><replicate count="10000"><geom size=".01"/></replicate></replicate>'
    refused(file, dog(torso=many), "more than 50,000 elements")


def test_a_namespace_says_nothing_and_no_limit_is_infinite(tmp_path: Path) -> None:
    text = biped().replace("<robot ", '<robot xmlns="http://drake.mit.edu" ')
    text = text.replace('lower="-1.5" upper="1.5"', 'lower="-inf" upper="inf"')
    draft, _ = drafted(tmp_path, text, "robot.urdf")
    assert any("no range" in line and "left_hip" in line for line in draft.notes.warnings)


def test_unknown_parts_of_a_urdf_are_named(tmp_path: Path) -> None:
    draft, _ = drafted(tmp_path, biped('<payload mass="5"/>'), "robot.urdf")
    assert any("<payload>" in line for line in draft.notes.warnings)


def test_a_robot_weighs_what_it_weighs_whatever_its_file_says_of_gravity(tmp_path: Path) -> None:
    _, spec = drafted(tmp_path, dog())
    weightless = spec.mjcf.read_text().replace("<option ", '<option gravity="0 0 0" density="1000" viscosity="1" ')
    weightless = weightless.replace("<freejoint", '<joint type="free" damping="50"', 1)
    spec.mjcf.write_text(weightless)
    model = robot_scene(load_robot(spec.mjcf.parent), 0.005).compile()
    np.testing.assert_array_equal(model.opt.gravity, (0.0, 0.0, -9.81))
    assert (model.opt.density, model.opt.viscosity) == (0.0, 0.0)
    assert not model.dof_damping[:6].any()
