"""A picture of the panels of one training or several, from their metrics."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legged_cts.training.alarms import Alarms
from legged_cts.training.panels import PAGES, Panel
from legged_cts.training.writers import MAX_TABLE
from legged_cts.trust.plain import read_bounded

METRICS_FILE = "metrics.csv"
PICTURE = "diagnostics.png"
COLUMNS = 4
POINTS = 600
"""Most points of a line; more cannot be told apart, and finding a free place for the legend gets slow."""
LARGEST = 1.0e39
"""No number of single precision is larger."""
LINE_STYLES = ("-", "--", ":", "-.")
"""Runs differ by their lines, roles by their colours."""
SMOOTHING = 50
"""The bold line is a mean over this fraction of the run; what it is a mean of stays visible behind it."""


@dataclass(frozen=True)
class DashboardOptions:
    """What a command line asks for."""

    runs: tuple[Path, ...]
    output: Path | None = None
    watch: bool = False


def parse_options(argv: Sequence[str]) -> DashboardOptions:
    """Read runs, ``output=`` and ``--watch`` from the words of a command line.

    Raises:
        ValueError: If a word is unknown or no run is given.
    """
    runs, output = [], None
    for word in argv:
        key, sign, text = word.partition("=")
        if sign and key == "output" and text:
            output = Path(text)
        elif word != "--watch" and (word.startswith("-") or (sign and not Path(word).exists())):
            raise ValueError(f"'{word}' is neither a run, nor output=<picture>, nor --watch")
        elif word != "--watch":
            runs.append(Path(word))
    if not runs:
        raise ValueError(f"give one run or several: folders with a {METRICS_FILE}, or such files")
    return DashboardOptions(tuple(runs), output, "--watch" in argv)


def draw(runs: Sequence[Path], output: Path | None = None) -> Path:
    """Draw the picture of runs as they are now; return where it is.

    Args:
        runs: Folders with a ``metrics.csv``, or such files.
        output: PNG to write; None for ``diagnostics.png`` beside the metrics of one run, or here for several.

    Raises:
        FileNotFoundError: If a run has no metrics.
        ValueError: If its metrics are no table of numbers.
    """
    files = [metrics_path(run) for run in runs]
    if output is None:
        output = files[0].with_name(PICTURE) if len(files) == 1 else Path(PICTURE)
    output.parent.mkdir(parents=True, exist_ok=True)
    plot_dashboard(dict(zip(_names(files), (read_metrics(file) for file in files), strict=True)), output)
    return output


def metrics_path(run: Path) -> Path:
    """Return the metrics of a run, given as its folder or as the file itself.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = run / METRICS_FILE if run.is_dir() else run
    if not path.is_file():
        raise FileNotFoundError(f"{run} is neither a run's folder with a {METRICS_FILE} nor such a file")
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
            raise ValueError(f"it has no column 'iteration'; give a run's folder or its {METRICS_FILE}")
        rows = [_numbers(row, number) for number, row in enumerate(reader, start=2)]
    except (TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} is no table of numbers: {error}") from error
    for row in rows:  # of runs that were begun before it was a column
        if "gap/return" not in row and {"teacher/return", "student/return"} <= row.keys():
            row["gap/return"] = row["teacher/return"] - row["student/return"]
    return rows


def _numbers(row: Mapping[str, str], number: int) -> dict[str, float]:
    numbers = {name: float(cell) for name, cell in row.items() if cell}
    for name, value in numbers.items():
        if not abs(value) <= LARGEST:
            raise ValueError(f"row {number}: {name} must be a finite number, got {row[name]!r:.40}")
    iteration = numbers.get("iteration", -1.0)
    if not (0 <= iteration <= 2**53 and iteration == int(iteration)):
        raise ValueError(f"row {number}: iteration must be a whole number, got {row['iteration']!r:.40}")
    return numbers


def warnings_in(rows: Sequence[Mapping[str, float]]) -> list[tuple[int, str]]:
    """Return the warnings that a training's display would have shown, with their iterations."""
    alarms = Alarms()
    return [(int(row["iteration"]), text) for row in rows for text in alarms.new(row)]


