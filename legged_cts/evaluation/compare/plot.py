"""The picture of a comparison: every seed as a point, every arm's interval, and the learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from legged_cts.evaluation.compare.comparison import TITLES, Comparison
from legged_cts.evaluation.compare.results import CURVES, Result
from legged_cts.evaluation.compare.statistics import sample

POINTS = 200
"""Points of a mean learning curve."""


def plot_summary(comparison: Comparison, results: Sequence[Result], path: Path) -> None:
    """Draw one panel per metric of the student, and below its learning curves over environment steps.

    Args:
        comparison: What was compared.
        results: Of all runs, finished or not.
        path: PNG to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    curves = [column for column in CURVES if any(result.curves.get(column) for result in results)]
    metrics = list(comparison.metrics)
    columns, rows = max(len(metrics), len(curves)), 2 if curves else 1
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.6 * columns, 3.4 * rows), squeeze=False)
    colors = {arm: f"C{index % 10}" for index, arm in enumerate(comparison.arms)}
    for axis, metric in zip(axes[0], metrics, strict=False):
        _points(axis, comparison, results, metric, colors)
    for axis, column in zip(axes[-1], curves, strict=False):
        _curves(axis, comparison, results, column, colors)
    for axis in axes.flat:
        axis.set_visible(axis.has_data())
    finished = sum(result.run.finished for result in results)
    partial = f" (partial: {finished} of {len(results)} runs)" if finished < len(results) else ""
    figure.suptitle(f"{comparison.name}, student{partial}")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def mean_curve(curves: Sequence[Sequence[tuple[float, float]]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of curves of points (x, y), as far as all of them reach.

    Returns:
        x and mean y, both [POINTS]; empty where the curves have no common part.
    """
    low = max((curve[0][0] for curve in curves), default=0.0)
    high = min((curve[-1][0] for curve in curves), default=-1.0)
    if high < low:
        return np.empty(0), np.empty(0)
    x = np.linspace(low, high, POINTS)
    return x, np.mean([np.interp(x, *np.array(curve).T) for curve in curves], axis=0)


def _points(axis: Any, comparison: Comparison, results: Sequence[Result], metric: str, colors: dict[str, str]) -> None:
    for place, arm in enumerate(comparison.arms):
        values = [result.get("student", metric) for result in results if result.run.arm == arm]
        one = sample(values)
        if not one.n:
            continue
        axis.plot([place] * len(values), values, "o", color=colors[arm], alpha=0.5, markersize=5)
        axis.plot([place - 0.2, place + 0.2], [one.mean.value] * 2, color=colors[arm], linewidth=2)
        axis.plot([place + 0.2] * 2, [one.mean.low, one.mean.high], color=colors[arm], linewidth=2)
    axis.set_xticks(range(len(comparison.arms)), list(comparison.arms), rotation=30, ha="right")
    axis.set_title(f"{TITLES[metric][0]}\n{comparison.metrics[metric]} is better", fontsize=10)
    axis.grid(alpha=0.3)


def _curves(axis: Any, comparison: Comparison, results: Sequence[Result], column: str, colors: dict[str, str]) -> None:
    for arm in comparison.arms:
        curves = [result.curves[column] for result in results if result.run.arm == arm and result.curves.get(column)]
        for curve in curves:
            x, y = np.array(curve).T
            axis.plot(x / 1e6, y, color=colors[arm], linewidth=0.6, alpha=0.4)
        x, y = mean_curve(curves)
        if len(x):
            axis.plot(x / 1e6, y, color=colors[arm], linewidth=1.8, label=arm)
    axis.set_title(f"{CURVES[column]} while training", fontsize=10)
    axis.set_xlabel("env steps [million]")
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, fontsize=7)
