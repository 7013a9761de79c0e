"""A robot in plain MuJoCo that speaks a robot's own wire format: `robot=go2 interface=lo`."""

from __future__ import annotations

import inspect
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.deploy.onboard.link import BUTTONS, Remote
from legged_cts.deploy.onboard.loop import leave
from legged_cts.deploy.onboard.operators import plan_lines
from legged_cts.deploy.onboard.simulated import SimulatedBody
from legged_cts.deploy.onboard.wiring import MotorMap, Wiring, wiring_of
from legged_cts.deploy.robot import RobotState, yaw_of
from legged_cts.deploy.words import option, run_words
from legged_cts.robots.spec import load_robot

CONTROL_DT = 0.02
"""How far the simulation goes on a command while it waits for the next one [s]."""

AGAIN = 1.0
"""After which a simulation that waits says its state once more [s]."""


@dataclass(frozen=True)
class RobotSimOptions:
    """The words of `scripts/robot_sim.py`."""

    robot: str = field(metadata={"help": "go2, g1 or tron1; g1_12 is g1 with its waist and arms locked"})
    interface: str = option("lo", "network interface, TRON1: address")
    domain: int = option(1, "DDS domain")
    dt: float = option(0.002, "of a tick [s]; a state is published after each")
    rate: float = option(1.0, "simulated seconds per second, at most")
    patience: float = option(
        0.0, "seconds to wait for each command, so that a slow controller misses nothing; 0 is none"
    )
    gantry: bool | None = option(None, "whether a gantry holds the robot at first; none: if it has two legs")
    plan: str | None = option(None, "file with a line '<seconds> <what>' for each thing that happens to the robot")
    duration: float | None = option(None, "simulated seconds; none is until Ctrl-C")
    truth: str | None = option(None, ".npz file for the true motion of the base, 50 times a second")


class Mishaps:
    """What happens to the robot and its wire. Each method that a plan may name takes the words after its name."""

    def __init__(self, body: SimulatedBody, wire: Any, seed: int = 0) -> None:
        """Nothing is wrong."""
        self._body, self._wire = body, wire
        self._rng = np.random.default_rng(seed)
        self.lost, self.late, self.jitter_, self.frozen, self.quiet, self.spoilt = 0.0, 0.0, 0.0, False, False, False
        self.remote: Remote | None = Remote()
        self.heat = np.full(len(body.spec.joints), 35.0)

    def drops(self) -> bool:
        """Whether the next message is lost."""
        return bool(self._rng.random() < self.lost)

    def due(self, now: float) -> float:
        """When a state of now arrives [s]."""
        return now + self.late + self.jitter_ * self._rng.random()

    def loss(self, share: str) -> None:
        """Of the messages, both ways."""
        self.lost = float(share)

    def delay(self, seconds: str) -> None:
        """Of the states."""
        self.late = float(seconds)

    def jitter(self, seconds: str) -> None:
        """Further delay, drawn for each state."""
        self.jitter_ = float(seconds)

    def freeze(self) -> None:
        """The same state again and again."""
        self.frozen = True

    def silence(self) -> None:
        """No states."""
        self.quiet = True

    def nan(self) -> None:
        """No orientation."""
        self.spoilt = True

    def dead(self, joint: str) -> None:
        """A motor gives no torque."""
        self._body.dead[self._body.spec.joints.index(joint)] = True

    def hot(self, joint: str, degrees: str) -> None:
        """A motor's temperature."""
        self.heat[self._body.spec.joints.index(joint)] = float(degrees)

    def push(self, x: str, y: str, z: str = "0") -> None:
        """Adds to the velocity of the base, in the world [m/s]."""
        self._body.push(np.array([float(x), float(y), float(z)]))

    def friction(self, value: str) -> None:
        """Of the ground."""
        self._body.friction(float(value))

    def mode(self, number: str) -> None:
        """The build that a G1 says it is."""
        self._wire.mode_machine = int(number)

    def gantry(self, what: str) -> None:
        """Hold, lower or release."""
        {"hold": self._body.hold, "lower": self._body.lower, "release": self._body.release}[what]()

    def buttons(self, *names: str) -> None:
        """Held on the remote control from now on; `none` without the remote control, nothing for no button."""
        if unknown := set(names) - {*BUTTONS, "none"}:
            raise ValueError(f"no buttons {sorted(unknown)}")
        self.remote = None if "none" in names else Remote(frozenset(names))

    def normal(self) -> None:
        """The wire and the sensors work again."""
        self.lost = self.late = self.jitter_ = 0.0
        self.frozen = self.quiet = self.spoilt = False
        self.heat[:] = 35.0


