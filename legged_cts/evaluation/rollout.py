"""Runs a policy in the training environment and measures its episodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from tensordict import TensorDict

from legged_cts.deploy.metrics import EpisodeAccumulator, Episodes, Sample
from legged_cts.deploy.protocol import COMMAND_PERIOD, GRAVITY, SETTLING, ZERO_COMMANDS, narrowed
from legged_cts.envs.freeze import hold_levels, solve_finely
from legged_cts.mdp.terrain_columns import terrain_kinds
from legged_cts.mdp.tracking import heading_velocity
from legged_cts.task.words import given_keys
from legged_cts.training.statistics import fall_terms, fell

CONTACT_FORCE = 1.0
"""Contact force [N] from which a foot is on the ground."""


class Policy(Protocol):
    """A policy of N environments; a recurrent one keeps their states between calls."""

    def __call__(self, obs: TensorDict, /) -> torch.Tensor:
        """Return action means [N, d] for observations [N, ...]."""
        ...

    def reset(self, dones: torch.Tensor | None = None) -> None:
        """Forget the states of environments whose episode ended (bool or long [N]); None is all of them."""
        ...


DECIDED = ("env.commands.heading", "env.commands.across", "env.commands.resampling_s", "env.commands.zero_probability",
           "env.episode_length_s", "env.curriculum.terrain_levels", "env.terminations.passed")  # fmt: skip
"""Keys that every evaluation decides, so that policies are comparable."""


def refuse_decided(asked: Sequence[str], *decided: str) -> None:
    """Refuse words whose values an evaluation would replace.

    Args:
        asked: Keys with dots that the command line gives.
        decided: Keys, or groups of them, that the evaluation decides.

    Raises:
        ValueError: Naming the first.
    """
    for key in asked:
        if any(key == one or key.startswith(f"{one}.") for one in decided):
            own = "; the script's word for it is duration=" if key == "env.episode_length_s" else ""
            raise ValueError(f"{key}: an evaluation decides that itself, so that policies are comparable{own}")


def evaluation_config(
    config: Mapping[str, Any], num_envs: int, duration: float, given: Sequence[str] = ()
) -> dict[str, Any]:
    """Return a task configuration with the commands, episodes and terrain levels of an evaluation.

    A new yaw rate, not a heading, is commanded every 5 s with v_x and v_y, from the usual ranges narrowed to those of
    the training, or from those that the command line names; one command in ten is zero. Robots start on levels drawn
    uniformly and stay there. Noise, delays, randomisation and pushes stay as configured.

    Args:
        config: Plain configuration of a training, not changed.
        num_envs: Number of environments.
        duration: Length of an episode [s].
        given: The words of the command line.

    Raises:
        ValueError: If an episode is shorter than what is left out after each command.
    """
    if not duration > SETTLING:
        raise ValueError(f"duration must be above {SETTLING} s, which is not measured, got {duration}")
    config = deepcopy(dict(config))
    env, terrain = config["env"], config["terrain"]
    env["scene"]["num_envs"] = num_envs
    env["episode_length_s"] = duration
    commands = env["commands"]
    asked = given_keys(given)
    refuse_decided(asked, *DECIDED, "terrain.initial_level")
    usual = narrowed(commands).items()
    commands.update({axis: list(bounds) for axis, bounds in usual if f"env.commands.{axis}" not in asked})
    commands.update(heading=False, across=0.0, resampling_s=COMMAND_PERIOD, zero_probability=ZERO_COMMANDS)
    hold_levels(env)
    solve_finely(config, asked)
    if "levels" in terrain:
        terrain["initial_level"] = terrain["levels"] - 1
    return config


@torch.inference_mode()
def run_episodes(
    env: Any, policy: Policy, episodes: int, seed: int, progress: Callable[[int, int], None] | None = None
) -> Episodes:
    """Run whole episodes with one policy in all environments.

    Environments start together; each counts for one episode, and what it does after its fall is not measured, so that
    short episodes are not over-represented. Rounds are repeated until there are enough.

    Args:
        env: ``RslRlVecEnvWrapper`` around a ``LeggedEnv`` of :func:`evaluation_config`.
        policy: The policy, deterministic; it is reset where episodes begin.
        episodes: How many episodes.
        seed: Of commands, starts and noise; the same seed gives two policies the same draws at the start.
        progress: Told after every step how many are done, of how many at most.

    Returns:
        Exactly ``episodes`` episodes.

    Raises:
        ValueError: If ``episodes`` is not positive.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    rounds = math.ceil(episodes / env.num_envs)
    length = int(env.unwrapped.max_episode_length)

    def step_done(index: int, step: int) -> None:
        if progress is not None:
            progress(index * length + step, rounds * length)

    parts = [_round(env, policy, seed + index, partial(step_done, index)) for index in range(rounds)]
    joined = Episodes.join(parts)
    return joined.where(np.arange(len(joined)) < episodes)


def _round(env: Any, policy: Policy, seed: int, step_done: Callable[[int], None]) -> Episodes:
    inner = env.unwrapped
    inner.seed(seed)
    obs, _ = env.reset()
    policy.reset()
    state, commands = inner.state, inner.command_manager.get_term("velocity")
    n, device = env.num_envs, inner.device
    weight = inner.robot_spec.total_mass * GRAVITY
    sums = EpisodeAccumulator(n, weight, inner.step_dt)
    active = torch.ones(n, dtype=torch.bool, device=device)
    passed = torch.zeros(n, dtype=torch.bool, device=device)
    falls = fall_terms(inner.termination_manager)
    settled_below = commands.cfg.resampling_time_range[0] - SETTLING
    for step in range(int(inner.max_episode_length)):
        command, settled = inner.command.clone(), commands.time_left <= settled_below
        obs, _, dones, _ = env.step(policy(obs))
        policy.reset(dones)
        done = dones > 0
        sums.count_step(_numpy(active), _numpy(fell(inner.termination_manager, falls)))
        active = active & ~done
        values = (
            command,
            heading_velocity(state.root_quat_w, state.lin_vel_b, state.ang_vel_b),
            state.joint_torque,
            state.joint_vel,
            inner.joint_action.action - inner.joint_action.previous_action,
            state.foot_vel_w.norm(dim=-1),
            state.foot_force > CONTACT_FORCE,
        )
        sums.add(Sample(*map(_numpy, values)), _numpy(active & settled))
        passed = torch.where(active, inner.progress.passed, passed)
        step_done(step + 1)
        if not bool(active.any()):
            break
    terrain = inner.scene.terrain
    uneven = terrain.cfg.terrain_type == "generator"
    level = terrain.terrain_levels if uneven else torch.zeros(n, dtype=torch.long, device=device)
    _, kind = terrain_kinds(terrain, n)
    return sums.episodes(_numpy(passed), _numpy(level), _numpy(kind))


def _numpy(values: torch.Tensor) -> np.ndarray:
    return values.cpu().numpy()
