"""A state machine and a simulated Go2 in one process, without any wire and without a wall clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.link import MotorCommand, Reading, Remote
from legged_cts.deploy.onboard.loop import Loop
from legged_cts.deploy.onboard.machine import Machine
from legged_cts.deploy.onboard.operators import Program
from legged_cts.deploy.onboard.record import Recorder
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


class PairLink:
    """A wire to a simulated body, without the wire: each command is a period."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.sent, self.time = pair, [], 0.0

    def read(self, timeout: float) -> Reading:
        self.time += DT
        body = self.pair.body
        return Reading(self.time, body.read_state(), body.torques, np.full(12, 30.0), Remote())

    def send(self, command: MotorCommand) -> None:
        self.sent.append(command)
        self.pair.body.drive(command.q, command.kp, command.kd)
        for _ in range(10):
            self.pair.body.tick()

    def close(self) -> None:
        pass


def walk_by_program(
    tmp_path: Path, at: float = np.inf, happens: Callable[[Pair], None] | None = None
) -> tuple[PairLink, Loop, Path]:
    """Stands up, walks for two seconds and is ended; recorded. Something may happen at a time [s]."""
    pair, program, path = Pair(), Program(), tmp_path / "log" / "walk.rec"

    class Scripted:
        def poll(self, now: float, reading: Reading | None) -> tuple[str | None, np.ndarray | None]:
            if now < 0.1:
                program.ask("stand")
            elif pair.machine.mode is Mode.STAND and now < 3:
                program.ask("walk")
            program.drive(np.array([0.5, 0.0, 0.2]))
            if now >= at and happens is not None:
                happens(pair)
            return program.poll(now, reading)

    link = PairLink(pair)
    recorder = Recorder(path, pair.policy.contract)
    loop = Loop(link, pair.machine, Scripted(), recorder, pace="state")
    loop.run(duration=4.5)
    recorder.close()
    return link, loop, path
