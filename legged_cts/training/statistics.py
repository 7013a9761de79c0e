"""Means over the training's own steps and episodes, for students and teachers apart."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rsl_rl.env import VecEnv

from legged_cts.algorithms.reduce import joint_sum
from legged_cts.deploy.protocol import SETTLING
from legged_cts.mdp.terrain_columns import terrain_kinds
from legged_cts.mdp.tracking import heading_velocity, tracking_errors
from legged_cts.roles import ROLES
from legged_cts.training.climbs import ClimbStatistics

_PER_EPISODE = ("episodes", "return", "length", "falls")
_PER_STEP = ("steps", "reward", "tracking", "measured", "lin_error", "yaw_error")
TRACKING_TERMS = ("track_lin_vel", "track_yaw_rate")
"""Reward terms that make up the tracking reward."""


GAPS = ("return", "reward", "tracking")
"""Metrics whose difference between teachers and students is reported."""


def fall_terms(manager: Any) -> list[str]:
    """Return the terminations of a task's manager that are falls: neither time outs nor explosions of the simulator."""
    return [name for name in manager.active_terms if name != "nan_state" and not manager.get_term_cfg(name).time_out]


def fell(manager: Any, falls: Sequence[str]) -> torch.Tensor:
    """Return whose episode one of the ``falls`` of :func:`fall_terms` has just ended, bool [N]."""
    found = torch.zeros(manager.num_envs, dtype=torch.bool, device=manager.device)
    for name in falls:
        found |= manager.get_term(name)
    return found


