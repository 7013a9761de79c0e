"""A robot in plain MuJoCo: the same interface as a real one, and the truth for measuring."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from legged_cts.deploy.robot import Array, RobotState, yaw_of
from legged_cts.robots.mjcf import add_geom, robot_scene
from legged_cts.robots.posed import Posed
from legged_cts.robots.spec import RobotSpec
from legged_cts.terrain.blocks import blocks, is_steps
from legged_cts.terrain.facets import facets
from legged_cts.terrain.heights import Heightfield


@dataclass(frozen=True)
class SensorNoise:
    """Half widths of the uniform noise on each sensor reading."""

    ang_vel: float = 0.0  # on each angular velocity of the base [rad/s]
    tilt: float = 0.0  # of the rotation about each axis by which the orientation is off [rad]
    joint_pos: float = 0.0  # on each joint angle [rad]
    joint_vel: float = 0.0  # on each joint velocity [rad/s]


class MujocoRobot(Posed):
    """A simulated robot with PD control at each joint, on a plane or a heightfield.

    A heightfield of steps is made of blocks, one of few plane faces of these.

    Args:
        spec: the robot; its gains and torque limits become MuJoCo position actuators.
        control_dt: seconds between two `send_targets`.
        physics_dt: seconds per physics tick; control_dt must be a whole multiple.
        terrain: heights of the ground; None is a plane at height 0.
        friction: sliding friction coefficient between ground and robot.
        action_delay: seconds until new targets reach the joints, rounded to physics ticks.
        base_mass: mass added to the base [kg].
        com_shift: shift of the base's centre of mass, in its frame [m] [3].
        joint_zero: error of each joint encoder's zero [rad] [d]; readings are off by it, and so is the PD control.
        noise: noise of the sensors.
        seed: seed of the noise.

    Attributes:
        mass: of the robot [kg].
        base_touched: whether the base touched the ground since the last `send_targets` began.

    Raises:
        ValueError: if control_dt is no whole multiple of physics_dt, or an argument is out of range.
    """

    def __init__(
        self,
        spec: RobotSpec,
        control_dt: float,
        physics_dt: float,
        terrain: Heightfield | None = None,
        friction: float = 0.8,
        action_delay: float = 0.0,
        base_mass: float = 0.0,
        com_shift: ArrayLike = (0.0, 0.0, 0.0),
        joint_zero: ArrayLike | None = None,
        noise: SensorNoise | None = None,
        seed: int = 0,
    ) -> None:
        """Build the simulation and reset it."""
        self.decimation = round(control_dt / physics_dt)
        if self.decimation < 1 or abs(self.decimation * physics_dt - control_dt) > 1e-9:
            raise ValueError(f"control_dt: {control_dt} s is no whole multiple of physics_dt, {physics_dt} s")
        if friction <= 0 or action_delay < 0:
            raise ValueError(f"friction must be above 0 and action_delay at least 0, got {friction} and {action_delay}")
        model = build_model(spec, physics_dt, terrain, friction, base_mass, com_shift)
        super().__init__(model, spec, ground="ground")
        self.spec, self.control_dt, self.terrain = spec, control_dt, terrain
        self._zero = np.zeros_like(self.pose) if joint_zero is None else np.asarray(joint_zero)
        if self._zero.shape != self.pose.shape:
            raise ValueError(f"joint_zero: expected {len(self.pose)} angles, got shape {self._zero.shape}")
        self.mass = float(model.body_mass.sum())
        self._base_mass = float(model.body_mass[self.base])
        self._effort_limit = np.asarray(spec.effort_limit)
        self._delay = round(action_delay / physics_dt)
        self._noise, self._rng = noise or SensorNoise(), np.random.default_rng(seed)
        self._pending: deque[tuple[int, Array]] = deque()
        self.reset()

    def reset(self, yaw: float = 0.0, place: ArrayLike = (0.0, 0.0)) -> None:
        """Puts the robot at rest over a place [m] [2], in its nominal pose and with the given heading [rad]."""
        mujoco.mj_resetData(self.model, self.data)
        # The highest ground under the robot, so that no foot starts inside a step.
        x, y = np.asarray(place, dtype=np.float64)
        grid = np.linspace(-0.4, 0.4, 9)
        ground = float(np.max(self.ground_height(*np.meshgrid(x + grid, y + grid))))
        self.data.ctrl[:] = self.pose - self._zero
        self.put(self.pose, (x, y, ground + self.height), (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)))
        self._pending.clear()
        self._tick = 0
        self.base_touched = False
        mujoco.mj_forward(self.model, self.data)

    def place(self, state: RobotState, pos: ArrayLike, velocity: ArrayLike = (0.0, 0.0, 0.0)) -> None:
        """Puts the robot into a state, its base at a position [m] [3] and moving [m/s] [3] in the world."""
        dof = self.root_dof
        self.data.qvel[dof : dof + 3], self.data.qvel[dof + 3 : dof + 6] = velocity, state.ang_vel
        self.data.qvel[self.dofs] = state.joint_vel
        self.put(state.joint_pos, np.asarray(pos), state.quat)
        mujoco.mj_comPos(self.model, self.data)

    def read_state(self) -> RobotState:
        """The newest sensor reading, with noise."""
        noise, rng = self._noise, self._rng
        quat, off = np.empty(4), np.empty(4)
        rotation = noise.tilt * rng.uniform(-1, 1, 3)
        angle = float(np.linalg.norm(rotation))
        mujoco.mju_axisAngle2Quat(off, rotation / angle if angle else np.array([1.0, 0.0, 0.0]), angle)
        mujoco.mju_mulQuat(quat, self.base_quat, off)
        # MuJoCo gives the angular velocity of a free joint in the frame of its body.
        ang_vel = self.data.qvel[self.root_dof + 3 : self.root_dof + 6]
        d = len(self.joints)
        return RobotState(
            quat=quat,
            ang_vel=ang_vel + noise.ang_vel * rng.uniform(-1, 1, 3),
            joint_pos=self.data.qpos[self.qpos] + self._zero + noise.joint_pos * rng.uniform(-1, 1, d),
            joint_vel=self.data.qvel[self.dofs] + noise.joint_vel * rng.uniform(-1, 1, d),
        )

    def send_targets(self, targets: Array) -> None:
        """Hands joint angles [rad] [d], all finite, to the PD controllers and simulates for control_dt."""
        targets = np.asarray(targets, dtype=np.float64)
        if targets.shape != self.pose.shape or not np.isfinite(targets).all():
            raise ValueError(f"targets: expected {len(self.pose)} finite joint angles, got {targets}")
        self._pending.append((self._tick + self._delay, targets - self._zero))
        self.base_touched = False
        for _ in range(self.decimation):
            while self._pending and self._pending[0][0] <= self._tick:
                self.data.ctrl[:] = self._pending.popleft()[1]
            mujoco.mj_step(self.model, self.data)
            self._tick += 1
            self.base_touched |= bool(self._touching(np.array([self.base]))[0])
        # mj_step leaves positions of bodies one tick behind the joints; cameras and metrics want them equal.
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)

    def push(self, velocity: Array) -> None:
        """Adds a velocity to the base, in the world [m/s] [3]."""
        self.data.qvel[self.root_dof : self.root_dof + 3] += velocity

    def set_friction(self, friction: float) -> None:
        """Changes the sliding friction, which is above 0, of every contact with the ground from the next tick on."""
        if not friction > 0:
            raise ValueError(f"friction must be above 0, got {friction}")
        self.model.geom_friction[self.model.geom_bodyid == 0, 0] = friction

    def set_payload(self, payload: float) -> None:
        """Makes the base heavier by so much [kg] than when the robot was built; its inertia is scaled alike."""
        added = self._base_mass + payload - float(self.model.body_mass[self.base])
        add_mass(self.model, self.base, added)
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))
        self.mass = float(self.model.body_mass.sum())

    def scale(self, links: ArrayLike, armature: ArrayLike) -> None:
        """Multiplies every link's mass and inertia, in MuJoCo's order [nbody - 1], and each joint's armature [d]."""
        links = np.asarray(links)
        if links.shape != (self.model.nbody - 1,) or not (links > 0).all():
            raise ValueError(f"links: expected {self.model.nbody - 1} factors above 0, got {links}")
        self.model.body_mass[1:] *= links
        self.model.body_inertia[1:] *= links[:, None]
        self.model.dof_armature[self.dofs] *= armature
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))
        self.mass = float(self.model.body_mass.sum())
        self._base_mass = float(self.model.body_mass[self.base])

    # The truth, for measuring alone: no policy may read it.

    @property
    def base_pos(self) -> Array:
        """Position of the base in the world [m] [3]."""
        return self.data.qpos[self.root : self.root + 3].copy()

    @property
    def base_quat(self) -> Array:
        """Orientation of the base, (w, x, y, z) [4]."""
        return self.data.qpos[self.root + 3 : self.root + 7].copy()

    @property
    def base_velocity(self) -> Array:
        """Velocity of the base in the world [m/s] [3]."""
        return self.data.qvel[self.root_dof : self.root_dof + 3].copy()

    @property
    def velocity(self) -> Array:
        """(v_x, v_y, yaw rate) of the base in its yaw-aligned frame [m/s, m/s, rad/s] [3]."""
        vx, vy = self.data.qvel[self.root_dof : self.root_dof + 2]
        angle = yaw_of(self.base_quat)
        c, s = np.cos(angle), np.sin(angle)
        spin = np.empty(3)
        mujoco.mju_rotVecQuat(spin, self.data.qvel[self.root_dof + 3 : self.root_dof + 6], self.base_quat)
        return np.array([c * vx + s * vy, c * vy - s * vx, spin[2]])

    @property
    def tilt(self) -> float:
        """Angle between the base's upward axis and the vertical [rad]."""
        _, x, y, _ = self.base_quat
        return float(np.arccos(np.clip(1 - 2 * (x * x + y * y), -1, 1)))

    @property
    def clearance(self) -> float:
        """Height of the base above the ground below it [m]."""
        x, y, z = self.base_pos
        return float(z - self.ground_height(x, y))

    @property
    def torques(self) -> Array:
        """Torques of the last tick, in the order of the joints [N m] [d]."""
        return self.data.qfrc_actuator[self.dofs].copy()

    @property
    def torque_share(self) -> Array:
        """Size of each of `torques` as a share of the joint's limit [d]."""
        return np.abs(self.torques) / self._effort_limit

    @property
    def joint_pos(self) -> Array:
        """Joint angles [rad] [d]."""
        return self.data.qpos[self.qpos].copy()

    @property
    def joint_vel(self) -> Array:
        """Joint velocities [rad/s] [d]."""
        return self.data.qvel[self.dofs].copy()

    @property
    def foot_speeds(self) -> Array:
        """Speeds of the feet [m/s] [F]."""
        velocity = np.empty((len(self.feet), 6))
        for foot, out in zip(self.feet, velocity, strict=True):
            mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_XBODY, foot, out, 0)
        return np.linalg.norm(velocity[:, 3:], axis=1)

    @property
    def tilt_rate(self) -> Array:
        """Roll and pitch rate of the base in its own frame [rad/s] [2]."""
        return self.data.qvel[self.root_dof + 3 : self.root_dof + 5].copy()

    @property
    def foot_contact(self) -> Array:
        """Whether each foot touches the ground, bool [F]."""
        return self._touching(self.feet)

    @property
    def foot_pos(self) -> Array:
        """Positions of the feet in the world [m] [F, 3]."""
        return self.data.xpos[self.feet].copy()

    def ground_height(self, x: Array | float, y: Array | float) -> Array:
        """Height of the ground [m] at points (x, y) [m]."""
        return np.zeros(np.shape(x)) if self.terrain is None else self.terrain.height_at(x, y)

    def _touching(self, bodies: Array) -> Array:
        """Which of the bodies touch the ground, bool [len(bodies)]."""
        pairs = self.model.geom_bodyid[self.data.contact.geom]
        touching = np.zeros(self.model.nbody, dtype=bool)
        touching[pairs[(pairs == 0).any(axis=1)]] = True
        return touching[bodies]


