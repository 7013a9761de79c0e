"""Gym tasks for Isaac Lab's own command line, which then trains with our algorithms on the stock runner:

``isaaclab train --rl_library rsl_rl --task LeggedCTS-Velocity-Flat-Go2-v0
--external_callback legged_cts.envs.registration.register``
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from hydra import compose, initialize_config_dir
from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlBaseRunnerCfg
from omegaconf import DictConfig, OmegaConf

TASKS = {"LeggedCTS-Velocity-Flat-Go2-v0": ("go2", "flat"), "LeggedCTS-Velocity-Rough-Go2-v0": ("go2", "rough")}
"""Gym identifier -> robot and terrain."""


def register() -> None:
    """Register the tasks; registering twice does nothing."""
    for name, (robot, terrain) in TASKS.items():
        if name in gym.registry:
            continue
        gym.register(
            id=name,
            entry_point="legged_cts.envs.env:LeggedEnv",
            disable_env_checker=True,
            kwargs={
                # Isaac Lab asks a callable for its source file, which only functions have.
                "env_cfg_entry_point": lambda robot=robot, terrain=terrain: _env_cfg(robot, terrain),
                "rsl_rl_cfg_entry_point": lambda robot=robot, terrain=terrain: _agent_cfg(robot, terrain),
            },
        )


@configclass
class Node:
    """Part of a runner's configuration whose entries are set as attributes."""

    class_name: str = ""


@configclass
class ModelNode(Node):
    """A network's part; Isaac Lab reads, and partly deletes, these two entries while it looks for outdated ones."""

    distribution_cfg: dict | None = None
    stochastic: bool = False


@configclass
class RunnerCfg(RslRlBaseRunnerCfg):
    """The stock on-policy runner with an algorithm and networks of ours."""

    class_name: str = "OnPolicyRunner"
    algorithm: Node = Node()
    actor: ModelNode = ModelNode()
    critic: ModelNode = ModelNode()
    exact_symmetry: bool = False


def _compose(robot: str, terrain: str) -> DictConfig:
    from legged_cts.envs.builder import tasks_dir
    from legged_cts.envs.morphology import morphology_override

    words = [f"robot={robot}", f"terrain={terrain}"]
    words += morphology_override(words)
    with initialize_config_dir(str(tasks_dir()), version_base="1.3"):
        return compose("train", words)


def _env_cfg(robot: str, terrain: str) -> Any:
    from legged_cts.envs.builder import build_env_cfg

    return build_env_cfg(_compose(robot, terrain))


def _agent_cfg(robot: str, terrain: str) -> RunnerCfg:
    from legged_cts.algorithms.config import runner_cfg
    from legged_cts.envs.builder import resolve_device
    from legged_cts.envs.privileged import resolve_privileged

    cfg: dict[str, Any] = OmegaConf.to_container(_compose(robot, terrain), resolve=True)  # type: ignore[assignment]
    resolve_privileged(cfg)
    values = runner_cfg(cfg["algorithm"], cfg["networks"], cfg["runner"])
    agent = RunnerCfg(
        seed=cfg["seed"],
        device=resolve_device(cfg["device"]),
        max_iterations=cfg["max_iterations"],
        experiment_name=f"{robot}_{terrain}",
        empirical_normalization=False,
        obs_groups=values["obs_groups"],
        num_steps_per_env=values["num_steps_per_env"],
        save_interval=values["save_interval"],
        exact_symmetry=values["exact_symmetry"],
    )
    for part in ("algorithm", "actor", "critic"):
        node = Node() if part == "algorithm" else ModelNode()
        for key, value in values[part].items():
            setattr(node, key, value)
        setattr(agent, part, node)
    return agent
