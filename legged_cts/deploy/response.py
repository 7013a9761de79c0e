"""How a robot answers constant commands on level ground: how it stands, how fast it goes, and how evenly.

One definition for plain MuJoCo and the training simulator: both record a :class:`Trace` per command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from legged_cts.deploy.contract import COMMANDS
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.evaluate import Conditions, fallen, make_robot
from legged_cts.deploy.metrics import finite, summarise
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.robot import Array
from legged_cts.robots.spec import RobotSpec

SHARES = (0.1, 0.2, 0.5, 1.0)
"""Of the upper end of each command range."""
SETTLING = 2.0
"""Seconds after the start that are left out."""
STANDING, MOVING = 10.0, 4.0
"""Seconds that are measured, under the command zero and under others."""
LABELS = {"lin_vel_x": "ahead [m/s]", "lin_vel_y": "aside [m/s]", "ang_vel_z": "turn [rad/s]"}


@dataclass(frozen=True)
class Trace:
    """What one robot did under one command, T steps after it settled.

    Attributes:
        velocity: v_x, v_y and yaw rate in the yaw-aligned base frame [T, 3] in m/s and rad/s.
        position: of the base in the world [T, 2] in m.
        tilt_rate: roll and pitch rate of the base [T, 2] in rad/s.
        contact: whether each foot touches the ground [T, F].
        left: whether each foot is on the left [F].
        dt: length of a step [s].
    """

    velocity: Array
    position: Array
    tilt_rate: Array
    contact: Array
    left: Array
    dt: float


@dataclass(frozen=True)
class Response:
    """The answer to one command, the mean over the robots that did not fall; NaN where all fell.

    Attributes:
        command: v_x, v_y, yaw rate [3].
        achieved: the mean of the same [3].
        achieved_half: half the width of its 95 % interval over the robots [3], Student's t; NaN for a single robot.
        drift: speed from the first to the last position [m/s].
        touch_downs: how often each foot came down in 10 s [F].
        tilt_rate: root mean square of roll and pitch rate [2] in rad/s.
        duty: share of the time that a left, and a right foot is on the ground [2].
        fell: share of the robots that fell.
    """

    command: Array
    achieved: Array
    achieved_half: Array
    drift: float
    touch_downs: Array
    tilt_rate: Array
    duty: Array
    fell: float


def probes(ranges: Mapping[str, tuple[float, float]]) -> Array:
    """Return the commands to try [1 + 3 * 4, 3]: zero, then each axis alone at shares of its range's upper end."""
    commands = [np.zeros(3)]
    for axis, name in enumerate(COMMANDS):
        commands += [np.eye(3)[axis] * share * ranges[name][1] for share in SHARES]
    return np.array(commands)


def measured(command: Array) -> float:
    """Return for how many seconds a robot is measured under a command [3]."""
    return MOVING if command.any() else STANDING


def respond(command: Array, traces: Sequence[Trace | None]) -> Response:
    """Summarise what robots did under one command; None is one that fell."""
    stood = [trace for trace in traces if trace is not None]
    fell = 1.0 - len(stood) / len(traces)
    nan = np.full(3, np.nan)
    if not stood:
        return Response(command, nan, nan, np.nan, nan[:1], nan[:2], nan[:2], fell)

    def mean(values: Sequence[Array | float]) -> Array:
        return np.mean(np.array(values, dtype=np.float64), axis=0)

    seconds = [len(trace.velocity) * trace.dt for trace in stood]
    achieved = [summarise(values) for values in np.array([trace.velocity.mean(axis=0) for trace in stood]).T]
    return Response(
        command=command,
        achieved=np.array([summary.mean for summary in achieved]),
        achieved_half=np.array([summary.high - summary.mean for summary in achieved]),
        drift=float(
            mean([np.linalg.norm(t.position[-1] - t.position[0]) / s for t, s in zip(stood, seconds, strict=True)])
        ),
        touch_downs=mean(
            [(t.contact[1:] & ~t.contact[:-1]).sum(axis=0) * 10.0 / s for t, s in zip(stood, seconds, strict=True)]
        ),
        tilt_rate=mean([np.sqrt(np.mean(np.square(trace.tilt_rate), axis=0)) for trace in stood]),
        duty=mean([np.array([t.contact[:, side].mean() for side in (t.left, ~t.left)]) for t in stood]),
        fell=fell,
    )


