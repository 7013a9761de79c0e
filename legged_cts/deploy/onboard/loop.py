"""Runs a policy on a robot: `robot=go2 policy=policy.onnx interface=eth0`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.deploy.contract import check
from legged_cts.deploy.onboard.guards import Limits, Mode
from legged_cts.deploy.onboard.link import Link, Reading
from legged_cts.deploy.onboard.machine import Machine
from legged_cts.deploy.onboard.operators import CHORDS, Keyboard, Operator, Plan, RemoteOperator, pressed
from legged_cts.deploy.onboard.record import Recorder
from legged_cts.deploy.onboard.wiring import Wiring, wiring_of
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.words import option, run_words
from legged_cts.robots.spec import RobotSpec, load_robot

LISTEN = 1.0
"""How long is listened for another controller before anything is published [s]."""


@dataclass(frozen=True)
class DeployOptions:
    """The words of `scripts/deploy.py`."""

    robot: str = field(metadata={"help": "go2, g1, g1_12 or tron1"})
    policy: str = field(metadata={"help": "ONNX file of the policy"})
    interface: str = field(metadata={"help": "network interface to the robot, lo for a simulator; TRON1: its address"})
    domain: int = option(0, "DDS domain: 0 on a robot, 1 with a simulator")
    operator: str = option("remote", "remote, keyboard or plan")
    plan: str | None = option(None, "file with a line '<seconds> <request>' for each step, for operator=plan")
    motion: str = option("release", "what of the robot's own controllers: release or keep")
    pace: str = option("clock", "clock: 50 Hz of this computer; state: of the robot's time stamps, for slow simulators")
    state_timeout: float = option(0.05, "without a new state until damping [s]")
    duration: float | None = option(None, "seconds until it lies down and ends; none is until Ctrl-C")
    record: str | None = option(None, "file for the record; none is logs/deploy/<date>.rec")


class Timing:
    """How long policy steps took and how many deadlines were missed."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.seconds: list[float] = []
        self.periods: list[float] = []
        self.misses = 0

    def __str__(self) -> str:
        """One line."""
        if len(self.periods) < 2:
            return "timing: nothing was measured"
        step, period = 1e3 * np.array(self.seconds), 1e3 * np.array(self.periods)
        return (
            f"timing: {len(step)} periods, step {np.median(step):.2f} ms (99.9 % {np.quantile(step, 0.999):.2f} ms), "
            f"period {np.median(period):.2f} ms (99.9 % {np.quantile(period, 0.999):.2f} ms), "
            f"{self.misses} deadlines missed"
        )


class Loop:
    """Reads, decides and sends, once a control period.

    Args:
        link: the robot.
        machine: decides.
        operator: says what to do. The remote control's buttons for damping count whoever it is.
        recorder: keeps everything, or None.
        pace: `clock`, or `state` to follow the robot's time stamps however slowly they come.
    """

    def __init__(
        self, link: Link, machine: Machine, operator: Operator, recorder: Recorder | None = None, pace: str = "clock"
    ) -> None:
        """Ready to run."""
        self.timing = Timing()
        self._link, self._machine, self._operator, self._recorder = link, machine, operator, recorder
        self._wait = self._next_by_clock if pace == "clock" else self._next_by_state
        self._dt = machine.control_dt
        self._due = self._start = self._last = -np.inf
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
        if reading is not None and reading.remote is not None and pressed(reading.remote, frozenset(_ALL)) == "damp":
            request = "damp"
        sent = self._machine.step(now, reading, request, command, late)
        self._link.send(sent)
        seconds = time.perf_counter() - began
        self.timing.seconds.append(seconds)
        self.timing.misses += late
        if self._recorder is not None:
            self._recorder.write(now, reading, late, seconds, self._machine, sent)

    def _next_by_clock(self) -> tuple[float, Reading | None, bool]:
        now = time.monotonic()
        if self._start == -np.inf:
            self._start = self._due = self._last = now
        self._due += self._dt
        time.sleep(max(0.0, self._due - now))
        now = time.monotonic()
        self.timing.periods.append(now - self._last)
        self._last = now
        late = now - self._due > 0.5 * self._dt
        if late:
            self._due = now
        return now - self._start, self._link.read(0.0), late

    def _next_by_state(self) -> tuple[float, Reading | None, bool]:
        timeout = max(self._machine.limits.state_timeout, self._dt)
        until = time.monotonic() + timeout
        while True:
            reading = self._link.read(max(0.0, until - time.monotonic()))
            if reading is not None and reading.time >= self._due - 1e-6:
                break
            # Frozen states come again and again, and are never due.
            if time.monotonic() >= until:
                self._last += timeout
                return self._last - self._start, None, False
        self.timing.periods.append(reading.time - self._last if np.isfinite(self._last) else self._dt)
        if self._start == -np.inf:
            self._start = reading.time
        self._last, self._due = reading.time, max(self._due, reading.time - self._dt) + self._dt
        return reading.time - self._start, reading, False


_ALL = [button for chords in CHORDS.values() for chord in chords for button in chord]


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
    wiring, spec, policy = wiring_of(options.robot), load_robot(options.robot), OnnxPolicy(options.policy)
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


def main(argv: list[str]) -> int:
    """The command `python -m legged_cts.deploy.onboard.loop robot=... policy=...`; returns the exit status."""
    return run_words("deploy", __doc__, DeployOptions, deploy, argv)


def leave(status: int) -> None:
    """Ends the process at once: limxsdk crashes in the usual way out."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
