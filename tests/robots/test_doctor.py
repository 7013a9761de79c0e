"""The doctor finds nothing wrong with the project's robots, and each thing that is wrong with a broken one."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import yaml

from legged_cts.robots.doctor import Report, Row, Status, examine, examine_spec, table
from legged_cts.robots.doctor.motors import spring_reserve
from legged_cts.robots.posed import standing, vertical_forces
from legged_cts.robots.spec import assets_dir, load_robot

GO2 = assets_dir() / "robots" / "go2"
ROBOTS = sorted(path.parent.name for path in assets_dir().glob("robots/*/robot.yaml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(GO2 / "go2.xml", tmp_path)
    shutil.copy(GO2 / "robot.yaml", tmp_path)
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load((folder / "robot.yaml").read_text())
    change(content)
    (folder / "robot.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def edit_mjcf(folder: Path, old: str, new: str, count: int = -1) -> None:
    text = (folder / "go2.xml").read_text()
    assert old in text
    (folder / "go2.xml").write_text(text.replace(old, new, count))


def failures(report: Report) -> dict[str, Row]:
    return {row.name: row for row in report.rows if row.status is Status.FAIL}


def only_failure(folder: Path, name: str) -> Row:
    found = failures(examine(folder, usd=False))
    assert list(found) == [name]
    return found[name]


def gains(folder: Path, **values: float) -> None:
    edit(folder, lambda content: [group.update(values) for group in content["actuators"].values()])


# The healthy.


@pytest.mark.parametrize("name", ROBOTS)
def test_every_robot_of_the_project_is_well(name: str):
    report = examine(name, usd=False)
    assert failures(report) == {}
    assert not report.failed
    assert report.count(Status.OK) >= 28
    assert len(report.joints) == len(load_robot(name).joints)


def test_go2_with_its_usd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("pxr", reason="needs the train extra")
    monkeypatch.setenv("LEGGED_CTS_CACHE", str(tmp_path))
    report = examine("go2")
    row = next(row for row in report.rows if row.name == "Isaac Lab articulation")
    assert row.status is Status.OK
    assert row.measured.startswith("17 bodies, 12 joints")
    assert report.summary == "go2: 36 ok, 1 warning, 0 failures, 1 skipped"


def test_the_table_fits_a_terminal(folder: Path):
    gains(folder, stiffness=8.0)
    report = examine(folder, usd=False)
    lines = table(report).splitlines()
    assert max(map(len, lines)) <= 120
    assert not any("\033" in line for line in lines)
    assert sum(line.startswith("fail ") for line in lines) == report.count(Status.FAIL) > 0
    assert "\033[1;31mfail \033[0m" in table(report, colour=True)


# Broken specs and MJCFs, each found by the check that is meant for it.


def test_an_unknown_joint(folder: Path):
    edit(folder, lambda content: content["joints"].__setitem__(0, "FL_hip_joynt"))
    row = failures(examine(folder, usd=False))["spec loads"]
    assert "joints[0]: unknown 'FL_hip_joynt'; did you mean 'FL_hip_joint'?" in row.measured


def test_a_pose_outside_its_limits(folder: Path):
    edit(folder, lambda content: content["nominal_pose"].update({".*_calf_joint": -0.5}))
    assert "outside its limits" in only_failure(folder, "spec loads").measured


def test_a_wrong_mirror_sign(folder: Path):
    def change(content: dict[str, Any]) -> None:
        pose = {name: value for name, value in content["nominal_pose"].items() if "hip" not in name}
        content["nominal_pose"] = {**pose, ".*_hip_joint": 0.0}
        content["mirror"]["sign"][".*_hip_joint"] = 1

    edit(folder, change)
    found = failures(examine(folder, usd=False))
    assert set(found) == {"mirror map, signs", "mirror map, positions"}
    assert "FL_hip_joint needs -1" in found["mirror map, signs"].measured


def test_a_mirror_that_pairs_the_wrong_legs(folder: Path):
    def change(content: dict[str, Any]) -> None:
        pose = {name: value for name, value in content["nominal_pose"].items() if "thigh" not in name}
        content["nominal_pose"] = {**pose, ".*_thigh_joint": 0.9}
        content["mirror"]["swap"] = {"FL": "RR", "RL": "FR"}

    edit(folder, change)
    row = failures(examine(folder, usd=False))["mirror map, positions"]
    assert "mirror.swap" in row.hint


def test_an_inverted_axis_on_one_side(folder: Path):
    edit_mjcf(
        folder,
        '<joint name="FR_hip_joint" class="abduction"/>',
        '<joint name="FR_hip_joint" class="abduction" axis="-1 0 0"/>',
    )
    found = failures(examine(folder, usd=False))
    assert {"mirror map, signs", "mirror map, positions", "pose symmetric"} <= set(found)
    assert found["mirror map, signs"].measured == "FL_hip_joint needs +1, FR_hip_joint needs +1"


def test_a_leg_in_the_wrong_place(folder: Path):
    edit_mjcf(folder, '<body name="FR_hip" pos="0.1934 -0.0465 0">', '<body name="FR_hip" pos="0.1934 -0.0765 0">')
    found = failures(examine(folder, usd=False))
    assert {"mirror map, positions", "pose symmetric"} <= set(found)
    assert "off by up to 30.0 mm" in found["mirror map, positions"].measured


def test_joints_in_another_order_on_one_side(folder: Path):
    def change(content: dict[str, Any]) -> None:
        joints = content["joints"]
        joints[4], joints[5] = joints[5], joints[4]

    edit(folder, change)
    row = only_failure(folder, "joint order, sides")
    assert "'FR_thigh_joint' after 'FR_calf_joint'" in row.measured


def test_motors_that_differ_between_the_sides(folder: Path):
    edit(folder, lambda content: content["actuators"].update(right=dict(content["actuators"]["knees"])))
    edit(folder, lambda content: content["actuators"]["knees"].update(joints=[".L_calf_joint"]))
    edit(folder, lambda content: content["actuators"]["right"].update(joints=[".R_calf_joint"], damping=1.0))
    assert "FL_calf_joint" in only_failure(folder, "mirror map, motors").measured


IMPOSSIBLE = ("0.00584000338 0.00580000339 0.00103000023", "0.00584000338 0.00980000339 0.00103000023")


def test_an_inertia_that_no_body_has(folder: Path):
    edit_mjcf(folder, *IMPOSSIBLE, count=1)
    found = failures(examine(folder, usd=False))
    assert set(found) == {"spec loads", "inertias possible"}
    assert "FL_thigh" in found["inertias possible"].measured
    assert "inertia" in found["spec loads"].measured


def test_an_impossible_inertia_that_mujoco_would_hide(folder: Path):
    edit_mjcf(folder, *IMPOSSIBLE)
    edit_mjcf(folder, '<compiler angle="radian"', '<compiler balanceinertia="true" angle="radian"')
    report = examine(folder, usd=False)
    assert "FL_thigh" in failures(report)["inertias possible"].measured
    row = next(row for row in report.rows if row.name == "inertias as written")
    assert row.status is Status.WARN
    assert "balanceinertia" in row.measured


def test_a_base_with_the_inertia_of_a_hip(folder: Path):
    edit_mjcf(
        folder,
        "0.0244800108 0.0980769912 0.107000198 0.000121659816 0.00148480887 -3.12004728e-05",
        "0.001555384 0.00235925 0.00208092 0.00039778 -1.31e-05 -9.8e-07",
    )
    row = next(row for row in examine(folder, usd=False).rows if row.name == "radius of gyration")
    assert row.status is Status.WARN
    assert row.measured.startswith("base 0.0")


def test_a_mass_that_differs_between_the_sides(folder: Path):
    text = (folder / "go2.xml").read_text()
    start = text.index('<body name="RR_thigh"')
    (folder / "go2.xml").write_text(text[:start] + text[start:].replace('mass="1.152"', 'mass="1.5"', 1))
    row = only_failure(folder, "mass, left = right")
    assert row.measured == "largest difference 23.2%"
    assert "RL_thigh, RR_thigh" in row.hint


def test_mass_in_grams(folder: Path):
    edit_mjcf(folder, 'mass="0.04"', 'mass="40"')
    rows = {row.name: row for row in examine(folder, usd=False).rows}
    assert rows["density"].status is Status.WARN
    assert "FL_foot" in rows["density"].measured


def test_weight_beside_the_feet(folder: Path):
    edit_mjcf(folder, 'mass="6.921" pos="0.021112 0', 'mass="6.921" pos="0.7 0')
    found = failures(examine(folder, usd=False))
    assert {"weight over the feet"} <= set(found)
    assert "outside" in found["weight over the feet"].measured


@pytest.mark.parametrize(("height", "where"), [(0.4, "above the ground"), (0.25, "in the ground")])
def test_a_wrong_nominal_height(folder: Path, height: float, where: str):
    edit(folder, lambda content: content.update(nominal_height=height))
    row = only_failure(folder, "nominal height")
    assert where in row.measured
    # 3.5 mm above the 0.32 of the spec, from the lengths of the leg.
    assert "set nominal_height to 0.323" in row.hint or "set nominal_height to 0.324" in row.hint


def test_a_leg_that_hangs_in_the_air(folder: Path):
    pose = {"F[LR]_thigh_joint": 1.2, "F[LR]_calf_joint": -2.2, "R[LR]_calf_joint": -1.5}

    def change(content: dict[str, Any]) -> None:
        content["nominal_pose"] = {**content["nominal_pose"], **pose}
        del content["nominal_pose"][".*_calf_joint"]

    edit(folder, change)
    row = failures(examine(folder, usd=False))["feet in one plane"]
    assert "FL_foot hangs in the air" in row.hint or "FR_foot hangs in the air" in row.hint


def test_a_thigh_that_reaches_the_ground(folder: Path):
    edit_mjcf(folder, 'fromto="0 0 -0.03 0 0 -0.19" size="0.022"', 'fromto="0 0 -0.03 0 0 -0.5" size="0.022"', count=1)
    found = failures(examine(folder, usd=False))
    assert "FL_thigh_collision" in found["only feet on the ground"].measured


def test_feet_that_cannot_touch_the_ground(folder: Path):
    edit_mjcf(folder, '_foot_collision" class="collision"', '_foot_collision" class="collision" conaffinity="2"')
    found = failures(examine(folder, usd=False))
    assert "FL_foot" in found["feet meet the ground"].measured


def test_a_robot_that_pushes_itself_apart(folder: Path):
    edit_mjcf(folder, 'contype="0" conaffinity="1" group="3"', 'contype="1" conaffinity="1" group="3"')
    edit_mjcf(folder, 'size="0.1881 0.04675 0.057"', 'size="0.22 0.15 0.15"')
    found = failures(examine(folder, usd=False))
    assert "base_collision" in found["no contact with itself"].measured


def test_a_ground_in_the_mjcf(folder: Path):
    edit_mjcf(folder, "<worldbody>", '<worldbody><geom name="floor" type="plane" size="0 0 1"/>')
    assert "1 shapes of the world" in failures(examine(folder, usd=False))["robot alone in its MJCF"].measured


def test_motors_in_the_mjcf(folder: Path):
    edit_mjcf(folder, "</mujoco>", '<actuator><motor joint="FL_hip_joint"/></actuator></mujoco>')
    assert "1 actuators" in only_failure(folder, "robot alone in its MJCF").measured


def test_gains_too_weak_for_the_weight(folder: Path):
    gains(folder, stiffness=8.0)
    found = failures(examine(folder, usd=False))
    assert set(found) == {"sag, standing", "springs against tipping", "stands still for 3 s"}
    assert "calf" in found["stands still for 3 s"].measured


def test_gains_too_stiff_for_the_tick(folder: Path):
    gains(folder, stiffness=5000.0)
    assert "stiffness is too high" in failures(examine(folder, usd=False))["stable at 5 ms"].hint


@pytest.mark.parametrize("damping", [0.0, 40.0])
def test_damping_far_off(folder: Path, damping: float):
    edit_mjcf(folder, 'armature="0.01" damping="0.05"', 'armature="0.01" damping="0"')
    gains(folder, damping=damping)
    assert "damping = 2 ratio sqrt" in failures(examine(folder, usd=False))["damping ratio"].hint


def test_a_motor_too_weak_for_the_pose(folder: Path):
    edit_mjcf(folder, 'actuatorfrcrange="-45.43 45.43"', 'actuatorfrcrange="-4 4"')
    row = failures(examine(folder, usd=False))["torque, standing"]
    assert "calf_joint 145% of the limit" in row.measured


# The physics behind the checks.


def test_weight_is_shared_as_levers_do():
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(vertical_forces(points, np.array([0.25, 0.0]), 100.0), [75.0, 25.0])
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    np.testing.assert_allclose(vertical_forces(square, np.zeros(2), 8.0), [2.0, 2.0, 2.0, 2.0])
    # Close to one corner of a triangle with a fourth point far behind: no point may pull.
    forces = vertical_forces(square, np.array([0.9, 0.9]), 8.0)
    assert forces.min() >= 0
    assert forces.sum() == pytest.approx(8.0)
    np.testing.assert_allclose(forces @ square / 8.0, [0.9, 0.9])


@pytest.mark.parametrize("name", [name for name in ROBOTS if load_robot(name).morphology != "point_foot_biped"])
def test_standing_torques_balance_the_robot(name: str):
    """Inverse dynamics with the forces under the feet applied: no net force on the base, the same torques."""
    posed = standing(load_robot(name))
    torques = posed.standing_torques()
    model, data = posed.model, posed.data
    points = [point for sole in posed.soles for point in sole]
    centre = data.subtree_com[posed.base][:2]
    weight = model.body_mass.sum() * 9.81
    forces = vertical_forces(np.array([point.position[:2] for point in points]), centre, weight)
    total = np.zeros(model.nv)
    for point, force in zip(points, forces, strict=True):
        mujoco.mj_applyFT(model, data, np.array([0, 0, force]), np.zeros(3), point.position, point.body, total)
    model.geom_contype[posed.ground] = model.geom_conaffinity[posed.ground] = 0
    data.ctrl[:] = 0
    mujoco.mj_forward(model, data)
    data.qacc[:] = 0
    mujoco.mj_inverse(model, data)
    needed = data.qfrc_inverse - total
    np.testing.assert_allclose(needed[:6], 0, atol=1e-3)
    np.testing.assert_allclose(needed[posed.dofs], torques, atol=0.06)


def test_the_spring_reserve_tells_when_the_legs_buckle():
    spec = load_robot("go2")
    reserve = spring_reserve(spec, standing(spec))

    def stands(factor: float) -> bool:
        # Friction in the joints would help the springs.
        softer = dataclasses.replace(spec, stiffness=tuple(factor * value for value in spec.stiffness))
        rows, _ = examine_spec(softer, usd=False)
        return next(row for row in rows if row.name.startswith("stands still")).status is not Status.FAIL

    assert 1.3 < reserve < 1.7
    assert stands(1.25 / reserve)
    assert not stands(0.9 / reserve)


def test_the_spring_reserve_of_an_inverted_pendulum(tmp_path: Path):
    """On a wide foot, a mass m at height h over an ankle of stiffness k stands if k > m g h."""
    (tmp_path / "post.xml").write_text(
        """<mujoco><worldbody><body name="foot" pos="0 0 0.05"><freejoint/>
        <inertial mass="1" pos="0 0 0" diaginertia="0.1 0.1 0.1"/><geom type="box" size="0.5 0.5 0.05"/>
        <body name="post"><inertial mass="4" pos="0 0 0.5" diaginertia="0.01 0.01 0.01"/>
        <joint name="ankle" axis="0 1 0" range="-1 1" actuatorfrcrange="-90 90" armature="0.01"/>
        </body></body></worldbody></mujoco>"""
    )
    content = {
        "name": "post",
        "mjcf": "post.xml",
        "morphology": "humanoid",
        "base": "foot",
        "feet": ["foot"],
        "penalized_contacts": ["post"],
        "joints": ["ankle"],
        "nominal_pose": {"ankle": 0.0},
        "nominal_height": 0.05,
        "actuators": {"a": {"joints": ["ankle"], "stiffness": 30.0, "damping": 1.0, "velocity_limit": 10.0}},
        "action_scale": 0.25,
        "mirror": {"swap": {}, "sign": {"ankle": 1}},
    }
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(content))
    post = load_robot(tmp_path)
    assert spring_reserve(post, standing(post)) == pytest.approx(30.0 / (4 * 9.81 * 0.5), rel=1e-4)


def test_two_point_feet_hold_no_moment():
    bipeds = [spec for spec in map(load_robot, ROBOTS) if spec.morphology == "point_foot_biped"]
    for spec in bipeds:
        assert spring_reserve(spec, standing(spec)) == 0.0
