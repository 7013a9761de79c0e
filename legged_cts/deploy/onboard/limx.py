"""LimX TRON1 over limxsdk (the extra `limx`): the controller's end of the wire and the simulator's.

limxsdk crashes when its process ends, so a process that used it must end by `os._exit`.
"""

# limxsdk is an extra.
# pyright: reportMissingImports=false
from __future__ import annotations

import os
import threading

import limxsdk.datatypes as datatypes
import numpy as np
from limxsdk.robot.Robot import Robot
from limxsdk.robot.RobotType import RobotType

from legged_cts.deploy.onboard.link import MotorCommand, Reading, Remote
from legged_cts.deploy.onboard.wiring import MotorMap, Wiring
from legged_cts.deploy.robot import Array, RobotState
from legged_cts.robots.spec import RobotSpec


def _connect(address: str, simulator: bool) -> Robot:
    # Without a type limxsdk ends the process.
    os.environ.setdefault("ROBOT_TYPE", "PF_TRON1A")
    robot = Robot(RobotType.PointFoot, simulator)
    if not robot.init(address):
        raise RuntimeError(f"interface: limxsdk cannot reach a robot at {address}")
    return robot


class LimxLink:
    """The controller's end; limxsdk calls back from threads of its own.

    Args:
        spec: the policy's robot.
        wiring: its motors.
        address: of the robot, `127.0.0.1` for a simulator.
        period: seconds that pass from one state to the next, for simulators that wait: limxsdk replaces their time
            stamps by its own; None goes by those.
    """

    def __init__(self, spec: RobotSpec, wiring: Wiring, address: str, period: float | None = None) -> None:
        """Connect and listen."""
        self._period, self._count = period, 0
        self._map = MotorMap(spec, wiring)
        self._news = threading.Condition()
        self._state: tuple[int, Array, Array, Array] | None = None
        self._imu: tuple[Array, Array] | None = None
        self._robot = _connect(address, False)
        self._robot.subscribeImuData(self._on_imu)
        self._robot.subscribeRobotState(self._on_state)

    def _on_imu(self, imu: datatypes.ImuData) -> None:
        # The vendor's order is (w, x, y, z).
        self._imu = np.array(imu.quat, dtype=float), np.array(imu.gyro, dtype=float)

    def _on_state(self, state: datatypes.RobotState) -> None:
        with self._news:
            self._state = (int(state.stamp), *(np.array(getattr(state, name), float) for name in ("q", "dq", "tau")))
            self._news.notify()

    def read(self, timeout: float) -> Reading | None:
        """See `Link`."""
        with self._news:
            if not self._news.wait_for(lambda: self._state is not None and self._imu is not None, timeout):
                return None
            state, imu, self._state = self._state, self._imu, None
        assert state is not None and imu is not None
        stamp, *values = state
        self._count += 1
        time = stamp / 1e9 if self._period is None else self._count * self._period
        if any(len(value) != self._map.count for value in values):
            sizes = [len(value) for value in values]
            values = [np.zeros(self._map.count)] * 3
            fault = ("wrong_robot", f"{sizes[0]} motors, {self._map.count} are this robot's")
        else:
            fault = None
        q, dq, tau = (value[self._map.motors] for value in values)
        return Reading(time, RobotState(*imu, q, dq), tau, np.zeros(len(q)), None, fault)

    def send(self, command: MotorCommand) -> None:
        """See `Link`."""
        q, kp, kd = self._map.spread(command.q, command.kp, command.kd)
        message = datatypes.RobotCmd()
        message.mode = [0] * len(q)
        message.q, message.Kp, message.Kd = q.tolist(), kp.tolist(), kd.tolist()
        message.dq, message.tau = [0.0] * len(q), [0.0] * len(q)
        self._robot.publishRobotCmd(message)

    def close(self) -> None:
        """See `Link`."""


class LimxRobot:
    """The robot's end, for a simulator; see `UnitreeRobot`."""

    stamps = False
    lacks = ("hot", "mode", "buttons", "sticks", "crc", "intruder")
    """What cannot happen on this wire, which carries none of it."""

    def __init__(self, wiring: Wiring, address: str) -> None:
        """Connect and listen."""
        self.count, self.mode_machine, self.bad, self.active = len(wiring.motors), 0, 0, ""
        self._lock = threading.Lock()
        self._command: tuple[Array, Array, Array] | None = None
        self._robot = _connect(address, True)
        self._robot.subscribeRobotCmdForSim(self._on_command)

    def _on_command(self, command: datatypes.RobotCmd) -> None:
        with self._lock:
            self._command = np.array(command.q, float), np.array(command.Kp, float), np.array(command.Kd, float)

    def commands(self) -> tuple[Array, Array, Array] | None:
        """(q, kp, kd) of all motors from the newest command since the last call, each [motors]."""
        with self._lock:
            command, self._command = self._command, None
        if command is not None and any(len(values) != self.count for values in command):
            self.bad += 1
            return None
        return command

    def publish(
        self, now: float, state: RobotState, torque: Array, feel: Array, heat: Array, remote: Remote | None
    ) -> None:
        """Sends the state; joints in the order of the motors."""
        imu = datatypes.ImuData()
        imu.stamp = round(1e9 * now)
        imu.quat, imu.gyro, imu.acc = state.quat.tolist(), state.ang_vel.tolist(), feel.tolist()
        self._robot.publishImuDataForSim(imu)
        message = datatypes.RobotState()
        message.stamp = imu.stamp
        message.q, message.dq, message.tau = state.joint_pos.tolist(), state.joint_vel.tolist(), torque.tolist()
        self._robot.publishRobotStateForSim(message)

    def answer(self) -> None:
        """There is nothing to answer."""

    def close(self) -> None:
        """Leaves the wire."""
