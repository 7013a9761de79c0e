"""How a policy answers constant commands in the training simulator, by the measures of plain MuJoCo."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from legged_cts.deploy import response as plain
from legged_cts.deploy.response import Response, Trace, probes, respond
from legged_cts.evaluation.rollout import Policy
from legged_cts.mdp.tracking import heading_velocity


@torch.inference_mode()
def responses(
    env: Any,
    policy: Policy,
    ranges: Mapping[str, tuple[float, float]],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Response]:
    """Hold every command of :func:`probes`, each in as many environments as there are for it.

    The ground, the noise, the delays and the randomised physics are the environment's; nobody pushes.

    Args:
        env: ``RslRlVecEnvWrapper`` around a ``LeggedEnv``.
        policy: The policy, deterministic.
        ranges: Of the commands that it was trained with.
        seed: Of starts and noise.
        progress: Told after every step how many are done, of how many at most.
    """
    commands = probes(ranges)
    rounds = math.ceil(len(commands) / env.num_envs)
    found: list[list[Trace | None]] = [[] for _ in commands]
    with _undisturbed(env.unwrapped):
        for index in range(rounds):
            chosen = (index * env.num_envs + np.arange(env.num_envs)) % len(commands)

            def step_done(step: int, steps: int, index: int = index) -> None:
                if progress is not None:
                    progress(index * steps + step, rounds * steps)

            for number, trace in zip(chosen, _traces(env, policy, commands[chosen], seed, step_done), strict=True):
                found[number].append(trace)
    return [respond(command, traces) for command, traces in zip(commands, found, strict=True)]


def _traces(
    env: Any, policy: Policy, told: np.ndarray, seed: int, step_done: Callable[[int, int], None]
) -> list[Trace | None]:
    """What each robot does under its command [N, 3]; None for one that falls meanwhile."""
    inner = env.unwrapped
    inner.seed(seed)
    obs, _ = env.reset()
    policy.reset()
    state, term = inner.state, inner.command_manager.get_term("velocity")
    first = round(plain.SETTLING / inner.step_dt)
    ends = [first + round(plain.measured(command) / inner.step_dt) for command in told]
    held = torch.as_tensor(told, dtype=torch.float32, device=inner.device)
    fell_at = np.full(len(told), np.inf)
    side = _aside(state)
    rows: list[tuple[np.ndarray, ...]] = []
    for step in range(max(ends)):
        hold(term, held)
        obs, _, dones, _ = env.step(policy(obs))
        policy.reset(dones)
        fell_at[inner.termination_manager.terminated.cpu().numpy() & np.isinf(fell_at)] = step
        velocity = heading_velocity(state.root_quat_w, state.lin_vel_b, state.ang_vel_b)
        row = (velocity, state.root_pos_w[:, :2], state.ang_vel_b[:, :2], state.foot_contact)
        if step >= first:
            rows.append(tuple(value.cpu().numpy().copy() for value in row))
        step_done(step + 1, max(ends))
        if (fell_at <= ends).all():
            break
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return [
        None
        if fell_at[i] < end
        else Trace(*(column[: end - first, i] for column in columns), left=side[i] > 0.0, dt=inner.step_dt)
        for i, end in enumerate(ends)
    ]


def _aside(state: Any) -> np.ndarray:
    """How far left of the base each foot is [N, F] in m, in the heading frame."""
    x, y = (state.foot_pos_w[:, :, :2] - state.root_pos_w[:, None, :2]).unbind(dim=2)
    yaw = state.yaw[:, None]
    return (torch.cos(yaw) * y - torch.sin(yaw) * x).cpu().numpy()


def hold(term: Any, told: torch.Tensor) -> None:
    """Give every environment its command [N, 3], and let none draw another."""
    term.time_left.fill_(1e9)
    term.is_standing_env.fill_(False)
    term.vel_command_b.copy_(told)


@contextmanager
def _undisturbed(inner: Any) -> Iterator[None]:
    """Let no episode end by time, and nobody push."""
    length = inner.cfg.episode_length_s
    pushes = [
        inner.event_manager.get_term_cfg(name).params
        for name in inner.event_manager.active_terms.get("interval", ())
        if name == "push"
    ]
    before = [dict(params) for params in pushes]
    try:
        inner.cfg.episode_length_s = 1e6
        for params in pushes:
            params.update(lin_vel=0.0, ang_vel=0.0)
        yield
    finally:
        inner.cfg.episode_length_s = length
        for params, old in zip(pushes, before, strict=True):
            params.update(old)
