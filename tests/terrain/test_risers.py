"""Upright risers, worked out by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from legged_cts.terrain.risers import leaning

CELL = 0.05


def test_both_points_of_a_riser_lean_towards_it():
    heights = np.tile([0.0, 0.0, 0.1, 0.1], (3, 1))
    lean = leaning(heights, CELL)
    assert (lean[..., 0] == 0).all()
    assert (lean[..., 1] == [0, 1, -1, 0]).all()


def test_a_point_between_two_risers_stays():
    heights = np.tile([0.0, 0.1, 0.2], (3, 1))
    assert (leaning(heights, CELL)[..., 1] == [1, 0, -1]).all()


def test_a_slope_of_less_than_three_quarters_has_no_riser():
    heights = np.tile(0.74 * CELL * np.arange(5), (4, 1))
    assert not leaning(heights, CELL).any()
    assert leaning(heights * 1.03, CELL)[:, 0, 1].all()


def test_a_corner_of_a_box_stands_on_the_ground_below_it():
    heights = np.zeros((6, 6))
    heights[2:4, 2:4] = 0.1
    lean = leaning(heights, CELL)
    for inside, outside in ((2, 1), (3, 4)):
        towards = outside - inside
        assert (lean[inside, inside] == towards).all()
        assert (lean[outside, outside] == -towards).all()
        assert (lean[outside, inside] == [-towards, 0]).all()
        assert (lean[inside, outside] == [0, -towards]).all()
    assert np.count_nonzero(lean.any(axis=2)) == 16


@given(st.lists(st.sampled_from([0.0, 0.03, 0.1, 0.3]), min_size=20, max_size=20))
def test_grounds_that_mirror_and_turn_lean_alike(values):
    heights = np.array(values).reshape(4, 5)
    lean = leaning(heights, CELL)
    np.testing.assert_array_equal(leaning(heights[::-1], CELL)[::-1] * [-1, 1], lean)
    np.testing.assert_array_equal(leaning(heights.T, CELL).swapaxes(0, 1)[..., ::-1], lean)
