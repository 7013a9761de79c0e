"""The ground of courses in the training environment."""

from __future__ import annotations

import numpy as np
import torch
from isaaclab_newton.physics import NewtonManager

from legged_cts.deploy.courses import frictions
from legged_cts.envs.launch import make_env
from legged_cts.evaluation.courses import MAX_ENVS, courses_config, deal
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


def test_frictions_lie_evenly_in_their_range_and_not_in_order():
    assert frictions(4, (0.4, 1.2)).tolist() != sorted(frictions(4, (0.4, 1.2)).tolist())
    np.testing.assert_allclose(sorted(frictions(4, (0.4, 1.2))), [0.5, 0.7, 0.9, 1.1])
    np.testing.assert_array_equal(frictions(100), frictions(100))


def test_every_course_has_the_same_frictions_and_each_layout_as_many_robots():
    """By lot 15 of 100 robots of one course had a friction below 0.5 and 8 of another's; only those fell."""
    import warp as wp

    courses = choose("flat,obstacles_5")
    config = courses_config(plain(compose_task(["device=cpu", "physics=mujoco_cpu"])), courses, 64, [])
    with make_env(config) as env:
        inner = env.unwrapped
        deal(inner, (0.4, 1.2))
        kind = inner.terrain.terrain_types
        values = [inner.physics_params.friction[kind == index] for index in (0, 1)]
        np.testing.assert_allclose(values[0], values[1])
        np.testing.assert_allclose(sorted(values[0].tolist()), 0.4 + (np.arange(64) + 0.5) / 64 * 0.8, rtol=1e-6)
        in_the_model = wp.to_torch(
            inner.scene["robot"].root_view.get_attribute("shape_material_mu", NewtonManager.get_model())
        )
        np.testing.assert_allclose(in_the_model.reshape(env.num_envs, -1)[:, 0], inner.physics_params.friction)
        rows = inner.terrain.terrain_levels[kind == 1]
        assert torch.bincount(rows).tolist() == [2] * 32
        origins = inner.terrain.terrain_origins[inner.terrain.terrain_levels, kind]
        np.testing.assert_allclose(inner.scene.env_origins, origins)
