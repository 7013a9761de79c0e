"""Folders of trainings with made numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from legged_cts.training.panels import PAGES

METRICS = "metrics.csv"


def write_run(folder: Path, iterations: int = 60, **constants: float) -> Path:
    """Write a run whose metrics do not change; `__` stands for the slash of a name."""
    metrics = {"student/return": 1.0, "teacher/return": 2.0}
    metrics |= {name.replace("__", "/"): value for name, value in constants.items()}
    return write_rows(folder, [metrics] * iterations)


def write_rows(folder: Path, rows: Sequence[Mapping[str, float]]) -> Path:
    """Write a run with these metrics, one iteration after the other."""
    folder.mkdir(parents=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / METRICS).open("w", newline="") as file:
        writer = csv.DictWriter(file, ["iteration", "total_steps", *names], restval="")
        writer.writeheader()
        writer.writerows({"iteration": i, "total_steps": 6144 * i, **row} for i, row in enumerate(rows, start=1))
    return folder


def every_metric() -> list[dict[str, float]]:
    """Rows with something for each panel."""
    sample = {series.pattern.replace(r"\d+", "3").replace("(?!level_).+", "slopes").replace(".+", "slopes")
              for page in PAGES.values() for panel in page for series in panel.series}  # fmt: skip
    return [{"iteration": float(i), **dict.fromkeys(sample, 0.5)} for i in range(1, 4)]
