"""Gives an algorithm the teachers that lie in checkpoints, and each environment its teacher by terrain."""

from __future__ import annotations

from typing import Any

from rsl_rl.env import VecEnv
from torch import nn

from legged_cts.algorithms.interface import RoleAware
from legged_cts.mdp.terrain_columns import terrain_kinds
from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint
from legged_cts.training.trained import trained_algorithm


def supply_teachers(alg: Any, env: VecEnv) -> None:
    """Read what ``algorithm.teachers`` names; a no-op for algorithms without such teachers.

    Raises:
        CheckpointError: If a file is no checkpoint.
        ValueError: If a policy reads what this training does not observe, or a kind of terrain has no teacher.
    """
    if not isinstance(alg, RoleAware) or not alg.teachers:
        return
    for teacher in alg.teachers.values():
        if teacher.options.source == "checkpoint":
            teacher.give(checkpoint_policy(teacher.options.checkpoint, teacher.options.role))
    if len(alg.teachers) > 1 and getattr(env.unwrapped, "scene", None) is not None:
        alg.route_by_terrain(*terrain_kinds(env.unwrapped.scene.terrain, env.num_envs))


def checkpoint_policy(path: str, role: str) -> nn.Module:
    """Rebuild the policy of a role from a checkpoint or run folder; without roles there is only one."""
    algorithm = trained_algorithm(load_checkpoint(latest_checkpoint(path)))
    if not isinstance(algorithm, RoleAware):
        return algorithm.get_policy()
    return algorithm.student_policy() if role == "student" else algorithm.teacher_policy()
