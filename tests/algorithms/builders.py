"""Small CTS instances on the toy environment, from the shipped configuration."""

from __future__ import annotations

import torch
import yaml
from task_files import TASKS, algorithm_file
from toy_env import DriftEnv

from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.cts import CTS

STEPS = 10
STUDENTS = {
    "mlp": {},
    "gru": {"hidden_size": 16},
    "lstm": {"hidden_size": 16, "layers": 2},
    "moe": {"hidden_dims": [16], "experts": 3, "gate_hidden_dims": [8]},
}
"""Sizes that shrink the student encoders of tasks/student."""

PARTS = ("policy", "std", "critic", "teacher", "student")
"""Networks that losses may reach."""


def task(name: str = "cts", student: str = "mlp", **algorithm) -> dict:
    """Load a shipped algorithm file and student file, shrink the networks, and override algorithm options."""
    cfg = algorithm_file(name)
    for node in cfg["networks"].values():
        node |= {"hidden_dims": [64, 32], "activation": "elu"}
    cfg["networks"]["actor"]["distribution_cfg"]["init_std"] = 0.5
    cfg["networks"]["actor"].update({"latent_dim": 8} if name == "cts" else {})
    if name == "cts":
        chosen = yaml.safe_load((TASKS / "student" / f"{student}.yaml").read_text())
        cfg["networks"]["student_encoder"] |= chosen.get("networks", {}).get("student_encoder", {}) | STUDENTS[student]
    cfg["algorithm"].update({"gamma": 0.5, "entropy_coef": 0.01, "num_mini_batches": 4, **algorithm})
    cfg["runner"]["num_steps_per_env"] = STEPS
    cfg["runner"]["obs_groups"] = {
        k: [g for g in v if g != "height_scan"] for k, v in cfg["runner"]["obs_groups"].items()
    }
    return cfg


def make_cts(num_envs: int = 16, seed: int = 0, **algorithm) -> tuple[CTS, DriftEnv]:
    """Build CTS on a fresh toy environment; ``student`` names a file of tasks/student."""
    torch.manual_seed(seed)
    env = DriftEnv(num_envs, seed=seed)
    cfg = runner_cfg(**task(**algorithm))
    alg = CTS.construct_algorithm(env.get_observations(), env, cfg, "cpu")
    alg.train_mode()
    return alg, env


def rollout(alg: CTS, env: DriftEnv) -> torch.Tensor:
    """Fill the storage and compute returns, as rsl_rl's runner does; return the histories [T, N, H, n] on the way."""
    histories = []
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(STEPS):
            histories.append(obs["history"])
            obs, rewards, dones, extras = env.step(alg.act(obs))
            alg.process_env_step(obs, rewards, dones, extras)
        alg.compute_returns(obs)
    return torch.stack(histories)


@torch.no_grad()
def act_as(alg, obs, role: str = "student") -> torch.Tensor:
    """Return the action means [N, d] of a role in all environments."""
    return (alg.student_policy() if role == "student" else alg.teacher_policy())(obs)


def part(losses, name: str) -> torch.Tensor | None:
    """Return a loss term by name, ``total`` and ``kl`` among them; None if there is none."""
    return getattr(losses, name) if name in ("total", "kl") else losses.report.get(name)


def mean_reward(alg: CTS, role: str, steps: int = 30) -> float:
    """Mean reward per step of the deterministic policy in one role, on environments not trained on."""
    env = DriftEnv(256, seed=99)
    alg.student_policy().reset()
    rewards = []
    for _ in range(steps):
        _, reward, dones, _ = env.step(act_as(alg, env.get_observations(), role))
        alg.student_policy().reset(dones)
        rewards.append(reward.mean())
    return torch.stack(rewards).mean().item()


def snapshot(alg: CTS) -> dict[str, torch.Tensor]:
    """Copy all parameters, by name; those of E^t start with ``teacher.``, of E^s with ``student.``."""
    named = {
        **{f"actor.{k}": v for k, v in alg.actor.named_parameters()},
        **{f"critic.{k}": v for k, v in alg.critic.named_parameters()},
        **{f"student.{k}": v for k, v in alg.student_policy().encoder.named_parameters()},
    }
    named = {k.replace("actor.teacher_encoder.", "teacher."): v for k, v in named.items()}
    return {k: v.detach().clone() for k, v in named.items()}


def positions(alg: CTS) -> torch.Tensor:
    """Flat positions of all samples whose history is stored, step by step."""
    steps = torch.arange(alg.storage.num_transitions_per_env).unsqueeze(1)
    return (steps * alg.storage.num_envs + alg.history.ids).flatten()


def gradients(alg, loss: torch.Tensor) -> dict[str, bool]:
    """Tell, for each part, whether every parameter gets a gradient (True) or none does (False)."""
    parameters = {part: [] for part in PARTS}
    for name, parameter in alg.actor.named_parameters():
        part = "teacher" if name.startswith("teacher_encoder.") else "std" if "std" in name else "policy"
        parameters[part].append(parameter)
    parameters["critic"] = list(alg.critic.parameters())
    parameters["student"] = list(alg.student_policy().encoder.parameters())
    result = {}
    for part, group in parameters.items():
        found = torch.autograd.grad(loss, group, retain_graph=True, allow_unused=True)
        reached = {grad is not None and bool(grad.any()) for grad in found}
        assert len(reached) == 1, f"{part} is reached in part"
        result[part] = reached.pop()
    return result
