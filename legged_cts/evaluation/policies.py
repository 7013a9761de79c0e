"""Policies to evaluate: the roles of a checkpoint, and the task of an exported ONNX file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from legged_cts.algorithms.interface import RoleAware
from legged_cts.deploy.contract import ContractError, PolicyContract
from legged_cts.evaluation.rollout import Policy
from legged_cts.robots.proprioception import GAIT_PHASE
from legged_cts.training.checkpoint import CheckpointError


def checkpoint_policies(checkpoint: Mapping[str, Any], device: str) -> dict[str, Policy]:
    """Rebuild the policies of a checkpoint, by role: ``student``, and ``teacher`` where there was one.

    An algorithm without roles has one policy; it counts as the student, for what it sees is up to ``obs_groups``.

    Args:
        checkpoint: From ``load_checkpoint``.
        device: Device to run on.
    """
    from legged_cts.training.trained import trained_algorithm

    algorithm = trained_algorithm(checkpoint)
    if not isinstance(algorithm, RoleAware):
        return {"student": algorithm.get_policy().to(device)}
    policies: dict[str, Policy] = {"student": algorithm.student_policy().to(device)}
    if algorithm.has_teacher:
        policies["teacher"] = algorithm.teacher_policy().to(device)
    return policies


def contract_overrides(contract: PolicyContract) -> list[str]:
    """Return the overrides that make ``tasks/train.yaml`` the task of a contract."""
    scales = [
        f"env.observations.scales.{term.name}={term.scale!r}"
        for term in contract.observations
        if term.name != GAIT_PHASE  # its scale is fixed
    ]
    ranges = [f"env.commands.{name}=[{low!r},{high!r}]" for name, (low, high) in contract.command_ranges.items()]
    return [
        f"robot={contract.robot}",
        f"terrain={contract.terrain}",
        f"env.observations.history_length={contract.history_length}",
        f"env.actions.scale={_listed(contract.action_scale)!r}",
        f"env.actions.clip={contract.action_clip!r}",
        f"env.sim.dt={contract.physics_dt!r}",
        f"env.decimation={contract.decimation}",
        _gait_override(contract),
        *scales,
        *ranges,
    ]


def _listed(scale: float | tuple[float, ...]) -> float | list[float]:
    return list(scale) if isinstance(scale, tuple) else scale


def _gait_override(contract: PolicyContract) -> str:
    gait = contract.gait
    if gait is None:
        return "env.gait=null"
    values = dataclasses.asdict(gait) | {"offsets": list(gait.offsets)}
    # A pack may leave some of them at their defaults, so they are added where they are not.
    return f"++env.gait={{{','.join(f'{name}:{value!r}' for name, value in values.items())}}}"


def check_task(info: Mapping[str, Any], contract: PolicyContract) -> None:
    """Check that the task gives the policy the observations and actions that its contract names.

    Args:
        info: ``task_info`` of the configuration.
        contract: The policy's.

    Raises:
        ContractError: Naming the entry that differs.
    """
    # Isaac Lab fills a new history with its first frame and offers nothing else.
    if contract.history_reset != "backfill":
        raise ContractError(f"history_reset: {contract.history_reset!r} in the policy but 'backfill' in the task")
    gait = contract.gait
    wanted = {
        "history_length": contract.history_length,
        "action_scale": _listed(contract.action_scale),
        "action_clip": contract.action_clip,
        "control_dt": contract.control_dt,
        "proprioception_terms": [list(term) for term in contract.observations],
        "gait": gait if gait is None else dataclasses.asdict(gait) | {"offsets": list(gait.offsets)},
    }
    for name, value in wanted.items():
        if info.get(name) != value:
            raise ContractError(f"{name}: {value!r} in the policy but {info.get(name)!r} in the task")


def check_roles(policies: Mapping[str, Policy], role: str) -> dict[str, Policy]:
    """Return the policies of ``role``, a role or ``both`` for all there are.

    Raises:
        CheckpointError: If there is no such role.
    """
    if role == "both":
        return dict(policies)
    if role not in policies:
        raise CheckpointError(f"role='{role}': this policy has {', '.join(policies)}; give one of them or role=both")
    return {role: policies[role]}
