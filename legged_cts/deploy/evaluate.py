"""Measures a policy over episodes in plain MuJoCo."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legged_cts.deploy.contract import COMMANDS, PolicyContract, check
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.metrics import METRICS, EpisodeAccumulator, Episodes, Sample, finite, summarise
from legged_cts.deploy.mujoco_robot import MujocoRobot, SensorNoise
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.processes import each
from legged_cts.deploy.protocol import COMMAND_PERIOD, GRAVITY, SETTLING, ZERO_COMMANDS, narrowed
from legged_cts.deploy.robot import Array
from legged_cts.robots.mjcf import body_mass
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.terrain.grid import rough_terrain
from legged_cts.terrain.heights import Heightfield

MAX_TILT = 1.0
MEASURED = tuple(name for name in METRICS if name != "promoted_level")
"""Metrics where there is no curriculum."""


@dataclass(frozen=True)
class Conditions:
    """What an episode takes place under; ranges are drawn from uniformly, once per episode. The defaults are those of
    `tasks/randomization/default.yaml`, so that errors compare with those in the training simulator.

    Attributes:
        terrain: `flat` or `rough`.
        difficulty: of rough terrain, 0 to 1.
        noise: sensor noise.
        friction: range of the ground's friction coefficient.
        action_delay: range of the delay of actions [s].
        base_mass: range of the mass added to the base, as a share of its own.
        com_shift: range of the shift of the base's centre of mass along each axis [m].
        joint_zero: range of the error of each joint encoder's zero [rad].
        link_mass: range of each link's factor of mass and inertia.
        gains: range of each joint's factors of stiffness and of damping.
        armature: range of each joint's factor of armature.
        push_velocity: largest velocity along x and y which a push adds every 5 s [m/s]; 0 is no pushes.
    """

    terrain: str = "flat"
    difficulty: float = 0.5
    noise: SensorNoise = SensorNoise(ang_vel=0.2, tilt=0.05, joint_pos=0.01, joint_vel=1.5)
    friction: tuple[float, float] = (0.3, 1.7)
    action_delay: tuple[float, float] = (0.0, 0.015)
    base_mass: tuple[float, float] = (-0.15, 0.15)
    com_shift: tuple[float, float] = (-0.03, 0.03)
    joint_zero: tuple[float, float] = (-0.035, 0.035)
    link_mass: tuple[float, float] = (0.9, 1.1)
    gains: tuple[float, float] = (0.9, 1.1)
    armature: tuple[float, float] = (0.8, 1.2)
    push_velocity: float = 0.0

    def __post_init__(self) -> None:
        """Refuses a terrain or difficulty that does not exist."""
        if self.terrain not in ("flat", "rough"):
            raise ValueError(f"terrain must be 'flat' or 'rough', got '{self.terrain}'")
        if not 0.0 <= self.difficulty <= 1.0:
            raise ValueError(f"difficulty must lie in [0, 1], got {self.difficulty}")

    @classmethod
    def ideal(cls, terrain: str = "flat", difficulty: float = 0.5) -> Conditions:
        """No noise, no delay, the robot as its files describe it."""
        none, as_it_is = (0.0, 0.0), (1.0, 1.0)
        drawn = (none, none, none, none, as_it_is, as_it_is, as_it_is)
        return cls(terrain, difficulty, SensorNoise(), (0.8, 0.8), *drawn)


def draw_command(rng: np.random.Generator, ranges: Mapping[str, tuple[float, float]]) -> Array:
    """A command, uniform in the ranges; one in ten is zero [3]."""
    low, high = np.array([ranges[name] for name in COMMANDS]).T
    command = rng.uniform(low, high)
    return np.zeros(3) if rng.random() < ZERO_COMMANDS else command


def fallen(robot: MujocoRobot) -> bool:
    """Whether the base touched the ground, tilts over 1 rad or is lower than half its nominal height."""
    return robot.base_touched or robot.tilt > MAX_TILT or robot.clearance < 0.5 * robot.spec.nominal_height


def make_robot(
    contract: PolicyContract, spec: RobotSpec, conditions: Conditions, seed: int, terrain: Heightfield | None = None
) -> MujocoRobot:
    """A simulated robot under conditions drawn with this seed; no terrain is that of the conditions."""
    rng = np.random.default_rng(seed)
    if terrain is None and conditions.terrain == "rough":
        terrain = rough_terrain(conditions.difficulty, seed)
    joints = len(spec.joints)
    drawn = {
        "friction": rng.uniform(*conditions.friction),
        "action_delay": rng.uniform(*conditions.action_delay),
        "base_mass": rng.uniform(*conditions.base_mass) * body_mass(spec, spec.base),
        "com_shift": rng.uniform(*conditions.com_shift, size=3),
        "joint_zero": rng.uniform(*conditions.joint_zero, size=joints),
    }
    stiffness, damping = rng.uniform(*conditions.gains, size=(2, joints))
    spec = dataclasses.replace(
        spec,
        stiffness=tuple((stiffness * spec.stiffness).tolist()),
        damping=tuple((damping * spec.damping).tolist()),
    )
    robot = MujocoRobot(
        spec, contract.control_dt, contract.physics_dt, terrain=terrain, noise=conditions.noise, seed=seed, **drawn
    )
    robot.scale(
        rng.uniform(*conditions.link_mass, size=robot.model.nbody - 1), rng.uniform(*conditions.armature, joints)
    )
    return robot


def run_episode(
    policy: OnnxPolicy,
    spec: RobotSpec,
    conditions: Conditions,
    seed: int,
    duration: float = 20.0,
    on_step: Callable[[MujocoRobot, Array], None] | None = None,
) -> Episodes:
    """Runs one episode: a new command every 5 s, the first second after each left out of the metrics.

    Args:
        policy: the policy; its history and state are reset.
        spec: the robot, which must fit the policy's contract.
        conditions: what the episode takes place under.
        seed: of the commands, the conditions, the terrain and the noise.
        duration: seconds, if the robot does not fall or leave the terrain before.
        on_step: called after each control step with the robot and the command, to record a video say.

    Raises:
        ContractError: if the policy does not fit the robot.
    """
    check(policy.contract, spec)
    robot = make_robot(policy.contract, spec, conditions, seed)
    controller = Controller(policy, robot)
    rng = np.random.default_rng((seed, 1))
    robot.reset(yaw=rng.uniform(-np.pi, np.pi))
    ranges = narrowed(policy.contract.command_ranges)
    dt = robot.control_dt
    period, settling, steps = round(COMMAND_PERIOD / dt), round(SETTLING / dt), round(duration / dt)
    sums = EpisodeAccumulator(1, robot.mass * GRAVITY, dt)
    last_action = np.zeros(len(spec.joints))
    command = np.zeros(3)
    for step in range(steps):
        if step % period == 0:
            command = draw_command(rng, ranges)
            if conditions.push_velocity and step:
                robot.push(np.append(rng.uniform(-1, 1, 2) * conditions.push_velocity, 0.0))
        action = controller.step(command)
        if on_step is not None:
            on_step(robot, command)
        fell = fallen(robot)
        sums.count_step(np.array([True]), np.array([fell]))
        if fell or _left(robot):
            break
        if step % period >= settling:
            sums.add(_sample(robot, command, action - last_action), np.array([True]))
        last_action = action
    return sums.episodes()


def _sample(robot: MujocoRobot, command: Array, change: Array) -> Sample:
    """A control step under a command, in which the action changed by so much."""
    values = (command, robot.velocity, robot.torques, robot.joint_vel, change, robot.foot_speeds, robot.foot_contact)
    return Sample(*(value[None] for value in values))


def evaluate(
    policy: str | Path,
    robot: str | Path,
    conditions: Conditions,
    episodes: int = 20,
    seed: int = 0,
    duration: float = 20.0,
    workers: int | None = None,
) -> dict[str, object]:
    """Runs episodes with the seeds seed, seed + 1, ... and summarises them.

    Args:
        policy: ONNX file.
        robot: name of a robot or path of its robot.yaml.
        conditions: what the episodes take place under.
        episodes: how many.
        seed: of the first episode.
        duration: of each episode [s].
        workers: processes to run them in; None is one per core. Each process imports the caller's main module.

    Returns:
        `metrics`: per metric its `mean`, the `low` and `high` end of its 95 % interval and the number of `episodes`
        it could be measured in; `episodes`: the metrics of each; and what was run: `policy`, `robot`, `terrain`,
        `difficulty`, `seeds`, `command_ranges`, `duration`, `trained_steps`, `algorithm`.

    Raises:
        ContractError: if the policy does not fit the robot.
        ValueError: if there are no episodes to run.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    if duration <= SETTLING:
        raise ValueError(f"duration must be above {SETTLING} s, which is left out of the metrics, got {duration}")
    contract = OnnxPolicy(policy).contract
    check(contract, load_robot(robot))
    workers = min(workers or os.cpu_count() or 1, episodes)
    seeds = list(range(seed, seed + episodes))
    shares = [(policy, robot, conditions, seeds[i::workers], duration) for i in range(workers)]
    by_seed = dict(sorted(pair for share in each(_run_share, shares, workers) for pair in share))
    together = Episodes.join(list(by_seed.values()))
    return {
        "policy": str(policy),
        "robot": contract.robot,
        "algorithm": contract.algorithm,
        "trained_steps": contract.trained_steps,
        "terrain": conditions.terrain,
        "difficulty": conditions.difficulty if conditions.terrain == "rough" else 0.0,
        "command_ranges": narrowed(contract.command_ranges),
        "duration": duration,
        "seeds": seeds,
        "metrics": {name: summarise(getattr(together, name), share=name == "fall").record() for name in MEASURED},
        "episodes": [
            {"seed": s, **{name: finite(float(getattr(one, name)[0])) for name in MEASURED}}
            for s, one in by_seed.items()
        ],
    }


def _run_share(
    policy: str | Path, robot: str | Path, conditions: Conditions, seeds: list[int], duration: float
) -> list[tuple[int, Episodes]]:
    loaded, spec = OnnxPolicy(policy), load_robot(robot)
    return [(seed, run_episode(loaded, spec, conditions, seed, duration)) for seed in seeds]


def _left(robot: MujocoRobot) -> bool:
    """Whether the robot is about to walk off the terrain."""
    if robot.terrain is None:
        return False
    return bool((np.abs(robot.base_pos[:2]) > np.array(robot.terrain.half_size) - 1.0).any())
