"""Who says what the robot does: the remote control, a keyboard, a plan in a file, or a program."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import Protocol

import numpy as np

from legged_cts.deploy.contract import COMMANDS, PolicyContract
from legged_cts.deploy.onboard.link import Reading, Remote
from legged_cts.deploy.onboard.machine import REQUESTS
from legged_cts.deploy.robot import Array

CHORDS = {
    "damp": (("L2", "B"), ("L1", "R1")),
    "stand": (("L2", "up"), ("L2", "A"), ("select",)),
    "walk": (("R1", "X"), ("start",)),
    "lie": (("L2", "down"), ("L2", "X")),
}
"""Buttons for each request. L2+up, R1+X and L2+B are those of unitree_rl_lab, start and L1+R1 those of holosoma."""

KEYS = {" ": "damp", "u": "stand", "g": "walk", "l": "lie"}
MOVES = {"w": (0, 0.1), "s": (0, -0.1), "a": (1, 0.1), "d": (1, -0.1), "q": (2, 0.1), "e": (2, -0.1)}
DEADZONE = 0.08


class Operator(Protocol):
    """Asked once a period."""

    def poll(self, now: float, reading: Reading | None) -> tuple[str | None, Array | None]:
        """(request or None, command [3] or None if the operator is gone)."""
        ...


class RemoteOperator:
    """The robot's remote control: the left stick walks, the right one turns; full scale is the contract's range."""

    def __init__(self, contract: PolicyContract) -> None:
        """Nothing is held yet."""
        self._low, self._high = np.array([contract.command_ranges[name] for name in COMMANDS]).T
        self._held: frozenset[str] = frozenset()

    def poll(self, now: float, reading: Reading | None) -> tuple[str | None, Array | None]:
        """See `Operator`. Damping is asked for as long as its buttons are held, the rest once."""
        remote = None if reading is None else reading.remote
        if remote is None:
            return None, None
        before, self._held = self._held, remote.buttons
        return pressed(remote, before), self._command(remote)

    def _command(self, remote: Remote) -> Array:
        sticks = np.array([remote.left[1], -remote.left[0], -remote.right[0]])
        sticks[np.abs(sticks) < DEADZONE] = 0.0
        return np.where(sticks >= 0, sticks * np.maximum(self._high, 0), -sticks * np.minimum(self._low, 0))


def pressed(remote: Remote, before: frozenset[str]) -> str | None:
    """The request whose buttons are held and were not all held before; damping first, and whenever it is held."""
    if wants_damping(remote):
        return "damp"
    for request, chords in CHORDS.items():
        if any(remote.buttons.issuperset(chord) and not before.issuperset(chord) for chord in chords):
            return request
    return None


def wants_damping(remote: Remote) -> bool:
    """Whether the buttons for damping are held."""
    return any(remote.buttons.issuperset(chord) for chord in CHORDS["damp"])


class Keyboard:
    """Keys of a terminal: u stand (up), g walk (go), l lie, space damp; w s, a d, q e change the command by 0.1."""

    def __init__(self) -> None:
        """Read keys without waiting for a line."""
        self._file = sys.stdin.fileno()
        self._command = np.zeros(3)
        self._there = True
        self._restore = None
        if os.isatty(self._file):
            import termios  # Unix alone
            import tty

            before = termios.tcgetattr(self._file)
            tty.setcbreak(self._file)
            self._restore = lambda: termios.tcsetattr(self._file, termios.TCSADRAIN, before)

    def poll(self, now: float, reading: Reading | None) -> tuple[str | None, Array | None]:
        """See `Operator`; a terminal that is closed is an operator who is gone."""
        request = None
        while self._there and select.select([self._file], [], [], 0)[0]:
            key = os.read(self._file, 1).decode(errors="ignore")
            self._there = key != ""
            request = KEYS.get(key, request)
            if key in MOVES:
                axis, change = MOVES[key]
                self._command[axis] = round(self._command[axis] + change, 3)
            if request == "damp":
                break
        if request is not None:
            self._command[:] = 0.0
        return request, self._command.copy() if self._there else None

    def close(self) -> None:
        """Gives the terminal back as it was."""
        if self._restore is not None:
            self._restore()


class Plan:
    """A file with a line `<seconds> <request>` or `<seconds> command <v_x> <v_y> <yaw rate>` for each thing to do.

    Args:
        path: the file; empty lines and what follows # are left out.

    Raises:
        ValueError: naming the line that is wrong.
    """

    def __init__(self, path: str | Path) -> None:
        """Read the file."""
        self._steps: list[tuple[float, str, Array | None]] = []
        for number, time, words in plan_lines(path):
            request, *rest = words
            if request == "command" and len(rest) == 3:
                try:
                    self._steps.append((time, request, np.array([float(word) for word in rest])))
                    continue
                except ValueError:
                    pass
            elif request in REQUESTS and not rest:
                self._steps.append((time, request, None))
                continue
            allowed = f"{', '.join(REQUESTS)}, command <v_x> <v_y> <yaw rate>"
            raise ValueError(f"plan: {path}, line {number}: '{' '.join(words)}' is no step (allowed: {allowed})")
        self._command = np.zeros(3)

    def poll(self, now: float, reading: Reading | None) -> tuple[str | None, Array | None]:
        """See `Operator`."""
        while self._steps and self._steps[0][0] <= now:
            _, request, command = self._steps.pop(0)
            if command is None:
                return request, self._command
            self._command = command
        return None, self._command


def plan_lines(path: str | Path) -> list[tuple[int, float, list[str]]]:
    """(number, seconds, words) of each line of a plan, in the order of time.

    Raises:
        ValueError: naming the line that is wrong.
    """
    lines = []
    for number, line in enumerate(Path(path).read_text().splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            time = float(words[0])
        except ValueError:
            time = np.nan
        if not np.isfinite(time) or len(words) < 2:
            raise ValueError(f"plan: {path}, line {number}: expected '<seconds> <what>', got '{line.strip()}'")
        lines.append((number, time, words[1:]))
    return sorted(lines, key=lambda entry: entry[1])


class Program:
    """A program of the user's own: it calls `ask` and `drive`, from any thread; a command holds for one period only."""

    def __init__(self) -> None:
        """Nothing is asked for."""
        self._request: str | None = None
        self._command: Array | None = None

    def ask(self, request: str) -> None:
        """Asks for one of `REQUESTS`."""
        self._request = request

    def drive(self, command: Array) -> None:
        """Commands (v_x, v_y, yaw rate) [m/s, m/s, rad/s]; to be called again before the command times out."""
        self._command = np.asarray(command, dtype=np.float64)

    def poll(self, now: float, reading: Reading | None) -> tuple[str | None, Array | None]:
        """See `Operator`."""
        request, command, self._request, self._command = self._request, self._command, None, None
        return request, command
