"""The robots' state, read once per phase of a step and shared by all terms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from legged_cts.robots.feet import foot_frames

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv

# Beyond this, in SI units, a state is taken for a numerical explosion.
STATE_LIMIT = 1.0e4
# Force [N] from which a foot is on the ground.
CONTACT_FORCE = 1.0


class RobotState:
    """Kinematics, contacts and torques of all robots, in the robot spec's joint order.

    Everything is gathered into one buffer, so that worlds whose state is not finite (or beyond :data:`STATE_LIMIT`)
    are found and zeroed in one pass: no term ever sees their numbers. Frames: ``_b`` is the base link's, ``_w`` the
    world's. Velocities are those of link origins, not of centres of mass.
    """

    def __init__(self, env: LeggedEnv):
        self._env = env
        spec = env.robot_spec
        self.robot = env.scene["robot"]
        self.sensor = env.scene["contact_forces"]
        if tuple(self.robot.joint_names) != spec.joints:
            raise ValueError(f"the articulation's joints {self.robot.joint_names} are not the spec's {spec.joints}")
        device, n, d = env.device, env.num_envs, len(spec.joints)
        self.num_feet, self.num_joints = len(spec.feet), d
        names = [*spec.feet, *spec.penalized_contacts, spec.base]
        self._sensor_ids = torch.tensor(self.sensor.find_sensors(names, preserve_order=True)[0], device=device)
        self.foot_sensor_ids = self._sensor_ids[: self.num_feet]
        self._feet_ids = torch.tensor(self.robot.find_bodies(list(spec.feet), preserve_order=True)[0], device=device)
        frames = foot_frames(spec)
        self.foot_radius = torch.tensor(frames.reach.astype(np.float32), device=device)
        self._foot_up = torch.tensor(frames.up.astype(np.float32), device=device)
        self.default_joint_pos = torch.tensor(spec.nominal_pose, device=device)
        self.effort_limit = torch.tensor(spec.effort_limit, device=device)
        self.heights = env.terrain.heights

        sizes = {
            "root_pos_w": 3,
            "root_quat_w": 4,
            "lin_vel_b": 3,
            "ang_vel_b": 3,
            "gravity_b": 3,
            "joint_pos": d,
            "joint_vel": d,
            "foot_pos_w": 3 * self.num_feet,
            "foot_vel_w": 3 * self.num_feet,
        }
        self._buffer = torch.zeros(n, sum(sizes.values()), device=device)
        views = dict(zip(sizes, self._buffer.split(list(sizes.values()), dim=1), strict=True))
        self.root_pos_w = views["root_pos_w"]
        self.root_quat_w = views["root_quat_w"]
        """Orientation [N, 4], XYZW; the zero quaternion in exploded worlds."""
        self.lin_vel_b = views["lin_vel_b"]
        self.ang_vel_b = views["ang_vel_b"]
        self.gravity_b = views["gravity_b"]
        """Unit vector of gravity in the base frame [N, 3]."""
        self.joint_pos = views["joint_pos"]
        self.joint_vel = views["joint_vel"]
        self.foot_pos_w = views["foot_pos_w"].view(n, self.num_feet, 3)
        self.foot_vel_w = views["foot_vel_w"].view(n, self.num_feet, 3)
        self.exploded = torch.zeros(n, dtype=torch.bool, device=device)
        self.contact_force = torch.zeros(n, len(names), device=device)
        """Norm of the net contact force [N] of feet, penalised bodies and base, in this order."""
        self.foot_force = self.contact_force[:, : self.num_feet]
        self.penalized_force = self.contact_force[:, self.num_feet : -1]
        self.base_force = self.contact_force[:, -1]
        self.joint_acc = torch.zeros(n, d, device=device)
        """Change of joint velocity over the last control step, per second."""
        self._last_joint_vel = torch.zeros(n, d, device=device)
        self.foot_ground = torch.zeros(n, self.num_feet, device=device)
        self.ground = torch.zeros(n, device=device)
        self._stamp = -1

    def current(self) -> RobotState:
        """Return the state, read anew if a physics step was taken since the last reading."""
        if self._stamp != self._env.common_step_counter:
            self._stamp = self._env.common_step_counter
            self.refresh()
            self.joint_acc = (self.joint_vel - self._last_joint_vel) / self._env.step_dt
            self._last_joint_vel = self.joint_vel.clone()
        return self

    def refresh(self) -> RobotState:
        """Read the state anew; needed after resets and pushes, which change it within a step."""
        data, n = self.robot.data, self._env.num_envs
        torch.cat(
            (
                data.root_link_pose_w.torch,
                data.root_link_lin_vel_b.torch,
                data.root_link_ang_vel_b.torch,
                data.projected_gravity_b.torch,
                data.joint_pos.torch,
                data.joint_vel.torch,
                data.body_link_pos_w.torch[:, self._feet_ids].view(n, -1),
                data.body_link_lin_vel_w.torch[:, self._feet_ids].view(n, -1),
            ),
            dim=1,
            out=self._buffer,
        )
        # A comparison with NaN is false.
        self.exploded = ~(self._buffer.abs().amax(dim=1) < STATE_LIMIT)
        self._buffer.masked_fill_(self.exploded[:, None], 0.0)
        force = self.sensor.data.net_forces_w.torch[:, self._sensor_ids].norm(dim=-1)
        torch.nan_to_num(force, nan=0.0, posinf=0.0, out=self.contact_force)
        if not self.heights.is_flat:
            xy = torch.cat((self.root_pos_w[:, None, :2], self.foot_pos_w[:, :, :2]), dim=1)
            ground = self.heights.sample(xy)
            self.ground, self.foot_ground = ground[:, 0], ground[:, 1:]
        return self

    def reset(self, env_ids: torch.Tensor | slice) -> None:
        """Forget the last velocity of environments that start anew."""
        self.joint_acc[env_ids] = 0.0
        self._last_joint_vel[env_ids] = self.robot.data.joint_vel.torch[env_ids]

    @property
    def base_height(self) -> torch.Tensor:
        """Height [N] of the base above the ground beneath it [m]."""
        return self.root_pos_w[:, 2] - self.ground

    @property
    def foot_height(self) -> torch.Tensor:
        """Clearance [N, F] between the soles and the ground beneath them [m]."""
        return self.foot_pos_w[:, :, 2] - self.foot_radius - self.foot_ground

    def rise_around_feet(self, radius: float) -> torch.Tensor:
        """How far the ground around each foot rises above the ground beneath it [N, F], in m; at least 0.

        The highest of eight points on a circle of ``radius`` [m] counts.
        """
        around = [radius * f(0.25 * math.pi * k) for k in range(8) for f in (math.cos, math.sin)]
        ground = self.heights.sample(self.foot_pos_w[:, :, None, :2] + self._env.constant(around).view(8, 2))
        return (ground.amax(dim=2) - self.foot_ground).clamp(min=0.0)

    @property
    def foot_contact(self) -> torch.Tensor:
        """Whether each foot is on the ground, bool [N, F]."""
        return self.foot_force > CONTACT_FORCE

    @property
    def foot_level(self) -> torch.Tensor:
        """Cosine [N, F] of each sole's angle to the horizontal; 1 in exploded worlds.

        Soles are level as they are in the nominal pose with a level base.
        """
        quat = self.robot.data.body_link_quat_w.torch[:, self._feet_ids]
        x, y, z, w = quat.unbind(dim=2)
        # The world's vertical in the foot's frame.
        vertical = torch.stack((2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)), dim=2)
        return torch.where(self.exploded[:, None], 1.0, (vertical * self._foot_up).sum(dim=2))

    @property
    def yaw(self) -> torch.Tensor:
        """Heading [N] in rad."""
        x, y, z, w = self.root_quat_w.unbind(dim=1)
        return torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))

    @property
    def joint_torque(self) -> torch.Tensor:
        """PD torque [N, d] in N m at the present state, with the target of the last tick, the gains as randomised."""
        data = self.robot.data
        error = self._env.joint_action.last_tick_target - self.joint_pos
        torque = data.joint_stiffness.torch * error - data.joint_damping.torch * self.joint_vel
        return torch.clamp(torque, -self.effort_limit, self.effort_limit)
