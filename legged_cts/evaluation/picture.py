"""A picture of the panels of one training or several."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from legged_cts.evaluation.lines import Line, pages_of
from legged_cts.evaluation.training_log import TrainingLog, smooth
from legged_cts.training.panels import PAGES, Panel

COLUMNS = 4
POINTS = 600
"""Most points of a line; more cannot be told apart, and finding a free place for the legend gets slow."""
NAMED = 8
"""Parts of a sum that the legend names, the largest; more would hide the panel."""
LINE_STYLES = ("-", "--", ":", "-.")
"""Runs differ by their lines, roles by their colours."""


def draw_picture(logs: Sequence[TrainingLog], path: Path, pages: Sequence[str] = tuple(PAGES)) -> None:
    """Draw all panels for which there is something to draw; several runs on top of each other.

    Args:
        logs: The trainings.
        path: PNG to write; who looks at it meanwhile sees the old one or the new one, whole.
        pages: Names of the pages to draw.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = pages_of(logs, pages)
    heights = [3.0 * math.ceil(len(panels) / COLUMNS) + 0.5 for panels in shown.values()] or [2.0]
    notes = [
        f"{log.name}, iteration {iteration}: {text}" if len(logs) > 1 else f"iteration {iteration}: {text}"
        for log in logs
        for iteration, text in log.warnings()
    ]
    foot = 0.5 + 0.22 * max(len(notes), 1)
    figure = pyplot.figure(figsize=(4.4 * COLUMNS, sum(heights) + foot), layout="constrained")
    parts = figure.subfigures(len(heights) + 1, 1, height_ratios=[*heights, foot], squeeze=False)[:, 0]
    for part, (page, panels) in zip(parts, shown.items(), strict=False):
        part.suptitle(page, fontsize=14, fontweight="bold", x=0.01, ha="left")
        axes = part.subplots(math.ceil(len(panels) / COLUMNS), COLUMNS, squeeze=False).ravel()
        for axis, (panel, lines) in zip(axes, panels, strict=False):
            _draw(axis, panel, lines, logs)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
    _foot(parts[-1], [log.name for log in logs], notes)
    beside = path.with_name(f".{path.name}.new")
    figure.savefig(beside, dpi=90, format="png")
    pyplot.close(figure)
    os.replace(beside, path)


def _draw(axis: Any, panel: Panel, lines: Sequence[Line], logs: Sequence[TrainingLog]) -> None:
    if panel.stacked and len(logs) == 1:
        _stack(axis, lines, logs[0])
    else:
        for line in lines:
            _line(axis, line, logs)
    for log, style in zip(logs, _styles(len(logs)), strict=True):
        steps = log.million_steps()
        for row, _ in log.stages():
            axis.axvline(steps[row], color="gray", linewidth=0.8, linestyle=style, alpha=0.7)
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


def _line(axis: Any, line: Line, logs: Sequence[TrainingLog]) -> None:
    label = _plain(line.label)
    for style, log in zip(_styles(len(logs)), logs, strict=True):
        x, y = _points(log, line.metric)
        if x:
            every = math.ceil(len(x) / POINTS)
            axis.plot(x[::every], y[::every], color=line.color, linewidth=0.5, alpha=0.3)
            axis.plot(x[::every], smooth(y)[::every], color=line.color, linewidth=1.4, linestyle=style, label=label)
            label = "_"  # one entry for all runs


def _stack(axis: Any, lines: Sequence[Line], log: TrainingLog) -> None:
    """Draw parts of a sum: what is gained upwards from zero, what is lost downwards, the largest next to zero."""
    every = math.ceil(max(len(log.rows), 1) / POINTS)
    x = log.million_steps()[::every]
    parts = []
    for line in lines:
        y = smooth([value if math.isfinite(value) else 0.0 for value in log.values(line.metric)])[::every]
        parts.append((sum(y) / max(len(y), 1), line, y))
    parts.sort(key=lambda part: -abs(part[0]))
    for sign in (1.0, -1.0):
        side = [(i, line, y) for i, (mean, line, y) in enumerate(parts) if mean * sign > 0.0]
        if side:
            axis.stackplot(
                x, [y for _, _, y in side], colors=[line.color for _, line, _ in side], alpha=0.8,
                labels=[_plain(line.label) if i < NAMED else "_" for i, line, _ in side],
            )  # fmt: skip
    axis.axhline(0.0, color="black", linewidth=0.6)


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
    part.text(0.01, 0.98, _plain("\n".join(lines)), va="top", fontsize=10, color="tab:red" if notes else "black")
    handles = [Line2D([], [], color="black", linestyle=style) for style in _styles(len(names))]
    part.legend(handles, [_plain(name) for name in names], loc="upper right", fontsize=9, frameon=False)


def _plain(text: str) -> str:
    """Names of strangers are no formulas."""
    return text.replace("$", r"\$")


def _styles(count: int) -> list[Any]:
    return [LINE_STYLES[index % len(LINE_STYLES)] for index in range(count)]


def _points(log: TrainingLog, metric: str) -> tuple[list[float], list[float]]:
    """Return steps in millions and finite values."""
    pairs = zip(log.million_steps(), log.values(metric), strict=True)
    points = [(x, y) for x, y in pairs if math.isfinite(y)]
    return [x for x, _ in points], [y for _, y in points]
