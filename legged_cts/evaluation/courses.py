"""Courses in the training simulators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch

from legged_cts.deploy.courses import FRICTION, frictions
from legged_cts.deploy.passages import Cell, Passage, cell, heading_rate
from legged_cts.envs.freeze import hold_levels, solve_finely
from legged_cts.evaluation.response import hold
from legged_cts.evaluation.rollout import DECIDED, Policy, refuse_decided
from legged_cts.mdp.events import set_friction
from legged_cts.mdp.terrain_columns import terrain_kinds
from legged_cts.task.words import given_keys
from legged_cts.terrain.courses import WAY, Course, limit
from legged_cts.terrain.grid import CELL, SIZE
from legged_cts.training.compose import compose_task, plain
from legged_cts.training.statistics import fall_terms, fell

# Friction, gains and masses are drawn once for each robot, so every passage should be a robot of its own: with 512 the
# same robots went several times, and intervals were too narrow. 3,700 robots, all courses, need 4 GB.
MAX_ENVS = 8192


def courses_config(
    config: Mapping[str, Any], courses: Sequence[Course], episodes: int, given: Sequence[str]
) -> dict[str, Any]:
    """Return a task's configuration with the courses as its ground, side by side.

    Robots start in the middle of a course, facing its end. Nobody pushes and friction lies from 0.4 to 1.2, unless
    the command line says otherwise; noise, delays and the other randomised physics stay as configured.

    Args:
        config: Plain configuration of a training, not changed.
        courses: The courses.
        episodes: Robots per course; at most ``MAX_ENVS`` of all courses stand side by side, and go again.
        given: The words of the command line.
    """
    asked = given_keys(given)
    own = ("terrain", "env.scene.num_envs", "env.reset.yaw", "env.reset.position", "env.terminations.time_out")
    refuse_decided(asked, *DECIDED, *own)
    config = deepcopy(dict(config))
    env = config["env"]
    privileged = env["observations"]["privileged"]
    if privileged["height_scan"] == "auto":  # as it was in training
        privileged["height_scan"] = config["terrain"].get("type") == "grid"
    layouts = max(course.layouts for course in courses)
    env["scene"]["num_envs"] = len(courses) * max(1, min(episodes, MAX_ENVS // len(courses)))
    ground = plain(compose_task(["terrain=rough"]))["terrain"]
    kinds = {course.name: {"kind": course.entry.kind, "proportion": 1, **course.entry.values} for course in courses}
    config["terrain"] = ground | {
        # Boxes and stones lie otherwise on each row.
        "name": "courses", "kinds": kinds, "columns": len(courses), "levels": layouts, "initial_level": layouts - 1,
        "size": SIZE, "resolution": CELL, "seed": config["seed"],
    }  # fmt: skip
    hold_levels(env)
    solve_finely(config, asked)
    env["commands"].update(heading=False, across=0.0, zero_probability=0.0)
    env["reset"].update(yaw=[-0.1, 0.1], position=[-0.2, 0.2])
    env["terminations"]["time_out"] = False
    if "env.pushes.enabled" not in asked:
        env["pushes"]["enabled"] = False
    randomised = env.get("randomization") or {}
    if randomised.get("friction") and "env.randomization.friction" not in asked:
        randomised["friction"] = list(FRICTION)
    return config


def deal(env: Any, friction: Sequence[float] | None) -> None:
    """Give the robots of every course the same frictions and rows, where training draws them by lot.

    Args:
        env: A ``LeggedEnv`` of :func:`courses_config`.
        friction: Range of the robots' friction coefficients; None leaves them.
    """
    values, rows = env.physics_params.friction, env.terrain.terrain_levels
    _, kind = terrain_kinds(env.terrain, env.num_envs)
    for course in kind.unique():
        robots = (kind == course).nonzero()[:, 0].to(values.device)
        rows[robots] = torch.arange(len(robots), device=rows.device) % len(env.terrain.terrain_origins)
        if friction is not None:
            values[robots] = torch.from_numpy(frictions(len(robots), friction)).to(values)
    env.terrain.env_origins[:] = env.terrain.terrain_origins[rows, env.terrain.terrain_types]
    if friction is not None:
        set_friction(env, values)


@torch.inference_mode()
def cross(
    env: Any,
    policy: Policy,
    courses: Sequence[Course],
    speeds: Sequence[float],
    yaw_limits: tuple[float, float],
    episodes: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Cell]:
    """Send robots along courses at speeds.

    Args:
        env: ``RslRlVecEnvWrapper`` around a ``LeggedEnv`` of :func:`courses_config`, its robots dealt.
        policy: The policy, deterministic.
        courses: The courses.
        speeds: Commanded speeds [m/s], negative backwards.
        yaw_limits: Range of the commanded yaw rate [rad/s].
        episodes: Robots per course and speed.
        seed: Of starts, noise and pushes.
        progress: Told after every step how many are done, of how many at most.
    """
    each = env.num_envs // len(courses)
    rounds = math.ceil(episodes / each)
    dt = env.unwrapped.step_dt
    lengths = [math.ceil(limit(speed) / dt) for speed in speeds for _ in range(rounds)]
    before = [sum(lengths[:index]) for index in range(len(lengths))]
    names, kind = terrain_kinds(env.unwrapped.scene.terrain, env.num_envs)
    cells = []
    for index, speed in enumerate(speeds):
        passages: dict[str, list[Passage]] = {course.name: [] for course in courses}
        for part in range(rounds):
            number = index * rounds + part

            def step_done(step: int, number: int = number) -> None:
                if progress is not None:
                    progress(before[number] + step, sum(lengths))

            found = _round(env, policy, speed, yaw_limits, seed + part, step_done)
            for at, passage in zip(kind.tolist(), found, strict=True):
                passages[names[at]].append(passage)
        cells += [cell(course, speed, passages[course.name][:episodes]) for course in courses]
    return cells


def _round(
    env: Any,
    policy: Policy,
    speed: float,
    yaw_limits: tuple[float, float],
    seed: int,
    step_done: Callable[[int], None],
) -> list[Passage]:
    inner = env.unwrapped
    inner.seed(seed)
    obs, _ = env.reset()
    policy.reset()
    state, term = inner.state, inner.command_manager.get_term("velocity")
    n, device, direction = env.num_envs, inner.device, math.copysign(1.0, speed)
    falls = fall_terms(inner.termination_manager)
    start = inner.scene.env_origins[:, 0].clone()
    under_way = torch.ones(n, dtype=torch.bool, device=device)
    arrived, fallen = torch.zeros_like(under_way), torch.zeros_like(under_way)
    seconds, way = torch.zeros(n, device=device), torch.zeros(n, device=device)
    squares = torch.zeros(n, 2, device=device)
    told = torch.zeros(n, 3, device=device)
    told[:, 0] = speed
    steps = math.ceil(limit(speed) / inner.step_dt)
    for step in range(steps):
        told[:, 2] = torch.from_numpy(heading_rate(state.yaw.cpu().numpy(), yaw_limits)).to(told)
        hold(term, told)
        obs, _, dones, _ = env.step(policy(obs))
        policy.reset(dones)
        done = dones > 0
        fallen |= under_way & fell(inner.termination_manager, falls)
        # Whose episode ended stands at its start again.
        going = under_way & ~done
        ahead = direction * (state.root_pos_w[:, 0] - start)
        way = torch.where(going, ahead, way)
        squares += state.ang_vel_b[:, :2].square() * going[:, None]
        seconds += inner.step_dt * under_way
        arrived |= going & (ahead >= WAY)
        under_way = going & ~arrived
        step_done(step + 1)
        if not bool(under_way.any()):
            break
    rates = (squares / (seconds / inner.step_dt)[:, None]).sqrt()
    columns = (arrived.tolist(), fallen.tolist(), (way / seconds).tolist(), *rates.T.tolist())
    return [Passage(*values) for values in zip(*columns, strict=True)]
