"""What a checkpoint keeps of the environment: the curriculum, not the robots' poses."""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.env import VecEnv

LEVELS, PHYSICS = "terrain levels", "randomised physics"
"""What :func:`restore_env` may be unable to take over."""


def capture_env(env: VecEnv) -> dict[str, Any]:
    """Return what a resumed run needs of the environment.

    An environment with ``state_dict`` speaks for itself. Of an Isaac Lab environment that is the step counter, the
    terrain level of each environment, the number of worlds that blew up, and the physics drawn at the start.
    """
    unwrapped = env.unwrapped
    if has_own_state(env):
        return {"own": unwrapped.state_dict()}
    state: dict[str, Any] = {}
    if hasattr(unwrapped, "common_step_counter"):
        state["common_step_counter"] = int(unwrapped.common_step_counter)
    if hasattr(unwrapped, "nan_resets"):
        state["nan_resets"] = int(unwrapped.nan_resets)
    if hasattr(unwrapped, "physics_params"):
        state["physics"] = {name: value.cpu().clone() for name, value in vars(unwrapped.physics_params).items()}
    terrain = _terrain(unwrapped)
    if terrain is not None:
        state["terrain_levels"] = terrain.terrain_levels.cpu().clone()
        state["terrain_types"] = terrain.terrain_types.cpu().clone()
    return state


def restore_env(env: VecEnv, state: dict[str, Any]) -> list[str]:
    """Restore what :func:`capture_env` returned.

    The simulator is not among it: robots start new episodes at new places, with new commands and phases of the gait.
    The physics of each environment follows from the seed, so it is compared and not written.

    Returns:
        What could not be taken over, of :data:`LEVELS` (with another number of environments, or another layout of the
        terrain, levels are left as they were drawn) and :data:`PHYSICS` (another seed, number of environments, device
        or randomisation).
    """
    unwrapped = env.unwrapped
    if has_own_state(env):
        unwrapped.load_state_dict(state["own"])
        return []
    left: list[str] = []
    terrain = _terrain(unwrapped)
    levels = state.get("terrain_levels")
    # Resetting before the counter is set, because the curriculum would judge these episodes, which nobody walked.
    if terrain is not None and levels is not None:
        if _same_layout(terrain, state):
            terrain.terrain_levels[:] = levels.to(terrain.terrain_levels.device)
            terrain.env_origins[:] = terrain.terrain_origins[terrain.terrain_levels, terrain.terrain_types]
        else:
            left.append(LEVELS)
    if hasattr(unwrapped, "common_step_counter"):
        counter = state.get("common_step_counter", 0)
        unwrapped.common_step_counter = 0
        env.reset()
        _count_on(unwrapped, counter)
    if hasattr(unwrapped, "nan_resets"):
        unwrapped.nan_resets.fill_(state.get("nan_resets", 0))
    drawn = vars(unwrapped.physics_params) if hasattr(unwrapped, "physics_params") else {}
    kept = state.get("physics", {})
    if any(name in kept and not torch.equal(value.cpu(), kept[name].cpu()) for name, value in drawn.items()):
        left.append(PHYSICS)
    return left


def _count_on(env: Any, counter: int) -> None:
    """Let an environment count on from ``counter`` control steps, as do the terms that note when an episode began."""
    env.common_step_counter = counter
    for term in env.curriculum_manager._term_cfgs:
        if hasattr(term.func, "_start_step"):
            term.func._start_step.fill_(counter)


def has_own_state(env: VecEnv) -> bool:
    """Whether the environment restores itself, so that its episodes go on in the middle."""
    return hasattr(env.unwrapped, "state_dict")


def _same_layout(terrain: Any, state: dict[str, Any]) -> bool:
    levels, types = state["terrain_levels"], state["terrain_types"]
    return (
        levels.shape == terrain.terrain_levels.shape
        and bool((types.cpu() == terrain.terrain_types.cpu()).all())
        and int(levels.max()) < terrain.max_terrain_level
    )


def _terrain(unwrapped: Any) -> Any:
    terrain = getattr(getattr(unwrapped, "scene", None), "terrain", None)
    has_levels = getattr(terrain, "terrain_origins", None) is not None and hasattr(terrain, "terrain_levels")
    return terrain if has_levels else None
