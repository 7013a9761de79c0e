"""Unitree's robots over DDS: the controller's end of the wire and the robot's, which a simulator takes."""

# Cyclone DDS is an extra.
# pyright: reportMissingImports=false
from __future__ import annotations

import json
import time

import numpy as np
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader

from legged_cts.deploy.onboard.dds import Identity, MessageReader, MessageWriter, Node, Request, Response
from legged_cts.deploy.onboard.link import MotorCommand, Reading, Remote
from legged_cts.deploy.onboard.wire import crc, new_message, read_remote, remote_bytes
from legged_cts.deploy.onboard.wiring import MotorMap, Wiring
from legged_cts.deploy.robot import Array, RobotState
from legged_cts.robots.spec import RobotSpec

COMMANDS, STATES, SWITCHER = "rt/lowcmd", "rt/lowstate", "rt/api/motion_switcher/"
CHECK_MODE, RELEASE_MODE = 1001, 1003
FOREIGN_MEMORY = 0.5
"""How long another controller counts as there after its last command [s]."""


class UnitreeLink:
    """The controller's end.

    Args:
        spec: the policy's robot.
        wiring: its motors.
        interface: network interface.
        domain: 0 on a robot; the usual simulators listen on 1.
    """

    def __init__(self, spec: RobotSpec, wiring: Wiring, interface: str, domain: int = 0) -> None:
        """Join the wire; nothing is published before the first `send`."""
        self._node = Node(domain, interface)
        self._map, self._wiring = MotorMap(spec, wiring), wiring
        self._hg = wiring.protocol == "unitree_hg"
        kind = f"{wiring.protocol}.msg.dds_."
        self._states = MessageReader(self._node, STATES, kind + "LowState_")
        self._foreign = MessageReader(self._node, COMMANDS, kind + "LowCmd_", foreign=True)
        self._writer: MessageWriter | None = None
        self._command = new_message(kind + "LowCmd_")
        if not self._hg:
            self._command["head"], self._command["level_flag"] = (0xFE, 0xEF), 0xFF
        self._foreign_seen = -np.inf

    def read(self, timeout: float) -> Reading | None:
        """See `Link`; what the wire itself finds wrong is the reading's `fault`."""
        message = self._states.newest(timeout)
        now = time.monotonic()
        if self._foreign.newest() is not None:
            self._foreign_seen = now
        return None if message is None else self._reading(message, now - self._foreign_seen < FOREIGN_MEMORY)

    def _reading(self, message: Array, foreign: bool) -> Reading:
        fault = None
        computed = crc(message)
        if int(message["crc"]) != computed:
            fault = ("corrupt", f"the state's CRC is {int(message['crc']):08x}, computed {computed:08x}")
        elif foreign:
            fault = ("other_controller", f"another controller publishes {COMMANDS}")
        elif self._hg and int(message["mode_machine"]) != self._wiring.mode_machine:
            wanted = self._wiring.mode_machine
            fault = ("wrong_robot", f"mode_machine is {int(message['mode_machine'])}, {wanted} is this robot's")
        if self._hg:
            self._command["mode_pr"], self._command["mode_machine"] = 0, message["mode_machine"]
        imu, motors = message["imu_state"], message["motor_state"][self._map.motors]
        heat = motors["temperature"].astype(float)
        return Reading(
            time=int(message["tick"]) / 1000.0,
            state=RobotState(*(values.astype(float) for values in (
                imu["quaternion"], imu["gyroscope"], motors["q"], motors["dq"]))),
            torque=motors["tau_est"].astype(float),
            temperature=heat.max(axis=-1) if heat.ndim > 1 else heat,
            remote=read_remote(message["wireless_remote"]),
            fault=fault,
        )  # fmt: skip

    def send(self, command: MotorCommand) -> None:
        """See `Link`."""
        if self._writer is None:
            self._writer = MessageWriter(self._node, COMMANDS, self._foreign.kind)
        motors = self._command["motor_cmd"][: self._map.count]
        motors["mode"] = 1
        motors["q"], motors["kp"], motors["kd"] = self._map.spread(command.q, command.kp, command.kd)
        self._writer.write(self._command)

    def release_motion(self, patience: float = 5.0) -> None:
        """Makes the robot's own controllers let go, by its service MotionSwitcher.

        Args:
            patience: seconds until it must have answered.

        Raises:
            RuntimeError: if it does not answer, or its controllers do not let go.
        """
        requests = DataWriter(self._node.participant, self._node.topic(SWITCHER + "request", Request))
        responses = DataReader(self._node.participant, self._node.topic(SWITCHER + "response", Response))
        deadline, answered, number = time.monotonic() + patience, "it does not answer", time.time_ns() % 2**31
        while time.monotonic() < deadline:
            number += 1
            reply = _ask(requests, responses, number, CHECK_MODE)
            if reply is None:
                continue
            try:
                active = json.loads(reply).get("name", "")
            except (json.JSONDecodeError, AttributeError):
                active = reply
            if not active:
                return
            answered = f"'{active}' stays active"
            _ask(requests, responses, number + 2**31, RELEASE_MODE)
        raise RuntimeError(f"motion_switcher: {answered} after {patience:g} s; motion=keep goes on without asking")

    def close(self) -> None:
        """See `Link`."""
        self._node.close()


