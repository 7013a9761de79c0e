"""A first spec drafted from a vendor's MJCF or URDF: what is read is right, what is guessed is marked and loads."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import importlib.util
import re
import struct
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

from legged_cts.robots.draft import Draft, DraftError, draft_robot, write_draft
from legged_cts.robots.mjcf import robot_model
from legged_cts.robots.spec import RobotSpec, load_robot

GO2 = load_robot("go2")
SCRIPT = Path(__file__).parents[2] / "scripts" / "new_robot.py"


def drafted(tmp_path: Path, path: Path | str, **words) -> tuple[Draft, RobotSpec]:
    draft = draft_robot(path, **words)
    return draft, load_robot(write_draft(draft, tmp_path / "out"))


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def triangle_box(path: Path, x: float, y: float, z: float) -> None:
    """Write a binary STL of a box of these half sizes."""
    corners = np.array([[i, j, k] for i in (-x, x) for j in (-y, y) for k in (-z, z)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [corners[list(face)] for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    with path.open("wb") as file:
        file.write(bytes(80) + struct.pack("<I", len(faces)))
        for face in faces:
            file.write(struct.pack("<12fH", 0, 0, 0, *face.ravel(), 0))


def foot_heights(spec: RobotSpec) -> list[float]:
    """Heights of the lowest points of spherical feet with the base at the nominal height, in the nominal pose."""
    model = robot_model(spec)
    data = mujoco.MjData(model)
    data.qpos[:7] = (0, 0, spec.nominal_height, 1, 0, 0, 0)
    for joint, angle in zip(spec.joints, spec.nominal_pose, strict=True):
        data.qpos[model.joint(joint).qposadr[0]] = angle
    mujoco.mj_kinematics(model, data)
    spheres = [model.body(foot).geomadr[0] for foot in spec.feet]
    return [float(data.geom_xpos[geom, 2] - model.geom_size[geom, 0]) for geom in spheres]


def assert_conventions(model: mujoco.MjModel) -> None:
    colliding = (model.geom_contype | model.geom_conaffinity) != 0
    assert colliding.any()
    assert not model.geom_contype.any()
    assert (model.geom_conaffinity[colliding] == 1).all()
    assert (model.geom_priority[colliding] == 1).all()
    assert (model.geom_bodyid != 0).all()
    assert (model.geom_type[colliding] != mujoco.mjtGeom.mjGEOM_MESH).all()
    assert (model.nu, model.nsensor, model.nkey) == (0, 0, 0)
    assert (model.body_mass[1:] > 0).all()


# The Go2's own file.


@pytest.fixture(scope="module")
def go2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Draft, RobotSpec]:
    pose = " ".join(map(str, (0, 0, 0.33, 1, 0, 0, 0, *GO2.nominal_pose)))
    text = GO2.mjcf.read_text().replace(
        "</mujoco>", f'<keyframe><key name="other"/><key name="home" qpos="{pose}"/></keyframe></mujoco>'
    )
    folder = tmp_path_factory.mktemp("go2")
    return drafted(folder, written(folder, "go2.xml", text))


def test_the_go2_is_recovered(go2: tuple[Draft, RobotSpec]):
    _, spec = go2
    for field in ("name", "morphology", "base", "feet", "joints", "nominal_pose", "mirror_swap", "mirror_sign"):
        assert getattr(spec, field) == getattr(GO2, field), field
    assert set(spec.penalized_contacts) == set(GO2.penalized_contacts)
    for field in ("effort_limit", "armature", "joint_lower", "joint_upper"):
        assert getattr(spec, field) == pytest.approx(getattr(GO2, field), rel=1e-5), field
    assert spec.nominal_height == pytest.approx(GO2.nominal_height, abs=0.02)
    # A thousandth of rounding up, and no more, is between the lowest foot and the ground.
    assert 0 <= min(foot_heights(spec)) < 1.001e-3
    assert spec.total_mass == pytest.approx(GO2.total_mass, rel=1e-5)
    # 10 Hz with the rotor's 0.01 kg m^2: 0.01 (2 pi 10)^2.
    assert spec.stiffness[:2] == pytest.approx([39.478, 39.478], rel=1e-3)
    # The knees get more, to carry the weight on their 1.5 rad.
    assert 40 < spec.stiffness[2] < 50


def test_the_go2s_model_is_the_same_robot(go2: tuple[Draft, RobotSpec]):
    a, b = robot_model(GO2), robot_model(go2[1])
    assert_conventions(b)
    # The world comes first, and the base stands where the pose has it.
    for field in ("body_mass", "body_inertia", "body_ipos", "body_pos", "jnt_axis", "dof_armature", "geom_conaffinity"):
        np.testing.assert_allclose(getattr(a, field)[2:], getattr(b, field)[2:], rtol=1e-4, atol=1e-6, err_msg=field)
    assert b.body("base").pos[2] == pytest.approx(go2[1].nominal_height)


def test_each_guess_is_marked_and_nothing_else(go2: tuple[Draft, RobotSpec]):
    draft, _ = go2
    marked = {line.split(":")[0].strip() for line in draft.yaml.splitlines() if "# guess: " in line}
    assert marked == {
        "morphology", "feet", "penalized_contacts", "stiffness", "damping", "velocity_limit", "action_scale",
    }  # fmt: skip
    assert "nominal_pose: # read from the key frame home" in draft.yaml
    assert len(draft.yaml.splitlines()) <= 100
    assert not draft.notes.warnings
    assert "guessed:" in draft.summary() and "10 Hz" in draft.yaml


def test_a_pose_is_found_without_a_key_frame(tmp_path: Path):
    draft, spec = drafted(tmp_path, GO2.mjcf)
    assert "nominal_pose: # guess: " in draft.yaml
    heights = foot_heights(spec)
    assert min(heights) >= 0 and max(heights) < 5e-3
    model = robot_model(spec)
    data = mujoco.MjData(model)
    data.qpos[7:] = spec.nominal_pose
    mujoco.mj_kinematics(model, data)
    for leg in ("FL", "FR", "RL", "RR"):
        assert data.body(f"{leg}_foot").xpos[0] == pytest.approx(data.body(f"{leg}_thigh").xpos[0], abs=0.01)
    assert 0.25 < spec.nominal_height < 0.38


# A vendor's style: degrees, nested defaults, actuators, a scene, no foot bodies, meshes.

VENDOR = """<mujoco model="vendor dog">
  <compiler angle="degree" meshdir="stl" autolimits="true"/>
  <default>
    <default class="dog">
      <joint damping="1" armature="0.02"/>
      <motor ctrlrange="-24 24"/>
      <default class="visual"><geom contype="0" conaffinity="0" group="2" type="mesh"/></default>
      <default class="solid"><geom group="3" condim="6" friction="0.7"/>
        <default class="shank"><geom type="capsule" size="0.015" fromto="0 0 -0.02 0 0 -0.2"/></default>
      </default>
      <default class="knee"><joint axis="0 1 0" range="-150 -40"/><position ctrlrange="-2.6 -0.7" kp="20"/></default>
    </default>
  </default>
  <asset><mesh file="trunk.stl"/><mesh name="unused" file="trunk.stl"/></asset>
  <worldbody>
    <light pos="0 0 3"/>
    <geom name="floor" type="plane" size="5 5 1"/>
    <body name="trunk" pos="0 0 0.4" childclass="dog">
      <freejoint/>
      <inertial pos="0 0 0" mass="8" diaginertia="0.05 0.1 0.12"/>
      <geom class="visual" mesh="trunk"/>
      <geom class="solid" type="mesh" mesh="trunk"/>
      <body name="lidar-mount" pos="0.1 0 0.08"><inertial pos="0 0 0" mass="0.5" diaginertia="1e-3 1e-3 1e-3"/>
        <site name="lidar"/></body>
      LEGS
    </body>
  </worldbody>
  <actuator>MOTORS</actuator>
  <sensor><gyro site="lidar"/></sensor>
  <keyframe><key name="home" qpos="0 0 0.35 1 0 0 0 KEY" ctrl="CTRL"/></keyframe>
