"""A simulated Go2 whose wire is Unitree's own C++ SDK (far-unitree-sdk): run with the words of robot_sim.

That SDK lives on domain 0. It computes and checks the checksums itself.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import unitree_interface as vendor

from legged_cts.deploy.commands import RobotSimOptions, leave
from legged_cts.deploy.onboard import robot_sim
from legged_cts.deploy.words import run_words


class VendorRobot:
    """The robot's end, see `UnitreeRobot`."""

    stamps, count, bad, mode_machine, lacks = True, 12, 0, 0, ()

    def __init__(self, *_: Any) -> None:
        self._robot = vendor.UnitreeInterface.create_go2("lo")
        self._robot.enable_motion_switcher_responder()
        self._state = vendor.LowState(12)

    def commands(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        command = self._robot.read_incoming_command()
        if not any(command.kp) and not any(command.kd):
            return None
        return np.array(command.q_target), np.array(command.kp), np.array(command.kd)

    def publish(self, now: float, state: Any, torque: np.ndarray, feel: np.ndarray, heat: np.ndarray, _: Any) -> None:
        sent = self._state
        sent.tick = round(1000 * now)
        imu, motor = sent.imu, sent.motor
        imu.quat, imu.omega, imu.accel = state.quat.tolist(), state.ang_vel.tolist(), feel.tolist()
        motor.q, motor.dq, motor.tau_est = state.joint_pos.tolist(), state.joint_vel.tolist(), torque.tolist()
        motor.temperature = [int(value) for value in heat]
        sent.imu, sent.motor = imu, motor
        self._robot.publish_low_state(sent)

    def answer(self) -> None:
        pass


if __name__ == "__main__":
    robot_sim._wire = lambda wiring, options: VendorRobot()
    leave(run_words("vendor_robot", __doc__, RobotSimOptions, robot_sim.robot_sim, sys.argv[1:]))
