"""A robot in plain MuJoCo that speaks a robot's own wire format."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.deploy.commands import RobotSimOptions
from legged_cts.deploy.onboard.mishaps import Mishaps, read_mishaps
from legged_cts.deploy.onboard.simulated import SimulatedBody
from legged_cts.deploy.onboard.wiring import MotorMap, Wiring, wiring_of
from legged_cts.deploy.robot import RobotState, yaw_of
from legged_cts.robots.spec import load_robot

CONTROL_DT = 0.02
"""Between two commands [s]."""

LAG = 0.2
"""How far a simulation that waits for commands goes without any, if no state arrives that asks for one [s]."""

AGAIN = 1.0
"""After which a simulation that waits says its state once more [s]."""


class RobotSim:
    """Steps the body and speaks on the wire.

    Args:
        options: the words.
        wire: the robot's end, `UnitreeRobot` or `LimxRobot`.
        wiring: of the motors.
        watch: see `robot_sim`.
    """

    def __init__(
        self,
        options: RobotSimOptions,
        wire: Any,
        wiring: Wiring,
        watch: Callable[[SimulatedBody], None],
    ) -> None:
        """Place the robot."""
        spec = load_robot(wiring.whole)
        gantry = spec.morphology != "quadruped" if options.gantry is None else options.gantry
        self.body = SimulatedBody(spec, options.dt, wiring.lying_pose(spec), gantry=gantry)
        self._watch = watch
        self._options, self._wire, self._map = options, wire, MotorMap(spec, wiring)
        self._order = np.argsort(self._map.motors)
        self.mishaps = Mishaps(self.body, wire)
        self._steps = read_mishaps(options.plan, self.mishaps)
        self._flying: deque[tuple[float, tuple[Any, ...]]] = deque()
        self._said: tuple[Any, ...] | None = None
        self._heard = self._arrived = self._answered = 0.0
        self._patient = options.patience > 0
        self.truth: list[tuple[float, ...]] = []
        self.count = 0
        """Commands that arrived."""

    def run(self) -> None:
        """Runs for the duration; the clock starts with the first command, and what happens at 0 s is there before."""
        self._happen(0.0)
        while not self._listen(0.0):
            self._say(0.0)
            self._wire.answer()
            self._watch(self.body)
            time.sleep(0.005)
        dt, ticks, start = self._options.dt, 0, time.monotonic()
        while self._options.duration is None or ticks * dt < self._options.duration:
            now = ticks * dt
            self._happen(now)
            asked = self._arrived - self._answered > CONTROL_DT - 1e-9
            if self._patient and (asked or now - self._heard > LAG):
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

    def _happen(self, now: float) -> None:
        while self._steps and self._steps[0][0] <= now:
            self._steps.popleft()[1]()

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
        bad, command = self._wire.bad, self._wire.commands()
        if command is None and self._wire.bad == bad:
            return False
        self._heard, self._answered = now, self._arrived
        if command is not None and not self.mishaps.drops():
            self.body.drive(*(values[self._map.motors] for values in command))
            self.count += 1
        return True

    def _say(self, now: float) -> None:
        state, order, wrong = self.body.read_state(), self._order, self.mishaps
        quat = np.full(4, np.nan) if wrong.spoilt else state.quat
        sensed = RobotState(quat, state.ang_vel, state.joint_pos[order], state.joint_vel[order])
        message = (now, sensed, self.body.torques[order], self.body.feel(), wrong.heat[order], wrong.remote)
        if wrong.frozen and self._said is not None:
            message = self._said
        self._said = message
        self._flying.append((wrong.due(now), message))
        while self._flying and self._flying[0][0] <= now:
            _, message = self._flying.popleft()
            if not wrong.quiet and not wrong.drops():
                self._wire.publish(*message)
                self._arrived = message[0]

    def _measure(self, now: float) -> None:
        body = self.body
        self._watch(body)
        self.truth.append((now, *body.base_pos, *body.base_velocity, yaw_of(body.base_quat), body.tilt))


def _unseen(body: SimulatedBody) -> None:
    pass


def robot_sim(options: RobotSimOptions, watch: Callable[[SimulatedBody], None] = _unseen) -> None:
    """Runs until the end and writes the truth.

    Args:
        options: the words.
        watch: sees the body 50 times a second.

    Raises:
        ValueError: for a wrong word.
        RuntimeError: if the package that speaks the wire format is missing.
    """
    wiring = wiring_of(options.robot)
    if not (options.dt > 0 and abs(CONTROL_DT / options.dt - round(CONTROL_DT / options.dt)) < 1e-9):
        raise ValueError(f"dt: {options.dt} s does not divide {CONTROL_DT} s")
    if options.rate <= 0 or options.patience < 0:
        raise ValueError(f"rate must be above 0 and patience at least 0, got {options.rate} and {options.patience}")
    sim = RobotSim(options, _wire(wiring, options), wiring, watch)
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