def plain_responses(policy: OnnxPolicy, spec: RobotSpec, seed: int = 0) -> list[Response]:
    """Try every command on a robot in plain MuJoCo, as its files describe it: no noise, no delay, level ground.

    Args:
        policy: the policy; its contract says which commands it was trained for.
        spec: the robot, which must fit the contract.
        seed: of nothing but what the policy draws itself.
    """
    return [
        respond(command, [_plain_trace(policy, spec, command, seed)])
        for command in probes(policy.contract.command_ranges)
    ]


def _plain_trace(policy: OnnxPolicy, spec: RobotSpec, command: Array, seed: int) -> Trace | None:
    robot = make_robot(policy.contract, spec, Conditions.ideal(), seed)
    controller = Controller(policy, robot)
    left = robot.foot_pos[:, 1] > robot.base_pos[1]
    rows = []
    for step in range(round((SETTLING + measured(command)) / robot.control_dt)):
        controller.step(command)
        if fallen(robot):
            return None
        if step * robot.control_dt >= SETTLING:
            rows.append((robot.velocity, robot.base_pos[:2], robot.tilt_rate, robot.foot_contact))
    velocity, position, tilt_rate, contact = (np.array(column) for column in zip(*rows, strict=True))
    return Trace(velocity, position, tilt_rate, contact, left, robot.control_dt)


def as_record(response: Response) -> dict[str, object]:
    """Return an answer as plain numbers and lists for JSON; None where nothing was measured."""
    record: dict[str, object] = {}
    for name, value in vars(response).items():
        numbers = [finite(float(n)) for n in np.atleast_1d(value)]
        record[name] = numbers if np.ndim(value) else numbers[0]
    return record


def as_row(record: Mapping[str, Any]) -> dict[str, float | None]:
    """Return an answer out of :func:`as_record` as one line of a table."""
    parts = {
        "command": COMMANDS,
        "achieved": COMMANDS,
        "achieved_half": COMMANDS,
        "tilt_rate": ("roll", "pitch"),
        "duty": ("left", "right"),
    }
    row: dict[str, float | None] = {}
    for name, value in record.items():
        if isinstance(value, list):
            names = parts.get(name) or [str(index) for index in range(len(value))]
            row |= {f"{name}_{part}": number for part, number in zip(names, value, strict=True)}
        else:
            row[name] = value
    return row


def describe(responses: Sequence[Response]) -> str:
    """Return the answers as lines of text: standing first, then commanded against achieved speed."""
    zero, *others = responses
    downs = " ".join(f"{count:.0f}" for count in zero.touch_downs)
    lines = [
        f"standing: drifts {100 * zero.drift:.1f} cm/s, turns {_turn(zero)} deg/s, "
        f"touch-downs per foot in 10 s: {downs}" + (f", falls {zero.fell:.2f}" if zero.fell else ""),
        f"{'command':<14}{'told':>7}{'does':>7}{'turns':>12}{'roll':>7}{'pitch':>7}{'left':>7}{'right':>7}{'falls':>7}",
        f"{'':<28}{'deg/s':>12}{'rms rad/s':>14}{'on the ground':>14}",
    ]
    for answer in others:
        axis = int(np.argmax(np.abs(answer.command)))
        turns = "" if axis == 2 else _turn(answer)
        lines.append(
            f"{LABELS[COMMANDS[axis]]:<14}{answer.command[axis]:>7.2f}{answer.achieved[axis]:>7.2f}{turns:>12}"
            f"{answer.tilt_rate[0]:>7.2f}{answer.tilt_rate[1]:>7.2f}{answer.duty[0]:>7.2f}{answer.duty[1]:>7.2f}"
            f"{answer.fell:>7.2f}"
        )
    return "\n".join(lines)


def _turn(answer: Response) -> str:
    """How far it turns [deg/s], with half the width of the interval where there is one."""
    turn, half = np.degrees(answer.achieved[2]), np.degrees(answer.achieved_half[2])
    return f"{turn:.1f}" if np.isnan(half) else f"{turn:.1f} +-{half:.1f}"
