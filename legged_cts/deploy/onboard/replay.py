"""What in a deployment's record differs from what was to be expected, and where the robot was."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from legged_cts.deploy.commands import ReplayOptions
from legged_cts.deploy.contract import PolicyContract, check
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.record import MODES, read_record
from legged_cts.deploy.onboard.simulated import SimulatedBody
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.policy_file import policy_file
from legged_cts.deploy.robot import Array, RobotState, yaw_of
from legged_cts.deploy.video import robot_camera, write_video
from legged_cts.robots.spec import RobotSpec, load_robot

ANSWER = 1e-2
"""Difference of an action from the policy's that counts; the record holds float32, which is rounded."""
TICK = 0.002
"""Of the simulator that says what was to be expected [s]."""


class Recorded:
    """A record as a robot, one period at a time.

    Args:
        path: of the record.

    Raises:
        ValueError: if it is no record, or one of another robot than there is here.
    """

    def __init__(self, path: str) -> None:
        """Read the record, and find where the base was."""
        self.contract, self.rows = read_record(path)
        self.spec = load_robot(self.contract.robot)
        check(self.contract, self.spec)
        if not len(self.rows):
            raise ValueError(f"record: {path} holds no period")
        self.joints, self.control_dt = self.contract.joints, self.contract.control_dt
        self.walks = np.isin(self.rows["mode"], [MODES.index(Mode.WALK), MODES.index(Mode.STOP)])
        self.index = 0
        self.pos = base_path(self.spec, [self.state(index) for index in range(len(self.rows))])
        """Where the base was, if its lowest foot did not slip [m] [n, 3]."""
        self.velocity = np.gradient(self.pos, self.control_dt, axis=0) if len(self.pos) > 1 else 0 * self.pos
        """Of the base in the world [m/s] [n, 3]."""

    def state(self, index: int) -> RobotState:
        """What was sensed in a period; upright in the nominal pose before there was a reading."""
        row = self.rows[index]
        if not row["quat"].any():
            zeros = np.zeros(len(self.joints))
            return RobotState(np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3), np.array(self.spec.nominal_pose), zeros)
        return RobotState(*(row[name].astype(float) for name in ("quat", "ang_vel", "joint_pos", "joint_vel")))

    def read_state(self) -> RobotState:
        """What was sensed in the present period, for a controller."""
        return self.state(self.index)

    def send_targets(self, targets: Array) -> None:
        """Nothing follows from them."""


def base_path(spec: RobotSpec, states: list[RobotState]) -> Array:
    """Positions of the base [m] [n, 3] that keep the lowest foot where it is, on level ground at height 0."""
    robot = MujocoRobot(spec, 0.02, 0.02)
    path = np.zeros((len(states), 3))
    feet, stance = np.zeros((len(spec.feet), 3)), 0
    for index, state in enumerate(states):
        robot.place(state, (0.0, 0.0, 0.0))
        if index:
            path[index, :2] = path[index - 1, :2] + (feet - robot.foot_pos)[stance, :2]
        path[index, 2] = -_lowest(robot)
        feet = robot.foot_pos
        stance = int(np.argmin(feet[:, 2]))
    return path


def _lowest(robot: MujocoRobot) -> float:
    """Height of the robot's lowest point [m]."""
    model, data = robot.model, robot.data
    ground = model.geom("ground").id
    touching = np.flatnonzero(model.geom_contype | model.geom_conaffinity)
    return min(mujoco.mj_geomDistance(model, data, ground, geom, 10.0, None) for geom in touching if geom != ground)


def replay(options: ReplayOptions) -> dict[str, float | None]:
    """Says where a record first differs from what was to be expected, and writes the video that was asked for.

    Returns:
        Seconds at which first: `contract`, the policy answers otherwise than was recorded; `torque`, a motor gives
        another one than its PD law; `motion`, a joint moves otherwise within a period than in the simulator, from the
        same state and under the same command; `task`, the robot does not walk as commanded. None where nothing differs.

    Raises:
        ValueError: if the record is none, or not of this policy.
    """
    record = Recorded(options.record)
    path = policy_file(options.policy)
    policy = OnnxPolicy(path)
    if policy.contract != record.contract:
        raise ValueError(f"policy: {path} is not the policy of {options.record}")
    first: dict[str, float | None] = {}
    for name, differences, most, what in (
        ("contract", answers(policy, record), ANSWER, "{joint}'s action by {value:.2g}"),
        ("torque", torques(record), options.torque, "{joint} by {value:.2f} of its limit from its PD law"),
        ("motion", motions(record), options.motion, "{joint} by {value:.2f} rad within a period"),
        ("task", errors(record), options.tracking, "{axis} by {value:.2f} on average over a second"),
    ):
        beyond = np.flatnonzero(np.nan_to_num(differences).max(axis=1, initial=0.0) > most)
        first[name] = float(record.rows["now"][beyond[0]]) if beyond.size else None
        print(f"{name}: {_sentence(record.contract, differences, beyond, first[name], what)}")
    if options.video:
        frames = [(qpos, pos) for qpos, pos in poses(record)][::2]
        model = MujocoRobot(record.spec, 0.02, 0.02).model
        camera, fps = robot_camera(model, record.spec), 0.5 / record.control_dt
        backend = write_video(options.video, model, frames, fps, total=len(frames), camera=camera)
        print(f"video: {options.video} (drawn by {backend})")
    return first


