"""The metrics of a training that goes on, on the page where its policy is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import viser

from legged_cts.evaluation.training_log import TrainingLog
from legged_cts.viewer.charts import BLUE, ORANGE, add_chart

METRICS = {
    "return": "episode return",
    "lin_error": "linear error [m/s]",
    "yaw_error": "yaw error [rad/s]",
    "falls": "falls [share of episodes]",
    "terrain_level": "terrain level",
}
ROLES = {"student": BLUE, "teacher": ORANGE}
POINTS = 200
"""Of a line: rows in between are averaged."""
WARNINGS = 3


class TrainingPlots:
    """A tab with what both roles reach over the million steps of the training, and its stages and warnings in words.

    Args:
        server: of the browser viewer.
        add_tab: adds a tab to the panel.
    """

    def __init__(self, server: viser.ViserServer, add_tab: Callable[[str], viser.GuiTabHandle]) -> None:
        with add_tab("Training"):
            self._words = server.gui.add_markdown("no metrics yet")
            self._charts = {
                metric: add_chart(server.gui, title, dict(ROLES), range(len(ROLES)))
                for metric, title in METRICS.items()
            }
        for chart in self._charts.values():
            chart.handle.visible = False

    def show(self, log: TrainingLog) -> None:
        """Shows a training as it is now."""
        self._words.content = words(log)
        steps = thin(np.array(log.million_steps()))
        for metric, chart in self._charts.items():
            table = np.array([thin(np.array(log.values(f"{role}/{metric}"))) for role in ROLES])
            chart.handle.visible = len(steps) > 1 and bool(np.isfinite(table).any())
            if chart.handle.visible:
                chart.draw(steps, table)


def words(log: TrainingLog) -> str:
    """How far a training is, its stages, and its newest warnings, as Markdown."""
    if not log.rows:
        return "no metrics yet"
    total = log.setting("max_iterations")
    of = f" of {total}" if isinstance(total, int) else ""
    lines = [f"iteration {log.rows[-1]['iteration']:.0f}{of}, {_said(log, 'perf/env_steps_per_s', '{:,.0f} steps/s')}"]
    lines.append(_said(log, "learning_rate", "learning rate {:.2g}") + _said(log, "best_score", ", best score {:.3f}"))
    lines += [f"stage {name} from iteration {log.rows[row]['iteration']:.0f} on" for row, name in log.stages()]
    lines += [f"iteration {iteration}: {text}" for iteration, text in log.warnings()[-WARNINGS:]]
    # Names of stages are the run's own: nothing of them is Markdown.
    return "\n\n".join(f"`{' '.join(line.replace('`', '').split())}`" for line in lines if line)


def thin(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Means of neighbours, `POINTS` at most, without what is not finite."""
    parts = np.array_split(values, min(POINTS, len(values))) if len(values) else []
    return np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan for part in parts])


def _said(log: TrainingLog, metric: str, text: str) -> str:
    value = log.last(metric)
    return "" if value is None else text.format(value)
