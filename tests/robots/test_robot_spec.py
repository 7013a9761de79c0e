"""The spec of a robot loads, and every mistake in one is named."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import pytest
import yaml

from legged_cts.robots.spec import RobotSpecError, assets_dir, load_robot

GO2 = assets_dir() / "robots" / "go2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(GO2 / "go2.xml", tmp_path)
    shutil.copy(GO2 / "robot.yaml", tmp_path)
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load((folder / "robot.yaml").read_text())
    change(content)
    (folder / "robot.yaml").write_text(yaml.safe_dump(content))


def edit_mjcf(folder: Path, old: str, new: str) -> None:
    text = (folder / "go2.xml").read_text()
    assert old in text
    (folder / "go2.xml").write_text(text.replace(old, new))


def test_go2_loads_with_the_figures_of_its_mjcf():
    spec = load_robot("go2")
    assert spec.name == "go2"
    assert spec.base == "base"
    assert spec.feet == ("FL_foot", "FR_foot", "RL_foot", "RR_foot")
    assert [joint[:2] for joint in spec.joints] == 3 * ["FL"] + 3 * ["FR"] + 3 * ["RL"] + 3 * ["RR"]
    assert spec.nominal_pose == (0.1, 0.8, -1.5, -0.1, 0.8, -1.5, 0.1, 1.0, -1.5, -0.1, 1.0, -1.5)
    assert spec.effort_limit == 4 * (23.7, 23.7, 45.43)
    assert spec.velocity_limit == 4 * (30.1, 30.1, 15.7)
    assert spec.joint_lower == 2 * (-1.0472, -1.5708, -2.7227) + 2 * (-1.0472, -0.5236, -2.7227)
    assert spec.joint_upper == 2 * (1.0472, 3.4907, -0.83776) + 2 * (1.0472, 4.5379, -0.83776)
    assert spec.armature == 12 * (0.01,)
    assert spec.total_mass == pytest.approx(15.206408, abs=1e-9)
    assert [(group.name, len(group.joints)) for group in spec.actuators] == [("legs", 8), ("knees", 4)]
    assert spec.mirror_swap["RL_calf_joint"] == "RR_calf_joint"
    assert spec.mirror_sign["FR_hip_joint"] == -1.0


def test_a_spec_fits_on_a_hundred_lines():
    for path in assets_dir().glob("robots/*/robot.yaml"):
        assert len(path.read_text().splitlines()) <= 100, path


def test_every_robot_of_the_project_loads():
    names = [path.parent.name for path in assets_dir().glob("robots/*/robot.yaml")]
    assert "go2" in names
    for name in names:
        assert load_robot(name).name == name


def test_a_robot_is_found_by_name_path_and_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert load_robot(folder).mjcf == folder / "go2.xml"
    assert load_robot(str(folder / "robot.yaml")) == load_robot(folder)
    monkeypatch.chdir(folder)
    assert load_robot("robot.yaml").mjcf == folder / "go2.xml"


def test_assets_can_live_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    mine = tmp_path / "assets" / "robots" / "mine"
    mine.mkdir(parents=True)
    shutil.copy(GO2 / "go2.xml", mine)
    shutil.copy(GO2 / "robot.yaml", mine)
    monkeypatch.setenv("LEGGED_CTS_ASSETS", str(tmp_path / "assets"))
    assert load_robot("mine").mjcf == mine / "go2.xml"
    monkeypatch.setenv("LEGGED_CTS_ASSETS", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="LEGGED_CTS_ASSETS"):
        load_robot("mine")


def test_the_hash_follows_both_files(folder: Path):
    original = load_robot("go2").hash
    assert len(original) == 16
    assert load_robot(folder).hash == original
    edit_mjcf(folder, 'mass="6.921"', 'mass="6.922"')
    changed = load_robot(folder).hash
    assert changed != original
    edit(folder, lambda content: content.update(action_scale=0.3))
    assert load_robot(folder).hash not in (changed, original)


def put(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def pop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def lock(angles: dict[str, object]) -> Callable[[dict[str, Any]], None]:
    """Lock joints of the hips, and take the locked ones out of the rest of the spec, where they no longer belong."""

    def change(content: dict[str, Any]) -> None:
        locked = [joint for joint in content["joints"] if any(re.fullmatch(pattern, joint) for pattern in angles)]
        content["locked"] = angles
        content["joints"] = [joint for joint in content["joints"] if joint not in locked]
        for joint in locked:
            del content["nominal_pose"][joint]
        if len(locked) == 4:
            content["actuators"]["legs"]["joints"].remove(".*_hip_joint")

    return change


DERIVED = {"joints": [".*_(hip|thigh)_joint"], "natural_frequency": 5.0, "damping_ratio": 0.5, "velocity_limit": 30.1}

MISTAKES = {
    "missing field": (pop("base"), "missing field 'base'"),
    "unknown field": (put("nominal_hight", value=0.3), "'nominal_hight'; did you mean 'nominal_height'?"),
    "morphology": (put("morphology", value="quadroped"), "morphology: .*did you mean 'quadruped'?"),
    "no such MJCF": (put("mjcf", value="go3.xml"), "mjcf: no file .*did you mean 'go2.xml'?"),
    "base": (put("base", value="bas"), "base: unknown 'bas'; did you mean 'base'?"),
    "base without a free joint": (put("base", value="FL_hip"), r"base: 'FL_hip' must carry .* \['base'\]"),
    "foot": (put("feet", value=["FL_foot", "FR_fot"]), r"feet\[1\]: unknown 'FR_fot'; did you mean 'FR_foot'?"),
    "foot without a collider": (put("feet", value=["FL_hip"]), "feet: 'FL_hip' has no collision geom"),
    "feet twice": (put("feet", value=["FL_foot", "FL_foot"]), r"feet\[1\]: 'FL_foot' is listed twice"),
    "feet not a list": (put("feet", value="FL_foot"), "feet: must be a list of strings, got 'FL_foot'"),
    "feet empty": (put("feet", value=[]), "feet: must be a list of strings"),
    "penalized foot": (put("penalized_contacts", value=["FL_foot"]), "'FL_foot' is a foot"),
    "penalized body": (put("penalized_contacts", value=["FL_leg"]), r"penalized_contacts\[0\]: unknown 'FL_leg'"),
    "joint": (lambda c: c["joints"].append("FL_knee_joint"), r"joints\[12\]: unknown 'FL_knee_joint'"),
    "joint twice": (lambda c: c["joints"].append("FL_hip_joint"), r"joints\[12\]: 'FL_hip_joint' is listed twice"),
    "joint left out": (lambda c: c["joints"].pop(), r"joints: the MJCF also has \['RR_calf_joint'\]"),
    "pose not covered": (pop("nominal_pose", ".*_calf_joint"), "nominal_pose: no pattern matches .*FL_calf_joint"),
    "pose overlaps": (put("nominal_pose", "FL_.*", value=0.1), "nominal_pose: '.*' is matched twice, by"),
    "pose pattern is a full match": (put("nominal_pose", "FL_hip", value=0.1), "'FL_hip' matches no joint"),
    "pose pattern": (put("nominal_pose", "FL_(", value=0.1), "nominal_pose: .* is not a regular expression"),
    "pose type": (put("nominal_pose", "FL_hip_joint", value="0.1"), r"nominal_pose.FL_hip_joint: must be a finite"),
    "pose outside the limits": (
        put("nominal_pose", ".*_calf_joint", value=-0.5),
        r"'FL_calf_joint' at -0.5 rad is outside its limits \[-2.7227, -0.83776\]",
    ),
    "pose not symmetric": (put("nominal_pose", "FL_hip_joint", value=0.2), "nominal_pose: 'FL_hip_joint' .* no mirror"),
    "height": (put("nominal_height", value=0), "nominal_height: must be positive, got 0"),
    "height not finite": (put("nominal_height", value=float("nan")), "nominal_height: must be a finite number"),
    "scale": (put("action_scale", value=True), "action_scale: must be a finite number, got True"),
    "actuators not covered": (pop("actuators", "knees"), "actuators: no pattern matches"),
    "actuators overlap": (
        put("actuators", "knees", "joints", value=[".*_calf_joint", "FL_thigh_joint"]),
        "actuators: 'FL_thigh_joint' is matched twice, by 'FL_thigh_joint' and by",
    ),
    "actuator field missing": (pop("actuators", "legs", "damping"), "actuators.legs: missing field 'damping'"),
    "actuator field unknown": (put("actuators", "legs", "effort", value=1.0), "actuators.legs: unknown field 'effort'"),
    "actuator is no mapping": (put("actuators", "legs", value=25.0), "actuators.legs: must be a mapping"),
    "gain": (put("actuators", "legs", "stiffness", value=-25.0), "actuators.legs.stiffness: must be positive"),
    "damping": (put("actuators", "legs", "damping", value=-0.5), "actuators.legs.damping: must be at least 0"),
    "both kinds of gains": (put("actuators", "legs", "damping_ratio", value=1.0), "legs: unknown field 'damping'"),
    "half of the derived gains": (
        put("actuators", "legs", value={"joints": [".*_(hip|thigh)_.*"], "natural_frequency": 5, "velocity_limit": 9}),
        "actuators.legs: missing field 'damping_ratio'",
    ),
    "frequency": (
        put("actuators", "legs", value=DERIVED | {"natural_frequency": 0}),
        "actuators.legs.natural_frequency: must be positive",
    ),
    "locked joint unknown": (
        put("locked", value={"FL_hip_jiont": 0}),
        "locked: 'FL_hip_jiont' matches no joint; did you mean 'FL_hip_joint'?",
    ),
    "locked and moving": (put("locked", value={"FL_hip_joint": 0.1}), "joints: 'FL_hip_joint' is also locked"),
    "locked base": (put("locked", value={"root": 0}), "locked: 'root' is not a hinge; only hinges can be locked"),
    "locked twice": (lock({".*_hip_joint": 0, "FL_.*p_joint": 0}), "locked: 'FL_hip_joint' is matched twice"),
    "locked outside the limits": (
        lock({".L_hip_joint": 1.1, ".R_hip_joint": -1.1}),
        r"locked: 'FL_hip_joint' at 1.1 rad is outside its limits \[-1.0472, 1.0472\]",
    ),
    "locked to no mirror image": (lock({".*_hip_joint": 0.1}), "locked: 'FL_hip_joint' at 0.1 is no mirror of"),
    "locked on one side": (
        lock({"FL_hip_joint": 0.0}),
        "locked: 'FL_hip_joint' is locked, but its mirror 'FR_hip_joint' is not",
    ),
    "locked to no number": (lock({".*_hip_joint": "0"}), r"locked..\*_hip_joint: must be a finite number"),
    "mirror to no joint": (put("mirror", "swap", value={"FL": "FX"}), "'FL_hip_joint' mirrors to 'FX_hip_joint', no"),
    "mirror no involution": (
        put("mirror", "swap", value={"FL": "FR", "FR": "RL"}),
        "mirror.swap: 'FR' stands in two pairs, so mirroring twice is not the identity",
    ),
    "mirror sign": (put("mirror", "sign", ".*_hip_joint", value=-2), "mirror.sign: -2.0 is not a sign"),
    "mirror sign not covered": (pop("mirror", "sign", ".*_hip_joint"), "mirror.sign: no pattern matches"),
    "mirror sign overlaps": (put("mirror", "sign", "FL_hip_.*", value=-1), "'FL_hip_joint' is matched twice"),
    "mirror signs differ": (
        put("mirror", "sign", value={"F[LR]_.*|RL_.*|RR_[ht].*": 1, "RR_calf_joint": -1}),
        "mirror.sign: 'RL_calf_joint' and its mirror 'RR_calf_joint' must have the same sign",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(folder: Path, mistake: str):
    change, message = MISTAKES[mistake]
    edit(folder, change)
    if mistake == "mirror signs differ":
        edit(folder, put("nominal_pose", value={"._hip_joint|.._hip_joint": 0.0, ".*_thigh.*": 1.0, ".*_calf.*": -1.5}))
    with pytest.raises(RobotSpecError, match=message) as error:
        load_robot(folder)
    assert str(folder / "robot.yaml") in str(error.value)


MJCF_MISTAKES = {
    "no force limit": (' actuatorfrcrange="-45.43 45.43"', "", "'FL_calf_joint' needs a symmetric actuatorfrcrange"),
    "unequal armature": (
        '<joint name="RR_thigh_joint" ',
        '<joint name="RR_thigh_joint" armature="0.02" ',
        "'FL_hip_joint' has the armature 0.01 and 'RR_thigh_joint' has 0.02 in the MJCF; split the group",
    ),
    "no armature": ('armature="0.01"', 'armature="0"', "natural_frequency: 'FL_hip_joint' has no armature"),
    "one-sided force limit": ('"-45.43 45.43"', '"-45.43 20"', "'FL_calf_joint' needs a symmetric actuatorfrcrange"),
    "no range": ('range="-2.7227 -0.83776" ', "", "'FL_calf_joint' has no range"),
    "no free joint": ('<freejoint name="root"/>', "", "base: 'base' must carry .* none"),
    "slide": (
        '<joint name="FL_hip_joint" class="abduction"/>',
        '<joint name="FL_hip_joint" class="abduction" type="slide"/>',
        "'FL_hip_joint' is not a hinge",
    ),
    "broken": ("</worldbody>", "", "mjcf: MuJoCo cannot load"),
}


@pytest.mark.parametrize("mistake", MJCF_MISTAKES)
def test_a_mistake_in_the_mjcf_is_named(folder: Path, mistake: str):
    old, new, message = MJCF_MISTAKES[mistake]
    edit_mjcf(folder, old, new)
    if "armature" in mistake:
        edit(folder, put("actuators", "legs", value=DERIVED))
    with pytest.raises(RobotSpecError, match=message):
        load_robot(folder)


def test_gains_follow_from_a_natural_frequency(folder: Path):
    edit(folder, put("actuators", "legs", value=DERIVED))
    spec = load_robot(folder)
    # 0.01 kg m^2 at 5 Hz: 0.01 (10 pi)^2 N m/rad, and 2 x 0.5 x 0.01 x 10 pi N m s/rad.
    stiffness, damping = math.pi**2, 0.1 * math.pi
    assert spec.stiffness == pytest.approx(4 * (stiffness, stiffness, 25.0))
    assert spec.damping == pytest.approx(4 * (damping, damping, 0.5))
    legs = next(group for group in spec.actuators if group.name == "legs")
    assert (legs.stiffness, legs.damping) == pytest.approx((stiffness, damping))


def test_locked_joints_leave_the_joints_and_keep_the_mass(folder: Path):
    edit(folder, lock({"[FR]L_hip_joint": 0.2, "[FR]R_hip_joint": -0.2}))
    spec, whole = load_robot(folder), load_robot("go2")
    assert spec.locked == {"FL_hip_joint": 0.2, "FR_hip_joint": -0.2, "RL_hip_joint": 0.2, "RR_hip_joint": -0.2}
    assert spec.joints == tuple(joint for joint in whole.joints if "hip" not in joint)
    assert set(spec.mirror_swap) == set(spec.mirror_sign) == set(spec.joints)
    assert spec.total_mass == whole.total_mass
    assert whole.locked == {}
    assert spec.hash != whole.hash


def test_a_joint_that_cannot_be_fused_is_named(folder: Path):
    edit(folder, lock({".*_hip_joint": 0}))
    edit_mjcf(folder, "</worldbody>", "</worldbody><equality><joint joint1='FL_hip_joint'/></equality>")
    with pytest.raises(RobotSpecError, match="locked: these joints cannot be fused: .*FL_hip_joint"):
        load_robot(folder)


def test_files_that_are_no_spec_are_named(folder: Path):
    with pytest.raises(RobotSpecError, match=r"no robot named 'go'; did you mean 'go2'\?"):
        load_robot("go")
    with pytest.raises(RobotSpecError, match="cannot read the robot spec"):
        load_robot(folder / "absent.yaml")
    for text, message in {"a: [": "not valid YAML", "- go2": "must be a mapping", "": "must be a mapping"}.items():
        (folder / "robot.yaml").write_text(text)
        with pytest.raises(RobotSpecError, match=message):
            load_robot(folder)


def test_yaml_cannot_build_objects(folder: Path):
    (folder / "robot.yaml").write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(RobotSpecError, match="not valid YAML"):
        load_robot(folder)


def test_a_side_is_a_whole_word_of_a_joint_name(tmp_path: Path):
    """A biped whose sides are the letters L and R, and a joint in the middle: "L" is not found in "Lower"."""
    leg = """<body name="foot_{side}" pos="0 {y} -0.1"><joint name="Lower_{side}_Joint"/><geom size="0.02"/></body>"""
    (tmp_path / "biped.xml").write_text(
        """<mujoco><default><joint axis="1 0 0" range="-60 60" actuatorfrcrange="-9 9"/></default>
        <worldbody><body name="hull"><freejoint/><geom size="0.1"/>"""
        + leg.format(side="L", y=0.1)
        + leg.format(side="R", y=-0.1)
        + """<body name="head"><joint name="Lid"/><geom size="0.02"/></body></body></worldbody></mujoco>"""
    )
    content = {
        "name": "biped",
        "mjcf": "biped.xml",
        "morphology": "point_foot_biped",
        "base": "hull",
        "feet": ["foot_L", "foot_R"],
        "penalized_contacts": [],
        "joints": ["Lid", "Lower_L_Joint", "Lower_R_Joint"],
        "nominal_pose": {"Lid": 0, "Lower_L_Joint": 0.2, "Lower_R_Joint": -0.2},
        "nominal_height": 0.2,
        "actuators": {"all": {"joints": [".*"], "stiffness": 9, "damping": 0, "velocity_limit": 20}},
        "action_scale": 0.2,
        "mirror": {"swap": {"L": "R"}, "sign": {".*": -1}},
    }
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(content))
    spec = load_robot(tmp_path)
    assert spec.mirror_swap == {"Lid": "Lid", "Lower_L_Joint": "Lower_R_Joint", "Lower_R_Joint": "Lower_L_Joint"}
    assert spec.penalized_contacts == ()
    assert spec.joint_upper[0] == pytest.approx(1.0471975512)
    assert spec.total_mass == pytest.approx(mujoco.MjModel.from_xml_path(str(spec.mjcf)).body_mass.sum())
