"""What the runs of a comparison left: metrics of student and teacher, steps, time, learning curves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from legged_cts.evaluation.compare.comparison import PROMOTED, TRAINED_LEVEL, ComparisonError
from legged_cts.evaluation.compare.runs import EVALUATION, Run, revisions
from legged_cts.evaluation.report import ALL
from legged_cts.training.writers import read_rows

CURVES = {"student/lin_error": "linear error [m/s]", "student/terrain_level": "terrain level"}
"""Columns of ``metrics.csv`` that are drawn, with title."""
CONDITIONS = ("robot", "task", "physics", "pushes_m_s")
"""Columns of ``evaluation.csv`` that must be equal for runs to be comparable."""


@dataclass(frozen=True)
class Value:
    """One metric of one role on one part of the terrain; NaN where nothing was measured."""

    role: str
    terrain: str
    level: str
    metric: str
    value: float
    episodes: int


@dataclass(frozen=True)
class Result:
    """What a run left.

    Attributes:
        run: The run.
        values: Metrics of its evaluation; empty if it is not finished.
        steps: Environment steps so far, with those of the checkpoints that it started from.
        minutes: Time in training iterations so far.
        conditions: What it was evaluated under.
        revisions: Revisions of the code that made it.
        curves: Points (steps, value) by column of ``CURVES``.
    """

    run: Run
    values: list[Value] = field(default_factory=list)
    steps: int = 0
    minutes: float = 0.0
    conditions: Mapping[str, str] = field(default_factory=dict)
    revisions: list[str] = field(default_factory=list)
    curves: Mapping[str, list[tuple[float, float]]] = field(default_factory=dict)

    def get(self, role: str, metric: str, terrain: str = ALL, level: str = ALL) -> float:
        """Return one metric, NaN if it was not measured."""
        for value in self.values:
            if (value.role, value.metric, value.terrain, value.level) == (role, metric, terrain, level):
                return value.value
        return math.nan


def read_result(run: Run) -> Result:
    """Read what a run left so far.

    Raises:
        ComparisonError: Naming the file that is damaged.
    """
    training = _read(run.folder / "metrics.csv")
    try:
        steps = int(float(training[-1]["total_steps"])) + run.checkpoint_steps if training else 0
        minutes = float(training[-1]["train_time_s"]) / 60.0 if training else 0.0
        curves = {column: _curve(training, column, run.checkpoint_steps) for column in CURVES}
    except (KeyError, ValueError) as error:
        raise ComparisonError(f"{run.folder / 'metrics.csv'}: is damaged: {error!r}") from error
    known = revisions(run)
    if not run.finished:
        return Result(run, steps=steps, minutes=minutes, revisions=known, curves=curves)
    lines = _read(run.folder / EVALUATION)
    try:
        values = evaluation_values(lines)
        conditions = {name: lines[0][name] for name in CONDITIONS}
    except (KeyError, ValueError, IndexError) as error:
        raise ComparisonError(f"{run.folder / EVALUATION}: is damaged: {error!r}") from error
    level = curves["student/terrain_level"]
    if level:
        values.append(Value("student", ALL, ALL, TRAINED_LEVEL, level[-1][1], 0))
    return Result(run, values, steps, minutes, conditions, known, curves)


def evaluation_values(lines: Sequence[Mapping[str, str]]) -> list[Value]:
    """Return the metrics in the lines of ``evaluation.csv``, with what follows from them.

    That is ``promoted``, the share of episodes that the curriculum would promote, where there is a curriculum, and
    every metric by level over all kinds of terrain, the mean weighted by episodes.
    """
    values = [
        Value(
            line["role"], line["terrain"], line["level"], line["metric"],
            float(line["mean"]) if line["mean"] else math.nan, int(line["episodes"]),
        )
        for line in lines
    ]  # fmt: skip
    if any(value.terrain != ALL for value in values):
        values += _promoted(values)
    return values + _by_level(values)


def _promoted(values: Iterable[Value]) -> list[Value]:
    count = {(v.role, v.terrain, v.level, v.metric): v.episodes for v in values}
    return [
        Value(role, terrain, level, PROMOTED, count[role, terrain, level, "promoted_level"] / episodes, episodes)
        for (role, terrain, level, metric), episodes in count.items()
        if metric == "fall" and episodes
    ]


def _by_level(values: Iterable[Value]) -> list[Value]:
    groups: dict[tuple[str, str, str], list[Value]] = defaultdict(list)
    for value in values:
        if value.terrain != ALL and value.level != ALL:
            groups[value.role, value.level, value.metric].append(value)
    pooled = []
    for (role, level, metric), parts in sorted(groups.items()):
        measured = [part for part in parts if part.episodes]
        episodes = sum(part.episodes for part in measured)
        total = sum(part.value * part.episodes for part in measured)
        pooled.append(Value(role, ALL, level, metric, total / episodes if episodes else math.nan, episodes))
    return pooled


def _curve(lines: Sequence[Mapping[str, str]], column: str, before: int) -> list[tuple[float, float]]:
    return [(float(line["total_steps"]) + before, float(line[column])) for line in lines if line.get(column)]


def _read(path: Path) -> list[dict[str, str]]:
    return read_rows(path)[1] if path.is_file() else []
