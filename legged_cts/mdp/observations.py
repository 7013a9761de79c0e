"""Observation groups, each one fused term: ``history``, ``proprioception``, ``privileged`` and ``height_scan``.

The order of the groups matters. ``history`` draws the noise and keeps the last frames, ``proprioception`` is the newest
of them, ``privileged`` reuses the same frame without noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from isaaclab.managers import ManagerTermBase

from legged_cts.mdp.mirrors import mirrors_as, term_mirror
from legged_cts.mdp.state import RobotState
from legged_cts.robots.proprioception import Reading, frame_mirror, layout, terms_of
from legged_cts.robots.symmetry import (
    Mirror,
    foot_mirror,
    joined,
    joint_gain_mirror,
    joint_mirror,
    planar_velocity_mirror,
    scalar_mirror,
    vector_mirror,
)

if TYPE_CHECKING:
    from isaaclab.managers import ObservationTermCfg

    from legged_cts.envs.env import LeggedEnv
    from legged_cts.robots.gait import Gait
    from legged_cts.robots.spec import RobotSpec

SCAN_SHAPE = (17, 11)
"""Points of the height scan along x, the slow axis, and y."""


class ProprioceptiveFrame(ManagerTermBase):
    """One noisy, scaled frame o_t [N, n].

    Args:
        scales: Factor per term, applied after the noise.
        noise: Half width of the uniform noise per term, in the term's unit before scaling.
    """

    _env: LeggedEnv

    def __init__(self, cfg: ObservationTermCfg, env: LeggedEnv):
        super().__init__(cfg, env)
        params: dict[str, Any] = cfg.params
        gait, joints = env.gait is not None, len(env.robot_spec.joints)
        terms = layout(joints, params["scales"], gait)
        noise = params["noise"]
        scale = [factor for _, size, factor in terms for _ in range(size)]
        width = [factor * noise.get(name, 0.0) for name, size, factor in terms for _ in range(size)]
        self._scale = torch.tensor(scale, device=env.device)
        self._width = torch.tensor(width, device=env.device) if any(width) else None
        self._default = torch.tensor(env.robot_spec.nominal_pose, device=env.device)
        self._terms = [term.read for term in terms_of(gait).values()]
        # Noise, delays and the encoders' zero error are what the robot measures; the clean frame has none of them.
        names = [name for name, size, _ in terms for _ in range(size)]
        first = names.index("joint_pos")
        self._zero_error = slice(first, first + joints)

    def __call__(self, env: LeggedEnv, scales: Mapping[str, float], noise: Mapping[str, float]) -> torch.Tensor:
        """Return the frame [N, n]; ``env.clean_frame`` gets it without noise."""
        state = env.state.refresh()
        reading = Reading(
            ang_vel=state.ang_vel_b,
            gravity=state.gravity_b,
            command=env.command,
            joint_pos=state.joint_pos,
            joint_vel=state.joint_vel,
            last_action=env.joint_action.action,
            default_joint_pos=self._default,
            clock=None if env.gait is None else env.gait.signal(env.command),
        )
        frame = torch.cat([read(reading) for read in self._terms], dim=1)
        measured = frame.clone()
        frame *= self._scale
        env.clean_frame = frame
        measured[:, self._zero_error] += env.physics_params.joint_zero
        measured *= self._scale
        if self._width is not None:
            measured += torch.empty_like(measured).uniform_(-1.0, 1.0).mul_(self._width)
        return measured


def newest_frame(env: LeggedEnv) -> torch.Tensor:
    """Return the newest frame [N, n] of the history, the very same noise included."""
    return env.newest_frame()


@mirrors_as(vector_mirror)
def base_lin_vel(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Velocity of the base in its own frame [N, 3]."""
    return state.lin_vel_b