def build_model(
    spec: RobotSpec,
    physics_dt: float,
    terrain: Heightfield | None,
    friction: float,
    base_mass: float = 0.0,
    com_shift: ArrayLike = (0.0, 0.0, 0.0),
    to_look_at: bool = False,
) -> mujoco.MjModel:
    """The robot's MJCF with a ground and one position actuator per joint, named after it and in the spec's order.

    Arguments are those of `MujocoRobot`; what is only looked at spares the search for blocks and faces.
    """
    mjcf = robot_scene(spec, physics_dt)
    _add_ground(mjcf, terrain, friction, to_look_at)
    model = mjcf.compile()
    if terrain is not None:
        low, span = _span(terrain)
        model.hfield_data[:] = ((terrain.heights - low) / span).ravel()
    base = model.body(spec.base).id
    model.body_ipos[base] += com_shift
    if base_mass:
        add_mass(model, base, base_mass)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def add_mass(model: mujoco.MjModel, body: int, mass: float) -> None:
    """Makes a body heavier [kg], never weightless, its inertia alike; `mj_setConst` is left to the caller."""
    factor = 1 + mass / model.body_mass[body]
    if factor <= 0:
        name = model.body(body).name
        raise ValueError(f"base_mass: {mass} kg leaves '{name}' of {model.body_mass[body]} kg without mass")
    model.body_mass[body] *= factor
    model.body_inertia[body] *= factor


