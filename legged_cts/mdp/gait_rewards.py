"""Reward terms of robots that walk by a clock (``env.gait``). Each returns one value per environment [N]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv
    from legged_cts.mdp.gait import GaitClock


def gait_contact(env: LeggedEnv, force: float = 0.1, speed: float = 0.3, still: float = 0.0) -> torch.Tensor:
    """Reward feet that bear load and rest while the clock says stance, and are free while it says swing.

    mean over feet of stance * exp(-(|v| / speed)^2) * (1 - exp(-(F / f)^2)) + (1 - stance) * exp(-(F / f)^2), with the
    foot's velocity v and its contact force F; it lies within [0, 1]. A robot that never lifts a foot earns the duty.

    Args:
        env: The environment.
        force: f as a share of the robot's weight; a foot with more is on the ground.
        speed: Speed [m/s] from which a standing foot counts as sliding.
        still: With a command below this [m/s or rad/s] all feet should stand; 0 lets the robot step in place.
    """
    state = env.state.current()
    weight = 9.81 * env.robot_spec.total_mass
    free = torch.exp(-(state.foot_force / (force * weight)).square())
    rest = torch.exp(-state.foot_vel_w.square().sum(dim=2) / speed**2)
    stance = _clock(env).stance
    if still > 0.0:
        stance = torch.where(_standing(env, still), 1.0, stance)
    return torch.lerp(free, rest * (1.0 - free), stance).mean(dim=1)


def swing_height(env: LeggedEnv, still: float = 0.0) -> torch.Tensor:
    """Penalise feet that swing higher or lower than they should, their apex being the gait's ``foot_height``.

    sum over feet in swing of ((h - h_clock) / foot_height)^2, h the foot's clearance; dimensionless. Nothing counts
    with a command below ``still`` [m/s or rad/s].
    """
    clock = _clock(env)
    error = (env.state.current().foot_height - clock.swing_height) / clock.gait.foot_height
    value = (error.square() * (clock.foot_phase >= clock.gait.duty)).sum(dim=1)
    return value * ~_standing(env, still)[:, 0] if still > 0.0 else value


def _clock(env: LeggedEnv) -> GaitClock:
    assert env.gait is not None  # the builder refuses these terms without a gait
    return env.gait


def _standing(env: LeggedEnv, still: float) -> torch.Tensor:
    return env.command.norm(dim=1, keepdim=True) < still


GAIT_TERMS = (gait_contact, swing_height)
