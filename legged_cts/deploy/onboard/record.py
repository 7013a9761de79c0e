"""The record that every deployment writes, and what in it differs from what was to be expected."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.deploy.contract import PolicyContract
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.link import MotorCommand, Reading
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.robot import Array, RobotState
from legged_cts.deploy.words import option, run_words

MODES = tuple(Mode)
VERSION = 1


def record_type(joints: int) -> np.dtype:
    """One period: what was sensed, decided and sent, and how long it took; d joints in the contract's order."""
    return np.dtype([
        ("now", "f8"), ("fresh", "?"), ("late", "?"), ("mode", "u1"), ("seconds", "f4"), ("command", "f4", 3),
        ("quat", "f4", 4), ("ang_vel", "f4", 3), ("joint_pos", "f4", joints), ("joint_vel", "f4", joints),
        ("torque", "f4", joints), ("temperature", "f4", joints), ("action", "f4", joints), ("q", "f4", joints),
        ("kp", "f4", joints), ("kd", "f4", joints),
    ])  # fmt: skip


class Recorder:
    """Writes a record: a line of JSON with the contract, then the periods; what was written survives a crash."""

    def __init__(self, path: Path, contract: PolicyContract) -> None:
        """Begin the file; its folder is made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        head = {"version": VERSION, "date": time.strftime("%Y-%m-%d %H:%M:%S"), "contract": contract.to_json()}
        self._file.write(json.dumps(head).encode() + b"\n")
        self._row = np.zeros((), record_type(len(contract.joints)))

    def write(
        self, now: float, reading: Reading | None, late: bool, seconds: float, machine: Any, sent: MotorCommand
    ) -> None:
        """Adds a period; without a reading the sensors keep their last values."""
        row = self._row
        row["now"], row["fresh"], row["late"], row["seconds"] = now, reading is not None, late, seconds
        row["mode"], row["command"], row["action"] = MODES.index(machine.mode), machine.command, machine.action
        if reading is not None:
            for name in ("quat", "ang_vel", "joint_pos", "joint_vel"):
                row[name] = getattr(reading.state, name)
            row["torque"], row["temperature"] = reading.torque, reading.temperature
        row["q"], row["kp"], row["kd"] = sent.q, sent.kp, sent.kd
        self._file.write(row.tobytes())

    def close(self) -> None:
        """Finishes the file."""
        self._file.close()


def read_record(path: str | Path) -> tuple[PolicyContract, Array]:
    """The contract and the periods of a record; an unfinished last period is left out.

    Raises:
        ValueError: if the file is no record.
    """
    head, _, body = Path(path).read_bytes().partition(b"\n")
    try:
        fields = json.loads(head)
        version, contract = fields["version"], PolicyContract.from_json(fields["contract"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"record: {path} is no record of a deployment ({error})") from error
    if version != VERSION:
        raise ValueError(f"record: {path} has the version {version!r}, expected {VERSION}")
    kind = record_type(len(contract.joints))
    return contract, np.frombuffer(body[: len(body) // kind.itemsize * kind.itemsize], kind)


@dataclass(frozen=True)
class ReplayOptions:
    """The words of `scripts/replay_deployment.py`."""

    record: str = field(metadata={"help": "record of a deployment"})
    policy: str = field(metadata={"help": "ONNX file that walked"})
    torque: float = option(0.3, "share of a motor's torque limit by which it may differ from its PD law")
    tracking: float = option(0.4, "difference of the yaw rate from its command, averaged over a second [rad/s]")


def replay(options: ReplayOptions) -> dict[str, float | None]:
    """Says where a record first differs from what was to be expected.

    Returns:
        Seconds at which first: `contract`, the policy answers otherwise than was recorded; `physics`, a motor gives
        another torque than kp (q - angle) - kd speed; `task`, the robot does not turn as commanded. None where nothing
        differs.
    """
    contract, rows = read_record(options.record)
    policy = OnnxPolicy(options.policy)
    if policy.contract != contract:
        raise ValueError(f"policy: {options.policy} is not the policy of {options.record}")
    first = {
        "contract": _first(rows, _answers_differ(policy, rows)),
        "physics": _first(rows, _torques_differ(contract, rows, options.torque)),
        "task": _first(rows, _turns_differ(contract, rows, options.tracking)),
    }
    for name, seconds in first.items():
        print(f"{name}: {'as expected' if seconds is None else f'differs first at {seconds:.2f} s'}")
    return first


def _first(rows: Array, differs: Array) -> float | None:
    return float(rows["now"][np.argmax(differs)]) if differs.any() else None


class _Recorded:
    """The robot of a record, for the controller."""

    def __init__(self, contract: PolicyContract) -> None:
        self.joints, self.control_dt = contract.joints, contract.control_dt
        self.state: RobotState | None = None

    def read_state(self) -> RobotState:
        assert self.state is not None
        return self.state

    def send_targets(self, targets: Array) -> None:
        pass


def _walks(rows: Array) -> Array:
    return np.isin(rows["mode"], [MODES.index(Mode.WALK), MODES.index(Mode.STOP)])


def _answers_differ(policy: OnnxPolicy, rows: Array) -> Array:
    robot = _Recorded(policy.contract)
    controller = Controller(policy, robot)
    walks, differs = _walks(rows), np.zeros(len(rows), dtype=bool)
    for index, row in enumerate(rows):
        if not walks[index]:
            continue
        if not index or not walks[index - 1]:
            controller.reset()
        robot.state = RobotState(*(row[name] for name in ("quat", "ang_vel", "joint_pos", "joint_vel")))
        # The record holds float32; the tolerance is for its rounding.
        differs[index] = np.abs(controller.step(row["command"]) - row["action"]).max() > 1e-2
    return differs


def _torques_differ(contract: PolicyContract, rows: Array, share: float) -> Array:
    limit = np.asarray(contract.effort_limit)
    # A reading shows the torque under the command before it.
    q, kp, kd = (rows[name][:-1] for name in ("q", "kp", "kd"))
    expected = np.clip(kp * (q - rows["joint_pos"][1:]) - kd * rows["joint_vel"][1:], -limit, limit)
    differs = (np.abs(rows["torque"][1:] - expected) > share * limit).any(axis=1) & rows["fresh"][1:]
    return np.append(False, differs)


def _turns_differ(contract: PolicyContract, rows: Array, most: float) -> Array:
    width = round(1.0 / contract.control_dt)
    if len(rows) < width:
        return np.zeros(len(rows), dtype=bool)
    error = rows["ang_vel"][:, 2] - rows["command"][:, 2]
    mean = np.abs(np.convolve(error, np.full(width, 1.0 / width), "valid"))
    walking = np.convolve(_walks(rows), np.ones(width), "valid") > width - 0.5
    return np.append((mean > most) & walking, np.zeros(width - 1, dtype=bool))


def main(argv: list[str]) -> int:
    """The command `python -m legged_cts.deploy.onboard.record record=... policy=...`; returns the exit status."""
    return run_words("replay", __doc__, ReplayOptions, replay, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
