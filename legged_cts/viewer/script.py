"""The word `command=`: one command, or a file of commands that follow each other."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from legged_cts.deploy.contract import COMMANDS
from legged_cts.viewer.headless import Segment

HEADER = ["seconds", "vx", "vy", "yaw"]
LARGEST, LONGEST = 2**20, 3600.0
"""Bytes and seconds of a file."""


def read_command(word: str) -> tuple[Segment, ...]:
    """What the word says: `0.5,0,0` holds for as long as one plays, the rows of a .csv file for their seconds each.

    Args:
        word: three numbers v_x, v_y, yaw rate [m/s, m/s, rad/s], or a file with rows `seconds,vx,vy,yaw`, below that
            header or without; empty lines and what follows # are left out.

    Raises:
        ValueError: naming the word, and the line that is wrong.
        FileNotFoundError: if there is no such file.
    """
    if not word.endswith(".csv"):
        numbers = _numbers(word.split(","), 3)
        if numbers is None:
            raise ValueError(f"command: expected v_x,v_y,yaw as in command=0.5,0,0, or a .csv file, got '{word:.80}'")
        return (Segment("command", 1.0, (numbers[0], numbers[1], numbers[2])),)
    path = Path(word).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"command: there is no file {word}")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"command: {word} is larger than {LARGEST} bytes")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"command: {word} is no text: {error}") from error
    segments = _rows(word, lines)
    if not segments:
        raise ValueError(f"command: {word} has no rows; expected {','.join(HEADER)}, for example 2,0.5,0,0")
    total = sum(part.share for part in segments)
    if total > LONGEST:
        raise ValueError(f"command: {word} takes {total:g} s, {LONGEST:g} at most")
    return segments


def check_ranges(segments: tuple[Segment, ...], ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuses commands that a policy was not trained for.

    Raises:
        ValueError: naming the first of them and its range.
    """
    for part in segments:
        for name, short, value in zip(COMMANDS, ("v_x", "v_y", "yaw"), part.command, strict=True):
            low, high = min(ranges[name][0], 0.0), max(ranges[name][1], 0.0)
            if not low <= value <= high:
                where = "" if part.name == "command" else f" ({part.name})"
                raise ValueError(f"command: {short} {value:g}{where} is outside of the policy's {low:g} to {high:g}")


def _rows(word: str, lines: list[str]) -> tuple[Segment, ...]:
    segments = []
    for number, line in enumerate(lines, start=1):
        try:
            row = [cell.strip() for cell in next(csv.reader([line.partition("#")[0]]), [])]
        except csv.Error as error:
            raise ValueError(f"command: {word}, line {number}: {error}") from error
        if not any(row) or (not segments and row == HEADER):
            continue
        numbers = _numbers(row, 4)
        if numbers is None or numbers[0] <= 0:
            raise ValueError(f"command: {word}, line {number}: expected {','.join(HEADER)}, got '{line.strip():.80}'")
        seconds, vx, vy, yaw = numbers
        segments.append(Segment(f"line {number}", seconds, (vx, vy, yaw)))
    return tuple(segments)


def _numbers(cells: list[str], count: int) -> list[float] | None:
    """The cells as finite numbers, so many of them; None if they are not."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
