"""A robot in plain MuJoCo that speaks a robot's own wire format."""

from __future__ import annotations

import inspect
import re
import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.deploy.commands import RobotSimOptions
from legged_cts.deploy.onboard.link import BUTTONS, Remote
from legged_cts.deploy.onboard.operators import plan_lines
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


class Mishaps:
    """What happens to the robot and its wire. Each method that a plan may name takes the words after its name."""

    def __init__(self, body: SimulatedBody, wire: Any, seed: int = 0) -> None:
        """Nothing is wrong."""
        self._body, self._wire = body, wire
        self.joints, self.lacks = body.joints, wire.lacks
        self._rng = np.random.default_rng(seed)
        self.lost, self.late, self.jitter_, self.frozen, self.quiet, self.spoilt = 0.0, 0.0, 0.0, False, False, False
        self.remote: Remote | None = Remote()
        self.heat = np.full(len(body.joints), 35.0)

    def drops(self) -> bool:
        """Whether the next message is lost."""
        return bool(self._rng.random() < self.lost)

    def due(self, now: float) -> float:
        """When a state of now arrives [s]."""
        return now + self.late + self.jitter_ * self._rng.random()

    def loss(self, share: float) -> None:
        """Of the messages, both ways."""
        self.lost = share

    def delay(self, seconds: float) -> None:
        """Of the states."""
        self.late = seconds

    def jitter(self, seconds: float) -> None:
        """Further delay, drawn for each state."""
        self.jitter_ = seconds

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
        self._body.dead[self.joints.index(joint)] = True

    def hot(self, joint: str, degrees: float) -> None:
        """A motor's temperature."""
        self.heat[self.joints.index(joint)] = degrees

    def push(self, x: float, y: float, z: float = 0.0) -> None:
        """Adds to the velocity of the base, in the world [m/s]."""
        self._body.push(np.array([x, y, z]))

    def friction(self, value: float) -> None:
        """Of the ground."""
        self._body.friction(value)

    def mode(self, number: float) -> None:
        """The build that a G1 says it is."""
        self._wire.mode_machine = int(number) % 256

    def crc(self) -> None:
        """The states' checksum is wrong."""
        self._wire.wrong_crc = 1

    def intruder(self) -> None:
        """Another controller publishes commands, too."""
        self._wire.intruded = True

    def gantry(self, what: str) -> None:
        """Hold, lower or release."""
        getattr(self._body, what)()

    def buttons(self, *names: str) -> None:
        """Held on the remote control from now on; `none` without the remote control, nothing for no button."""
        held = self.remote or Remote()
        self.remote = None if "none" in names else Remote(frozenset(names), held.left, held.right)

    def sticks(self, forward: float, left: float = 0.0, turn: float = 0.0) -> None:
        """Of the remote control, each -1 to 1."""
        held = frozenset() if self.remote is None else self.remote.buttons
        self.remote = Remote(held, (-left, forward), (-turn, 0.0))

    def normal(self) -> None:
        """The wire and the sensors work again."""
        self._wire.wrong_crc, self._wire.intruded = 0, False
        self.lost = self.late = self.jitter_ = 0.0
        self.frozen = self.quiet = self.spoilt = False
        self.heat[:] = 35.0


MISHAPS = ("loss", "delay", "jitter", "freeze", "silence", "nan", "dead", "hot", "push", "friction", "mode", "gantry",
           "buttons", "sticks", "crc", "intruder", "normal")  # fmt: skip


def read_mishaps(path: str | None, mishaps: Mishaps) -> deque[tuple[float, Callable[[], None]]]:
    """The plan of what happens, in the order of time.

    Raises:
        ValueError: naming the line that is wrong.
    """
    steps: deque[tuple[float, Callable[[], None]]] = deque()
    allowed = [name for name in MISHAPS if name not in mishaps.lacks]
    for number, seconds, (name, *rest) in [] if path is None else plan_lines(path):
        try:
            if name not in allowed:
                raise ValueError(f"no '{name}' (allowed: {', '.join(allowed)})")
            happens = getattr(mishaps, name)
            steps.append((seconds, partial(happens, *_arguments(happens, rest, mishaps.joints))))
        except (TypeError, ValueError) as error:
            raise ValueError(f"plan: {path}, line {number}: {error}") from error
    return steps


def _arguments(happens: Callable[..., None], words: list[str], joints: tuple[str, ...]) -> list[Any]:
    """The words after a mishap's name as it takes them: finite numbers, or one of what there is."""
    there = {"joint": joints, "what": ("hold", "lower", "release"), "names": (*BUTTONS, "none")}
    signature = inspect.signature(happens)
    signature.bind(*words)
    parameters = list(signature.parameters.values())
    values: list[Any] = []
    for index, word in enumerate(words):
        parameter = parameters[min(index, len(parameters) - 1)]
        if parameter.name not in there:
            if not re.fullmatch(r"[-+]?\d+(\.\d*)?|[-+]?\.\d+", word):
                raise ValueError(f"{happens.__name__}: {parameter.name}: expected a number, got '{word}'")
            values.append(float(word))
        elif word in there[parameter.name]:
            values.append(word)
        else:
            raise ValueError(f"{happens.__name__}: no '{word}' (allowed: {', '.join(there[parameter.name])})")
    return values


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
