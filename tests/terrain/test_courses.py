"""Courses: what lies on the way of each, and which words choose them."""

import math

import numpy as np
import pytest

from legged_cts.terrain.courses import COURSES, WAY, choose, limit, speeds


def along(name, y=0.0):
    """Heights every 5 cm along x from the start to the end of a course [m], at a distance y from its middle."""
    field = COURSES[name].heights(seed=3)
    x = np.arange(0.0, WAY + 1e-9, 0.05)
    return x, field.height_at(x, y) - field.height_at(0.0, 0.0)


@pytest.mark.parametrize("name", COURSES)
def test_a_robot_starts_on_level_ground_and_both_directions_are_alike(name):
    field = COURSES[name].heights(seed=3)
    around = field.height_at(*np.meshgrid(np.linspace(-0.9, 0.9, 19), np.linspace(-0.9, 0.9, 19)))
    np.testing.assert_allclose(around, around[0, 0], atol=1e-9)
    if COURSES[name].group not in ("obstacles", "boxes", "gravel", "waves"):
        x = np.linspace(0.0, WAY, 75)
        np.testing.assert_allclose(field.height_at(x, 0.5), field.height_at(-x, 0.5), atol=1e-9)


@pytest.mark.parametrize(("name", "rise"), [("stairs_up_15", 0.15), ("stairs_down_7", -0.07), ("stairs_up_20", 0.2)])
def test_stairs_rise_by_their_height_every_30_cm(name, rise):
    x, heights = along(name)
    # Nine steps from 1.0 m on; in the middle of a tread the height is a whole number of risers.
    for step in range(9):
        middle = 1.0 + 0.3 * step + 0.15
        assert heights[round(middle / 0.05)] == pytest.approx((step + 1) * rise)
    assert heights[-1] == pytest.approx(9 * rise)


@pytest.mark.parametrize("angle", [10, 25])
def test_slopes_have_their_angle(angle):
    gradient = math.tan(math.radians(angle))
    for name, sign in ((f"slope_up_{angle}", 1.0), (f"slope_down_{angle}", -1.0)):
        x, heights = along(name)
        np.testing.assert_allclose(heights, sign * gradient * np.clip(x - 1.0, 0.0, None), atol=1e-6)
    left, right = along(f"slope_across_{angle}", 0.5)[1], along(f"slope_across_{angle}", -0.5)[1]
    inside = slice(round(2.0 / 0.05), round(2.7 / 0.05))
    np.testing.assert_allclose(left[inside] - right[inside], gradient, atol=1e-6)


def test_among_boxes_no_step_is_higher_than_they_are_and_beside_pits_some_are() -> None:
    def steps(name: str) -> float:
        heights = np.concatenate([COURSES[name].heights(seed).heights for seed in range(8)])
        return float(abs(np.diff(heights, axis=1)).max())

    assert steps("boxes_15") == pytest.approx(0.15, abs=1e-6)
    assert 0.2 < steps("obstacles_15") <= 0.3 + 1e-6


def test_words_choose_names_and_groups():
    assert len(choose("all")) == len(COURSES)
    assert [course.name for course in choose("slope_up_20, flat,slope_up")][:2] == ["slope_up_20", "flat"]
    assert len(choose("slope_up_20,slope_up")) == 5
    with pytest.raises(ValueError, match="courses: there is no 'stairs_op'; did you mean 'stairs_up'"):
        choose("flat,stairs_op")
    assert speeds("0.4,-0.8") == (0.4, -0.8)
    for wrong in ("fast", "0", "nan", "1e9", "0.4,"):
        with pytest.raises(ValueError, match="speeds: must be numbers of 0.05 to 10"):
            speeds(wrong)
    assert limit(-0.8) == limit(0.8) == pytest.approx(2.0 * 3.7 / 0.8 + 4.0)
