"""The record that every deployment writes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.deploy.contract import PolicyContract
from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.link import MotorCommand, Reading
from legged_cts.deploy.robot import Array

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