MISHAPS = ("loss", "delay", "jitter", "freeze", "silence", "nan", "dead", "hot", "push", "friction", "mode", "gantry",
           "buttons", "normal")  # fmt: skip


def read_mishaps(path: str | None, mishaps: Mishaps) -> deque[tuple[float, Callable[[], None]]]:
    """The plan of what happens, in the order of time.

    Raises:
        ValueError: naming the line that is wrong.
    """
    steps: deque[tuple[float, Callable[[], None]]] = deque()
    for number, seconds, (name, *rest) in [] if path is None else plan_lines(path):
        if name not in MISHAPS:
            raise ValueError(f"plan: {path}, line {number}: no '{name}' (allowed: {', '.join(MISHAPS)})")
        happens = getattr(mishaps, name)
        try:
            inspect.signature(happens).bind(*rest)
        except TypeError as error:
            raise ValueError(f"plan: {path}, line {number}: {name}: {error}") from error
        steps.append((seconds, partial(happens, *rest)))
    return steps


class RobotSim:
    """Steps the body and speaks on the wire.

    Args:
        options: the words.
        wire: the robot's end, `UnitreeRobot` or `LimxRobot`.
        wiring: of the motors.
    """

    def __init__(self, options: RobotSimOptions, wire: Any, wiring: Wiring) -> None:
        """Place the robot."""
        spec = load_robot(wiring.whole)
        gantry = spec.morphology != "quadruped" if options.gantry is None else options.gantry
        self.body = SimulatedBody(spec, options.dt, wiring.lying_pose(spec), gantry=gantry)
        self._options, self._wire, self._map = options, wire, MotorMap(spec, wiring)
        self._order = np.argsort(self._map.motors)
        self.mishaps = Mishaps(self.body, wire)
        self._steps = read_mishaps(options.plan, self.mishaps)
        self._flying: deque[tuple[float, tuple[Any, ...]]] = deque()
        self._said: tuple[Any, ...] | None = None
        self._heard, self._patient = -np.inf, options.patience > 0
        self.truth: list[tuple[float, ...]] = []
        self.count = 0
        """Commands that arrived."""

    def run(self) -> None:
        """Runs for the duration; the clock starts with the first command."""
        while not self._listen(0.0):
            self._say(0.0)
            self._wire.answer()
            time.sleep(0.005)
        dt, ticks, start = self._options.dt, 0, time.monotonic()
        while self._options.duration is None or ticks * dt < self._options.duration:
            now = ticks * dt
            while self._steps and self._steps[0][0] <= now:
                self._steps.popleft()[1]()
            if self._patient and now - self._heard >= CONTROL_DT - 1e-9:
                self._await(now)
            else:
                self._listen(now)
            if ticks % round(CONTROL_DT / dt) == 0:
                self._wire.answer()
                self._measure(now)
            self.body.tick()
            ticks += 1
            # Where no time stamps arrive, the controller counts states: one for each command it gives.
            if self._wire.stamps or not self._patient or ticks % round(CONTROL_DT / dt) == 0:
                self._say(ticks * dt)
            ahead = ticks * dt / self._options.rate - (time.monotonic() - start)
            if ahead > 0.001:
                time.sleep(ahead)
            elif ahead < -0.1:
                # A simulation that is too slow does not hurry afterwards.
                start = time.monotonic() - ticks * dt / self._options.rate

    def _await(self, now: float) -> None:
        start = said = time.monotonic()
        while not self._listen(now) and time.monotonic() < start + self._options.patience:
            time.sleep(0.0002)
            if time.monotonic() > said + AGAIN:
                said = time.monotonic()
                self._say(now)
        # A controller that has gone is not waited for again.
        self._patient = self._heard == now

    def _listen(self, now: float) -> bool:
        command = self._wire.commands()
        if command is None or self.mishaps.drops():
            return False
        self.body.drive(*(values[self._map.motors] for values in command))
        self._heard = now
        self.count += 1
        return True

    def _say(self, now: float) -> None:
        state, torque, feel = self.body.sense()
        order, wrong = self._order, self.mishaps
        quat = np.full(4, np.nan) if wrong.spoilt else state.quat
        sensed = RobotState(quat, state.ang_vel, state.joint_pos[order], state.joint_vel[order])
        message = (now, sensed, torque[order], feel, wrong.heat[order], wrong.remote)
        if wrong.frozen and self._said is not None:
            message = self._said
        self._said = message
        self._flying.append((wrong.due(now), message))
        while self._flying and self._flying[0][0] <= now:
            _, message = self._flying.popleft()
            if not wrong.quiet and not wrong.drops():
                self._wire.publish(*message)

    def _measure(self, now: float) -> None:
        quat = self.body.sense()[0].quat
        tilt = float(np.arccos(np.clip(1 - 2 * (quat[1] ** 2 + quat[2] ** 2), -1, 1)))
        self.truth.append((now, *self.body.position, *self.body.speed, yaw_of(quat), tilt))


