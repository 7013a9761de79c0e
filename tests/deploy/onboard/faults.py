"""Every fault, and how a robot ends: `python tests/deploy/onboard/faults.py guards|wire|walks [go2 tron1 g1]`.

Prints the tables of docs/deploy.md: `guards` in plain MuJoCo without a wire, `wire` and `walks` in processes of their
own over the robots' wire formats.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from deployments import Deployment, forward_speed, speed_without_a_wire
from onboard_pair import DT, Pair

from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.link import Reading
from legged_cts.robots.spec import load_robot


def changed(reading: Reading, **fields: Any) -> Reading:
    """A reading in which the state, or the rest, is another."""
    state = {name: value for name, value in fields.items() if hasattr(reading.state, name)}
    rest = {name: value for name, value in fields.items() if name not in state}
    return dataclasses.replace(reading, state=dataclasses.replace(reading.state, **state), **rest)


def spoilt(values: np.ndarray, index: int, value: float) -> np.ndarray:
    values = values.copy()
    values[index] = value
    return values


def _reading(**fields: Callable[[Reading], Any]) -> Callable[[Pair], dict[str, Any]]:
    def inject(pair: Pair) -> dict[str, Any]:
        reading = pair.reading()
        return {"reading": changed(reading, **{name: value(reading) for name, value in fields.items()})}

    return inject


def _beyond(pair: Pair) -> dict[str, Any]:
    reading = pair.reading()
    return {"reading": changed(reading, joint_pos=spoilt(reading.state.joint_pos, 2, pair.spec.joint_lower[2] - 0.2))}


def _strained(pair: Pair) -> dict[str, Any]:
    reading = pair.reading()
    return {"reading": changed(reading, torque=spoilt(reading.torque, 5, pair.spec.effort_limit[5]))}


def _policy_nan(pair: Pair) -> dict[str, Any]:
    bad = np.full((1, len(pair.spec.joints)), np.nan, dtype=np.float32)
    pair.policy._network.run = lambda frame, history, state: (bad, state)  # type: ignore[method-assign]
    return {}


class Fault(NamedTuple):
    """A fault: the guard that must trip, what it gives the machine while it lasts, periods until then."""

    guard: str
    inject: Callable[[Pair], dict[str, Any]]
    periods: int


FAULTS = {
    "no state": Fault("stale", lambda pair: {"reading": None}, 3),
    "NaN in the state": Fault("corrupt", _reading(joint_vel=lambda r: spoilt(r.state.joint_vel, 3, np.nan)), 1),
    "no orientation": Fault("corrupt", _reading(quat=lambda r: np.zeros(4)), 1),
    "bad CRC": Fault("corrupt", _reading(fault=lambda r: ("corrupt", "CRC 1, computed 2")), 1),
    "tilt": Fault("tilt", _reading(quat=lambda r: np.array([np.cos(0.6), np.sin(0.6), 0, 0])), 1),
    "joint limit": Fault("joint_limit", _beyond, 1),
    "torque": Fault("torque", _strained, 21),
    "temperature": Fault("temperature", _reading(temperature=lambda r: spoilt(r.temperature, 0, 90.0)), 1),
    "policy not finite": Fault("policy", _policy_nan, 1),
    "late": Fault("late", lambda pair: {"late": True}, 5),
    "operator gone": Fault("command_lost", lambda pair: {"command": None}, 26),
    "another controller": Fault("other_controller", _reading(fault=lambda r: ("other_controller", "published")), 1),
    "wrong robot": Fault("wrong_robot", _reading(fault=lambda r: ("wrong_robot", "mode_machine 4")), 1),
}


class Outcome(NamedTuple):
    """The state reached, after how long [ms], the last state, and of the base height, tilt and how fast it sank."""

    state: str
    after: float
    end: str
    height: float
    tilt: float
    sank: float

    def row(self, *names: str) -> str:
        cells = (*names, self.state, f"{self.after:.0f} ms", self.end, f"{self.height:.2f} m", f"{self.tilt:.1f} rad",
                 f"{self.sank:.2f} m/s")  # fmt: skip
        return f"| {' | '.join(cells)} |"


def outcome(pair: Pair, fault: Fault, seconds: float = 4.0) -> Outcome:
    """Injects a fault into a robot that walks, until these seconds have passed."""
    state, after = None, 0.0
    for count in range(1, round(seconds / DT) + 1):
        pair.step(**fault.inject(pair))
        if state is None and pair.machine.mode is not Mode.WALK:
            state, after = pair.machine.mode.value, 1e3 * count * DT
    body = pair.body
    return Outcome(state or "walk", after, pair.machine.mode.value, body.clearance, body.tilt, -pair.sunk)


REMOTE = "0.2 buttons L2 up;2.6 buttons;{walk} buttons start;{walk} sticks 0.5"
WIRE_FAULTS = {
    "no orientation": "nan",
    "wrong checksum": "crc",
    "the same state again": "freeze",
    "no state": "silence",
    "another publisher": "intruder",
    "hot motor": "hot {joint} 90",
    "no remote control": "buttons none",
    "damping chord": "buttons L1 R1",
    "another build": "mode 4",
}
"""Fault: the line of the simulator's plan that causes it."""

