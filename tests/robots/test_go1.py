"""The Go1's MJCF: the published figures, its symmetry, its gains, and that it stands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from robot_checks import (
    body_tensor,
    check_colliders,
    check_feet_on_the_ground,
    check_it_stands,
    check_mirror_images,
    check_mirror_law,
    joined,
    tensor,
)

from legged_cts.robots.mjcf import robot_model
from legged_cts.robots.spec import load_robot

SPEC = load_robot("go1")
MODEL = robot_model(SPEC)


def test_total_mass():
    assert MODEL.body_mass.sum() == pytest.approx(5.204 + 4 * (0.68 + 1.009 + 0.195862), abs=1e-9)


def test_calf_and_foot_make_the_published_calf():
    mass, centre, together = joined(MODEL, "FL_calf", "FL_foot")
    assert mass == pytest.approx(0.195862, abs=1e-12)
    np.testing.assert_allclose(centre, [0.00429862, 0.000976676, -0.146197], atol=1e-9)
    published = tensor([0.691246, 0.00357467, 0.00511118, 0.722592], [0.00149767, 0.00148468, 3.58427e-05])
    np.testing.assert_allclose(together, published, atol=2e-9)


@pytest.mark.parametrize(
    ("body", "mass", "centre", "quat", "diagonal"),
    [
        (
            "trunk",
            5.204,
            [0.0223, 0.002, -0.0005],
            [-0.00342088, 0.705204, 0.000106698, 0.708996],
            [0.0716565, 0.0630105, 0.0168101],
        ),
        (
            "FL_hip",
            0.68,
            [-0.0049166, -0.00762615, -8.865e-05],
            [0.482891, 0.495027, 0.514169, 0.507341],
            [0.000734064, 0.000468438, 0.000398719],
        ),
        (
            "RR_hip",
            0.68,
            [0.0049166, 0.00762615, -8.865e-05],
            [0.495027, 0.482891, 0.507341, 0.514169],
            [0.000734064, 0.000468438, 0.000398719],
        ),
        (
            "FR_thigh",
            1.009,
            [-0.00304722, 0.019315, -0.0305004],
            [0.65243, -0.0272313, 0.0775126, 0.753383],
            [0.00478717, 0.00460903, 0.000709268],
        ),
    ],
)
def test_published_bodies(body: str, mass: float, centre: list, quat: list, diagonal: list):
    assert MODEL.body(body).mass[0] == mass
    np.testing.assert_allclose(MODEL.body(body).ipos, centre, atol=1e-12)
    np.testing.assert_allclose(body_tensor(MODEL, body), tensor(quat, diagonal), rtol=0, atol=2e-6 * max(diagonal))


def test_published_places_and_limits():
    places = {"RL_hip": [-0.1881, 0.04675, 0], "FR_thigh": [0, -0.08, 0], "RR_calf": [0, 0, -0.213]}
    for body, place in places.items():
        np.testing.assert_allclose(MODEL.body(body).pos, place)
    np.testing.assert_allclose(MODEL.body("FL_foot").pos, [0, 0, -0.213])
    assert SPEC.joint_lower == 4 * (-0.863, -0.686, -2.818)
    assert SPEC.joint_upper == 4 * (0.863, 4.501, -0.888)
    assert SPEC.effort_limit == 4 * (23.7, 23.7, 35.55)
    assert SPEC.velocity_limit == 4 * (30.1, 30.1, 20.06)
    assert SPEC.armature == 4 * (0.004026312, 0.004026312, 0.009059202)


def test_gains_follow_from_the_reflected_inertia():
    """12 Hz with the damping ratio 2, worked out here by hand for both motors."""
    speed = 24 * math.pi
    leg, knee = 0.004026312, 0.009059202
    assert SPEC.stiffness == pytest.approx(4 * (leg * speed**2, leg * speed**2, knee * speed**2), rel=1e-12)
    assert SPEC.damping == pytest.approx(4 * (4 * leg * speed, 4 * leg * speed, 4 * knee * speed), rel=1e-12)


@pytest.mark.parametrize("part", ["hip", "thigh", "calf", "foot"])
@pytest.mark.parametrize("end", ["F", "R"])
def test_left_and_right_are_mirror_images(end: str, part: str):
    check_mirror_images(MODEL, f"{end}L_{part}", f"{end}R_{part}")


def test_mirrored_joints_mirror_the_body():
    check_mirror_law(MODEL, SPEC, {"FL_": "FR_", "RL_": "RR_"})


def test_colliders_meet_the_ground_only_and_decide_the_friction():
    check_colliders(MODEL, 14)


def test_the_feet_are_on_the_ground_at_the_nominal_height():
    check_feet_on_the_ground(MODEL, SPEC, radius=0.023, tolerance=1e-3)


def test_it_stands():
    check_it_stands(SPEC, sag=0.03)
