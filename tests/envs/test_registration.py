"""The tasks that Isaac Lab's own command line finds."""

import gymnasium as gym
from isaaclab_rl.rsl_rl import (
    create_rsl_rl_runner,  # noqa: F401 - what the command line will call
    handle_deprecated_rsl_rl_cfg,
)
from isaaclab_tasks.utils.parse_cfg import load_cfg_from_registry

from legged_cts.gym import register, tasks


def test_registering_twice_is_harmless():
    register()
    register()
    assert set(tasks()) <= set(gym.registry) and tasks()["LeggedCTS-G1_12-Rough-v0"] == ("g1_12", "rough")


def test_entry_points_give_the_environment_and_a_runner_with_our_algorithm():
    register()
    env_cfg = load_cfg_from_registry("LeggedCTS-Go2-Rough-v0", "env_cfg_entry_point")
    assert env_cfg.scene.terrain.terrain_type == "generator" and env_cfg.robot == "go2"
    agent = load_cfg_from_registry("LeggedCTS-Go2-Rough-v0", "rsl_rl_cfg_entry_point")
    assert agent.class_name == "OnPolicyRunner"
    agent = handle_deprecated_rsl_rl_cfg(agent, "5.5.1")
    assert agent.algorithm.class_name == "legged_cts.algorithms.cts:CTS"
    assert agent.obs_groups["student"] == ["history"]
    assert agent.actor.distribution_cfg["class_name"] == "GaussianDistribution"