CAN = {
    "go2": [name for name in WIRE_FAULTS if name != "another build"],
    "tron1": ["no orientation", "no state"],
    "g1": [*WIRE_FAULTS],
}
"""What can happen to each; limxsdk carries no checksum, build or remote control, and stamps frozen states anew."""


def wire_outcome(folder: Path, robot: str, fault: str, at: float = 5.0, seconds: float = 9.0) -> Outcome:
    """Walks over the wire, by the simulated remote control if there is one; the fault comes at a time [s]."""
    plan = "0.2 stand;3 walk;3 command 0.5 0 0" if robot == "tron1" else None
    happens = [f"{at} {WIRE_FAULTS[fault].format(joint=load_robot(robot).joints[0])}"]
    happens += [] if robot == "tron1" else [REMOTE.format(walk=3.0)]
    happens += [] if robot == "go2" else ["3.1 gantry release"]
    run = Deployment(folder, robot, ";".join(happens), plan, seconds, "state_timeout=2").finish()
    changes = [line for line in run.lines if " -> " in line and float(line.split(" s:")[0]) > at - 0.1]
    time, states = float(changes[0].split(" s:")[0]), [line.split(" -> ")[1].split(":")[0] for line in changes]
    after = run.between(at, seconds)
    end = {name: float(values[-1]) for name, values in after.items()}
    return Outcome(states[0], 1e3 * (time - at), states[-1], end["z"], end["tilt"], -float(after["vz"].min()))


WALKS = ("", "loss 0.1", "loss 0.3", "loss 0.5", "delay 0.01", "delay 0.02", "delay 0.04", "jitter 0.02", "jitter 0.04",
         "loss 0.2;{} delay 0.01;{} jitter 0.01")  # fmt: skip


def walk_outcome(folder: Path, robot: str, happens: str) -> tuple[float, float, float]:
    """(speed forwards, its share of that without a wire, largest tilt) of 6 s at 0.5 m/s under a fault of the wire."""
    gantry = "" if robot == "go2" else "2.4 gantry release;"
    at = 2.4
    fault = f"{at} {happens.format(at, at)}" if happens else ""
    plan = f"0.2 stand;{at} walk;{at} command 0.5 0 0"
    run = Deployment(folder, robot, gantry + fault, plan, 10.4).finish()
    walk = run.between(4.4, 10.4)
    speed = forward_speed(walk)
    return speed, speed / speed_without_a_wire(robot, 8.0), float(walk["tilt"].max())


def main(which: str, *robots: str) -> None:
    """Print a table."""
    for robot in robots or ("go2", "tron1", "g1"):
        if which == "guards":
            for name, fault in FAULTS.items():
                print(outcome(Pair(robot).walking(), fault).row(robot, name, f"`{fault.guard}`"), flush=True)
            continue
        for name in CAN[robot] if which == "wire" else WALKS:
            with tempfile.TemporaryDirectory() as folder:
                if which == "wire":
                    print(wire_outcome(Path(folder), robot, name).row(robot, name), flush=True)
                else:
                    speed, share, tilt = walk_outcome(Path(folder), robot, name)
                    said = name.replace(";{}", ",") or "none"
                    print(f"| {robot} | {said} | {speed:.2f} m/s | {share:.2f} | {tilt:.2f} rad |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
