"""From a checkpoint to an ONNX policy, without a simulator."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn

from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.interface import RoleAware
from legged_cts.deploy.contract import CONTRACT_VERSION, ContractError, ObservationTerm, PolicyContract
from legged_cts.envs.fit import action_scale
from legged_cts.envs.gait import task_gait
from legged_cts.envs.privileged import PRIVILEGED_GROUPS
from legged_cts.export.onnx import export_policy, policy_state_size
from legged_cts.robots.spec import load_robot
from legged_cts.training.average import averaged
from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint, trained_steps
from legged_cts.training.foreign import check_weights
from legged_cts.trust.names import resolve
from legged_cts.trust.plain import building


def export_checkpoint(path: str | Path, output: str | Path | None = None) -> tuple[Path, PolicyContract]:
    """Exports the student of a checkpoint.

    Args:
        path: checkpoint written by a training run, or the folder of a run for its newest one.
        output: ONNX file; None is `policy.onnx` beside the checkpoint.

    Returns:
        The file written and its contract.

    Raises:
        CheckpointError: if there is no such checkpoint.
        ContractError: if the robot's files changed since training, or the checkpoint lacks what a contract needs.
        ValueError: if the algorithm has no student that a robot could run.
        ParityError: if the exported policy does not compute what the trained one does.
    """
    path = latest_checkpoint(path)
    output = Path(output) if output else path.with_name("policy.onnx")
    checkpoint = load_checkpoint(path)
    contract = checkpoint_contract(checkpoint)
    student = student_policy(checkpoint)
    contract = dataclasses.replace(contract, state_size=policy_state_size(student))
    return output, export_policy(student, contract, output)


def checkpoint_contract(checkpoint: Mapping[str, Any]) -> PolicyContract:
    """The contract a checkpoint's policy was trained under; its parity is not measured, and its state not known yet.

    Args:
        checkpoint: with `config`, `env_info` and `total_steps`.

    Raises:
        ContractError: if the robot's files changed since training, or an entry is of the wrong kind.
        ValueError: naming the entry that is missing.
    """
    with building("checkpoint: it says too little for a contract"):
        config, info = checkpoint["config"], checkpoint["env_info"]
        env = config["env"]
        spec = load_robot(config["robot"])
        if spec.hash != info["robot_hash"]:
            raise ContractError(
                f"robot_hash: the files of '{spec.name}' changed since training ({info['robot_hash']} then, "
                f"{spec.hash} now), so its gains and pose are not known for sure; export with the files of that time"
            )
        return PolicyContract(
            version=CONTRACT_VERSION,
            robot=spec.name,
            robot_hash=spec.hash,
            joints=tuple(info["joints"]),
            default_joint_pos=spec.nominal_pose,
            stiffness=spec.stiffness,
            damping=spec.damping,
            effort_limit=spec.effort_limit,
            action_scale=action_scale(env["actions"]["scale"], spec),
            action_clip=env["actions"]["clip"],
            control_dt=env["decimation"] * env["sim"]["dt"],
            physics_dt=env["sim"]["dt"],
            observations=tuple(ObservationTerm(*term) for term in info["proprioception_terms"]),
            history_length=info["history_length"],
            history_order="oldest_first",
            history_reset=config["algorithm"].get("history_reset", "backfill"),
            command_ranges={name: tuple(bounds) for name, bounds in info["command_ranges"].items()},
            git_revision=git_revision(),
            parity_error=0.0,
            trained_steps=trained_steps(checkpoint),
            algorithm=config["algorithm"]["class_name"].rpartition(":")[2],
            terrain=config["terrain"]["name"],
            gait=task_gait(env, spec),
        )


class BlindPolicy(nn.Module):
    """A policy that reads the proprioception alone, with the inputs of a student."""

    def __init__(self, actor: MLPModel) -> None:
        """Copies the actor."""
        super().__init__()
        self.actor = actor.as_jit()

    def forward(self, proprioception: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        """Actions [B, d] for proprioception [B, n]; the history [B, H, n] is not read."""
        del history
        return self.actor(proprioception)


def student_policy(checkpoint: Mapping[str, Any]) -> nn.Module:
    """Rebuilds the student of a checkpoint on the CPU, with its trained weights.

    Args:
        checkpoint: with `config`, `env_info` and the algorithm's state.

    Returns:
        A module as `export_policy` takes it; its `state_size` is above 0 if the student is recurrent.

    Raises:
        ValueError: if the algorithm has no student that a robot could run.
    """
    algorithm = trained_algorithm(checkpoint)
    if isinstance(algorithm, RoleAware):
        return algorithm.student_policy()
    actor = algorithm.get_policy()
    # Checked by type and not by isinstance: a subclass may read more than one flat observation.
    if type(actor) is MLPModel and actor.obs_groups == ["proprioception"]:
        return BlindPolicy(actor)
    raise ValueError(
        f"algorithm: {type(algorithm).__name__} has no student policy, and its actor reads more than proprioception"
    )


def trained_algorithm(checkpoint: Mapping[str, Any]) -> Any:
    """Builds the algorithm of a checkpoint on the CPU with its trained policies, ready to act.

    Their weights are the mean over the last iterations, see `legged_cts.training.average`.

    Args:
        checkpoint: with `config`, `env_info` and the algorithm's state.

    Raises:
        ValueError: if the weights are not finite, or the networks cannot be built or are not those of the weights.
    """
    check_weights(checkpoint)
    algorithm = construct_algorithm(checkpoint)
    with building("checkpoint: its weights do not fit its networks"):
        algorithm.load(averaged(checkpoint), {"actor": True}, True)
        algorithm.eval_mode()
    return algorithm


def construct_algorithm(checkpoint: Mapping[str, Any]) -> Any:
    """Builds the algorithm of a checkpoint on the CPU with fresh weights, on zeros in place of a simulator.

    Args:
        checkpoint: with `config` and `env_info`.

    Raises:
        ValueError: if it cannot be built from what the checkpoint says.
    """
    with building("checkpoint: its algorithm cannot be built"):
        return _construct(checkpoint)


def _construct(checkpoint: Mapping[str, Any]) -> Any:
    config, info = checkpoint["config"], checkpoint["env_info"]
    # Enough environments for both roles to occur at any sensible share of teachers.
    count, n = 64, info["proprioception"]
    observations = TensorDict(
        {
            "proprioception": torch.zeros(count, n),
            "history": torch.zeros(count, info["history_length"], n),
            **{name: torch.zeros(count, info[name]) for name in PRIVILEGED_GROUPS if name in info},
        },
        batch_size=[count],
    )
    env = SimpleNamespace(num_envs=count, num_actions=info["actions"], device="cpu")
    runner = runner_cfg(config["algorithm"], config["networks"], config["runner"])
    # What matters to rollouts alone.
    runner |= {"num_steps_per_env": 1, "multi_gpu": None, "torch_compile_mode": None, "exact_symmetry": False}
    runner["algorithm"].pop("symmetry_cfg", None)
    algorithm_class: Any = resolve(runner["algorithm"]["class_name"])
    with contextlib.redirect_stdout(io.StringIO()):  # rsl_rl prints every network
        return algorithm_class.construct_algorithm(observations, env, runner, "cpu")


def git_revision() -> str:
    """The revision of this code, with `+` if files differ from it; `unknown` outside a clone."""
    command = ["git", "--no-optional-locks", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    here = Path(__file__).parent
    try:
        return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
