"""The G1's MJCF: the published figures, its symmetry, and that it can be kept standing; and its legs alone."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
import pytest
import robot_checks as checks

from legged_cts.robots.mjcf import robot_model
from legged_cts.robots.spec import RobotSpec, load_robot

SPEC = load_robot("g1")
LEGS = load_robot("g1_12")
MODEL = robot_model(SPEC)
SIDES = ("left", "right")
# Torque limit [N m], no-load speed [rad/s] and armature [kg m^2] of each kind of joint.
MOTORS = {
    ("hip_pitch", "hip_yaw", "waist_yaw"): (88, 32, 0.01017752004132231),
    ("hip_roll", "knee"): (139, 20, 0.025101924999999997),
    ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll"): (25, 37, 0.003609725),
    ("wrist_pitch", "wrist_yaw"): (5, 22, 0.00425),
    ("ankle_pitch", "ankle_roll", "waist_pitch", "waist_roll"): (50, 37, 0.00721945),
}
# Published ranges of the left side and the middle [rad].
RANGES = {
    "hip_pitch": (-2.5307, 2.8798),
    "hip_roll": (-0.5236, 2.9671),
    "hip_yaw": (-2.7576, 2.7576),
    "knee": (-0.087267, 2.8798),
    "ankle_pitch": (-0.87267, 0.5236),
    "ankle_roll": (-0.2618, 0.2618),
    "waist_yaw": (-2.618, 2.618),
    "waist_roll": (-0.52, 0.52),
    "waist_pitch": (-0.52, 0.52),
    "shoulder_pitch": (-3.0892, 2.6704),
    "shoulder_roll": (-1.5882, 2.2515),
    "shoulder_yaw": (-2.618, 2.618),
    "elbow": (-1.0472, 2.0944),
    "wrist_roll": (-1.97222, 1.97222),
    "wrist_pitch": (-1.61443, 1.61443),
    "wrist_yaw": (-1.61443, 1.61443),
}
LEG = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
ARM = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw")


def kind(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_").removesuffix("_joint")


def test_total_mass():
    assert MODEL.body_mass.sum() == pytest.approx(33.341142, abs=1e-9)
    assert SPEC.total_mass == LEGS.total_mass == pytest.approx(33.341142, abs=1e-9)


@pytest.mark.parametrize(
    ("body", "mass", "centre", "quat", "diagonal"),
    [
        ("pelvis", 3.813, [0, 0, -0.07605], [1, 0, -0.000399148, 0], [0.010549, 0.0093089, 0.0079184]),
        (
            "left_hip_roll_link",
            1.52,
            [0.029812, -0.001045, -0.087934],
            [0.977808, -1.97119e-05, 0.205576, -0.0403793],
            [0.00254986, 0.00241169, 0.00148755],
        ),
        (
            "left_hip_yaw_link",
            1.702,
            [-0.057709, -0.010981, -0.15078],
            [0.600598, 0.15832, 0.223482, 0.751181],
            [0.00776166, 0.00717575, 0.00160139],
        ),
        (
            "torso_link",
            7.818,
            [0.00203158, 0.000339683, 0.184568],
            [0.999803, -6.03319e-05, 0.0198256, 0.00131986],
            [0.121847, 0.109825, 0.0273735],
        ),
        (
            "left_wrist_yaw_link",
            0.254576,
            [0.0708244, 0.000191745, 0.00161742],
            [0.510571, 0.526295, 0.468078, 0.493188],
            [0.000646113, 0.000559993, 0.000147566],
        ),
    ],
)
def test_published_bodies(body: str, mass: float, centre: list, quat: list, diagonal: list):
    assert MODEL.body(body).mass[0] == mass
    np.testing.assert_allclose(MODEL.body(body).ipos, centre, atol=1e-12)
    expected = checks.tensor(quat, diagonal)
    np.testing.assert_allclose(checks.body_tensor(MODEL, body), expected, rtol=0, atol=1e-6 * max(diagonal))


def test_ankle_and_foot_make_the_published_ankle():
    """The published ankle roll link includes the foot; here the foot is a body of its own, with its own contacts."""
    mass, centre, tensor = checks.joined(MODEL, "left_ankle_roll_link", "left_foot")
    assert mass == pytest.approx(0.608, abs=1e-12)
    np.testing.assert_allclose(centre, [0.026505, 0, -0.016425], atol=1e-9)
    quat, moments = [-0.000481092, 0.728482, -0.000618967, 0.685065], [0.00167218, 0.0016161, 0.000217621]
    np.testing.assert_allclose(tensor, checks.tensor(quat, moments), rtol=0, atol=1e-9)


def test_joints_have_the_published_limits_in_the_order_of_the_sdk():
    order = [f"left_{name}" for name in LEG] + [f"right_{name}" for name in LEG]
    order += ["waist_yaw", "waist_roll", "waist_pitch"]
    order += [f"left_{name}" for name in ARM] + [f"right_{name}" for name in ARM]
    assert SPEC.joints == tuple(f"{name}_joint" for name in order)
    motor = {name: figures for names, figures in MOTORS.items() for name in names}
    for i, joint in enumerate(SPEC.joints):
        effort, speed, armature = motor[kind(joint)]
        assert (SPEC.effort_limit[i], SPEC.velocity_limit[i]) == (effort, speed)
        assert SPEC.armature[i] == pytest.approx(armature, rel=1e-8)
        lower, upper = RANGES[kind(joint)]
        if joint.startswith("right") and SPEC.mirror_sign[joint] == -1:
            lower, upper = -upper, -lower
        assert (SPEC.joint_lower[i], SPEC.joint_upper[i]) == (lower, upper), joint


def test_gains_are_a_spring_of_ten_hertz():
    """Two by hand, [N m/rad] and [N m s/rad]; the others by the rule."""
    knee, ankle = SPEC.joints.index("left_knee_joint"), SPEC.joints.index("left_ankle_pitch_joint")
    assert (SPEC.stiffness[knee], SPEC.damping[knee]) == pytest.approx((99.098, 6.3088), rel=1e-4)
    assert (SPEC.stiffness[ankle], SPEC.damping[ankle]) == pytest.approx((28.501, 1.8144), rel=1e-4)
    np.testing.assert_allclose(np.sqrt(np.divide(SPEC.stiffness, SPEC.armature)) / (2 * np.pi), 10)
    np.testing.assert_allclose(np.divide(SPEC.damping, 2 * np.sqrt(np.multiply(SPEC.stiffness, SPEC.armature))), 2)


@pytest.mark.parametrize("name", [MODEL.body(i).name for i in range(1, MODEL.nbody) if "left" in MODEL.body(i).name])
def test_left_and_right_are_mirror_images(name: str):
    checks.check_mirror_images(MODEL, name, name.replace("left", "right"))


@pytest.mark.parametrize("spec", [SPEC, LEGS], ids=["g1", "g1_12"])
def test_mirrored_joints_put_the_bodies_at_mirrored_places(spec: RobotSpec):
    checks.check_mirror_law(robot_model(spec), spec, {"left_": "right_"})


def test_colliders_meet_the_ground_only_and_decide_the_friction():
    checks.check_colliders(MODEL, count=17, visual_limit=105)


@pytest.mark.parametrize("spec", [SPEC, LEGS], ids=["g1", "g1_12"])
def test_the_soles_are_flat_on_the_ground_in_the_nominal_pose(spec: RobotSpec):
    model = robot_model(spec)
    data = checks.place(model, spec, np.array(spec.nominal_pose))
    for foot in spec.feet:
        body = model.body(foot)
        balls = np.arange(body.geomadr[0], body.geomadr[0] + body.geomnum[0])
        balls = balls[model.geom_conaffinity[balls] == 1]
        assert len(balls) == 4
        np.testing.assert_allclose(spec.nominal_height + data.geom_xpos[balls, 2] - 0.01, 0.0, atol=1e-3)
    # The centre of mass is above the soles, well inside their edges.
    front, back = (data.body("left_foot").xpos[0] + edge for edge in (0.085, -0.085))
    assert back + 0.05 < data.subtree_com[1][0] < front - 0.05


def test_the_legs_alone_are_the_same_robot_held_in_its_nominal_pose():
    held = {joint: angle for joint, angle in zip(SPEC.joints, SPEC.nominal_pose, strict=True) if joint in LEGS.locked}
    assert LEGS.locked == held
    assert LEGS.joints == SPEC.joints[:12]
    for name in ("nominal_pose", "stiffness", "damping", "velocity_limit", "effort_limit", "armature"):
        assert getattr(LEGS, name) == getattr(SPEC, name)[:12]
    assert (LEGS.nominal_height, LEGS.action_scale) == (SPEC.nominal_height, SPEC.action_scale)
    assert LEGS.hash != SPEC.hash


class OnItsAnkles(checks.PdSimulation):
    """Keeps its balance with its ankles: the ground's force is moved ahead of a centre of mass that moves away."""

    def balance(self, seconds: float) -> None:
        spec, data, dt = self.spec, self.data, self.model.opt.timestep
        ankles = [spec.joints.index(f"{side}_ankle_pitch_joint") for side in SIDES]
        mujoco.mj_forward(self.model, data)
        last = data.subtree_com[1][0]
        for _ in range(round(seconds / dt)):
            centre = data.subtree_com[1][0]
            foot = np.mean([data.body(foot).xpos[0] for foot in spec.feet])
            axis = np.mean([data.body(f"{side}_ankle_pitch_link").xpos[0] for side in SIDES])
            pressure = centre + 2.0 * (centre - foot) + 0.5 * (centre - last) / dt
            torque = spec.total_mass * 9.81 * (np.clip(pressure, foot - 0.08, foot + 0.08) - axis) / 2
            self.target = np.array(spec.nominal_pose)
            self.target[ankles] += torque / np.array(spec.stiffness)[ankles]
            last = centre
            self.advance(dt)


@pytest.mark.parametrize("spec", [SPEC, LEGS], ids=["g1", "g1_12"])
def test_it_stands_on_its_ankles(spec: RobotSpec):
    """The gains alone do not hold it (PROVENANCE.md): two soft ankles are no match for gravity. Balance is enough."""
    robot = OnItsAnkles(spec)
    robot.balance(3.0)
    data, model = robot.data, robot.model
    assert spec.nominal_height - 0.03 < data.qpos[2] < spec.nominal_height
    assert data.body("pelvis").xmat.reshape(3, 3)[2, 2] > np.cos(0.35)
    assert np.linalg.norm(data.body("pelvis").cvel) < 0.1
    ground = model.geom("ground").id
    touching = {model.geom(geom).bodyid[0] for pair in data.contact.geom for geom in pair if geom != ground}
    assert touching == {model.body(foot).id for foot in spec.feet}


def test_action_zero_alone_topples_it():
    """What PROVENANCE.md says, so that nobody takes a fall at action 0 for a fault."""
    robot = checks.PdSimulation(LEGS)
    robot.advance(2.0)
    assert robot.data.qpos[2] < 0.5 * LEGS.nominal_height
