"""A robot in plain MuJoCo whose motors take commands as a real one's do, with a gantry and with faults to inject."""

from __future__ import annotations

import mujoco
import numpy as np

from legged_cts.deploy.mujoco_robot import build_model
from legged_cts.deploy.robot import Array, RobotState, yaw_of
from legged_cts.robots.spec import RobotSpec

GANTRY_SPEED = 0.15
"""At which the gantry lowers a robot [m/s]."""


class SimulatedBody:
    """The body, its motors and its sensors; joints in the order of the spec.

    Args:
        spec: the robot.
        dt: seconds per tick.
        pose: joint angles to begin with [rad] [d]; the robot lies in it on the ground, or hangs if there is a gantry.
        friction: of the ground.
        gantry: whether a gantry holds the robot upright at its standing height.
    """

    def __init__(self, spec: RobotSpec, dt: float, pose: Array, friction: float = 0.8, gantry: bool = False) -> None:
        """Place the robot and let it come to rest."""
        self.spec, self.dt = spec, dt
        self.model = build_model(spec, dt, None, friction)
        self.data = mujoco.MjData(self.model)
        joints = [self.model.joint(name).id for name in spec.joints]
        self._qpos, self._dof = self.model.jnt_qposadr[joints], self.model.jnt_dofadr[joints]
        self._base = self.model.body(spec.base).id
        root = self.model.body_jntadr[self._base]
        self._root, self._root_dof = self.model.jnt_qposadr[root], self.model.jnt_dofadr[root]
        self.weight = 9.81 * float(self.model.body_mass.sum())
        self._hook: Array | None = None
        self._lowest: float | None = None
        self.dead = np.zeros(len(spec.joints), dtype=bool)
        """Motors that give no torque."""
        self.data.qpos[self._qpos] = pose
        self.data.qpos[self._root + 2] = spec.nominal_height + 0.02
        self.drive(pose, np.zeros(len(pose)), np.full(len(pose), 5.0))
        if gantry:
            self.hold()
        else:
            self.drive(pose, np.asarray(spec.stiffness), np.asarray(spec.damping))
        for _ in range(round(1.0 / dt)):
            self.tick()
        self.data.time = 0.0

    def drive(self, q: Array, kp: Array, kd: Array, tau: Array | float = 0.0, dq: Array | float = 0.0) -> None:
        """From now on torque = kp (q - angle) + kd (dq - speed) + tau, up to the motors' limits; each [d]."""
        alive = 1.0 - self.dead
        self.model.actuator_gainprm[:, 0] = alive * kp
        self.model.actuator_biasprm[:, 0] = alive * (tau + np.multiply(kd, dq))
        self.model.actuator_biasprm[:, 1] = -alive * kp
        self.model.actuator_biasprm[:, 2] = -alive * kd
        self.data.ctrl[:] = q

    def tick(self) -> None:
        """Simulates `dt`."""
        self._pull()
        mujoco.mj_step(self.model, self.data)

    def sense(self) -> tuple[RobotState, Array, Array]:
        """(state, torques [N m] [d], acceleration that an IMU at the base feels [m/s^2] [3])."""
        quat = self.data.qpos[self._root + 3 : self._root + 7].copy()
        feel, inverse = np.empty(3), np.empty(4)
        mujoco.mju_negQuat(inverse, quat)
        mujoco.mju_rotVecQuat(feel, self.data.qacc[self._root_dof : self._root_dof + 3] + (0, 0, 9.81), inverse)
        state = RobotState(
            quat=quat,
            ang_vel=self.data.qvel[self._root_dof + 3 : self._root_dof + 6].copy(),
            joint_pos=self.data.qpos[self._qpos].copy(),
            joint_vel=self.data.qvel[self._dof].copy(),
        )
        return state, self.data.qfrc_actuator[self._dof].copy(), feel

    def push(self, velocity: Array) -> None:
        """Adds a velocity to the base, in the world [m/s] [3]."""
        self.data.qvel[self._root_dof : self._root_dof + 3] += velocity

    def friction(self, value: float) -> None:
        """Sets the ground's friction coefficient."""
        self.model.geom_friction[self.model.geom("ground").id, 0] = value

    # The gantry.

    def hold(self) -> None:
        """The gantry takes the robot where it is, at its standing height."""
        x, y = self.data.qpos[self._root : self._root + 2]
        yaw = yaw_of(self.data.qpos[self._root + 3 : self._root + 7])
        self._hook, self._lowest = np.array([x, y, self.spec.nominal_height + 0.02, yaw]), None

    def lower(self, height: float = 0.2) -> None:
        """The gantry lowers the robot until its base is at this height [m]."""
        if self._hook is None:
            self.hold()
        self._lowest = height

    def release(self) -> None:
        """The gantry hangs loose."""
        self._hook = None
        self.data.xfrc_applied[self._base] = 0.0

    def _pull(self) -> None:
        if self._hook is None:
            return
        if self._lowest is not None:
            self._hook[2] = max(self._lowest, self._hook[2] - GANTRY_SPEED * self.dt)
        pos, vel = self.data.qpos[self._root : self._root + 3], self.data.qvel[self._root_dof : self._root_dof + 3]
        stiffness, mass = 10.0 * self.weight, self.weight / 9.81
        force = stiffness * (self._hook[:3] - pos) - 2 * np.sqrt(stiffness * mass) * vel
        force[2] = np.clip(force[2], 0.0, 2 * self.weight)
        half = self._hook[3] / 2
        upright = np.array([np.cos(half), 0.0, 0.0, np.sin(half)])
        error, turn = np.empty(3), np.empty(3)
        mujoco.mju_subQuat(error, upright, self.data.qpos[self._root + 3 : self._root + 7])
        error = error - 0.3 * self.data.qvel[self._root_dof + 3 : self._root_dof + 6]
        mujoco.mju_rotVecQuat(turn, error, self.data.qpos[self._root + 3 : self._root + 7])
        self.data.xfrc_applied[self._base, :3] = force
        self.data.xfrc_applied[self._base, 3:] = 0.5 * self.weight * turn

    # The truth, for measuring.

    @property
    def height(self) -> float:
        """Of the base above the ground [m]."""
        return float(self.data.qpos[self._root + 2])

    @property
    def position(self) -> Array:
        """Of the base [m] [3]."""
        return self.data.qpos[self._root : self._root + 3].copy()

    @property
    def speed(self) -> Array:
        """Velocity of the base in the world [m/s] [3]."""
        return self.data.qvel[self._root_dof : self._root_dof + 3].copy()