class RoleStatistics:
    """Collects what happens in student and teacher environments during training.

    Sums stay on the environment's device and are read once per iteration. Means cover the last ``window`` iterations.
    On environments that are not :class:`legged_cts.envs.env.LeggedEnv` only returns, lengths and falls are known.

    Args:
        env: The vectorised environment.
        teacher_mask: Which environments are teachers, bool [N].
        window: Iterations that the means cover.
    """

    def __init__(self, env: VecEnv, teacher_mask: torch.Tensor, window: int = 20) -> None:
        device = env.device
        self._env = env
        self._probe = _Probe(env.unwrapped) if hasattr(env.unwrapped, "command_manager") else None
        self._set_roles(teacher_mask.to(device))
        self._return = torch.zeros(env.num_envs, device=device)
        self._length = torch.zeros(env.num_envs, device=device)
        self._terms = self._probe.terms if self._probe is not None else []
        self._sums = torch.zeros(len(_PER_EPISODE + _PER_STEP) + len(self._terms), 2, device=device)
        self._window: deque[list[list[float]]] = deque(maxlen=window)
        self._climbs = ClimbStatistics(env.unwrapped, window)

    def regroup(self, teacher_mask: torch.Tensor) -> None:
        """Start anew with other roles, bool [N]; episodes under way count for the role in which they end."""
        self._set_roles(teacher_mask.to(self._sums.device))
        self._sums.zero_()
        self._window.clear()

    def _set_roles(self, mask: torch.Tensor) -> None:
        self._roles = torch.stack([~mask, mask]).float()
        self._present = {"student": not bool(mask.all()), "teacher": bool(mask.any())}
        self._terrain = _terrain_of(self._env, ~mask)

    def state_dict(self, episodes: bool = False) -> dict[str, Any]:
        """Return the window and, with ``episodes``, the sums of the episodes under way."""
        state: dict[str, Any] = {"window": list(self._window), "climbs": self._climbs.state()}
        if episodes:
            state |= {"return": self._return.cpu().clone(), "length": self._length.cpu().clone()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned; a window of other statistics is left out."""
        window = [entry for entry in state.get("window", []) if len(entry) == len(self._sums)]
        self._window = deque(window, maxlen=self._window.maxlen)
        self._climbs.load(state.get("climbs", []))
        for name, sums in (("return", self._return), ("length", self._length)):
            kept = state.get(name)
            if kept is not None and kept.shape == sums.shape:
                sums.copy_(kept)

    def before_step(self) -> None:
        """Remember the commands that the policy is about to follow; call before the environment's step."""
        if self._probe is not None:
            self._probe.before_step()

    def after_step(self, rewards: torch.Tensor, dones: torch.Tensor, extras: dict[str, Any]) -> None:
        """Add a step.

        Args:
            rewards: Rewards [N].
            dones: Whether each environment's episode ended [N].
            extras: The step's extras; ``time_outs`` [N] tells falls from time-outs.
        """
        done = dones > 0
        self._return += rewards
        self._length += 1.0
        timed_out = extras.get("time_outs")
        fell = done & ~timed_out.bool() if timed_out is not None else done
        zero = torch.zeros_like(self._return)
        tracking, measured, lin, yaw = zero, zero, zero, zero
        if self._probe is not None:
            fell, tracking, measured, lin, yaw = self._probe.after_step(done)
        ended = done.float()
        rows = torch.stack(
            (ended, self._return * ended, self._length * ended, fell.float())
            + (torch.ones_like(zero), rewards, tracking, measured, lin, yaw)
        )
        if self._probe is not None:
            rows = torch.cat([rows, self._probe.term_rewards().T])
        # A world that has blown up counts as a step without reward, and must not take the window with it.
        self._sums += torch.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0) @ self._roles.T
        self._return.masked_fill_(done, 0.0)
        self._length.masked_fill_(done, 0.0)

    def summary(self) -> dict[str, float]:
        """Close an iteration and return the means over window and processes, NaN where nothing was measured yet.

        Keys are ``<role>/<metric>`` with ``return``, ``episode_length_s``, ``falls`` (share of episodes), ``reward``
        (per step), ``reward/<term>`` (its weighted share of that), ``tracking`` (tracking reward per step as a share of
        the possible), ``lin_error`` [m/s] and ``yaw_error`` [rad/s]; ``gap/<metric>`` = teacher - student of ``GAPS``;
        and on terrain with levels
        ``student/terrain_level``, over all kinds of terrain and of each, and what the students climbed, see
        :meth:`ClimbStatistics.summary`. Roles without environments are left out.
        """
        self._window.append(joint_sum(self._sums).tolist())
        self._sums.zero_()
        terms = [f"reward/{term}" for term in self._terms]
        names = [*_PER_EPISODE, *_PER_STEP, *terms]
        dt = float(getattr(self._env.unwrapped, "step_dt", 1.0))
        result: dict[str, float] = {}
        for index, role in enumerate(ROLES):
            if not self._present[role]:
                continue
            total = {name: sum(entry[row][index] for entry in self._window) for row, name in enumerate(names)}
            result[f"{role}/return"] = _ratio(total["return"], total["episodes"])
            result[f"{role}/episode_length_s"] = dt * _ratio(total["length"], total["episodes"])
            result[f"{role}/falls"] = _ratio(total["falls"], total["episodes"])
            result[f"{role}/reward"] = _ratio(total["reward"], total["steps"])
            if self._probe is not None:
                result[f"{role}/tracking"] = _ratio(total["tracking"], total["steps"])
                result[f"{role}/lin_error"] = _ratio(total["lin_error"], total["measured"])
                result[f"{role}/yaw_error"] = _ratio(total["yaw_error"], total["measured"])
            for term in terms:
                result[f"{role}/{term}"] = _ratio(total[term], total["steps"])
        for metric in GAPS:
            teacher, student = result.get(f"teacher/{metric}"), result.get(f"student/{metric}")
            if teacher is not None and student is not None:
                result[f"gap/{metric}"] = teacher - student
        if self._terrain is not None and self._present["student"]:
            levels = self._terrain.levels().float()
            result["student/terrain_level"] = float(levels.mean())
            result |= self._terrain.by_kind("student/terrain_level", levels)
        return result | self._climbs.summary()

    def by_terrain(self, values: Mapping[str, torch.Tensor | None]) -> dict[str, float]:
        """Group numbers of the student environments by the terrain that these are on now.

        Args:
            values: By name, one number per student environment [K], in the order of the environments; None is passed
                over.

        Returns:
            ``<name>/level_<i>`` for every level and ``<name>/<kind>`` for every kind of terrain, the mean over the
            students there, NaN where there is none; nothing on a plane. An environment that changed its level during
            the rollout counts where it is at the end.
        """
        result: dict[str, float] = {}
        if self._terrain is not None and self._present["student"]:
            for name, value in values.items():
                if value is not None:
                    result |= self._terrain.by_level(name, value) | self._terrain.by_kind(name, value)
        return result


