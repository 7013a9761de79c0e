"""What an evaluation measured: its tables, as text and as files, and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from legged_cts.deploy.metrics import Episodes
from legged_cts.deploy.plots import draw_results
from legged_cts.deploy.response import as_row
from legged_cts.deploy.results import write_json, write_table
from legged_cts.evaluation.report import Row, as_records, episode_records, rows, summary_table, terrain_table


@dataclass
class Measured:
    """An evaluation of one policy or of several roles.

    Attributes:
        conditions: Under which it took place, such as seed and physics.
        duration: Length of an episode that nothing ended [s].
        kinds: Names of the kinds of terrain.
        episodes: By role.
        answers: By role, what was done under constant commands, as :func:`legged_cts.deploy.response.as_record` has it.
    """

    conditions: dict[str, Any]
    duration: float
    kinds: Sequence[str]
    episodes: dict[str, Episodes] = field(default_factory=dict)
    answers: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        """Return all metrics of all roles."""
        return [row for role, episodes in self.episodes.items() for row in rows(role, episodes, self.kinds)]

    def show(self, console: Console) -> None:
        """Print the tables of the episodes."""
        table = self.rows()
        count = max(len(episodes) for episodes in self.episodes.values())
        title = ", ".join(f"{name} {value}" for name, value in self.conditions.items()) + f", {count} episodes"
        console.print(summary_table(table, title))
        by_terrain = terrain_table(table)
        if by_terrain is not None:
            console.print(by_terrain)

    def write(self, folder: Path) -> list[Path]:
        """Write each table as CSV and as JSON, and a picture; return what was written.

        ``evaluation.csv`` has a line per role, part of the terrain and metric, ``evaluation.json`` also the episodes;
        ``response.csv`` and ``response.json`` have the answers to constant commands, if they were measured.
        """
        names = ["evaluation.csv", "evaluation.json"]
        table = self.rows()
        write_table(folder / "evaluation.csv", as_records(table, self.conditions))
        content = {
            **self.conditions,
            "duration": self.duration,
            "rows": as_records(table),
            "episodes": {role: episode_records(episodes, self.kinds) for role, episodes in self.episodes.items()},
        }
        write_json(folder / "evaluation.json", content)
        if self.answers:
            names += ["response.csv", "response.json"]
            lines = [{"role": role, **as_row(one)} for role, answers in self.answers.items() for one in answers]
            write_table(folder / "response.csv", [{**line, **self.conditions} for line in lines])
            write_json(folder / "response.json", {**self.conditions, "response": self.answers})
        if draw_results({**content, "response": self.answers}, folder / "evaluation.png"):
            names.append("evaluation.png")
        return [folder / name for name in names]