def robot_sim(options: RobotSimOptions) -> None:
    """Runs until the end and writes the truth.

    Raises:
        ValueError: for a wrong word.
        RuntimeError: if the package that speaks the wire format is missing.
    """
    wiring = wiring_of(options.robot)
    if not (options.dt > 0 and abs(CONTROL_DT / options.dt - round(CONTROL_DT / options.dt)) < 1e-9):
        raise ValueError(f"dt: {options.dt} s does not divide {CONTROL_DT} s")
    if options.rate <= 0 or options.patience < 0:
        raise ValueError(f"rate must be above 0 and patience at least 0, got {options.rate} and {options.patience}")
    sim = RobotSim(options, _wire(wiring, options), wiring)
    # limxsdk takes Ctrl-C for itself.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"robot_sim: {options.robot} waits for commands on {options.interface}", flush=True)
    try:
        sim.run()
    except KeyboardInterrupt:
        pass
    if options.truth is not None:
        columns = ("time", "x", "y", "z", "vx", "vy", "vz", "yaw", "tilt")
        arrays = dict(zip(columns, np.array(sim.truth).T, strict=True)) if sim.truth else {}
        np.savez(Path(options.truth), **arrays)
    print(f"robot_sim: {sim.count} commands, {sim._wire.bad} with a bad checksum or for another robot", flush=True)


def _wire(wiring: Wiring, options: RobotSimOptions) -> Any:
    try:
        if wiring.protocol == "limx":
            from legged_cts.deploy.onboard.limx import LimxRobot

            return LimxRobot(wiring, options.interface)
        from legged_cts.deploy.onboard.unitree import UnitreeRobot

        return UnitreeRobot(wiring, options.interface, options.domain)
    except ImportError as error:
        raise RuntimeError(
            f"robot: the package for {wiring.protocol} is missing ({error}); see docs/deploy.md"
        ) from error


def main(argv: list[str]) -> int:
    """The command `python -m legged_cts.deploy.onboard.robot_sim robot=...`; returns the exit status."""
    return run_words("robot_sim", __doc__, RobotSimOptions, robot_sim, argv)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
