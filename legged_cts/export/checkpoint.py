"""From a checkpoint to an ONNX policy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rsl_rl.models import MLPModel
from torch import nn

from legged_cts.algorithms.interface import RoleAware
from legged_cts.deploy.contract import CONTRACT_VERSION, ContractError, ObservationTerm, PolicyContract
from legged_cts.envs.fit import action_scale
from legged_cts.envs.gait import task_gait
from legged_cts.export.onnx import export_policy, policy_state_size
from legged_cts.robots.spec import load_robot
from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint, trained_steps
from legged_cts.training.revision import git_revision
from legged_cts.training.trained import trained_algorithm
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
