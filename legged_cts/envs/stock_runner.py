"""A task's algorithm and networks as Isaac Lab's own command line wants them, for the stock runner of rsl_rl."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlBaseRunnerCfg
from omegaconf import DictConfig, OmegaConf

from legged_cts.algorithms.config import runner_cfg
from legged_cts.envs.builder import resolve_device, tasks_dir
from legged_cts.envs.morphology import morphology_override
from legged_cts.envs.privileged import resolve_privileged


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


def compose_registered(robot: str, terrain: str) -> DictConfig:
    """Compose the task of a shipped robot on flat or rough ground."""
    words = [f"robot={robot}", f"terrain={terrain}"]
    words += morphology_override(words)
    with initialize_config_dir(str(tasks_dir()), version_base="1.3"):
        return compose("train", words)


def agent_cfg(robot: str, terrain: str) -> RunnerCfg:
    """Return the configuration of the stock runner with the algorithm and the networks of a task."""
    cfg: dict[str, Any] = OmegaConf.to_container(compose_registered(robot, terrain), resolve=True)  # type: ignore[assignment]
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
