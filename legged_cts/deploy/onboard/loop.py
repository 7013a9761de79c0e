"""The control loop: reads a robot, decides and sends, and what the command `deploy` does around it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.deploy.commands import DeployOptions
from legged_cts.deploy.contract import check
from legged_cts.deploy.onboard.guards import Limits, Mode
from legged_cts.deploy.onboard.link import Link, MotorCommand, Reading
from legged_cts.deploy.onboard.machine import Machine
from legged_cts.deploy.onboard.operators import Keyboard, Operator, Plan, RemoteOperator, wants_damping
from legged_cts.deploy.onboard.record import Recorder
from legged_cts.deploy.onboard.wiring import Wiring, wiring_of
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.policy_file import policy_file
from legged_cts.robots.spec import RobotSpec, load_robot

AGAIN = 1.0
"""After which a controller that follows a simulator's time stamps sends its command once more [s]."""
LISTEN = 1.0
"""How long is listened for another controller before anything is published [s]."""


class Timing:
    """How long periods took, how late they began by this computer's clock, and how many missed their deadline."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.seconds: list[float] = []
        self.lateness: list[float] = []
        self.misses = 0

    def __str__(self) -> str:
        """One line."""
        if not self.seconds:
            return "timing: nothing was measured"
        texts = [f"timing: {len(self.seconds)} periods"]
        for name, seconds in (("step", self.seconds), ("begun late by", self.lateness)):
            if seconds:
                middle, most = 1e3 * np.quantile(seconds, (0.5, 0.999))
                texts.append(f"{name} {middle:.2f} ms (99.9 % {most:.2f} ms)")
        return f"{', '.join(texts)}, {self.misses} deadlines missed"


class Loop:
    """Reads, decides and sends, once a control period.

    Args:
        link: the robot.
        machine: decides.
        operator: says what to do. The remote control's buttons for damping count whoever it is.
        recorder: keeps everything, or None.
        pace: `clock`, or `state` to follow the robot's time stamps however slowly they come.
        period: seconds from one control period to the next; None is the policy's.
    """

    def __init__(
        self,
        link: Link,
        machine: Machine,
        operator: Operator,
        recorder: Recorder | None = None,
        pace: str = "clock",
        period: float | None = None,
    ) -> None:
        """Ready to run."""
        self.timing = Timing()
        self._link, self._machine, self._operator, self._recorder = link, machine, operator, recorder
        self._wait = self._next_by_clock if pace == "clock" else self._next_by_state
        self._dt = period or machine.control_dt
        self._due = self._start = self._last = -np.inf
        self._now = 0.0
        self._sent: MotorCommand | None = None
        self.ending = False
        """Lie down and return; set it from a signal's handler."""

    def run(self, duration: float | None = None) -> None:
        """Returns after this many seconds, or when `ending` was set, once the robot is limp."""
        try:
            while True:
                now, reading, late = self._wait()
                self._period(now, reading, late)
                self.ending |= duration is not None and now >= duration
                if self.ending and self._machine.mode is Mode.DAMPING:
                    return
        finally:
            # Whatever happened, the last thing the motors hear is to be limp.
            self._link.send(self._machine.limp())

    def _period(self, now: float, reading: Reading | None, late: bool) -> None:
        began = time.perf_counter()
        request, command = self._operator.poll(now, reading)
        if self.ending and self._machine.mode not in (Mode.LIE_DOWN, Mode.DAMPING):
            request = None if self._machine.lies_next else "lie"
        if reading is not None and reading.remote is not None and wants_damping(reading.remote):
            request = "damp"
        sent = self._machine.step(now, reading, request, command, late)
        self._link.send(sent)
        self._sent = sent
        seconds = time.perf_counter() - began
        self.timing.seconds.append(seconds)
        self.timing.misses += late
        if self._recorder is not None:
            self._recorder.write(now, reading, late, seconds, self._machine, sent)

    def _next_by_clock(self) -> tuple[float, Reading | None, bool]:
        now = time.monotonic()
        if self._start == -np.inf:
            self._start = self._due = now
        self._due += self._dt
        time.sleep(max(0.0, self._due - now))
        now = time.monotonic()
        self.timing.lateness.append(now - self._due)
        late = now - self._due > 0.5 * self._dt
        if late:
            self._due = now
        return now - self._start, self._link.read(0.0), late

    def _next_by_state(self) -> tuple[float, Reading | None, bool]:
        timeout = max(self._machine.limits.state_timeout, self._dt)
        began = time.monotonic()
        until, again = began + timeout, began + AGAIN
        while True:
            reading = self._link.read(max(0.0, min(until, again) - time.monotonic()))
            if reading is not None and reading.time >= self._due - 1e-6:
                break
            # Frozen states come again and again, and are never due.
            if time.monotonic() >= until:
                self._now += timeout
                return self._now, None, False
            # A simulator that had not met this end yet missed the first commands, and its clock waits for one.
            if self._now == 0.0 and self._sent is not None and time.monotonic() >= again:
                self._link.send(self._sent)
                again = time.monotonic() + AGAIN
        self._now += reading.time - self._last if np.isfinite(self._last) else 0.0
        self._last, self._due = reading.time, max(self._due, reading.time - self._dt) + self._dt
        return self._now, reading, False


