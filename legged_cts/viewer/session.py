"""What the viewer plays: a policy on a robot, stepped under a command."""

from __future__ import annotations

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
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.terrain.grid import rough_terrain

TERRAINS = ("flat", "rough")
UPRIGHT = 1.0
"""How long a robot must be up without a break to end a fall [s]: one that tumbles may rise for moments."""


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


class Simulation(Protocol):
    """A robot under a policy. `MujocoSession` is one, `IsaacSession` another."""

    spec: RobotSpec
    model: mujoco.MjModel
    """What to draw; another one after `set_terrain`."""
    control_dt: float
    command_ranges: dict[str, tuple[float, float]]
    title: str
    roles: tuple[str, ...]
    """What `set_role` takes: `student`, and `teacher` where the privileged observation exists."""
    role: str
    terrains: tuple[str, ...]
    """What `set_terrain` takes; a single one if the ground cannot be changed."""
    terrain: str

    def state(self) -> State:
        """The present state."""
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

    def set_terrain(self, terrain: str) -> None:
        """Changes the ground and resets."""
        ...


class MujocoSession:
    """An ONNX policy in plain MuJoCo, without noise, delay or randomisation.

    Args:
        policy: ONNX file.
        robot: name or robot.yaml of the robot; None is the policy's.
        terrain: `flat` or `rough`.
        difficulty: of rough terrain, 0 to 1.
        seed: of the rough terrain.

    Raises:
        FileNotFoundError: if there is no such policy.
        ContractError: if the policy does not fit the robot.
        ValueError: if the terrain does not exist.
    """

    roles: tuple[str, ...] = ("student",)
    terrains: tuple[str, ...] = TERRAINS
    role: str = "student"

    def __init__(
        self,
        policy: str | Path,
        robot: str | None = None,
        terrain: str = "flat",
        difficulty: float = 0.5,
        seed: int = 0,
    ) -> None:
        self._policy = OnnxPolicy(policy)
        contract = self._policy.contract
        self.spec = load_robot(robot or contract.robot)
        check(contract, self.spec)
        self.control_dt = contract.control_dt
        self.command_ranges = contract.command_ranges
        self.title = f"{contract.robot}, {contract.algorithm}, {contract.trained_steps:,} steps"
        self._difficulty, self._seed = difficulty, seed
        self.set_terrain(terrain)

    def set_terrain(self, terrain: str) -> None:
        """Builds the robot anew on another ground."""
        require("terrain", terrain, self.terrains)
        contract = self._policy.contract
        ground = rough_terrain(self._difficulty, self._seed, tiles=3) if terrain == "rough" else None
        self._robot = MujocoRobot(self.spec, contract.control_dt, contract.physics_dt, terrain=ground)
        self._controller = Controller(self._policy, self._robot)
        self.terrain, self.model = terrain, self._robot.model

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

    def step(self, command: Array) -> State:
        """One control period, see `Simulation.step`."""
        self._controller.step(command)
        return self.state()

    def reset(self) -> State:
        """Starts anew, see `Simulation.reset`."""
        self._robot.reset()
        self._controller.reset()
        return self.state()

    def push(self, velocity: Array) -> None:
        """See `Simulation.push`."""
        self._robot.push(np.asarray(velocity))


def require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises a ValueError unless the value is an allowed one."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got '{value}'")
