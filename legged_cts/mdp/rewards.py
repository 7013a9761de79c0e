"""Reward terms. Weights and parameters stand in ``tasks/morphology``; forms are those of legged_gym and of published
re-implementations of concurrent teacher-student training. Each function returns one value per environment [N].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from legged_cts.mdp.feet_rewards import FEET_TERMS
from legged_cts.mdp.gait_rewards import GAIT_TERMS
from legged_cts.mdp.posture_rewards import POSTURE_TERMS

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv


def track_lin_vel(env: LeggedEnv, sigma: float = 0.25) -> torch.Tensor:
    """Reward following the commanded horizontal velocity: exp(-|v_cmd - v|^2 / sigma), sigma in m^2/s^2."""
    error = env.command[:, :2] - env.state.current().lin_vel_b[:, :2]
    return torch.exp(-error.square().sum(dim=1) / sigma)


def track_yaw_rate(env: LeggedEnv, sigma: float = 0.25) -> torch.Tensor:
    """Reward following the commanded yaw rate: exp(-(w_cmd - w)^2 / sigma), sigma in rad^2/s^2."""
    error = env.command[:, 2] - env.state.current().ang_vel_b[:, 2]
    return torch.exp(-error.square() / sigma)


def lin_vel_z(env: LeggedEnv) -> torch.Tensor:
    """Squared vertical velocity of the base in its frame [m^2/s^2]."""
    return env.state.current().lin_vel_b[:, 2].square()


def ang_vel_xy(env: LeggedEnv) -> torch.Tensor:
    """Squared roll and pitch rates [rad^2/s^2]."""
    return env.state.current().ang_vel_b[:, :2].square().sum(dim=1)


def orientation(env: LeggedEnv) -> torch.Tensor:
    """Squared horizontal part of the unit gravity vector in the base frame, the sine of the tilt squared."""
    return env.state.current().gravity_b[:, :2].square().sum(dim=1)


def joint_acc(env: LeggedEnv) -> torch.Tensor:
    """Squared joint accelerations over a control step [rad^2/s^4]."""
    return env.state.current().joint_acc.square().sum(dim=1)


def power(env: LeggedEnv) -> torch.Tensor:
    """Mechanical power, the sum of |torque * velocity| [W]."""
    state = env.state.current()
    return (state.joint_torque * state.joint_vel).abs().sum(dim=1)


def torques(env: LeggedEnv) -> torch.Tensor:
    """Squared joint torques [N^2 m^2]."""
    return env.state.current().joint_torque.square().sum(dim=1)


def base_height(env: LeggedEnv, target: float) -> torch.Tensor:
    """Squared deviation [m^2] of the base's height above the ground beneath it from ``target`` [m]."""
    return (env.state.current().base_height - target).square()


def action_rate(env: LeggedEnv) -> torch.Tensor:
    """Squared change of action, |a_t - a_{t-1}|^2."""
    term = env.joint_action
    return (term.action - term.previous_action).square().sum(dim=1)


def action_smoothness(env: LeggedEnv) -> torch.Tensor:
    """Squared second difference of actions, |a_t - 2 a_{t-1} + a_{t-2}|^2."""
    term = env.joint_action
    return (term.action - 2.0 * term.previous_action + term.older_action).square().sum(dim=1)


def collision(env: LeggedEnv, threshold: float = 0.1) -> torch.Tensor:
    """Count bodies that should not touch anything but feel more than ``threshold`` [N]."""
    return (env.state.current().penalized_force > threshold).sum(dim=1).float()


def joint_limits(env: LeggedEnv, lower: Sequence[float], upper: Sequence[float]) -> torch.Tensor:
    """Sum of the angles [rad] by which joints exceed their soft limits ``lower`` and ``upper`` [d]."""
    position = env.state.current().joint_pos
    low, high = env.constant(lower), env.constant(upper)
    return ((low - position).clamp(min=0.0) + (position - high).clamp(min=0.0)).sum(dim=1)


def feet_regulation(env: LeggedEnv, reach: float) -> torch.Tensor:
    """Penalise feet that move fast while near the ground.

    sum over feet of |v_xy|^2 * exp(-h / reach), h the foot's clearance and ``reach`` a height [m].
    """
    state = env.state.current()
    speed = state.foot_vel_w[:, :, :2].square().sum(dim=2)
    return (speed * torch.exp(-state.foot_height.clamp(min=0.0) / reach)).sum(dim=1)


def hip_default(env: LeggedEnv, joints: Sequence[int]) -> torch.Tensor:
    """Sum of the distances [rad] of the joints with these indices from the nominal pose."""
    state = env.state.current()
    ids = env.constant(joints)
    return (state.joint_pos[:, ids] - state.default_joint_pos[ids]).abs().sum(dim=1)


def feet_air_time(env: LeggedEnv, threshold: float = 0.5, still: float = 0.1) -> torch.Tensor:
    """Reward long steps: at touch-down, the time a foot was in the air less ``threshold`` [s].

    Nothing is given when the commanded speed is below ``still`` [m/s].
    """
    sensor, ids = env.state.sensor, env.state.foot_sensor_ids
    touched = sensor.compute_first_contact(env.step_dt).torch[:, ids] > 0.5
    air_time = sensor.data.last_air_time.torch[:, ids]
    moving = env.command[:, :2].norm(dim=1) > still
    return ((air_time - threshold) * touched).sum(dim=1) * moving


TERMS = (
    track_lin_vel,
    track_yaw_rate,
    lin_vel_z,
    ang_vel_xy,
    orientation,
    joint_acc,
    power,
    torques,
    base_height,
    action_rate,
    action_smoothness,
    collision,
    joint_limits,
    feet_regulation,
    hip_default,
    feet_air_time,
    *GAIT_TERMS,
    *FEET_TERMS,
    *POSTURE_TERMS,
)
REWARDS = {term.__name__: term for term in TERMS}
"""Reward functions by the name they have in configuration."""
