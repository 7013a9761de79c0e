"""What the doctor found, and how it is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

WIDTH = 120
_NAME, _MEASURED = 25, 49
_JOINT_TITLES = f"{'joint':<32}{'inertia':>10}{'nat. freq.':>12}{'damping':>9}{'torque':>11}{'of limit':>10}{'sag':>10}"
_COLOURS = {"ok": "32", "warn": "33", "fail": "1;31", "skip": "2"}


class Status(StrEnum):
    """How a check ended, best first."""

    SKIP = "skip"
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Row:
    """One check."""

    name: str  # what was checked
    status: Status
    measured: str  # what was found, with its unit
    limit: str = ""  # what would be right
    hint: str = ""  # what to do about it; always empty if nothing is wrong

    def __post_init__(self) -> None:
        """Drop the hint where nothing is wrong."""
        if self.status in (Status.SKIP, Status.OK):
            object.__setattr__(self, "hint", "")


@dataclass(frozen=True)
class JointFigures:
    """What the gains of one joint amount to in the nominal pose."""

    joint: str
    inertia: float  # that the joint moves, its armature included [kg m^2]
    frequency: float  # undamped natural frequency [Hz]
    damping_ratio: float  # 1 is critical
    torque: float  # while standing [N m]
    effort_limit: float  # of its motor [N m]
    sag: float  # angle by which the torque pulls it from its target [rad]


@dataclass(frozen=True)
class Report:
    """All checks of one robot, and the figures of its joints (none if its spec does not load)."""

    robot: str
    rows: tuple[Row, ...]
    joints: tuple[JointFigures, ...] = ()

    def count(self, status: Status) -> int:
        """How many checks ended so."""
        return sum(row.status is status for row in self.rows)

    @property
    def failed(self) -> bool:
        """Whether any check failed."""
        return self.count(Status.FAIL) > 0

    @property
    def summary(self) -> str:
        """One line: the robot and how many checks ended how."""
        warnings, failures, skipped = (self.count(status) for status in (Status.WARN, Status.FAIL, Status.SKIP))
        wrong = ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in ((warnings, "warning"), (failures, "failure")))
        return f"{self.robot}: {self.count(Status.OK)} ok, {wrong}" + (f", {skipped} skipped" if skipped else "")


def judge(value: float, warn: float, fail: float) -> Status:
    """Grade a value of which more is worse; what is not a number fails."""
    return Status.OK if value <= warn else Status.WARN if value <= fail else Status.FAIL


def verdict(good: object) -> Status:
    """Grade what is either right or wrong."""
    return Status.OK if good else Status.FAIL


def worst(*statuses: Status) -> Status:
    """The worst of some grades."""
    return max(statuses, key=list(Status).index)


def names(found: Iterable[str], most: int = 4) -> str:
    """Some names in a row, with the number of those left out."""
    found = list(found)
    left = len(found) - most
    return ", ".join(found[:most]) + (f" and {left} more" if left > 0 else "")


def table(report: Report, colour: bool = False) -> str:
    """The report as lines of text that fit into 120 columns, without the summary."""
    lines = [f"{'':<5}{'check':<{_NAME}} {'measured':<{_MEASURED}} limit"]
    for row in report.rows:
        lines += _row_lines(row, colour)
    if report.joints:
        lines += ["", _JOINT_TITLES]
    for joint in report.joints:
        share = abs(joint.torque) / joint.effort_limit
        lines.append(
            f"{joint.joint:<32}{joint.inertia:>10.4f}{joint.frequency:>9.2f} Hz{joint.damping_ratio:>9.2f}"
            f"{joint.torque:>7.2f} N m{share:>10.0%}{joint.sag:>6.3f} rad"
        )
    return "\n".join(lines)


def _row_lines(row: Row, colour: bool) -> list[str]:
    widths = _NAME, _MEASURED, WIDTH - 5 - _NAME - _MEASURED - 2
    columns = [
        textwrap.wrap(text, width) for text, width in zip((row.name, row.measured, row.limit), widths, strict=True)
    ]
    status = f"\033[{_COLOURS[row.status]}m{row.status:<5}\033[0m" if colour else f"{row.status:<5}"
    lines = []
    for name, measured, limit in zip_longest(*columns, fillvalue=""):
        lines.append((5 * " " if lines else status) + f"{name:<{_NAME}} {measured:<{_MEASURED}} {limit}".rstrip())
    if row.hint:
        lines += textwrap.wrap(row.hint, WIDTH, initial_indent=7 * " " + "-> ", subsequent_indent=10 * " ")
    return lines
