"""When an episode ends. Each function returns a bool per environment [N]."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv


def nan_state(env: LeggedEnv) -> torch.Tensor:
    """The simulation of this world blew up: its state is not finite, or absurdly large."""
    return env.state.current().exploded


def time_out(env: LeggedEnv) -> torch.Tensor:
    """The episode has run its length."""
    return env.episode_length_buf >= env.max_episode_length


def base_contact(env: LeggedEnv, threshold: float = 1.0) -> torch.Tensor:
    """The base touches something with more than ``threshold`` [N]."""
    return env.state.current().base_force > threshold


def tilt(env: LeggedEnv, limit: float = 1.0) -> torch.Tensor:
    """The base is tilted by more than ``limit`` [rad]."""
    state = env.state.current()
    return (-state.gravity_b[:, 2] < math.cos(limit)) & ~state.exploded


def low_base(env: LeggedEnv, fraction: float = 0.5) -> torch.Tensor:
    """The base is nearer to the ground beneath it than this fraction of its nominal height."""
    state = env.state.current()
    return (state.base_height < fraction * env.robot_spec.nominal_height) & ~state.exploded


def off_terrain(env: LeggedEnv, margin: float = 1.0) -> torch.Tensor:
    """The base is within ``margin`` [m] of the edge of the terrain; never on an endless plane."""
    state = env.state.current()
    extent = state.heights.extent
    if extent is None:
        return torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
    x, y = state.root_pos_w[:, 0], state.root_pos_w[:, 1]
    x_min, y_min, x_max, y_max = extent
    return (x < x_min + margin) | (y < y_min + margin) | (x > x_max - margin) | (y > y_max - margin)


def passed(env: LeggedEnv) -> torch.Tensor:
    """The robot has followed its commands out of its sub-terrain, so its next episode begins a level higher."""
    return env.progress.passed


TERMINATIONS = {
    term.__name__: term for term in (nan_state, time_out, base_contact, tilt, low_base, off_terrain, passed)
}
"""Termination functions by the name they have in configuration."""
TIME_OUTS = ("time_out", "off_terrain", "passed")
"""Terminations that say nothing about how well the robot did, so the return is bootstrapped."""
