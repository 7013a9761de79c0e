"""Replays a dumped fault: one world in the state of that moment, one control step, and what comes of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from legged_cts.envs.freeze import undisturb
from legged_cts.training.checkpoint import CheckpointError, read_plain
from legged_cts.training.compose import apply_overrides, plain
from legged_cts.training.faults import FAULT_VERSION, KINDS
from legged_cts.training.foreign import check_config
from legged_cts.trust.plain import building, check_number, show


@dataclass(frozen=True)
class Replay:
    """What a replayed step did."""

    exploded: bool
    """Whether the state of the world is again not finite, or absurdly large."""
    finite: dict[str, bool]
    """Whether the reward and each observation group were finite."""
    max_joint_speed: float
    """Largest joint speed after the step [rad/s]; NaN if the world exploded."""


def load_fault(path: str | Path) -> dict[str, Any]:
    """Read a dump.

    Raises:
        CheckpointError: If the file is none, or one that this version cannot replay.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"file: there is no file {path}; a run's faults are in its folder faults/")
    content = read_plain(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"file: {path} is no dump of a fault")
    try:
        _check_fault(content)
    except ValueError as error:
        raise CheckpointError(f"file: {path} is no dump of a fault that can be replayed: {error}") from error
    return content


def _check_fault(content: Mapping[str, Any]) -> None:
    for key in ("version", "kind", "world", "iteration", "config", "state", "action"):
        if key not in content:
            raise ValueError(f"it lacks {key}")
    if content["kind"] not in KINDS:
        raise ValueError(f"kind: must be one of {', '.join(KINDS)}, got {show(content['kind'])}")
    check_number("version", content["version"], 1, FAULT_VERSION, whole=True)
    check_number("world", content["world"], 0, 2**31, whole=True)
    check_number("iteration", content["iteration"], 0, 2**53, whole=True)
    if not isinstance(content["action"], torch.Tensor) or content["action"].dim() != 1:
        raise ValueError("action: must be a row of numbers")
    state = content["state"]
    if not state:
        raise ValueError("it holds no state of a world, because its environment could not give one")
    if not isinstance(state, Mapping) or not all(isinstance(state.get(key), Mapping) for key in ("physics", "before")):
        raise ValueError("state: must hold seed, physics and before")
    check_number("state.seed", state.get("seed"), 0, 2**32 - 1, whole=True)
    check_config(content["config"])


def replay_config(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return a run's configuration with one world, in which nothing happens but what a replay asks for.

    Nothing is drawn at random (the ground is that of the seed), and only an explosion ends an episode.
    """
    task = copy.deepcopy(dict(config))
    undisturb(task, seed)
    task["env"]["terminations"] = {"nan_state": True}
    return task


def replay(content: Mapping[str, Any], overrides: Sequence[str] = ()) -> Replay:
    """Rebuild the world of a dump, put its state and physics and take its step.

    The step equals the original one to rounding, not bit by bit, because the solver starts without the memory of the
    steps before.

    Args:
        content: From :func:`load_fault`.
        overrides: Of the configuration, such as ``physics=newton_mjwarp`` or ``env.sim.dt=0.002``.

    Raises:
        ValueError: If an override is wrong.
    """
    from legged_cts.envs.launch import make_env
    from legged_cts.envs.world_state import write_physics, write_world
    from legged_cts.robots.usd import cache_dir

    state = content["state"]
    with building("the task cannot be built from what the dump says"):
        config = plain(apply_overrides(content["config"], overrides))
        friction = config["env"]["randomization"].get("friction") is not None
        config = replay_config(config, state["seed"])
    with make_env(config, log=cache_dir() / "setup.log") as env, torch.inference_mode():
        inner = env.unwrapped
        with building("the dump's state is not one of this robot's"):
            write_physics(inner, state["physics"], friction)
            write_world(inner, 0, state["before"])
        obs, rewards, _, _ = env.step(content["action"].to(inner.device)[None])
        exploded = bool(inner.exploded[0])
        speed = inner.scene["robot"].data.joint_vel.torch[0].abs().max()
        return Replay(
            exploded=exploded,
            finite={name: bool(value.isfinite().all()) for name, value in (*obs.items(), ("reward", rewards))},
            max_joint_speed=float("nan") if exploded else float(speed),
        )
