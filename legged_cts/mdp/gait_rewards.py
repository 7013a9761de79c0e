"""Reward terms of robots that walk by a clock (``env.gait``). Each returns one value per environment [N]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv
    from legged_cts.mdp.gait import GaitClock


def gait_contact(env: LeggedEnv, force: float = 0.1, speed: float = 0.3) -> torch.Tensor:
    """Reward feet that bear load and rest while the clock says stance, and are free while it says swing.

    mean over feet of stance * exp(-(|v| / speed)^2) * (1 - exp(-(F / f)^2)) + (1 - stance) * exp(-(F / f)^2), with the
    foot's velocity v and its contact force F; it lies within [0, 1]. A robot that never lifts a foot earns the duty.
    While the clock rests, all feet should stand.

    Args:
        env: The environment.
        force: f as a share of the robot's weight; a foot with more is on the ground.
        speed: Speed [m/s] from which a standing foot counts as sliding.
    """
    state = env.state.current()
    weight = 9.81 * env.robot_spec.total_mass
    free = torch.exp(-(state.foot_force / (force * weight)).square())
    rest = torch.exp(-state.foot_vel_w.square().sum(dim=2) / speed**2)
    clock = _clock(env)
    stance = torch.where(clock.rests(env.command), 1.0, clock.stance)
    return torch.lerp(free, rest * (1.0 - free), stance).mean(dim=1)


def swing_height(env: LeggedEnv, around: float = 0.0) -> torch.Tensor:
    """Penalise feet that swing higher or lower than they should, their apex being the gait's ``foot_height``.

    sum over feet in swing of ((h - h_clock) / apex)^2, h the foot's clearance; dimensionless. Nothing counts while the
    clock rests.

    With ``around`` the apex lies that high above the highest ground around the foot, as Lee et al. 2020
    (arXiv 2010.11251) reward clearance: feet swing low on level ground and over the next step before a stair, which a
    robot that sees nothing has to feel.

    Args:
        env: The environment.
        around: Radius [m] of what counts as ground around a foot; 0: what is beneath it.
    """
    clock, state = _clock(env), env.state.current()
    apex, target = clock.gait.foot_height, clock.swing_height
    if around > 0.0 and not state.heights.is_flat:
        rise = state.rise_around_feet(around)
        apex, target = apex + rise, target * (1.0 + rise / apex)
    error = (state.foot_height - target) / apex
    swings = (clock.foot_phase >= clock.gait.duty) & ~clock.rests(env.command)
    return (error.square() * swings).sum(dim=1)


def _clock(env: LeggedEnv) -> GaitClock:
    assert env.gait is not None  # the builder refuses these terms without a gait
    return env.gait


GAIT_TERMS = (gait_contact, swing_height)
