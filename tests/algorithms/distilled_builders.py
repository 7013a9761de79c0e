"""Named methods on the toy environment, from their shipped files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
import yaml
from builders import STEPS, STUDENTS
from omegaconf import DictConfig, OmegaConf
from rsl_rl.utils import resolve_callable
from task_files import PPO, TASKS
from toy_env import DriftEnv

import legged_cts.training.compose  # noqa: F401  registers the resolver of iterations
from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.distilled import Distillation
from legged_cts.training.checkpoint import save_checkpoint
from legged_cts.training.teachers import supply_teachers

FILES = TASKS / "algorithm"
METHODS = sorted(path.stem for path in FILES.glob("*.yaml") if "distilled:Distillation" in path.read_text())
SMALL = {"policy": [32], "critic": [32], "encoder": [32], "activation": "elu"}


@cache
def shipped(name: str) -> DictConfig:
    """Load a file of tasks/algorithm on top of those that it builds on."""
    node = OmegaConf.load(FILES / f"{name}.yaml")
    assert isinstance(node, DictConfig)
    bases = [shipped(base) for base in node.pop("defaults", []) if base != "_self_"]
    merged = OmegaConf.merge(*bases, node)
    assert isinstance(merged, DictConfig)
    return merged


def method_cfg(name: str, iterations: int = 4, overrides: dict | None = None) -> dict:
    """The toy's plain configuration of a shipped method, or of ``Distillation`` on top of CTS for name ``cts``."""
    groups = {"actor": ["proprioception"], "critic": ["privileged"], "teacher": ["privileged"], "student": ["history"]}
    # Reward is immediate on the toy.
    toy = {"algorithm": {"gamma": 0.5, "num_mini_batches": 2}, "runner": {"num_steps_per_env": STEPS}}
    context = {"max_iterations": iterations, "size": SMALL, "ppo": PPO}
    cfg = OmegaConf.merge(context, shipped(name), toy, OmegaConf.create(overrides or {}))
    result = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(result, dict)
    result["runner"]["obs_groups"] = groups
    return result


def build(cfg: dict, num_envs: int = 16, seed: int = 0, env: DriftEnv | None = None) -> tuple[Distillation, DriftEnv]:
    """Build the algorithm of a configuration on a fresh toy environment, or on the given one."""
    torch.manual_seed(seed)
    env = env or DriftEnv(num_envs, seed=seed)
    runner = runner_cfg(cfg["algorithm"], cfg["networks"], cfg["runner"])
    algorithm = resolve_callable(runner["algorithm"]["class_name"]).construct_algorithm(
        env.get_observations(), env, runner, "cpu"
    )
    supply_teachers(algorithm, env)
    algorithm.train_mode()
    return algorithm, env


def student_nodes(student: str) -> dict:
    """Load a file of tasks/student, shrunk; nothing for ``mlp``."""
    if student == "mlp":
        return {}
    chosen = yaml.safe_load((TASKS / "student" / f"{student}.yaml").read_text())
    chosen["networks"]["student_encoder"] |= STUDENTS[student]
    return chosen


def with_axes(
    axes: dict | None = None,
    num_envs: int = 16,
    iterations: int = 4,
    env: DriftEnv | None = None,
    seed: int = 0,
    student: str = "mlp",
    **algorithm,
):
    """Build ``Distillation`` with the given axes and options; ``student`` names a file of tasks/student."""
    name = {"class_name": "legged_cts.algorithms.distilled:Distillation", "teacher_fraction": None}
    node = {"algorithm": {**name, "distillation": axes or {}, **algorithm}}
    node |= student_nodes(student)
    return build(method_cfg("cts", iterations, node), num_envs, seed, env)


def write_teacher(folder: Path, num_envs: int = 16) -> Path:
    """Train a privileged toy policy shortly with CTS and write its checkpoint."""
    from builders import make_cts, rollout

    alg, env = make_cts(num_envs)
    rollout(alg, env)
    alg.update()
    cfg = method_cfg("cts")
    for node in cfg["networks"].values():
        node |= {"hidden_dims": [64, 32], "activation": "elu"}
    cfg["networks"]["actor"]["latent_dim"] = 8
    info = {"proprioception": 2, "history_length": 3, "privileged": 4, "actions": 2}
    content = {**alg.save(), "config": cfg, "env_info": info, "iter": 1, "total_steps": 1}
    return save_checkpoint(folder / "teacher.pt", content)
