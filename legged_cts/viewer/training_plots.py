"""The metrics of a training that goes on, on the page where its policy is seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import viser

from legged_cts.deploy.robot import Array
from legged_cts.evaluation.training_log import TrainingLog
from legged_cts.viewer.charts import BLUE, ORANGE, Chart, add_chart

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
        self._gui, self._tab = server.gui, add_tab("Training")
        self._charts: dict[str, Chart] = {}
        with self._tab:
            self._words = server.gui.add_markdown("no metrics yet")

    def show(self, log: TrainingLog) -> None:
        """Shows a training as it is now."""
        self._words.content = words(log)
        steps = np.array(log.million_steps())
        for metric, title in METRICS.items():
            known = {role: np.array(log.values(f"{role}/{metric}")) for role in ROLES}
            lines = {role: values for role, values in known.items() if np.isfinite(values).any()}
            # uPlot draws nothing where a number is missing; early in a training some are.
            whole = np.isfinite([*lines.values()]).all(axis=0) if lines else np.zeros(0, dtype=bool)
            if whole.sum() < 2:
                continue
            if metric not in self._charts:
                with self._tab:
                    colours = {role: ROLES[role] for role in lines}
                    self._charts[metric] = add_chart(self._gui, title, colours, range(len(lines)))
            if len(self._charts[metric].columns) == len(lines):
                self._charts[metric].draw(thin(steps[whole]), np.array([thin(line[whole]) for line in lines.values()]))


def words(log: TrainingLog) -> str:
    """How far a training is, its stages, and its newest warnings, as Markdown."""
    if not log.rows:
        return "no metrics yet"
    total = log.setting("max_iterations")
    of = f" of {total}" if isinstance(total, int) else ""
    lines = [f"iteration {log.rows[-1]['iteration']:.0f}{of}, {_said(log, 'perf/env_steps_per_s', '{:,.0f} steps/s')}"]
    lines += [_said(log, "learning_rate", "learning rate {:.2g}"), _said(log, "best_score", "best score {:.3f}")]
    lines += [f"stage {name} from iteration {log.rows[row]['iteration']:.0f} on" for row, name in log.stages()]
    lines += [f"iteration {iteration}: {text}" for iteration, text in log.warnings()[-WARNINGS:]]
    # Names of stages are the run's own: nothing of them is Markdown.
    return "\n\n".join(f"`{' '.join(line.replace('`', '').split())}`" for line in lines if line)


def thin(values: Array) -> Array:
    """Means of neighbours, `POINTS` at most."""
    return np.array([part.mean() for part in np.array_split(values, min(POINTS, len(values)))])


def _said(log: TrainingLog, metric: str, text: str) -> str:
    value = log.last(metric)
    return "" if value is None else text.format(value)