def _sentence(contract: PolicyContract, differences: Array, beyond: Array, first: float | None, what: str) -> str:
    if first is None:
        return "as expected"
    row = np.nan_to_num(differences[beyond[0]])
    place = int(np.argmax(row))
    names = {"joint": contract.joints[place], "axis": ("v_x", "v_y", "yaw rate")[min(place, 2)], "value": row[place]}
    return f"differs first at {first:.2f} s: {what.format(**names)}"


def poses(record: Recorded) -> Iterator[tuple[Array, Array]]:
    """The state `qpos` [nq] of a model of the robot and the position of its base [3], of each period."""
    robot = MujocoRobot(record.spec, 0.02, 0.02)
    for index in range(len(record.rows)):
        robot.place(record.state(index), record.pos[index])
        yield robot.data.qpos.copy(), record.pos[index]


def answers(policy: OnnxPolicy, record: Recorded) -> Array:
    """How far each recorded action is from the policy's answer to the recorded readings [n, d]; 0 without a walk."""
    controller = Controller(policy, record)
    differences = np.zeros_like(record.rows["action"], dtype=float)
    for index in np.flatnonzero(record.walks).tolist():
        if not index or not record.walks[index - 1]:
            controller.reset()
        record.index, row = index, record.rows[index]
        differences[index] = np.abs(controller.step(row["command"]) - row["action"])
    return differences


def torques(record: Recorded) -> Array:
    """How far each torque is from kp (q - angle) - kd speed, as a share of the joint's limit [n, d]."""
    rows, limit = record.rows, np.asarray(record.contract.effort_limit)
    # A reading shows the torque under the command before it.
    q, kp, kd = (rows[name][:-1] for name in ("q", "kp", "kd"))
    expected = np.clip(kp * (q - rows["joint_pos"][1:]) - kd * rows["joint_vel"][1:], -limit, limit)
    differences = np.abs(rows["torque"][1:] - expected) / limit * rows["fresh"][1:, None]
    return np.concatenate((np.zeros((1, len(limit))), differences))


def motions(record: Recorded) -> Array:
    """How far each joint is from where the simulator moves it in a period from the reading before [rad] [n, d]."""
    rows, body = record.rows, SimulatedBody(record.spec, TICK, np.array(record.spec.nominal_pose))
    differences = np.zeros_like(rows["joint_pos"], dtype=float)
    for index in np.flatnonzero(rows["fresh"][1:] & rows["fresh"][:-1] & record.walks[:-1]).tolist():
        body.place(record.state(index), record.pos[index], record.velocity[index])
        body.drive(*(rows[name][index] for name in ("q", "kp", "kd")))
        for _ in range(round(record.control_dt / TICK)):
            body.tick()
        differences[index + 1] = np.abs(body.read_state().joint_pos - rows["joint_pos"][index + 1])
    return differences


def errors(record: Recorded) -> Array:
    """How far the velocity over the next second is from its command [n, 3]; 0 where the robot does not walk all of it.

    The columns are v_x, v_y [m/s] and the yaw rate [rad/s]; commands that change within the second count as their mean.
    """
    width = round(1.0 / record.control_dt)
    differences = np.zeros((len(record.rows), 3))
    if len(record.rows) < width:
        return differences
    heading = np.array([yaw_of(record.state(index).quat) for index in range(len(record.rows))])
    c, s = np.cos(heading), np.sin(heading)
    x, y = record.velocity[:, 0], record.velocity[:, 1]
    error = np.column_stack((c * x + s * y, c * y - s * x, record.rows["ang_vel"][:, 2])) - record.rows["command"]
    mean = np.array([np.convolve(column, np.full(width, 1 / width), "valid") for column in error.T]).T
    walking = np.convolve(record.walks, np.ones(width), "valid") > width - 0.5
    differences[: len(mean)] = np.abs(mean) * walking[:, None]
    return differences