@mirrors_as(foot_mirror)
def foot_contact_force(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Norm of each foot's contact force [N, F], as a share of the robot's weight, at most 2."""
    return (state.foot_force / (9.81 * env.robot_spec.total_mass)).clamp(max=2.0)


@mirrors_as(foot_mirror)
def foot_height(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Clearance of each foot above the ground [N, F]."""
    return state.foot_height.clamp(-1.0, 1.0)


@mirrors_as(joint_mirror)
def joint_torque(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Torque of each joint as a share of its limit [N, d]."""
    return state.joint_torque / state.effort_limit


@mirrors_as(joint_mirror)
def joint_acc(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Acceleration of each joint [N, d], in 400 rad/s^2."""
    return (state.joint_acc * 0.0025).clamp(-10.0, 10.0)


@mirrors_as(scalar_mirror)
def friction(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Friction coefficient [N, 1], less 1."""
    return env.physics_params.friction[:, None] - 1.0


@mirrors_as(scalar_mirror)
def added_mass(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Mass added to the base [N, 1], as a share of the robot's, times ten."""
    return env.physics_params.added_mass[:, None] * (10.0 / env.robot_spec.total_mass)


@mirrors_as(vector_mirror)
def com_shift(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Shift of the base's centre of mass [N, 3], in 5 cm."""
    return env.physics_params.com_shift * 20.0


@mirrors_as(joint_gain_mirror)
def gain_scale(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Relative error of both gains of each joint [N, 2 d], times ten."""
    params = env.physics_params
    return (torch.cat((params.stiffness_scale, params.damping_scale), dim=1) - 1.0) * 10.0


@mirrors_as(scalar_mirror)
def action_delay(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Action delay [N, 1] as a share of the control step."""
    return env.joint_action.delay_ticks[:, None] / env.cfg.decimation


@mirrors_as(planar_velocity_mirror)
def push(env: LeggedEnv, state: RobotState) -> torch.Tensor:
    """Change of base velocity by a push in this step [N, 3]: v_x, v_y in m/s, yaw rate in rad/s, heading frame."""
    x, y, yaw_rate = env.push_velocity.unbind(dim=1)
    cos, sin = torch.cos(state.yaw), torch.sin(state.yaw)
    return torch.stack((cos * x + sin * y, cos * y - sin * x, yaw_rate), dim=1)


def scan_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of the height scan [187]: its rows along y run the other way."""
    points = np.arange(SCAN_SHAPE[0] * SCAN_SHAPE[1]).reshape(SCAN_SHAPE)
    return Mirror(points[:, ::-1].ravel(), np.ones(points.size))


@mirrors_as(scan_mirror)
def height_scan(env: LeggedEnv) -> torch.Tensor:
    """Height of the base above 17x11 points of the ground around it, less the nominal height [N, 187], within 1 m.

    The grid of 1.6 m x 1.0 m is centred below the base and turned with its heading.
    """
    state, points = env.state, env.scan_points
    yaw = state.yaw
    cos, sin = torch.cos(yaw)[:, None], torch.sin(yaw)[:, None]
    x = cos * points[:, 0] - sin * points[:, 1] + state.root_pos_w[:, 0:1]
    y = sin * points[:, 0] + cos * points[:, 1] + state.root_pos_w[:, 1:2]
    ground = state.heights.sample(torch.stack((x, y), dim=-1))
    return (state.root_pos_w[:, 2:3] - env.robot_spec.nominal_height - ground).clamp_(-1.0, 1.0)


PRIVILEGED: dict[str, Callable[[LeggedEnv, RobotState], torch.Tensor]] = {
    term.__name__: term
    for term in (
        base_lin_vel,
        foot_contact_force,
        foot_height,
        joint_torque,
        joint_acc,
        friction,
        added_mass,
        com_shift,
        gain_scale,
        action_delay,
        push,
    )
}
"""Terms of s_t beyond the noise-free o_t, each of which configuration can leave out."""


def scan_grid(device: str) -> torch.Tensor:
    """Return the 187 points [187, 2] of the height scan in the heading frame [m], x the slow axis."""
    x, y = (
        torch.linspace(-half, half, points, device=device) for half, points in zip((0.8, 0.5), SCAN_SHAPE, strict=True)
    )
    return torch.cartesian_prod(x, y)


def privileged(env: LeggedEnv, terms: tuple[str, ...]) -> torch.Tensor:
    """Return s_t [N, m]: the noise-free frame, then ``terms`` of :data:`PRIVILEGED`."""
    return torch.cat((env.clean_frame, *(PRIVILEGED[name](env, env.state) for name in terms)), dim=1)


def observation_mirror(term: ObservationTermCfg, spec: RobotSpec, gait: Gait | None) -> Mirror:
    """Return the mirror of one term of Isaac Lab's observation manager.

    Args:
        term: Its configuration, before or after the manager made an object of a term that is a class.
        spec: The robot.
        gait: Its gait, if the task has one.

    Raises:
        ValueError: If the term, or one of those that it joins, declares no mirror.
    """
    function: Any = type(term.func) if isinstance(term.func, ManagerTermBase) else term.func
    if function in (ProprioceptiveFrame, newest_frame):
        return frame_mirror(spec, gait)
    if function is privileged:
        names: Any = term.params["terms"]
        return joined([frame_mirror(spec, gait), *(term_mirror(PRIVILEGED[name], spec) for name in names)])
    return term_mirror(function, spec)