def student_score(metrics: dict[str, float]) -> float:
    """How good a checkpoint's student is: tracking x (1 - falls) x (1 + terrain level), NaN while unknown.

    The level counts because the terrain curriculum makes episodes harder as the student improves: by tracking alone the
    best student would be an early one, on easy ground. Without tracking (a foreign environment) it is the mean return.
    """
    falls = metrics.get("student/falls", math.nan)
    tracking = metrics.get("student/tracking")
    if tracking is None:
        return metrics.get("student/return", math.nan)
    return tracking * (1.0 - falls) * (1.0 + metrics.get("student/terrain_level", 0.0))


class _StudentTerrain:
    """Levels and kinds of the terrain that the students are on."""

    def __init__(self, terrain: Any, students: torch.Tensor, kinds: list[str], kind: torch.Tensor) -> None:
        self._terrain = terrain
        self._students = students.to(terrain.terrain_levels.device)
        self._level_names = [f"level_{level}" for level in range(len(terrain.terrain_origins))]
        self._kinds = kinds
        self._kind = kind.to(self._students.device)[self._students]

    def levels(self) -> torch.Tensor:
        return self._terrain.terrain_levels[self._students]

    def by_level(self, name: str, values: torch.Tensor) -> dict[str, float]:
        return _group_means(name, values, self.levels(), self._level_names)

    def by_kind(self, name: str, values: torch.Tensor) -> dict[str, float]:
        return _group_means(name, values, self._kind, self._kinds)


def _terrain_of(env: VecEnv, students: torch.Tensor) -> _StudentTerrain | None:
    """Return what is known of the students' terrain, None where it has no levels."""
    terrain = getattr(getattr(env.unwrapped, "scene", None), "terrain", None)
    if terrain is None or getattr(terrain, "terrain_origins", None) is None:
        return None
    return _StudentTerrain(terrain, students, *terrain_kinds(terrain, env.num_envs))


def _group_means(name: str, values: torch.Tensor, group: torch.Tensor, groups: list[str]) -> dict[str, float]:
    """Mean of the finite values [K] of each group, by ``<name>/<group>``; ``group`` [K] indexes ``groups``."""
    values, group = values.detach().float(), group.to(values.device)
    finite = values.isfinite()
    zeros = torch.zeros(len(groups), device=values.device)
    sums = zeros.index_add(0, group, torch.where(finite, values, 0.0))
    counts = zeros.index_add(0, group, finite.float())
    return {f"{name}/{key}": mean for key, mean in zip(groups, (sums / counts).tolist(), strict=True)}


class _Probe:
    """Reads commands, velocities, tracking rewards and falls of a ``LeggedEnv``."""

    def __init__(self, unwrapped: Any) -> None:
        self._env = unwrapped
        self.terms: list[str] = list(unwrapped.reward_manager.active_terms)
        self._tracking = [self.terms.index(name) for name in TRACKING_TERMS if name in self.terms]
        self._falls = fall_terms(unwrapped.termination_manager)
        self._settled_below = _resampling(unwrapped) - SETTLING
        self._command = unwrapped.command.clone()
        self._settled = torch.zeros(unwrapped.num_envs, dtype=torch.bool, device=unwrapped.device)

    def before_step(self) -> None:
        self._command.copy_(self._env.command)
        self._settled = self._env.command_manager.get_term("velocity").time_left <= self._settled_below

    def term_rewards(self) -> torch.Tensor:
        """What each term gave in the last step, weighted [N, T]; their sum is the step's reward."""
        return self._env.reward_manager._step_reward * self._env.step_dt

    def after_step(self, done: torch.Tensor) -> tuple[torch.Tensor, ...]:
        env, state = self._env, self._env.state
        # As they weigh now: a stage may change it.
        possible = sum(env.reward_manager.get_term_cfg(self.terms[i]).weight for i in self._tracking) or 1.0
        tracking = env.reward_manager._step_reward[:, self._tracking].sum(dim=1) / possible
        measured = self._settled & ~done
        velocity = heading_velocity(state.root_quat_w, state.lin_vel_b, state.ang_vel_b)
        lin, yaw = tracking_errors(self._command, velocity)
        fallen = fell(env.termination_manager, self._falls)
        return fallen, tracking, measured.float(), torch.where(measured, lin, 0.0), torch.where(measured, yaw, 0.0)


def _ratio(total: float, count: float) -> float:
    return total / count if count > 0.0 else math.nan


def _resampling(unwrapped: Any) -> float:
    """Seconds between two commands."""
    return float(unwrapped.command_manager.get_term("velocity").cfg.resampling_time_range[0])
