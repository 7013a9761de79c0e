"""Steps as blocks: what counts as steps, and that blocks are the ground."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from legged_cts.terrain.blocks import Block, blocks, is_steps
from legged_cts.terrain.courses import COURSES
from legged_cts.terrain.heights import Heightfield


def test_blocks_of_a_ground_by_hand() -> None:
    """Rows run along y: a low L around a step of 2 x 1 points; each point owns 0.1 m around it."""
    field = Heightfield(np.array([[0.0, 0.0, 0.0], [0.0, 0.2, 0.2]]), cell=0.1)
    assert blocks(field) == [
        Block((0.0, pytest.approx(-0.05)), (pytest.approx(0.15), 0.05), 0.0),  # type: ignore[arg-type]
        Block((pytest.approx(-0.1), pytest.approx(0.05)), (0.05, 0.05), 0.0),  # type: ignore[arg-type]
        Block((pytest.approx(0.05), pytest.approx(0.05)), (0.1, 0.05), 0.2),  # type: ignore[arg-type]
    ]


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float64,
        array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
        elements=st.sampled_from([0.0, 0.1, 0.25]),
    )
)
def test_every_point_is_on_one_block_of_its_height(heights: np.ndarray) -> None:
    field = Heightfield(heights, cell=0.05)
    rows, cols = heights.shape
    half_x, half_y = field.half_size
    y, x = np.meshgrid(np.arange(rows) * 0.05 - half_y, np.arange(cols) * 0.05 - half_x, indexing="ij")
    covered, found = np.zeros((rows, cols), dtype=int), np.full((rows, cols), np.nan)
    for block in blocks(field):
        inside = (abs(x - block.centre[0]) < block.half[0]) & (abs(y - block.centre[1]) < block.half[1])
        covered += inside
        found[inside] = block.height
    assert (covered == 1).all()
    np.testing.assert_array_equal(found, heights)


def test_which_courses_are_steps() -> None:
    """Treads along both axes: no slope, whichever way it leans, and no wave."""
    steps = {course.group for course in COURSES.values() if is_steps(course.heights(3))}
    assert steps == {"flat", "stairs_up", "stairs_down", "curbs", "obstacles", "boxes", "gravel"}
    for course in COURSES.values():
        assert is_steps(course.heights(3)) == (course.group in steps), course.name
