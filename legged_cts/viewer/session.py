"""What the viewer plays: a policy on a robot, stepped under a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import mujoco
import numpy as np

from legged_cts.deploy.contract import check
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.evaluate import fallen
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.robot import Array
from legged_cts.deploy.words import require
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.terrain.courses import COURSES
from legged_cts.terrain.grid import rough_terrain
from legged_cts.terrain.kinds import KINDS

TERRAINS = ("flat", "rough", *(kind for kind in KINDS if kind != "flat"))
"""Level ground, all kinds of rough ground side by side, or one of them."""
GROUNDS = (*TERRAINS, *(name for name in COURSES if name not in TERRAINS))
"""These, and the courses of the benchmark, which are as difficult as their names say."""
FRICTION = 0.8
"""Of the ground at first, as `MujocoRobot` has it."""
UPRIGHT = 1.0
"""How long a robot must be up without a break to end a fall [s]: one that tumbles may rise for moments."""


class Falls:
    """Counts falls; a robot that lay must have been upright for a while before it can fall again.

    Attributes:
        count: how often it fell.
        lying: for how long it has been down in the present fall [s]; 0 for a robot that is up.
    """

    def __init__(self) -> None:
        self.count = 0
        self.lying = self._upright = 0.0

    def look(self, fallen: bool, dt: float) -> None:
        """Notices whether the robot is fallen after another `dt` [s]."""
        self._upright = 0.0 if fallen else self._upright + dt
        if fallen:
            self.count += self.lying == 0.0
            self.lying += dt
        elif self._upright >= UPRIGHT:
            self.lying = 0.0

    def rise(self) -> None:
        """Ends the present fall: the robot was put on its feet."""
        self.lying = self._upright = 0.0


@dataclass(frozen=True)
class State:
    """What can be seen of a robot.

    Attributes:
        qpos: state of the session's model [nq].
        base_pos: position of the base in the world [m] [3].
        velocity: (v_x, v_y, yaw rate) in the base's yaw-aligned frame [m/s, m/s, rad/s] [3].
        fallen: whether the robot lies on the ground.
    """

    qpos: Array
    base_pos: Array
    velocity: Array
    fallen: bool


@dataclass(frozen=True)
class Signals:
    """What can be measured of a robot beside its motion, in the orders of its spec.

    Attributes:
        joint_pos: joint angles [rad] [d].
        torque_share: size of each joint's torque as a share of its limit [d].
        contact: whether each foot touches the ground, bool [F].
    """

    joint_pos: Array
    torque_share: Array
    contact: Array


@dataclass(frozen=True)
class Insight:
    """What only the task and the networks of a training know.

    Attributes:
        rewards: by term, its weighted part of the reward of the last control period [1/s].
        latents: by role, what its encoder makes of the present observation [n].
    """

    rewards: Mapping[str, float]
    latents: Mapping[str, Array]


@dataclass(frozen=True)
class World:
    """The ground and the load of a simulation.

    Attributes:
        terrain: one of the session's `terrains`.
        difficulty: of rough terrain that is no course, 0 to 1.
        friction: sliding friction coefficient of the ground.
        payload: mass added to the base [kg].
    """

    terrain: str = "flat"
    difficulty: float = 0.5
    friction: float = FRICTION
    payload: float = 0.0

    @property
    def graded(self) -> bool:
        """Whether the difficulty matters."""
        return self.terrain != "flat" and not self.is_course

    @property
    def is_course(self) -> bool:
        """Whether the robot shall go to the end of a course."""
        return self.terrain in COURSES and self.terrain not in TERRAINS


class Simulation(Protocol):
    """A robot under a policy. `MujocoSession` is one, `IsaacSession` another."""

    spec: RobotSpec
    model: mujoco.MjModel
    """What to draw; another one after `set_world` changed the ground."""
    control_dt: float
    command_ranges: dict[str, tuple[float, float]]
    title: str
    roles: tuple[str, ...]
    """What `set_role` takes: `student`, and `teacher` where the privileged observation exists."""
    role: str
    terrains: tuple[str, ...]
    """What the world's terrain may be; a single one if the world cannot be changed."""
    world: World

    def state(self) -> State:
        """The present state."""
        ...

    def signals(self) -> Signals:
        """What else is measured of the present state."""
        ...

    def insight(self) -> Insight | None:
        """What the training's task and networks say of the present state; None where they are not at hand."""
        ...

    def step(self, command: Array) -> State:
        """Simulates one control period under the command (v_x, v_y, yaw rate) and returns the new state."""
        ...

    def reset(self) -> State:
        """Puts the robot back to where it started."""
        ...

    def push(self, velocity: Array) -> None:
        """Adds a velocity to the base, in the world [m/s] [3]."""
        ...

    def set_role(self, role: str) -> None:
        """Lets another role act."""
        ...

    def set_world(self, world: World) -> None:
        """Changes the world; another ground resets the robot."""
        ...


