"""What the doctor found, and how it is printed."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import StrEnum

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
    """One check.

    Attributes:
        name: what was checked.
        status: how it ended.
        measured: what was found, with its unit.
        limit: what would be right.
        hint: what to do about it; empty if it is right.
    """

    name: str
    status: Status
    measured: str
    limit: str = ""
    hint: str = ""


@dataclass(frozen=True)
class JointFigures:
    """What the gains of one joint amount to in the nominal pose.

    Attributes:
        joint: its name.
        inertia: that the joint moves, its armature included [kg m^2].
        frequency: undamped natural frequency [Hz].
        damping_ratio: 1 is critical.
        torque: while standing [N m].
        effort_limit: of its motor [N m].
        sag: angle by which the torque pulls it from its target [rad].
    """

    joint: str
    inertia: float
    frequency: float
    damping_ratio: float
    torque: float
    effort_limit: float
    sag: float


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
        line = f"{self.robot}: {self.count(Status.OK)} ok, {_number(warnings, 'warning')}, "
        return line + _number(failures, "failure") + (f", {skipped} skipped" if skipped else "")


def judge(value: float, warn: float, fail: float) -> Status:
    """Grade a value of which more is worse; what is not a number fails."""
    if value <= warn:
        return Status.OK
    return Status.WARN if value <= fail else Status.FAIL


def worst(*statuses: Status) -> Status:
    """The worst of some grades."""
    return max(statuses, key=list(Status).index)


def names(found: list[str], most: int = 4) -> str:
    """Some names in a row, with the number of those left out."""
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
    name = textwrap.wrap(row.name, _NAME) or [""]
    measured = textwrap.wrap(row.measured, _MEASURED) or [""]
    limit = textwrap.wrap(row.limit, WIDTH - 5 - _NAME - _MEASURED - 2) or [""]
    status = f"\033[{_COLOURS[row.status]}m{row.status:<5}\033[0m" if colour else f"{row.status:<5}"
    lines = []
    for i in range(max(len(name), len(measured), len(limit))):
        cells = [column[i] if i < len(column) else "" for column in (name, measured, limit)]
        line = f"{cells[0]:<{_NAME}} {cells[1]:<{_MEASURED}} {cells[2]}".rstrip()
        lines.append((status if i == 0 else 5 * " ") + line)
    if row.hint:
        lines += textwrap.wrap(row.hint, WIDTH, initial_indent=7 * " " + "-> ", subsequent_indent=10 * " ")
    return lines


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