</mujoco>"""
LEG = """<body name="{n}_abad" pos="{x} {y} 0"><joint name="{n}_abad" axis="1 0 0" range="-45 45"/>
  <inertial pos="0 0 0" mass="0.5" diaginertia="1e-3 1e-3 1e-3"/>
  <body name="{n}_thigh" pos="0 {s}0.08 0">
  <joint name="{n}_hip" axis="0 1 0" actuatorfrcrange="-20 30" range="-90 200"/>
    <inertial pos="0 0 -0.1" mass="1" diaginertia="5e-3 5e-3 1e-3"/>
    <geom class="solid" type="box" size="0.02 0.02 0.08" pos="0 0 -0.1"/>
    <body name="{n}_calf" pos="0 0 -0.2"><joint name="{n}_knee" class="knee"/>
      <inertial pos="0 0 -0.1" mass="0.2" diaginertia="1e-3 1e-3 1e-4"/>
      {shank}
    </body></body></body>"""
BALL = '<geom class="shank"/><geom name="{n}" class="solid" type="sphere" size="0.02" pos="0.01 0 -0.21"/>'


def vendor(tmp_path: Path, shank: str = BALL) -> Path:
    (tmp_path / "stl").mkdir()
    triangle_box(tmp_path / "stl" / "trunk.stl", 0.2, 0.1, 0.05)
    legs = {"LF": (0.2, 0.05), "RF": (0.2, -0.05), "LR": (-0.2, 0.05), "RR": (-0.2, -0.05)}
    bodies = [LEG.format(n=n, x=x, y=y, s="" if y > 0 else "-", shank=shank.format(n=n)) for n, (x, y) in legs.items()]
    motors = [f'<motor class="dog" joint="{n}_abad"/><position class="knee" joint="{n}_knee"/>' for n in legs]
    key = [f"{0.1 if y > 0 else -0.1} 0.8 -1.6" for _, y in legs.values()]
    text = VENDOR.replace("LEGS", "\n".join(bodies)).replace("MOTORS", "".join(motors))
    return written(tmp_path, "dog.xml", text.replace("KEY", " ".join(key)).replace("CTRL", "0 " * 8))


def test_a_vendors_mjcf(tmp_path: Path):
    draft, spec = drafted(tmp_path, vendor(tmp_path), name="dog")
    assert spec.feet == ("LF_foot", "RF_foot", "LR_foot", "RR_foot")
    assert spec.base == "trunk"
    assert spec.joints[:3] == ("LF_abad", "LF_hip", "LF_knee")
    assert spec.mirror_swap["LR_knee"] == "RR_knee"
    assert yaml.safe_load(draft.yaml)["mirror"]["swap"] == {"LF": "RF", "LR": "RR"}
    assert [spec.mirror_sign[joint] for joint in spec.joints[:3]] == [-1.0, 1.0, 1.0]
    assert spec.nominal_pose == pytest.approx(2 * (0.1, 0.8, -1.6, -0.1, 0.8, -1.6))
    assert spec.joint_lower[:3] == pytest.approx(np.radians([-45, -90, -150]), rel=1e-5)
    # A motor's control is its torque; of an asymmetric range the smaller side; nothing known of the knee.
    assert spec.effort_limit[:2] == (24.0, 20.0)
    guess = spec.effort_limit[2]
    xml = (spec.mjcf).read_text()
    assert re.search(rf"<!-- guess: torque limit .* {guess:g} -->\s*<joint name=\"LF_knee\"", xml)
    assert re.search(r"<!-- torque limit read from its actuator -->\s*<joint name=\"LF_abad\"", xml)
    model = robot_model(spec)
    assert_conventions(model)
    assert min(foot_heights(spec)) == pytest.approx(0, abs=1.001e-3)


def test_a_split_foot_and_a_fused_mount_leave_the_masses_alone(tmp_path: Path):
    path = vendor(tmp_path)
    draft, spec = drafted(tmp_path, path)
    before, after = mujoco.MjModel.from_xml_path(str(path)), robot_model(spec)
    assert after.body_mass.sum() == pytest.approx(before.body_mass.sum(), rel=1e-6)
    assert "lidar_mount" not in [after.body(i).name for i in range(after.nbody)]
    assert after.body("trunk").mass[0] == pytest.approx(8.5)
    np.testing.assert_allclose(after.body("trunk").ipos, np.array([0.1, 0, 0.08]) * 0.5 / 8.5, atol=1e-7)
    # The mass matrix knows every mass, centre and tensor; what is fused or split must leave it as it was.
    matrices = []
    for model in (before, after):
        data = mujoco.MjData(model)
        data.qpos[7:] = np.linspace(-0.9, -0.7, 12)
        mujoco.mj_forward(model, data)
        full = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, full)
        matrices.append(full)
    np.testing.assert_allclose(matrices[0], matrices[1], atol=2e-5)
    assert any("LF_calf" in warning and "is added for each foot" in warning for warning in draft.notes.warnings)


def test_a_mesh_that_collides_becomes_a_box_and_its_file_comes_along(tmp_path: Path):
    draft, spec = drafted(tmp_path, vendor(tmp_path))
    model = robot_model(spec)
    boxes = [
        i for i in range(model.ngeom) if model.geom_bodyid[i] == model.body("trunk").id and model.geom_group[i] == 3
    ]
    assert [model.geom_type[i] for i in boxes] == [mujoco.mjtGeom.mjGEOM_BOX]
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    turned = np.abs(data.geom_xmat[boxes[0]].reshape(3, 3) @ model.geom_size[boxes[0]])
    np.testing.assert_allclose(turned, [0.2, 0.1, 0.05], atol=1e-5)
    assert [path.name for path in (spec.mjcf.parent / "meshes").iterdir()] == ["trunk.stl"]
    # Pictures show shapes that do not collide; a body that had none gets some.
    visual = (model.geom_group == 2) & (model.geom_conaffinity == 0)
    assert set(model.geom_bodyid[visual]) == set(model.geom_bodyid[~visual])
    assert str(tmp_path) not in spec.mjcf.read_text() + draft.yaml
    assert "guess: fitted to the mesh trunk" in spec.mjcf.read_text()


def test_a_capsule_shank_gets_the_sphere_at_its_end(tmp_path: Path):
    _, spec = drafted(tmp_path, vendor(tmp_path, '<geom class="shank"/>'))
    model = robot_model(spec)
    foot = model.geom(model.body("LF_foot").geomadr[0])
    assert (foot.type[0], foot.size[0]) == (mujoco.mjtGeom.mjGEOM_SPHERE, 0.015)
    np.testing.assert_allclose(model.body("LF_foot").pos, [0, 0, -0.2], atol=1e-6)
    calf = model.geom(model.body("LF_calf").geomadr[0])
    # From -0.02 to where the foot's sphere begins, less the radius of its own end.
    assert calf.pos[2] + calf.size[1] == pytest.approx(-0.02, abs=1e-6)
    assert calf.pos[2] - calf.size[1] - 0.015 == pytest.approx(-0.2 + 0.015, abs=1e-6)


def test_a_shank_in_one_box_stays_and_is_warned_of(tmp_path: Path):
    draft, spec = drafted(tmp_path, vendor(tmp_path, '<geom type="box" size="0.02 0.02 0.1" pos="0 0 -0.1"/>'))
    assert spec.feet == ("LF_calf", "RF_calf", "LR_calf", "RR_calf")
    assert any("LF_calf" in warning and "foot and shank in one box" in warning for warning in draft.notes.warnings)


# A URDF: fixed links, speed and torque limits, a mesh by package, one that MuJoCo cannot read.


def urdf_leg(side: str, y: float) -> str:
    def link(name: str, mass: float, length: float) -> str:
        return f"""<link name="{name}"><inertial><origin xyz="0 0 {-length / 2}"/><mass value="{mass}"/>
          <inertia ixx="0.01" iyy="0.01" izz="0.002" ixy="0" ixz="0" iyz="0"/></inertial>
          <visual><geometry><mesh filename="package://walker/meshes/{name}.dae"/></geometry></visual>
          <collision><origin xyz="0 0 {-length / 2}"/><geometry><cylinder radius="0.02" length="{length * 0.8}"/>
          </geometry></collision></link>"""

    def joint(name: str, parent: str, child: str, xyz: str, axis: str, limit: str) -> str:
        return f"""<joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{child}"/>
          <origin xyz="{xyz}"/><axis xyz="{axis}"/><limit {limit} effort="60" velocity="12.5"/></joint>"""

    return f"""{link(f"abad_{side}", 1, 0.05)}{link(f"hip_{side}", 2, 0.3)}{link(f"knee_{side}", 1, 0.3)}
      <link name="foot_{side}"><collision><geometry><sphere radius="0.03"/></geometry></collision></link>
      {joint(f"abad_{side}_Joint", "base_link", f"abad_{side}", f"0 {y} 0", "1 0 0", 'lower="-0.5" upper="0.5"')}
      {
        joint(
            f"hip_{side}_Joint",
            f"abad_{side}",
            f"hip_{side}",
            "0 0 -0.05",
            f"0 {np.sign(y):g} 0",
            'lower="-1.2" upper="1.2"',
        )
    }
      {
        joint(
            f"knee_{side}_Joint",
            f"hip_{side}",
            f"knee_{side}",
            "0 0 -0.3",
            f"0 {np.sign(y):g} 0",
            'lower="-1.5" upper="1.5"',
        )
    }
      <joint name="foot_{side}_fixed" type="fixed"><parent link="knee_{side}"/><child link="foot_{side}"/>
        <origin xyz="0 0 -0.3"/></joint>"""


def walker(tmp_path: Path) -> Path:
    package = tmp_path / "walker"
    for folder in ("urdf", "meshes"):
        (package / folder).mkdir(parents=True)
    triangle_box(package / "meshes" / "base.stl", 0.1, 0.12, 0.15)
    text = f"""<robot name="walker"><link name="base_footprint"/>
      <joint name="base" type="fixed"><parent link="base_footprint"/><child link="base_link"/></joint>
      <link name="base_link"><inertial><mass value="9"/><inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/>
      </inertial><collision><geometry><mesh filename="package://walker/meshes/base.stl"/></geometry></collision></link>
      <link name="imu"/><joint name="imu" type="fixed"><parent link="base_link"/><child link="imu"/></joint>
      {urdf_leg("L", 0.1)}{urdf_leg("R", -0.1)}</robot>"""
    return written(package / "urdf", "walker.urdf", text)


def test_a_biped_from_a_urdf(tmp_path: Path):
    draft, spec = drafted(tmp_path, walker(tmp_path), morphology="quadruped")
    assert draft_robot(walker_path := tmp_path / "walker" / "urdf" / "walker.urdf").yaml.count("point_foot_biped") == 1
    assert walker_path.is_file()
    assert spec.base == "base_footprint"
    assert spec.feet == ("foot_L", "foot_R")
    assert spec.joints == tuple(f"{part}_{side}_Joint" for side in "LR" for part in ("abad", "hip", "knee"))
    assert spec.effort_limit == 6 * (60.0,)
    assert spec.velocity_limit == 6 * (12.5,)
    # Mirrored axes of the pitch joints ask for the opposite sign, unlike the usual parallel ones.
    assert [spec.mirror_sign[joint] for joint in spec.joints[:3]] == [-1.0, -1.0, -1.0]
    model = robot_model(spec)
    assert_conventions(model)
    assert model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
    assert [model.body(i).name for i in range(1, model.nbody)] == [
        "base_footprint", "abad_L", "hip_L", "knee_L", "foot_L", "abad_R", "hip_R", "knee_R", "foot_R",
    ]  # fmt: skip
    assert min(foot_heights(spec)) == pytest.approx(0, abs=1.001e-3)
    assert max(foot_heights(spec)) < 2e-3
    # Nearly straight legs of 0.65 m and a foot of 3 cm.
    assert 0.58 < spec.nominal_height < 0.68
    text = draft.summary()
    assert "had no free joint; one is added" in text
    assert "joints without armature" in text
    assert re.search(r"visual meshes are left out, .*package://walker/meshes/knee_L\.dae", text)


# Six legs, whose names tell no sides.


def six_legged(tmp_path: Path, names: str = "leg{i}") -> Path:
    legs = []
    for i, (x, side) in enumerate([(x, side) for x in (0.2, 0.0, -0.2) for side in (1, -1)], 1):
        n = names.format(i=i, side="Left" if side > 0 else "Right", end="FMR"[(i - 1) // 2])
        legs.append(f"""<body name="{n}_coxa" pos="{x} {0.1 * side} 0">
          <joint name="{n}_yaw" axis="0 0 1" range="-40 40"/>
          <geom type="capsule" size="0.02" fromto="0 0 0 0 {0.05 * side} 0"/>
          <body name="{n}_femur" pos="0 {0.06 * side} 0"><joint name="{n}_lift" axis="1 0 0" range="-80 80"/>
            <geom type="capsule" size="0.015" fromto="0 0 0 0 {0.12 * side} 0"/>
            <body name="{n}_tibia" pos="0 {0.12 * side} 0"><joint name="{n}_bend" axis="1 0 0" range="-60 60"/>
              <geom type="capsule" size="0.012" fromto="0 0 0 0 0 -0.15"/></body></body></body>""")
    return written(
        tmp_path,
        "bug.xml",
        f"""<mujoco><compiler autolimits="true"/><default><geom density="800"/><joint armature="0.005"/></default>
        <worldbody><body name="body"><geom type="box" size="0.25 0.08 0.03"/>{"".join(legs)}</body></worldbody>
        </mujoco>""",
    )


@pytest.mark.parametrize("names", ["leg{i}", "{side}{end}"])
def test_six_legs_are_paired_by_place_or_by_joined_words(tmp_path: Path, names: str):
    draft, spec = drafted(tmp_path, six_legged(tmp_path, names))
    first, second = (names.format(i=i, side=side, end="F") for i, side in ((1, "Left"), (2, "Right")))
    assert spec.morphology == "quadruped"
    assert len(spec.feet) == 6 and len(spec.joints) == 18
    assert spec.mirror_swap[f"{first}_lift"] == f"{second}_lift"
    assert all(spec.mirror_swap[joint] != joint for joint in spec.joints)
    # Parallel axes along x and z turn the other way round in the mirror.
    assert set(spec.mirror_sign.values()) == {-1.0}
    assert ("mirrored places" in draft.yaml) == (names == "leg{i}")
    assert_conventions(robot_model(spec))
    heights = foot_heights(spec)
    assert min(heights) >= -1e-6 and max(heights) < 0.01
    assert not [w for w in draft.notes.warnings if "misses itself" in w or "no mirror" in w]


# Two arms and soles make a humanoid.


def test_a_humanoid_stands_on_its_feet_and_not_on_its_hands(tmp_path: Path):
    def limb(side: str, y: float) -> str:
        return f"""<body name="{side}_hip" pos="0 {y} -0.05">
          <joint name="{side}_hip_roll_joint" axis="1 0 0" range="-30 30"/>
          <geom type="sphere" size="0.04"/>
          <body name="{side}_thigh"><joint name="{side}_hip_pitch_joint" axis="0 1 0" range="-100 100"/>
          <geom type="capsule" size="0.04" fromto="0 0 -0.05 0 0 -0.28"/>
          <body name="{side}_shin" pos="0 0 -0.33"><joint name="{side}_knee_joint" axis="0 1 0" range="-5 140"/>
          <geom type="capsule" size="0.03" fromto="0 0 -0.05 0 0 -0.25"/>
          <body name="{side}_ankle" pos="0 0 -0.32"><joint name="{side}_ankle_pitch_joint" axis="0 1 0" range="-50 30"/>
          <geom type="box" size="0.1 0.03 0.015" pos="0.03 0 -0.04"/></body></body></body></body>
          <body name="{side}_arm" pos="0 {2 * y} 0.4"><joint name="{side}_shoulder_joint" axis="0 1 0" range="-90 90"/>
          <geom type="capsule" size="0.03" fromto="0 0 0 0 0 -0.4"/></body>"""

    path = written(
        tmp_path,
        "person.xml",
        f"""<mujoco><worldbody><body name="pelvis"><freejoint/><geom type="box" size="0.08 0.1 0.08"/>
        <body name="torso" pos="0 0 0.1"><joint name="waist_yaw_joint" axis="0 0 1" range="-60 60"/>
        <geom type="box" size="0.08 0.12 0.2" pos="0 0 0.2"/></body>
        {limb("left", 0.1)}{limb("right", -0.1)}</body></worldbody></mujoco>""",
    )
    draft, spec = drafted(tmp_path, path)
    assert spec.morphology == "humanoid"
    assert spec.feet == ("left_ankle", "right_ankle")
    assert yaml.safe_load(draft.yaml)["mirror"]["swap"] == {"left": "right"}
    assert spec.mirror_swap["waist_yaw_joint"] == "waist_yaw_joint"
    pose = dict(zip(spec.joints, spec.nominal_pose, strict=True))
    assert pose["waist_yaw_joint"] == 0.0
    assert pose["left_knee_joint"] > 0.2
    # The pitch joints of a leg add up to a level sole.
    total = sum(pose[f"left_{part}_joint"] for part in ("hip_pitch", "knee", "ankle_pitch"))
    assert total == pytest.approx(0.0, abs=0.06)
    assert "torso" in spec.penalized_contacts


# Errors, and the script.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("robot: 1", "not XML"),
        ("<html/>", "neither an MJCF nor a URDF"),
        ("<mujoco><worldbody><body><geom size='0.1'/></body></worldbody></mujoco>", "no hinge joints"),
        ("<mujoco><worldbody><body><joint/></body></worldbody></mujoco>", "move the base 'body_1' itself"),
        (
            "<mujoco><worldbody><body><geom size='0.1'/><body><joint/><geom size='0.1'/>"
            "<body><joint name='push' type='slide'/><geom size='0.1'/></body></body></body></worldbody></mujoco>",
            "joint 'push' is a slide joint; only hinges",
        ),
        (
            "<mujoco><worldbody><body><geom size='0.1'/><body><joint/><geom contype='0' conaffinity='0' size='0.1'/>"
            "</body></body></worldbody></mujoco>",
            "no leg has a collider",
        ),
        ("<mujoco><asset><mesh file='no.stl'/></asset></mujoco>", "mesh 'no': no file"),
    ],
)
def test_what_cannot_be_drafted_is_said(tmp_path: Path, text: str, message: str):
    with pytest.raises(DraftError, match=message):
        draft_robot(written(tmp_path, "robot.xml", text))


def test_a_missing_file_and_wrong_words_are_refused(tmp_path: Path):
    with pytest.raises(DraftError, match="no such file"):
        draft_robot(tmp_path / "none.xml")
    with pytest.raises(DraftError, match="morphology: unknown 'biped'"):
        draft_robot(GO2.mjcf, morphology="biped")
    with pytest.raises(DraftError, match="name: '../x'"):
        draft_robot(GO2.mjcf, name="../x")


def test_an_existing_folder_is_left_alone_unless_asked(tmp_path: Path):
    draft = draft_robot(GO2.mjcf)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DraftError, match="exists already; give overwrite=true"):
        write_draft(draft, folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    write_draft(draft, folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["go2.xml", "notes.txt", "robot.yaml"]
    with pytest.raises(DraftError, match="holds go2.xml itself"):
        write_draft(draft_robot(folder / "go2.xml"), folder, overwrite=True)


def test_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    module_spec = importlib.util.spec_from_file_location("new_robot", SCRIPT)
    assert module_spec and module_spec.loader
    script = importlib.util.module_from_spec(module_spec)
    monkeypatch.setitem(__import__("sys").modules, "new_robot", script)
    module_spec.loader.exec_module(script)
    monkeypatch.chdir(tmp_path)
    assert script.main([str(GO2.mjcf), "name=mine"]) == 0
    assert load_robot(tmp_path / "mine").name == "mine"
    printed = capsys.readouterr().out
    assert "scripts/doctor.py robot=mine/robot.yaml" in printed and "scripts/train.py" in printed
    assert script.main([f"mjcf={GO2.mjcf}", "name=mine"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert script.main([]) == 2
    assert "mjcf" in capsys.readouterr().err
