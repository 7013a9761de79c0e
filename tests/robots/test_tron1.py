"""The TRON1's MJCF: the published figures, its symmetry, and that its PD holds it."""

from __future__ import annotations

import numpy as np
import pytest
from robot_checks import (
    PdSimulation,
    body_tensor,
    check_colliders,
    check_feet_on_the_ground,
    check_mirror_images,
    check_mirror_law,
    place,
    tensor,
)

from legged_cts.robots.mjcf import robot_model
from legged_cts.robots.spec import load_robot

SPEC = load_robot("tron1")
MODEL = robot_model(SPEC)


def full(xx: float, yy: float, zz: float, xy: float, xz: float, yz: float) -> np.ndarray:
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


# Mass, centre, tensor and place on the left side.
PUBLISHED = {
    "abad": (
        1.469,
        [-0.06977, 0.04479, 0.00057],
        full(0.001555384, 0.00235925, 0.00208092, 0.00039778, -1.31e-05, -9.8e-07),
        [0.05556, 0.105, -0.2602],
    ),
    "hip": (
        2.3,
        [-0.02869, -0.0477, -0.03992],
        full(0.01693728, 0.02285328, 0.00933419, 0.00164703, -0.00923253, 0.0022024),
        [-0.077, 0.0205, 0],
    ),
    "knee": (
        0.55,
        [0.05168, 0.00152, -0.08148],
        full(0.0029496, 0.00419948, 0.00133018, -7.86e-06, 0.00183036, 9.14e-06),
        [-0.15, -0.0205, -0.25981],
    ),
    "foot": (
        0.18,
        [-0.00129, -1e-05, 0.00568],
        full(9.746e-05, 9.992e-05, 7.47e-05, -4e-08, 5.67e-06, -1e-08),
        [0.15, 0, -0.25981],
    ),
}


def test_total_mass():
    assert MODEL.body_mass.sum() == pytest.approx(9.585 + 2 * (1.469 + 2.3 + 0.55 + 0.18), abs=1e-9)


@pytest.mark.parametrize("part", list(PUBLISHED))
def test_published_bodies(part: str):
    mass, centre, inertia, place_ = PUBLISHED[part]
    body = MODEL.body(f"{part}_L_Link")
    assert body.mass[0] == mass
    np.testing.assert_allclose(body.ipos, centre, atol=1e-12)
    np.testing.assert_allclose(body.pos, place_, atol=1e-12)
    np.testing.assert_allclose(body_tensor(MODEL, body.name), inertia, rtol=0, atol=1e-5 * inertia.max())


def test_the_base_has_the_inertia_of_a_base():
    """Not the hip link's that the vendor's URDF gives it: that of the vendor's MuJoCo model of the same robot."""
    base = MODEL.body("base_Link")
    assert base.mass[0] == 9.585
    np.testing.assert_allclose(base.ipos, [0.04576, 0.00014, -0.16398])
    expected = tensor([0.972578, -0.00615364, -0.232461, 0.00398682], [0.154712, 0.11093, 0.0846371])
    np.testing.assert_allclose(body_tensor(MODEL, "base_Link"), expected, rtol=0, atol=1e-6)
    # A solid box as deep and wide as the trunk that reaches down to the hip motors.
    box = 9.585 / 12 * np.array([0.26**2 + 0.36**2, 0.265**2 + 0.36**2, 0.265**2 + 0.26**2])
    np.testing.assert_allclose(np.diag(body_tensor(MODEL, "base_Link")), box, rtol=0.35)


def test_published_limits():
    left, right = ((-0.38397, -1.012291, -0.872665), (1.39626, 1.396263, 1.361357))
    assert SPEC.joint_lower == (*left, *(-value for value in right))
    assert SPEC.joint_upper == (*right, *(-value for value in left))
    assert SPEC.effort_limit == 6 * (80,)
    assert SPEC.velocity_limit == 6 * (15,)
    axes = {joint: MODEL.joint(joint).axis.tolist() for joint in SPEC.joints}
    assert axes["abad_L_Joint"] == axes["abad_R_Joint"] == [1, 0, 0]
    assert axes["hip_L_Joint"] == axes["knee_R_Joint"] == [0, 1, 0]
    assert axes["knee_L_Joint"] == axes["hip_R_Joint"] == [0, -1, 0]


@pytest.mark.parametrize("part", list(PUBLISHED))
def test_left_and_right_are_mirror_images(part: str):
    check_mirror_images(MODEL, f"{part}_L_Link", f"{part}_R_Link")


def test_mirrored_joints_mirror_the_body():
    check_mirror_law(MODEL, SPEC, {"_L_": "_R_"})


def test_colliders_meet_the_ground_only_and_decide_the_friction():
    check_colliders(MODEL, 8)


def test_the_feet_are_on_the_ground_at_the_nominal_height():
    check_feet_on_the_ground(MODEL, SPEC, radius=0.032, tolerance=1e-3)


def test_the_centre_of_mass_is_over_the_feet_and_the_knees_point_back():
    """In the nominal pose; a centimetre beside the feet it would tip from the first step on."""
    data = place(MODEL, SPEC, np.array(SPEC.nominal_pose))
    feet = [data.body(foot).xpos for foot in SPEC.feet]
    centre = data.subtree_com[MODEL.body("base_Link").id]
    assert abs(centre[0] - np.mean(feet, axis=0)[0]) < 3e-3
    assert abs(centre[1]) < 1e-3
    for side in "LR":
        assert data.body(f"knee_{side}_Link").xpos[0] < data.body(f"hip_{side}_Link").xpos[0] - 0.1


def test_the_pd_holds_the_legs_up_with_the_base_held():
    robot = PdSimulation(SPEC, fixed_base=True)
    robot.advance(2.0)
    assert np.abs(robot.joint_error()).max() < 0.1
    assert np.abs(robot.data.qvel).max() < 1e-3


def test_it_lands_on_its_feet_before_it_tips():
    """Two points bear no standing robot, but for the first half second only its feet touch, and they bear it."""
    robot = PdSimulation(SPEC)
    touched = set()
    ground = robot.model.geom("ground").id
    for _ in range(50):
        robot.advance(0.01)
        pairs = robot.data.contact.geom
        touched |= {robot.model.geom(geom).name for pair in pairs for geom in pair if geom != ground}
    assert touched == {f"{foot}_collision" for foot in SPEC.feet}