def _span(terrain: Heightfield) -> tuple[float, float]:
    low = float(terrain.heights.min())
    # A heightfield of no height at all is no valid shape to MuJoCo.
    return low, max(float(terrain.heights.max()) - low, 1e-3)


def _add_ground(mjcf: mujoco.MjSpec, terrain: Heightfield | None, friction: float, to_look_at: bool) -> None:
    builtin, role = mujoco.mjtBuiltin, mujoco.mjtTextureRole.mjTEXROLE_RGB
    grey, blue = ((0.52, 0.56, 0.60), (0.40, 0.44, 0.48)), ((0.75, 0.82, 0.90), (0.45, 0.60, 0.78))
    for name, kind, pattern, (one, other), width, height in (
        ("ground", mujoco.mjtTexture.mjTEXTURE_2D, builtin.mjBUILTIN_CHECKER, grey, 256, 256),
        ("sky", mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin.mjBUILTIN_GRADIENT, blue, 64, 384),
    ):
        mjcf.add_texture(name=name, type=kind, builtin=pattern, rgb1=one, rgb2=other, width=width, height=height)
    mjcf.add_material(name="ground", texrepeat=(1.0, 1.0), texuniform=True).textures[role] = "ground"
    # The light follows the robot, and the scene counts as small as the robot, to give its shadow a fine resolution.
    mjcf.stat.extent = 1.5
    sun, follow = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM
    place, direction = (1.5, -2.0, 3.5), (-0.35, 0.45, -0.82)
    mjcf.worldbody.add_light(pos=place, dir=direction, type=sun, mode=follow, diffuse=(0.7, 0.7, 0.7))
    # The highest priority makes this friction count alone: among equals MuJoCo takes the larger of the two.
    priority = 1 + max(geom.priority for geom in mjcf.geoms)
    surface = {"name": "ground", "material": "ground", "friction": (friction, 0.005, 0.0001), "priority": priority}
    if terrain is None:
        add_geom(mjcf.worldbody, type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 1), **surface)
        return
    low, span = _span(terrain)
    rows, cols = terrain.heights.shape
    size, heights = (*terrain.half_size, span, 1.0), np.zeros(rows * cols)
    mjcf.add_hfield(name="ground", nrow=rows, ncol=cols, size=size, userdata=heights)
    heightfield = {"type": mujoco.mjtGeom.mjGEOM_HFIELD, "hfieldname": "ground", "pos": (0, 0, low)}
    steps = not to_look_at and is_steps(terrain)
    faces = None if steps or to_look_at else facets(terrain)
    if faces is None and not steps:
        add_geom(mjcf.worldbody, **heightfield, **surface)
        return
    # Heights would give a foot a contact for every triangle, with seams to stub against, and ramps for risers.
    add_geom(mjcf.worldbody, **heightfield, **surface, contype=0, conaffinity=0)
    hidden = surface | {"name": "", "group": 3}
    for index, top in enumerate(faces or []):
        mesh = mjcf.add_mesh(name=f"ground{index}")
        bottom = np.column_stack([top[:, :2], np.full(len(top), low - 1.0)])
        mesh.uservert, mesh.scale = np.vstack([top, bottom]).ravel(), np.ones(3)
        add_geom(mjcf.worldbody, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh.name, **hidden)
    for block in blocks(terrain) if steps else []:
        half = (block.height - low + 1.0) / 2
        add_geom(
            mjcf.worldbody,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=(*block.centre, block.height - half),
            size=(*block.half, half),
            **hidden,
        )
