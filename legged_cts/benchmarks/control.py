"""How long a control period of a deployed robot takes on this computer, and how late it wakes up for it."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np

from legged_cts.deploy.onboard.guards import Limits, Mode
from legged_cts.deploy.onboard.link import MotorCommand, Reading
from legged_cts.deploy.onboard.loop import Loop, Timing
from legged_cts.deploy.onboard.machine import Machine
from legged_cts.deploy.onboard.operators import Program
from legged_cts.deploy.onboard.record import Recorder
from legged_cts.deploy.onboard.simulated import SimulatedBody
from legged_cts.deploy.onboard.wiring import wiring_of
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.policy_file import policy_file
from legged_cts.robots.spec import load_robot

COMMAND = np.array([0.5, 0.0, 0.2])


class Walked:
    """A wire on which a walk comes again and again."""

    def __init__(self, machine: Machine, readings: list[Reading], loop_time: float, steps: int) -> None:
        """Ready; the robot's clock goes on after each reading."""
        self._readings, self._machine, self._left = cycle(readings), machine, steps
        self._time, self._dt = loop_time, machine.control_dt
        self.loop: Loop | None = None

    def read(self, timeout: float) -> Reading:
        """See `Link`."""
        self._time += self._dt
        return dataclasses.replace(next(self._readings), time=self._time)

    def send(self, command: MotorCommand) -> None:
        """See `Link`; after the last step the robot goes limp, and the loop ends."""
        self._left -= 1
        if not self._left and self.loop is not None:
            self.loop.ending, self._machine.mode = True, Mode.DAMPING

    def close(self) -> None:
        """See `Link`."""


class _Drive(Program):
    def poll(self, now: float, reading: Reading | None) -> tuple[str | None, np.ndarray | None]:
        return None, COMMAND


def walk(machine: Machine, body: SimulatedBody, seconds: float) -> list[Reading]:
    """Stands a simulated robot up, lets it walk, and returns what it sensed in the last seconds."""
    readings: list[Reading] = []
    dt, walking = machine.control_dt, 0
    while walking < round(seconds / dt) + 50:
        request = {Mode.DAMPING: "stand", Mode.STAND: "walk"}.get(machine.mode)
        now = len(readings) * dt
        readings.append(Reading(now, body.read_state(), body.torques, np.full(len(body.joints), 30.0)))
        command = machine.step(now, readings[-1], request, COMMAND)
        body.drive(command.q, command.kp, command.kd)
        if request == "walk":
            body.release()
        walking += machine.mode is Mode.WALK
        for _ in range(round(dt / body.dt)):
            body.tick()
    return readings[-round(seconds / dt) :]


@contextlib.contextmanager
def spinning(count: int) -> Iterator[None]:
    """So many processes that never rest, on the cores that this one may use."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(robot: str, policy: str, steps: int, period: float, beside: int) -> Timing:
    """Runs the control loop of a robot that walks by this computer's clock.

    Args:
        robot: name.
        policy: see `policy_file`.
        steps: control periods.
        period: seconds from one to the next; shorter than the robot's own it takes less long to measure many.
        beside: see `spinning`.

    Raises:
        ValueError: if the robot cannot be deployed to, or the policy is not its own.
    """
    spec, network = load_robot(robot), OnnxPolicy(policy_file(policy))
    lying = wiring_of(robot).lying_pose(spec)
    machine = Machine(network, spec, lying, Limits(misses=steps + 1), report=lambda line: None)
    body = SimulatedBody(spec, 0.002, lying, gantry=spec.morphology != "quadruped")
    link = Walked(machine, walk(machine, body, 4.0), 1e6, steps)
    recorder = Recorder(Path("/dev/null"), network.contract)
    loop = link.loop = Loop(link, machine, _Drive(), recorder, period=period)
    with spinning(beside):
        loop.run()
    recorder.close()
    return loop.timing


def report(timing: Timing, deadline: float) -> str:
    """A table in Markdown: what took how long, and how often a command went out later than the deadline [s]."""
    lines = ["| | median | 99.9 % | most |", "|---|---|---|---|"]
    late, step = np.array(timing.lateness), np.array(timing.seconds)
    for name, values in (("step", step), ("woke late by", late), ("command after it was due", late + step)):
        numbers = 1e3 * np.array([np.median(values), np.quantile(values, 0.999), values.max()])
        lines.append(f"| {name} | {' | '.join(f'{number:.2f} ms' for number in numbers)} |")
    missed = int(np.sum(late + step > deadline))
    return "\n".join([*lines, "", f"{missed} of {len(step):,} commands later than {1e3 * deadline:g} ms"])


def compare(robot: str, policy: str, steps: int, period: float, beside: int) -> None:
    """Measures and prints."""
    print(report(measure(robot, policy, steps, period, beside), 0.01))
