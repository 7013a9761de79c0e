"""The ground of courses in the training environment."""

from __future__ import annotations

import numpy as np

from legged_cts.evaluation.courses import MAX_ENVS, courses_config
from legged_cts.terrain.courses import COURSES, choose
from legged_cts.terrain.grid import CELL, SIZE, lay_ground
from legged_cts.training.compose import compose_task, plain


def test_what_lies_at_random_lies_in_several_ways_on_the_courses():
    """One layout of boxes that a robot happens to pass, or not, says little: 0 and 100 % were both measured."""
    config = plain(compose_task([]))
    one = courses_config(config, choose("stairs_up_10,flat"), 4, [])["terrain"]
    several = courses_config(config, choose("stairs_up_10,obstacles_15"), 4, [])["terrain"]
    assert (one["levels"], one["initial_level"]) == (1, 0) and (several["levels"], several["initial_level"]) == (32, 31)
    entries = [COURSES[name].entry for name in ("stairs_up_10", "obstacles_15")]
    ground, rows = lay_ground(entries, levels=8, seed=1), round(SIZE / CELL)
    for column, alike in ((0, True), (1, False)):
        start = round(3.0 / CELL) + column * rows
        tiles = [
            ground.heights[round(3.0 / CELL) + r * rows :][:rows, start : start + rows] - ground.origins[r, column, 2]
            for r in (2, 5)
        ]
        assert np.allclose(tiles[0][5:-5, 5:-5], tiles[1][5:-5, 5:-5], atol=1e-6) is alike


def test_every_passage_is_a_robot_of_its_own():
    """Friction and masses are drawn once for each robot: 32 robots that went three times passed for 100."""
    config = plain(compose_task([]))
    courses = choose("all")
    scene = courses_config(config, courses, 100, [])["env"]["scene"]
    assert scene["num_envs"] == 100 * len(courses)
    many = courses_config(config, courses, 1000, [])["env"]["scene"]["num_envs"]
    assert 100 * len(courses) < many <= MAX_ENVS
