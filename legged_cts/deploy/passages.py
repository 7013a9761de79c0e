"""What became of robots that were sent along courses: shares with intervals, a table, a CSV file and a plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.deploy.metrics import wilson
from legged_cts.deploy.results import write_json, write_table
from legged_cts.deploy.robot import Array
from legged_cts.terrain.courses import Course

STIFFNESS = 0.5
"""Yaw rate per heading error [1/s], as commands with a heading have it in training."""


@dataclass(frozen=True)
class Passage:
    """One robot on one course.

    Attributes:
        arrived: Whether it reached the end in time, without a fall.
        fell: Whether it fell.
        speed: Mean speed along the course until it arrived, fell or ran out of time [m/s].
        roll: Root mean square of the roll rate [rad/s].
        pitch: The same of the pitch rate [rad/s].
    """

    arrived: bool
    fell: bool
    speed: float
    roll: float
    pitch: float


@dataclass(frozen=True)
class Cell:
    """Robots on one course at one speed.

    Attributes:
        course: The course.
        told: The commanded speed [m/s], negative backwards.
        episodes: How many robots.
        success: Share that arrived.
        low: Of its 95 % interval (Wilson).
        high: Of its 95 % interval.
        falls: Share that fell.
        speed: Mean speed of those that arrived [m/s]; NaN if nobody did.
        roll: Root mean square of the roll rate [rad/s].
        pitch: The same of the pitch rate [rad/s].
    """

    course: Course
    told: float
    episodes: int
    success: float
    low: float
    high: float
    falls: float
    speed: float
    roll: float
    pitch: float


def heading_rate(yaw: float | Array, limits: tuple[float, float]) -> Array:
    """Return the yaw rate that turns back to the heading 0 [rad/s], within limits, from yaw angles [rad]."""
    return np.clip(-STIFFNESS * np.asarray(yaw), *limits)


def cell(course: Course, told: float, passages: Sequence[Passage]) -> Cell:
    """Sum up the robots of one course and speed."""
    arrived = [passage for passage in passages if passage.arrived]
    n = len(passages)

    def rms(name: str) -> float:
        return math.sqrt(sum(getattr(passage, name) ** 2 for passage in passages) / n)

    return Cell(
        course, told, n, len(arrived) / n, *wilson(len(arrived), n), sum(passage.fell for passage in passages) / n,
        float(np.mean([abs(passage.speed) for passage in arrived])) if arrived else math.nan, rms("roll"), rms("pitch"),
    )  # fmt: skip


def as_record(one: Cell) -> dict[str, Any]:
    """Return a cell as a row of a CSV file or an entry of a JSON file; None where nothing was measured."""
    numbers = {name: getattr(one, name) for name in ("success", "low", "high", "falls", "speed", "roll", "pitch")}
    return {
        "course": one.course.name,
        "group": one.course.group,
        "size": one.course.size,
        "told": one.told,
        "episodes": one.episodes,
        **{name: None if math.isnan(value) else round(value, 4) for name, value in numbers.items()},
    }


def describe(cells: Sequence[Cell]) -> str:
    """Return a table as text: a line per course, for each speed the share that arrived."""
    told = list(dict.fromkeys(one.told for one in cells))
    by = {(one.course.name, one.told): one for one in cells}
    lines = ["course".ljust(18) + "".join(f"{speed:+.1f} m/s: arrived, fell, speed".rjust(42) for speed in told)]
    for name in dict.fromkeys(one.course.name for one in cells):
        line = name.ljust(18)
        for speed in told:
            one = by[name, speed]
            interval = f"({100 * one.low:.0f} .. {100 * one.high:.0f})"
            line += f"{100 * one.success:.0f} % {interval}, {100 * one.falls:.0f} %, {one.speed:.2f}".rjust(42)
        lines.append(line)
    count = cells[0].episodes
    return "\n".join(
        [*lines, f"{count} robots each; arrived: the end within twice the time, without a fall (95 % interval)"]
    )


def write(stem: Path, cells: Mapping[str, Sequence[Cell]], conditions: Mapping[str, Any]) -> list[Path]:
    """Write a CSV file with a line per role, course and speed, a JSON file and, where matplotlib is, a picture.

    Args:
        stem: Their path without an ending.
        cells: By role.
        conditions: Under which all took place; they stand in every line.
    """
    table, whole = stem.with_suffix(".csv"), stem.with_suffix(".json")
    records = {role: [as_record(one) for one in found] for role, found in cells.items()}
    write_table(table, [{"role": role, **one, **conditions} for role, found in records.items() for one in found])
    write_json(whole, {**conditions, "courses": records})
    picture = stem.with_suffix(".png")
    return [table, whole, *([picture] if draw(picture, cells) else [])]


def draw(path: Path, cells: Mapping[str, Sequence[Cell]]) -> bool:
    """Draw the share that arrived against height or slope: a panel per group, a line per role and speed.

    Returns:
        Whether it was drawn: not without matplotlib, and not if no course has a size.
    """
    found = [one for of_role in cells.values() for one in of_role if one.course.size]
    groups = {one.course.group: one.course.axis for one in found}
    if not groups:
        return False
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(4, len(groups))
    rows = math.ceil(len(groups) / columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.4 * columns, 2.8 * rows), squeeze=False)
    for axis, (group, label) in zip(axes.flat, groups.items(), strict=False):
        scale = 1.0 if label.endswith("[deg]") else 100.0
        for role, of_role in cells.items():
            for told in dict.fromkeys(one.told for one in of_role):
                line = [one for one in of_role if one.course.group == group and one.told == told]
                x, y = [scale * one.course.size for one in line], [one.success for one in line]
                reach = [[one.success - one.low for one in line], [one.high - one.success for one in line]]
                style = "-" if role == "student" else "--"
                axis.errorbar(x, y, np.maximum(reach, 0.0), fmt=f"o{style}", markersize=3, capsize=2,
                              label=f"{role}, {told:+g} m/s")  # fmt: skip
        axis.set(title=group.replace("_", " "), xlabel=label, ylim=(-0.03, 1.03))
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(groups) :]:
        axis.axis("off")
    axes[0][0].set_ylabel("share that arrived")
    axes[0][0].legend(frameon=False, fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True
