"""A state machine and a simulated Go2 in one process, without any wire and without a wall clock."""

from __future__ import annotations

import numpy as np

from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.link import MotorCommand, Reading
from legged_cts.deploy.onboard.machine import Machine
from legged_cts.deploy.onboard.simulated import SimulatedBody
from legged_cts.deploy.onboard.wiring import wiring_of
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.robot import Array
from legged_cts.robots.spec import assets_dir, load_robot

DT, TICK = 0.02, 0.002
FORWARD = np.array([0.5, 0.0, 0.0])


class Pair:
    """Steps both; `lines` holds what the machine reported, `sunk` the quickest sinking of the base [m/s]."""

    def __init__(self, robot: str = "go2") -> None:
        self.spec = load_robot(robot)
        lying = wiring_of(robot).lying_pose(self.spec)
        self.lines: list[str] = []
        self.policy_path = assets_dir() / "policies" / f"{robot}_flat" / "policy.onnx"
        self.policy = OnnxPolicy(self.policy_path)
        self.machine = Machine(self.policy, self.spec, lying, report=self.lines.append)
        self.body = SimulatedBody(self.spec, TICK, lying, gantry=self.spec.morphology != "quadruped")
        self.period, self.sunk, self.targets = 0, 0.0, []
        self.ticks = round(DT / TICK)
        """Of the body in a period."""

    def reading(self) -> Reading:
        torque = self.body.torques
        return Reading(self.period * DT, self.body.read_state(), torque, np.full(len(torque), 30.0))

    def step(
        self,
        request: str | None = None,
        command: Array | None = FORWARD,
        reading: Reading | None | str = "the body's",
        late: bool = False,
    ) -> MotorCommand:
        seen = self.reading() if isinstance(reading, str) else reading
        sent = self.machine.step(self.period * DT, seen, request, command, late)
        self.body.drive(sent.q, sent.kp, sent.kd)
        for _ in range(self.ticks):
            self.body.tick()
            self.sunk = min(self.sunk, float(self.body.base_velocity[2]))
        self.period += 1
        self.targets.append(sent.q)
        return sent

    def until(self, mode: Mode, seconds: float = 6.0) -> None:
        """Steps until the machine is in this mode."""
        for _ in range(round(seconds / DT)):
            if self.machine.mode is mode:
                return
            self.step()
        raise AssertionError(f"{self.machine.mode} after {seconds} s, expected {mode}: {self.lines}")

    def walking(self, seconds: float = 2.0) -> Pair:
        """Stands up and walks, a biped out of a gantry that is slack from then on."""
        self.step("stand")
        self.until(Mode.STAND)
        self.step("walk")
        self.body.release()
        for _ in range(round(seconds / DT)):
            self.step()
        assert self.machine.mode is Mode.WALK
        self.sunk = 0.0
        return self
