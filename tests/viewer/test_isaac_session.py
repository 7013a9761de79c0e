"""A training configuration, changed for looking at one robot; the simulator itself is not started."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from legged_cts.deploy.mujoco_robot import build_model
from legged_cts.envs.builder import build_env_cfg
from legged_cts.mdp.terrain_heights import TerrainHeights
from legged_cts.robots.spec import load_robot
from legged_cts.training.compose import compose_task, plain
from legged_cts.viewer.isaac_session import heightfield, play_config
from legged_cts.viewer.shapes import ground_geom, ground_patch


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    """Configuration of a run on flat ground, where the height scan is left out of the privileged state."""
    return plain(compose_task([]))


def test_one_undisturbed_robot_remains(trained: dict[str, Any]) -> None:
    before = copy.deepcopy(trained)
    config = play_config(trained, "mujoco_cpu", None, 0.5, "cpu", 7)
    assert trained == before
    env = config["env"]
    assert trained["env"]["randomization"]["friction"] is not None
    assert set(env["randomization"].values()) == {None}
    assert env["actions"]["delay_ms"] == [0]
    assert not any((env["pushes"]["enabled"], env["observations"]["noise"]["enabled"], env["commands"]["heading"]))
    assert env["commands"]["resampling_s"] > 1e6
    assert env["terminations"]["time_out"] is False and env["terminations"]["tilt"]
    # The builder takes what was changed.
    built = build_env_cfg(config)
    assert (built.scene.num_envs, built.seed) == (1, 7)


def test_the_privileged_state_stays_as_trained_on_another_terrain(trained: dict[str, Any]) -> None:
    def terms(config: dict[str, Any]) -> dict[str, bool]:
        return config["env"]["observations"]["privileged"]

    flat = play_config(trained, "mujoco_cpu", None, 0.5, "cpu", 0)
    rough = play_config(trained, "mujoco_cpu", "rough", 0.5, "cpu", 0)
    assert rough["terrain"]["name"] == "rough"
    assert terms(rough) == terms(flat)
    assert terms(rough)["height_scan"] is False and terms(rough)["base_lin_vel"] is True
    trained_rough = plain(compose_task(["terrain=rough"]))
    assert terms(play_config(trained_rough, "mujoco_cpu", "flat", 0.5, "cpu", 0))["height_scan"] is True


def test_difficulty_sets_the_highest_level_to_start_on(trained: dict[str, Any]) -> None:
    for difficulty, level in ((0.0, 0), (1.0, 9), (0.6, 5)):
        config = play_config(trained, "mujoco_cpu", "rough", difficulty, "cpu", 0)
        assert config["terrain"]["levels"] == 10
        assert config["terrain"]["initial_level"] == level


def test_an_unknown_terrain_names_the_known_ones(trained: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="moon.*flat.*rough"):
        play_config(trained, "auto", "moon", 0.5, "cpu", 0)


def test_the_drawn_ground_has_the_environments_heights() -> None:
    rows, cols, cell = 9, 13, 0.5
    grid = torch.rand(rows, cols, generator=torch.Generator().manual_seed(0))
    heights = TerrainHeights(grid, (-0.5 * (rows - 1) * cell, -0.5 * (cols - 1) * cell), cell)
    model = build_model(load_robot("go2"), 0.005, heightfield(heights), 1.0)
    ground = ground_geom(model)
    assert ground is not None
    vertices = ground_patch(model, ground, np.zeros(2), 10.0)[0].vertices
    assert len(vertices) == rows * cols
    expected = heights.sample(torch.tensor(vertices[:, :2], dtype=torch.float32))
    np.testing.assert_allclose(vertices[:, 2], expected.numpy(), atol=1e-5)
    assert heightfield(TerrainHeights(None)) is None