def open_link(spec: RobotSpec, wiring: Wiring, interface: str, domain: int, period: float | None = None) -> Any:
    """The controller's end of a robot's wire; `period` is that of `LimxLink`.

    Raises:
        RuntimeError: if the package that speaks it is missing, or it cannot be opened.
    """
    extra = "limx" if wiring.protocol == "limx" else "unitree"
    try:
        if extra == "limx":
            from legged_cts.deploy.onboard.limx import LimxLink

            return LimxLink(spec, wiring, interface, period)
        from legged_cts.deploy.onboard.unitree import UnitreeLink

        return UnitreeLink(spec, wiring, interface, domain)
    except ImportError as error:
        raise RuntimeError(
            f"robot: needs the extra '{extra}' ({error}); docs/deploy.md says how to install it"
        ) from error


def deploy(options: DeployOptions, report: Callable[[str], None] = print) -> Timing:
    """Runs the loop until it is told to end.

    Raises:
        ValueError: for a wrong word, or a policy that does not fit; before anything is published.
        RuntimeError: if there is no robot, the wrong one, or another controller; before anything is published.
    """
    operators = {"remote": RemoteOperator, "keyboard": lambda _: Keyboard(), "plan": lambda _: Plan(options.plan or "")}
    for name, allowed in (
        ("operator", tuple(operators)),
        ("motion", ("release", "keep")),
        ("pace", ("clock", "state")),
    ):
        if getattr(options, name) not in allowed:
            raise ValueError(f"{name}: expected {' or '.join(allowed)}, got '{getattr(options, name)}'")
    if (options.plan is None) == (options.operator == "plan"):
        raise ValueError("plan: a file goes with operator=plan, and only with it")
    wiring, spec, policy = wiring_of(options.robot), load_robot(options.robot), OnnxPolicy(policy_file(options.policy))
    check(policy.contract, spec)
    limits = Limits(state_timeout=options.state_timeout)
    machine = Machine(policy, spec, wiring.lying_pose(spec), limits, report)
    operator = operators[options.operator](policy.contract)
    path = Path(options.record or time.strftime("logs/deploy/%Y-%m-%d_%H-%M-%S.rec"))
    period = policy.contract.control_dt if options.pace == "state" else None
    link = open_link(spec, wiring, options.interface, options.domain, period)
    try:
        _meet(link, options, wiring)
        recorder = Recorder(path, policy.contract)
        loop = Loop(link, machine, operator, recorder, options.pace)
        before = signal.signal(signal.SIGINT, lambda *_: _interrupt(loop))
        try:
            loop.run(options.duration)
        finally:
            signal.signal(signal.SIGINT, before)
            recorder.close()
            report(f"{loop.timing}; record: {path}")
        return loop.timing
    finally:
        link.close()
        if isinstance(operator, Keyboard):
            operator.close()


def _meet(link: Any, options: DeployOptions, wiring: Wiring) -> None:
    """Waits for the robot and looks whether it is the right one, and free."""
    reading = link.read(5.0)
    if reading is None:
        raise RuntimeError(f"interface: no state from a robot on '{options.interface}' within 5 s")
    until = time.monotonic() + LISTEN
    while time.monotonic() < until and reading.fault is None:
        reading = link.read(0.1) or reading
    if reading.fault is not None:
        raise RuntimeError(f"robot: {reading.fault[1]}")
    if options.motion == "release" and wiring.protocol != "limx":
        link.release_motion()


def _interrupt(loop: Loop) -> None:
    # The first Ctrl-C lies the robot down, the second lets it go at once.
    if loop.ending:
        raise KeyboardInterrupt
    loop.ending = True