class MujocoSession:
    """An ONNX policy in plain MuJoCo, without noise, delay or randomisation.

    Args:
        policy: ONNX file.
        robot: name or robot.yaml of the robot; None is the policy's.
        world: what it walks on.
        seed: of rough terrain.
        start: where the robot starts [m] [2].

    Raises:
        FileNotFoundError: if there is no such policy.
        ContractError: if the policy does not fit the robot.
        ValueError: if the terrain does not exist.
    """

    roles: tuple[str, ...] = ("student",)
    terrains: tuple[str, ...] = GROUNDS
    role: str = "student"

    def __init__(
        self,
        policy: str | Path,
        robot: str | None = None,
        world: World | None = None,
        seed: int = 0,
        start: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._policy = OnnxPolicy(policy)
        contract = self._policy.contract
        self.spec = load_robot(robot or contract.robot)
        check(contract, self.spec)
        self.control_dt = contract.control_dt
        self.command_ranges = contract.command_ranges
        self.title = f"{contract.robot}, {contract.algorithm}, {contract.trained_steps:,} steps"
        self._seed, self._start = seed, start
        self._build(world or World())

    def set_world(self, world: World) -> None:
        """See `Simulation.set_world`."""
        ground = (world.terrain, world.difficulty if world.graded else self.world.difficulty)
        if ground != (self.world.terrain, self.world.difficulty):
            self._build(world)
        else:
            self._load(world)

    def _build(self, world: World) -> None:
        """Builds the robot anew on another ground."""
        require("terrain", world.terrain, self.terrains)
        contract, ground = self._policy.contract, None
        if world.is_course:
            ground = COURSES[world.terrain].heights(self._seed)
        elif world.terrain != "flat":
            kinds = None if world.terrain == "rough" else [world.terrain]
            ground = rough_terrain(world.difficulty, self._seed, kinds, tiles=3)
        self._robot = MujocoRobot(self.spec, contract.control_dt, contract.physics_dt, terrain=ground)
        self._robot.reset(place=self._start)
        self._controller = Controller(self._policy, self._robot)
        self.model = self._robot.model
        self._load(world)

    def _load(self, world: World) -> None:
        self._robot.set_friction(world.friction)
        self._robot.set_payload(world.payload)
        self.world = world

    def set_role(self, role: str) -> None:
        """Refuses the teacher: an exported policy is the student alone."""
        if role == "teacher":
            raise ValueError(
                "role: an ONNX policy holds the student alone; to see the teacher give checkpoint=model.pt role=teacher"
            )
        require("role", role, self.roles)

    def state(self) -> State:
        """The present state, see `Simulation.state`."""
        robot = self._robot
        return State(robot.data.qpos.copy(), robot.base_pos, robot.velocity, fallen(robot))

    def signals(self) -> Signals:
        """See `Simulation.signals`."""
        robot = self._robot
        return Signals(robot.joint_pos, robot.torque_share, robot.foot_contact)

    def insight(self) -> Insight | None:
        """None: an ONNX file holds neither its task nor its teacher."""
        return None

    def step(self, command: Array) -> State:
        """One control period, see `Simulation.step`."""
        self._controller.step(command)
        return self.state()

    def reset(self) -> State:
        """Starts anew, see `Simulation.reset`."""
        self._robot.reset(place=self._start)
        self._controller.reset()
        return self.state()

    def push(self, velocity: Array) -> None:
        """See `Simulation.push`."""
        self._robot.push(np.asarray(velocity))
