"""What a training logged, out of its folder: rows of numbers, what they warn of, and when its stages acted."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from legged_cts.training.alarms import Alarms
from legged_cts.training.run_folder import METRICS
from legged_cts.training.writers import MAX_TABLE
from legged_cts.trust.plain import read_bounded
from legged_cts.trust.yaml_file import YamlError, load_yaml

CONFIG = "config.yaml"
LARGEST = 1.0e39
"""No number of single precision is larger."""
SMOOTHING = 50
"""The bold line is a mean over this fraction of the run; what it is a mean of stays visible behind it."""


@dataclass(frozen=True)
class TrainingLog:
    """One training as it was when it was read.

    Attributes:
        name: What it is called beside others.
        rows: The metrics of one iteration after the other; what was not finite is left out.
        config: Its configuration, empty where there is none.
        previous_steps: Environment steps of the training that it began from.
    """

    name: str
    rows: Sequence[Mapping[str, float]]
    config: Mapping[str, Any] = field(default_factory=dict)
    previous_steps: int = 0

    def million_steps(self) -> list[float]:
        """Return the environment steps of each row in millions, iterations where a table has no steps."""
        before = self.previous_steps / 1e6
        return [before + row.get("total_steps", row["iteration"] * 1e6) / 1e6 for row in self.rows]

    def values(self, metric: str) -> list[float]:
        """Return one number per row, NaN where there is none."""
        return [row.get(metric, math.nan) for row in self.rows]

    def last(self, metric: str) -> float | None:
        """Return the newest number of a metric."""
        return next((row[metric] for row in reversed(self.rows) if metric in row), None)

    def setting(self, key: str) -> Any:
        """Return a leaf of the configuration by its key with dots, None where there is none."""
        node: Any = self.config
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        return None if isinstance(node, Mapping) else node

    def warnings(self) -> list[tuple[int, str]]:
        """Return the warnings that the training's display has shown, with their iterations."""
        alarms = Alarms()
        return [(int(row["iteration"]), text) for row in self.rows for text in alarms.new(row)]

    def stages(self) -> list[tuple[int, str]]:
        """Return the number of the row from which on a stage acts, and the stage's name, in their order."""
        known = self.config.get("stages")
        names = [str(name) for name, stage in known.items() if stage is not None] if isinstance(known, Mapping) else []
        found: list[tuple[int, str]] = []
        for index, count in enumerate(self.values("stage")):
            while math.isfinite(count) and len(found) < min(count, 100):
                number = len(found)
                found.append((index, names[number] if number < len(names) else f"stage {number + 1}"))
        return found


def read_logs(runs: Sequence[Path], previous_steps: int = 0) -> list[TrainingLog]:
    """Read trainings as they are now, those that go on too.

    Args:
        runs: Folders with a ``metrics.csv``, or such files.
        previous_steps: Environment steps of the training that these began from.

    Raises:
        FileNotFoundError: If a run has no metrics.
        ValueError: If its metrics are no table of numbers, or one is given twice.
    """
    files = [metrics_path(run) for run in runs]
    return [
        TrainingLog(name, read_metrics(file), _config(file.with_name(CONFIG)), previous_steps)
        for name, file in zip(_names(files), files, strict=True)
    ]


def metrics_path(run: Path) -> Path:
    """Return the metrics of a run, given as its folder or as the file itself.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = run / METRICS if run.is_dir() else run
    if not path.is_file():
        raise FileNotFoundError(f"{run} is neither a run's folder with a {METRICS} nor such a file")
    return path


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Read the rows of a ``metrics.csv``, that of a running training too; empty cells are left out.

    Raises:
        ValueError: If the file is no table of numbers by iteration.
    """
    try:
        text = read_bounded(path, MAX_TABLE).decode("utf-8-sig")
        lines = text.splitlines()
        if text and not text.endswith("\n"):
            lines = lines[:-1]  # is being written
        reader = csv.DictReader(lines)
        if "iteration" not in (reader.fieldnames or []):
            raise ValueError(f"it has no column 'iteration'; give a run's folder or its {METRICS}")
        rows = [_numbers(row, number) for number, row in enumerate(reader, start=2)]
    except (TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} is no table of numbers: {error}") from error
    for row in rows:  # of runs that were begun before it was a column
        if "gap/return" not in row and {"teacher/return", "student/return"} <= row.keys():
            row["gap/return"] = row["teacher/return"] - row["student/return"]
    return rows


def smooth(values: Sequence[float]) -> list[float]:
    """Centred mean over ``1 / SMOOTHING`` of finite values, narrower at the ends."""
    half = len(values) // SMOOTHING // 2 if len(values) >= SMOOTHING else 0
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    bounds = [(max(i - half, 0), min(i + half + 1, len(values))) for i in range(len(values))]
    return [(sums[end] - sums[start]) / (end - start) for start, end in bounds]


def _numbers(row: Mapping[str, str], number: int) -> dict[str, float]:
    numbers = {name: float(cell) for name, cell in row.items() if cell}
    for name, value in numbers.items():
        if not abs(value) <= LARGEST:
            raise ValueError(f"row {number}: {name} must be a finite number, got {row[name]!r:.40}")
    iteration = numbers.get("iteration", -1.0)
    if not (0 <= iteration <= 2**53 and iteration == int(iteration)):
        raise ValueError(f"row {number}: iteration must be a whole number, got {row['iteration']!r:.40}")
    return numbers


def _config(path: Path) -> Mapping[str, Any]:
    """Return the configuration beside the metrics, which can be looked at without it too."""
    try:
        config = load_yaml(path)
    except (OSError, YamlError):
        return {}
    return config if isinstance(config, Mapping) else {}


def _names(files: Sequence[Path]) -> list[str]:
    """Names of runs: their folders', with as many of the folders above as it takes to tell them apart."""
    parts = [file.resolve().parent.parts if file.name == METRICS else file.resolve().parts for file in files]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"{files[0]} is given twice")
