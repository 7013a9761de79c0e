"""Plane faces: by hand, that they are the ground, and that a foot on one has one contact, upright to it."""

import math

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.deploy.mujoco_robot import build_model
from legged_cts.robots.spec import load_robot
from legged_cts.terrain.courses import COURSES
from legged_cts.terrain.facets import facets
from legged_cts.terrain.heights import Heightfield

SLOPES = [name for name in COURSES if name.startswith("slope")]


def height_of(top: np.ndarray, x: float, y: float) -> float:
    """Height of a polygon's plane at a point."""
    slope = np.linalg.lstsq(np.column_stack([top[:, :2], np.ones(len(top))]), top[:, 2], rcond=None)[0]
    return float(slope @ [x, y, 1.0])


def contains(top: np.ndarray, x: float, y: float) -> bool:
    """Whether a point lies in a polygon, seen from above; counterclockwise."""
    edges = np.roll(top, -1, axis=0)[:, :2] - top[:, :2]
    away = np.array([x, y]) - top[:, :2]
    return bool((edges[:, 0] * away[:, 1] - edges[:, 1] * away[:, 0] > -1e-9).all())


def test_a_ramp_between_two_levels_by_hand() -> None:
    """Two cells level, two up by 0.1 a cell of 0.2 m, one level; rows run along y."""
    field = Heightfield(np.tile([0.0, 0.0, 0.0, 0.1, 0.2, 0.2], (3, 1)), cell=0.2)
    found = facets(field)
    assert found is not None
    corners = [sorted(map(tuple, np.round(top, 6).tolist())) for top in found]
    assert corners == [
        sorted((x, y, z) for x, z in ends for y in (-0.2, 0.2))
        for ends in (((-0.5, 0.0), (-0.1, 0.0)), ((-0.1, 0.0), (0.3, 0.2)), ((0.3, 0.2), (0.5, 0.2)))
    ]


def test_a_pyramid_has_faces_along_the_diagonals_of_cells() -> None:
    axis = np.arange(-40, 41)
    ring = np.maximum(abs(axis)[:, None], abs(axis))
    found = facets(Heightfield(0.05 * (40.0 - ring), cell=0.1))
    assert found is not None
    assert sorted(len(top) for top in found) == [3, 3, 3, 3]


@pytest.mark.parametrize("name", SLOPES)
def test_faces_are_the_ground_of_slopes(name: str) -> None:
    """Every point lies on one face, at its height."""
    field = COURSES[name].heights(0)
    found = facets(field)
    assert found is not None
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(-6.9, 6.9, (150, 2)):
        (top,) = [top for top in found if contains(top, x, y)]
        # Within a cell that is not plane, bilinear heights lie between its two halves.
        bent = field.cell * math.tan(math.radians(COURSES[name].size)) / 4
        assert height_of(top, x, y) == pytest.approx(float(field.height_at(x, y)), abs=bent + 1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([-0.02, 0.0, 0.01, 0.03]), min_size=2, max_size=12), st.booleans())
def test_any_profile_along_one_axis_is_faces(rises: list[float], along_x: bool) -> None:
    profile = np.cumsum([0.0, *rises])
    heights = np.tile(profile, (5, 1))
    field = Heightfield(heights if along_x else heights.T, cell=0.05)
    found = facets(field)
    assert found is not None
    assert len(found) == 1 + sum(abs(a - b) > 1e-9 for a, b in zip(rises, rises[1:], strict=False))
    half_x, half_y = field.half_size
    for x in np.linspace(-half_x, half_x, 7)[1:-1] + 1e-4:
        for y in np.linspace(-half_y, half_y, 7)[1:-1] + 1e-4:
            (top,) = [top for top in found if contains(top, x, y)]
            assert height_of(top, x, y) == pytest.approx(float(field.height_at(x, y)), abs=1e-9)


def test_ground_without_plane_faces_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    assert facets(Heightfield(rng.uniform(0, 0.1, (20, 20)), cell=0.1)) is None
    for name in ("waves_10", "gravel_10"):
        assert facets(COURSES[name].heights(0)) is None, name


@pytest.mark.parametrize(
    ("name", "x", "y", "normal"), [("slope_up_25", 2.0, 0.4, (-1, 0)), ("slope_across_25", 2.0, 0.4, (0, -1))]
)
def test_a_foot_on_a_slope_has_one_contact_upright_to_it(
    name: str, x: float, y: float, normal: tuple[int, int]
) -> None:
    """On the height field it had several, leaning by up to 34 degrees, and robots fell that cross it elsewhere."""
    course = COURSES[name]
    field, slope = course.heights(0), math.radians(course.size)
    model = build_model(load_robot("go2"), 0.005, field, friction=0.8)
    data = mujoco.MjData(model)
    data.qpos[2] = 50.0  # the robot is elsewhere
    mujoco.mj_forward(model, data)
    foot = next(geom for geom in range(model.ngeom) if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE)
    radius = model.geom_size[foot, 0]
    up = np.array([normal[0] * math.sin(slope), normal[1] * math.sin(slope), math.cos(slope)])
    rng = np.random.default_rng(0)
    for dx, dy in rng.uniform(-0.2, 0.2, (30, 2)):
        place = np.array([x + dx, y + dy, float(field.height_at(x + dx, y + dy))]) + up * (radius - 0.003)
        data.qpos[:3] += place - data.geom_xpos[foot]
        mujoco.mj_forward(model, data)
        own = [contact for contact in data.contact if foot in contact.geom]
        assert len(own) == 1
        assert own[0].dist == pytest.approx(-0.003, abs=1e-5)
        assert abs(own[0].frame[:3] @ up) == pytest.approx(1.0, abs=1e-5)
