"""The Go2's MJCF: the published figures, its symmetry, and that it stands."""

from __future__ import annotations

import numpy as np
import pytest
from robot_checks import (
    body_tensor,
    check_colliders,
    check_it_stands,
    check_mirror_images,
    check_mirror_law,
    joined,
    tensor,
)

from legged_cts.robots.mjcf import robot_model
from legged_cts.robots.spec import load_robot

SPEC = load_robot("go2")
MODEL = robot_model(SPEC)


def test_total_mass():
    assert MODEL.body_mass.sum() == pytest.approx(15.206408, abs=1e-9)


def test_calf_and_foot_make_the_published_calf():
    """The published calf includes the foot; here the foot is a body of its own, so that it has its own contacts."""
    mass, centre, together = joined(MODEL, "FL_calf", "FL_foot")
    assert mass == pytest.approx(0.241352, abs=1e-12)
    np.testing.assert_allclose(centre, [0.00629595, -0.000622121, -0.141417], atol=1e-9)
    published = tensor([0.710672, 0.00154099, -0.00450087, 0.703508], [0.0014901, 0.00146356, 5.31397e-05])
    np.testing.assert_allclose(together, published, atol=2e-9)


@pytest.mark.parametrize(
    ("body", "mass", "centre", "quat", "diagonal"),
    [
        (
            "base",
            6.921,
            [0.021112, 0, -0.005366],
            [-0.000543471, 0.713435, -0.00173769, 0.700719],
            [0.107027, 0.0980771, 0.0244531],
        ),
        (
            "FL_hip",
            0.678,
            [-0.0054, 0.00194, -0.000105],
            [0.497014, 0.499245, 0.505462, 0.498237],
            [0.00088403, 0.000596003, 0.000479967],
        ),
        (
            "FL_thigh",
            1.152,
            [-0.00374, -0.0223, -0.0327],
            [0.829533, 0.0847635, -0.0200632, 0.551623],
            [0.00594973, 0.00584149, 0.000878787],
        ),
    ],
)
def test_published_bodies(body: str, mass: float, centre: list, quat: list, diagonal: list):
    assert MODEL.body(body).mass[0] == mass
    np.testing.assert_allclose(MODEL.body(body).ipos, centre, atol=1e-12)
    np.testing.assert_allclose(body_tensor(MODEL, body), tensor(quat, diagonal), rtol=0, atol=2e-6 * max(diagonal))


@pytest.mark.parametrize("part", ["hip", "thigh", "calf", "foot"])
@pytest.mark.parametrize("end", ["F", "R"])
def test_left_and_right_are_mirror_images(end: str, part: str):
    check_mirror_images(MODEL, f"{end}L_{part}", f"{end}R_{part}")


def test_mirrored_joints_mirror_the_body():
    check_mirror_law(MODEL, SPEC, {"FL_": "FR_", "RL_": "RR_"})


def test_colliders_meet_the_ground_only_and_decide_the_friction():
    check_colliders(MODEL, 14)


def test_it_stands():
    check_it_stands(SPEC)