def _ask(requests: DataWriter, responses: DataReader, number: int, api: int) -> str | None:
    request = Request()
    request.header.identity = Identity(number, api)
    requests.write(request)
    for _ in range(50):
        for response in responses.take(N=16):
            if isinstance(response, Response) and response.header.identity.id == number:
                return response.data
        time.sleep(0.01)
    return None


class UnitreeRobot:
    """The robot's end, for a simulator.

    Args:
        wiring: the robot's motors.
        interface: network interface.
        domain: see `UnitreeLink`.
        active: the robot's own controller that is active until it is released; none is empty.
    """

    stamps = True
    """Whether the time that is published arrives."""
    lacks: tuple[str, ...] = ()

    def __init__(self, wiring: Wiring, interface: str, domain: int = 1, active: str = "ai") -> None:
        """Join the wire."""
        self._node = Node(domain, interface)
        self._hg = wiring.protocol == "unitree_hg"
        self.count, self.active = len(wiring.motors), active
        kind = f"{wiring.protocol}.msg.dds_."
        self._commands = MessageReader(self._node, COMMANDS, kind + "LowCmd_", foreign=True)
        self._writer = MessageWriter(self._node, STATES, kind + "LowState_")
        self._state = new_message(kind + "LowState_")
        self._requests = DataReader(self._node.participant, self._node.topic(SWITCHER + "request", Request))
        self._responses = DataWriter(self._node.participant, self._node.topic(SWITCHER + "response", Response))
        self.mode_machine = wiring.mode_machine or 0
        self._intruder = MessageWriter(self._node, COMMANDS, kind + "LowCmd_")
        self.intruded = False
        """Whether another controller publishes commands, which this robot does not hear."""
        self.wrong_crc = 0
        """Bits of the states' CRC that are wrong."""
        self.bad = 0
        """Commands whose CRC was wrong."""

    def commands(self) -> tuple[Array, Array, Array] | None:
        """(q, kp, kd) of all motors from the newest command since the last call, each [motors]."""
        message = self._commands.newest()
        if message is None:
            return None
        if int(message["crc"]) != crc(message) or (self._hg and message["mode_machine"] != self.mode_machine):
            self.bad += 1
            return None
        motors = message["motor_cmd"][: self.count]
        on = motors["mode"] == 1
        return motors["q"].astype(float), on * motors["kp"].astype(float), on * motors["kd"].astype(float)

    def publish(
        self, now: float, state: RobotState, torque: Array, feel: Array, heat: Array, remote: Remote | None
    ) -> None:
        """Sends the state; joints in the order of the motors."""
        message = self._state
        message["tick"] = round(1000 * now)
        imu, motors = message["imu_state"], message["motor_state"][: self.count]
        imu["quaternion"], imu["gyroscope"], imu["accelerometer"] = state.quat, state.ang_vel, feel
        motors["mode"] = 1
        motors["q"], motors["dq"], motors["tau_est"] = state.joint_pos, state.joint_vel, torque
        motors["temperature"] = heat[:, None] if self._hg else heat
        if self._hg:
            message["mode_machine"] = self.mode_machine
        message["wireless_remote"] = np.zeros(40) if remote is None else remote_bytes(remote)
        self._writer.write(message, self.wrong_crc)

    def answer(self) -> None:
        """Answers the MotionSwitcher's requests, and lets another controller interfere."""
        if self.intruded:
            self._intruder.write(new_message(self._intruder.kind))
        for request in self._requests.take(N=16):
            if not isinstance(request, Request):
                continue
            response = Response()
            response.header.identity = request.header.identity
            if request.header.identity.api_id == CHECK_MODE:
                response.data = json.dumps({"form": "0", "name": self.active})
            elif request.header.identity.api_id == RELEASE_MODE:
                self.active = ""
            self._responses.write(response)

    def close(self) -> None:
        """Leaves the wire."""
        self._node.close()
