"""Reward terms about how feet stand and land. Each returns one value per environment [N]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv


def feet_distance(env: LeggedEnv, left: Sequence[int], right: Sequence[int], minimum: Sequence[float]) -> torch.Tensor:
    """Shortfall [m] of the lateral distance between left and right feet below ``minimum`` [m], summed over pairs.

    Measured across the robot's heading and with a sign: legs that cross are nearer than legs that touch.
    """
    state = env.state.current()
    apart = state.foot_pos_w[:, env.constant(left)] - state.foot_pos_w[:, env.constant(right)]
    yaw = state.yaw[:, None]
    lateral = torch.cos(yaw) * apart[:, :, 1] - torch.sin(yaw) * apart[:, :, 0]
    return (env.constant(minimum) - lateral).clamp(min=0.0).sum(dim=1)


def feet_landing_vel(env: LeggedEnv, height: float = 0.05) -> torch.Tensor:
    """Squared downward speed [m^2/s^2] of feet that are about to land: in the air, below ``height`` [m]."""
    state = env.state.current()
    landing = (state.foot_height < height) & ~state.foot_contact
    return (state.foot_vel_w[:, :, 2].clamp(max=0.0).square() * landing).sum(dim=1)


def feet_slip(env: LeggedEnv) -> torch.Tensor:
    """Squared horizontal speed [m^2/s^2] of the feet that touch the ground."""
    state = env.state.current()
    return (state.foot_vel_w[:, :, :2].square().sum(dim=2) * state.foot_contact).sum(dim=1)


def feet_orientation(env: LeggedEnv) -> torch.Tensor:
    """Sum over feet of the squared sine of the angle between the sole and the horizontal.

    A sole is level as it is in the nominal pose with a level base.
    """
    return (1.0 - env.state.current().foot_level.square()).sum(dim=1)


def feet_clearance(env: LeggedEnv, height: float = 0.1) -> torch.Tensor:
    """Sum over feet of the squared shortfall [m^2] of their clearance below ``height`` [m], times their speed [m/s].

    A foot that stands still may be on the ground; one that swings should be above the next step.
    """
    state = env.state.current()
    shortfall = (height - state.foot_height).clamp(min=0.0).square()
    return (shortfall * state.foot_vel_w[:, :, :2].norm(dim=2)).sum(dim=1)


FEET_TERMS = (feet_distance, feet_landing_vel, feet_slip, feet_orientation, feet_clearance)
