"""A robot in plain MuJoCo whose motors take commands as a real one's do, with a gantry and with faults to inject."""

from __future__ import annotations

import mujoco
import numpy as np

from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.robot import Array, yaw_of
from legged_cts.robots.spec import RobotSpec

GANTRY_SPEED = 0.15
"""At which the gantry lowers a robot [m/s]."""


class SimulatedBody(MujocoRobot):
    """The body, its motors and its sensors, on level ground; joints in the order of the spec.

    Args:
        spec: the robot.
        dt: seconds per tick.
        pose: joint angles to begin with [rad] [d]; the robot lies in it on the ground, or hangs if there is a gantry.
        gantry: whether a gantry holds the robot upright at its standing height.
    """

    def __init__(self, spec: RobotSpec, dt: float, pose: Array, gantry: bool = False) -> None:
        """Place the robot and let it come to rest."""
        super().__init__(spec, dt, dt)
        self.dt, self.weight = dt, 9.81 * self.mass
        self._hook: Array | None = None
        self._lowest: float | None = None
        self.dead = np.zeros(len(spec.joints), dtype=bool)
        """Motors that give no torque."""
        self.data.qpos[self.qpos] = pose
        self.data.qpos[self.root + 2] = spec.nominal_height + 0.02
        if gantry:
            self.drive(pose, np.zeros(len(pose)), np.full(len(pose), 5.0))
            self.hold()
        else:
            self.drive(pose, np.asarray(spec.stiffness), np.asarray(spec.damping))
        for _ in range(round(1.0 / dt)):
            self.tick()
        self.data.time = 0.0

    def drive(self, q: Array, kp: Array, kd: Array) -> None:
        """From now on torque = kp (q - angle) - kd speed, up to the motors' limits; each [d]."""
        alive = 1.0 - self.dead
        self.model.actuator_gainprm[:, 0] = alive * kp
        self.model.actuator_biasprm[:, 1] = -alive * kp
        self.model.actuator_biasprm[:, 2] = -alive * kd
        self.data.ctrl[:] = q

    def tick(self) -> None:
        """Simulates `dt`."""
        self._pull()
        mujoco.mj_step(self.model, self.data)

    def feel(self) -> Array:
        """Acceleration that an IMU at the base feels, in its frame [m/s^2] [3]."""
        feel, inverse = np.empty(3), np.empty(4)
        mujoco.mju_negQuat(inverse, self.base_quat)
        mujoco.mju_rotVecQuat(feel, self.data.qacc[self.root_dof : self.root_dof + 3] + (0, 0, 9.81), inverse)
        return feel

    # The gantry.

    def hold(self) -> None:
        """The gantry takes the robot where it is, at its standing height."""
        x, y, _ = self.base_pos
        yaw = yaw_of(self.base_quat)
        self._hook, self._lowest = np.array([x, y, self.spec.nominal_height + 0.02, yaw]), None

    def lower(self, height: float = 0.2) -> None:
        """The gantry lowers the robot until its base is at this height [m]."""
        if self._hook is None:
            self.hold()
        self._lowest = height

    def release(self) -> None:
        """The gantry hangs loose."""
        self._hook = None
        self.data.xfrc_applied[self.base] = 0.0

    def _pull(self) -> None:
        if self._hook is None:
            return
        if self._lowest is not None:
            self._hook[2] = max(self._lowest, self._hook[2] - GANTRY_SPEED * self.dt)
        pos, vel = self.base_pos, self.base_velocity
        stiffness, mass = 10.0 * self.weight, self.weight / 9.81
        force = stiffness * (self._hook[:3] - pos) - 2 * np.sqrt(stiffness * mass) * vel
        force[2] = np.clip(force[2], 0.0, 2 * self.weight)
        half = self._hook[3] / 2
        upright = np.array([np.cos(half), 0.0, 0.0, np.sin(half)])
        error, turn = np.empty(3), np.empty(3)
        mujoco.mju_subQuat(error, upright, self.base_quat)
        error = error - 0.3 * self.data.qvel[self.root_dof + 3 : self.root_dof + 6]
        mujoco.mju_rotVecQuat(turn, error, self.base_quat)
        self.data.xfrc_applied[self.base, :3] = force
        self.data.xfrc_applied[self.base, 3:] = 0.5 * self.weight * turn
