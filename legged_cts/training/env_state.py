"""What a checkpoint keeps of the environment: the curriculum, not the robots' poses."""

from __future__ import annotations

from typing import Any

from rsl_rl.env import VecEnv


def capture_env(env: VecEnv) -> dict[str, Any]:
    """Return what a resumed run needs of the environment.

    An environment with ``state_dict`` speaks for itself. Of an Isaac Lab environment that is the step counter, which
    schedules read, and the terrain level of each environment.
    """
    unwrapped = env.unwrapped
    if hasattr(unwrapped, "state_dict"):
        return {"own": unwrapped.state_dict()}
    state: dict[str, Any] = {}
    if hasattr(unwrapped, "common_step_counter"):
        state["common_step_counter"] = int(unwrapped.common_step_counter)
    terrain = _terrain(unwrapped)
    if terrain is not None:
        state["terrain_levels"] = terrain.terrain_levels.cpu().clone()
        state["terrain_types"] = terrain.terrain_types.cpu().clone()
    return state


def restore_env(env: VecEnv, state: dict[str, Any]) -> None:
    """Restore what :func:`capture_env` returned; all robots start new episodes.

    With another number of environments, or another layout of the terrain, levels are left as they were drawn.
    """
    unwrapped = env.unwrapped
    if hasattr(unwrapped, "state_dict"):
        unwrapped.load_state_dict(state["own"])
        return
    terrain = _terrain(unwrapped)
    levels = state.get("terrain_levels")
    # Resetting before the counter is set, because the curriculum would judge these episodes, which nobody walked.
    if terrain is not None and levels is not None and levels.shape == terrain.terrain_levels.shape:
        same_layout = bool((state["terrain_types"] == terrain.terrain_types.cpu()).all())
        if same_layout and int(levels.max()) < terrain.max_terrain_level:
            terrain.terrain_levels[:] = levels.to(terrain.terrain_levels.device)
            terrain.env_origins[:] = terrain.terrain_origins[terrain.terrain_levels, terrain.terrain_types]
    if hasattr(unwrapped, "common_step_counter"):
        counter = state.get("common_step_counter", 0)
        unwrapped.common_step_counter = 0
        env.reset()
        unwrapped.common_step_counter = counter
        for term in unwrapped.curriculum_manager._term_cfgs:
            if hasattr(term.func, "_start_step"):
                term.func._start_step.fill_(counter)


def _terrain(unwrapped: Any) -> Any:
    terrain = getattr(getattr(unwrapped, "scene", None), "terrain", None)
    has_levels = getattr(terrain, "terrain_origins", None) is not None and hasattr(terrain, "terrain_levels")
    return terrain if has_levels else None