def plot_dashboard(runs: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw all panels for which there is something to draw; several runs on top of each other.

    Args:
        runs: Rows of :func:`read_metrics` by the run's name.
        path: PNG to write; who looks at it meanwhile sees the old one or the new one, whole.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    known = {name for rows in runs.values() for row in rows for name in row}
    pages = {page: [panel for panel in panels if panel.names(known)] for page, panels in PAGES.items()}
    pages = {page: panels for page, panels in pages.items() if panels}
    heights = [3.0 * math.ceil(len(panels) / COLUMNS) + 0.5 for panels in pages.values()] or [2.0]
    notes = [
        f"{name}, iteration {iteration}: {text}" if len(runs) > 1 else f"iteration {iteration}: {text}"
        for name, rows in runs.items()
        for iteration, text in warnings_in(rows)
    ]
    foot = 0.5 + 0.22 * max(len(notes), 1)
    figure = pyplot.figure(figsize=(4.4 * COLUMNS, sum(heights) + foot), layout="constrained")
    parts = figure.subfigures(len(heights) + 1, 1, height_ratios=[*heights, foot], squeeze=False)[:, 0]
    for part, (page, panels) in zip(parts, pages.items(), strict=False):
        part.suptitle(page, fontsize=14, fontweight="bold", x=0.01, ha="left")
        axes = part.subplots(math.ceil(len(panels) / COLUMNS), COLUMNS, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            _draw(axis, panel, runs, known)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
    _foot(parts[-1], list(runs), notes)
    beside = path.with_name(f".{path.name}.new")
    figure.savefig(beside, dpi=90, format="png")
    pyplot.close(figure)
    os.replace(beside, path)


def _names(files: Sequence[Path]) -> list[str]:
    """Names of runs: their folders', with as many of the folders above as it takes to tell them apart."""
    parts = [file.resolve().parent.parts if file.name == METRICS_FILE else file.resolve().parts for file in files]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"{files[0]} is given twice")


def _draw(axis: Any, panel: Panel, runs: Mapping[str, Sequence[Mapping[str, float]]], known: set[str]) -> None:
    for series in panel.series:
        names = series.names(known)
        for index, name in enumerate(names):
            color = series.color or _shade(index, len(names))
            label = series.label or name.rsplit("/", 1)[-1].replace("_", " ")
            for style, rows in zip(_styles(len(runs)), runs.values(), strict=True):
                x, y = _points(rows, name)
                if x:
                    every = math.ceil(len(x) / POINTS)
                    axis.plot(x[::every], y[::every], color=color, linewidth=0.5, alpha=0.3)
                    smooth = _smooth(y)[::every]
                    axis.plot(x[::every], smooth, color=color, linewidth=1.4, linestyle=style, label=label)
                    label = "_"  # one entry for all runs
    axis.set_title(panel.title, fontsize=10)
    axis.set_ylabel(panel.unit, fontsize=8)
    axis.set_xlabel("env steps [million]", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
    if panel.log:
        axis.set_yscale("log")
    entries = len(axis.get_legend_handles_labels()[1])
    if entries > 1 or entries == 1 and any(series.color is None for series in panel.series):
        axis.legend(fontsize=7, framealpha=0.5, ncols=2 if entries > 4 else 1)
    _limit(axis, panel)


def _limit(axis: Any, panel: Panel) -> None:
    """Cut the view to the panel's limits, widen it to what raises an alarm, and shade that."""
    low, high = axis.get_ylim()
    least, most = panel.limits
    low = low if least is None else least if least == 0.0 else max(low, least)
    high = high if most is None else min(high, most)
    if panel.below is not None:
        low = min(low, panel.below - 0.1 * abs(high - panel.below))
        axis.axhspan(low, panel.below, color="tab:red", alpha=0.12, linewidth=0)
    if panel.above is not None:
        high = max(high, panel.above + 0.2 * (panel.above - low))
        axis.axhspan(panel.above, high, color="tab:red", alpha=0.12, linewidth=0)
    if high > low:
        axis.set_ylim(low, high)


def _foot(part: Any, names: list[str], notes: list[str]) -> None:
    from matplotlib.lines import Line2D

    lines = [f"! {note}" for note in notes] or ["no warnings"]
    part.text(0.01, 0.98, "\n".join(lines), va="top", fontsize=10, color="tab:red" if notes else "black")
    handles = [Line2D([], [], color="black", linestyle=style) for style in _styles(len(names))]
    part.legend(handles, names, loc="upper right", fontsize=9, frameon=False)


def _styles(count: int) -> list[Any]:
    return [LINE_STYLES[index % len(LINE_STYLES)] for index in range(count)]


def _shade(index: int, count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.95 * index / max(count - 1, 1))


def _points(rows: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    """Return environment steps in millions, or iterations where a table has no steps, and finite values."""
    steps = [row.get("total_steps", row["iteration"] * 1e6) / 1e6 for row in rows]
    points = [(x, row[name]) for x, row in zip(steps, rows, strict=True) if math.isfinite(row.get(name, math.nan))]
    return [x for x, _ in points], [y for _, y in points]


def _smooth(values: list[float]) -> list[float]:
    """Centred mean over ``1 / SMOOTHING`` of the values, narrower at the ends."""
    half = len(values) // SMOOTHING // 2 if len(values) >= SMOOTHING else 0
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    bounds = [(max(i - half, 0), min(i + half + 1, len(values))) for i in range(len(values))]
    return [(sums[end] - sums[start]) / (end - start) for start, end in bounds]
