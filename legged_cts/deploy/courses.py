"""Courses in plain MuJoCo."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from legged_cts.deploy.contract import check
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.evaluate import Conditions, fallen, make_robot
from legged_cts.deploy.passages import Cell, Passage, cell, heading_rate
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.processes import each
from legged_cts.deploy.protocol import COMMAND_PERIOD
from legged_cts.deploy.robot import Array, yaw_of
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.terrain.courses import COURSES, WAY, Course, limit

FRICTION = (0.4, 1.2)
"""Range of the ground's friction coefficient on courses."""


def frictions(robots: int, bounds: Sequence[float] = FRICTION) -> Array:
    """Return the friction of each robot of a course [N]: evenly over a range, in an order that looks random.

    Drawn by lot, 15 of 100 robots of one course had less than 0.5 and 8 of another's; only those fell, and the second
    looked twice as easy.
    """
    low, high = bounds
    even = low + (np.arange(robots) + 0.5) / robots * (high - low)
    return np.random.default_rng(robots).permutation(even)


def run_course(
    policy: OnnxPolicy, spec: RobotSpec, course: Course, speed: float, conditions: Conditions, seed: int
) -> Passage:
    """Send one robot along a course.

    Args:
        policy: The policy; its history and state are reset.
        spec: The robot, which must fit the policy's contract.
        course: The way.
        speed: Commanded speed [m/s], negative backwards.
        conditions: What it takes place under, apart from the ground's shape.
        seed: Of stones and boxes, the conditions, the noise and the pushes.
    """
    rng = np.random.default_rng((seed, 2))
    robot = make_robot(policy.contract, spec, conditions, seed, course.heights(seed))
    controller = Controller(policy, robot)
    robot.reset(yaw=rng.uniform(-0.1, 0.1))
    limits = policy.contract.command_ranges["ang_vel_z"]
    direction, steps = np.sign(speed), round(limit(speed) / robot.control_dt)
    rates, fell, arrived, step = [], False, False, 0
    for step in range(1, steps + 1):
        if conditions.push_velocity and step % round(COMMAND_PERIOD / robot.control_dt) == 0:
            robot.push(np.append(rng.uniform(-1, 1, 2) * conditions.push_velocity, 0.0))
        controller.step(np.array([speed, 0.0, float(heading_rate(yaw_of(robot.base_quat), limits))]))
        rates.append(robot.tilt_rate)
        fell, arrived = fallen(robot), bool(direction * robot.base_pos[0] >= WAY)
        if fell or arrived:
            break
    roll, pitch = np.sqrt(np.mean(np.square(rates), axis=0))
    way = float(direction * robot.base_pos[0])
    return Passage(arrived and not fell, fell, way / (step * robot.control_dt), float(roll), float(pitch))


def plain_courses(
    path: str | Path,
    robot: str | Path,
    courses: Sequence[Course],
    speeds: Sequence[float],
    conditions: Conditions,
    episodes: int,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Cell]:
    """Send robots along courses at speeds.

    Args:
        path: ONNX file.
        robot: Name of a robot or path of its robot.yaml.
        courses: The ways.
        speeds: Commanded speeds [m/s], negative backwards.
        conditions: What it takes place under, apart from the ground's shape and friction, which is `FRICTION`.
        episodes: Robots per course and speed, with the seeds seed, seed + 1, ...
        seed: Of the first robot.
        workers: Processes; None is one per core.
        progress: Told after every course how many are done, of how many.

    Raises:
        ContractError: If the policy does not fit the robot.
    """
    check(OnnxPolicy(path).contract, load_robot(robot))
    drawn = conditions.friction[0] != conditions.friction[1]
    own = frictions(episodes, FRICTION if drawn else conditions.friction).tolist()
    robots = [(seed + i, dataclasses.replace(conditions, friction=(mu, mu))) for i, mu in enumerate(own)]
    ways = [(course, speed) for course in courses for speed in speeds]
    jobs = [(path, robot, course.name, speed, robots) for course, speed in ways]
    cells: list[Cell] = []
    for (course, speed), passages in zip(ways, each(_share, jobs, workers or os.cpu_count() or 1), strict=True):
        cells.append(cell(course, speed, passages))
        if progress is not None:
            progress(len(cells), len(ways))
    return cells


def _share(
    path: str | Path, robot: str | Path, name: str, speed: float, robots: Sequence[tuple[int, Conditions]]
) -> list[Passage]:
    policy, spec = OnnxPolicy(path), load_robot(robot)
    return [run_course(policy, spec, COURSES[name], speed, conditions, seed) for seed, conditions in robots]
