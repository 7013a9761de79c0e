"""Tables of what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.markup import escape
from rich.table import Table

from legged_cts.deploy.metrics import METRICS, Episodes, Summary, finite, summarise

ALL = "all"


@dataclass(frozen=True)
class Row:
    """One metric of one role on one part of the terrain."""

    role: str
    terrain: str
    level: str
    metric: str
    summary: Summary


def rows(role: str, episodes: Episodes, kinds: Sequence[str]) -> list[Row]:
    """All metrics of a role: over all episodes, then per kind of terrain, then per kind and level.

    Args:
        role: ``student`` or ``teacher``.
        episodes: Its episodes.
        kinds: Names of the kinds of terrain; one kind needs no parts.
    """
    parts = [(ALL, ALL, episodes)]
    if len(kinds) > 1:
        for index, kind in enumerate(kinds):
            of_kind = episodes.where(episodes.kind == index)
            if len(of_kind):
                parts.append((kind, ALL, of_kind))
                parts += [
                    (kind, str(int(level)), of_kind.where(of_kind.level == level)) for level in np.unique(of_kind.level)
                ]
    return [
        Row(role, kind, level, metric, summarise(getattr(part, metric), share=metric == "fall"))
        for kind, level, part in parts
        for metric in METRICS
    ]


def as_records(table: Sequence[Row], conditions: Mapping[str, object] | None = None) -> list[dict[str, object]]:
    """Return one record per role, part of the terrain and metric; None where nothing was measured.

    Args:
        table: The rows.
        conditions: Such as seed and physics; what was measured under which stands in every record, so that tables of
            several evaluations can be joined.
    """
    return [
        {
            "role": row.role, "terrain": row.terrain, "level": row.level, "metric": row.metric,
            **row.summary.record(), **(conditions or {}),
        }
        for row in table
    ]  # fmt: skip


def episode_records(episodes: Episodes, kinds: Sequence[str]) -> list[dict[str, object]]:
    """Return one record per episode: on which terrain it was, how long it took, whether it ended by a fall, its errors.

    Args:
        episodes: The episodes.
        kinds: Names of the kinds of terrain.
    """
    return [
        {
            "terrain": kinds[int(episodes.kind[i])], "level": int(episodes.level[i]),
            "duration": float(episodes.duration[i]), "fall": float(episodes.fall[i]),
            "lin_error": finite(float(episodes.lin_error[i])), "yaw_error": finite(float(episodes.yaw_error[i])),
        }
        for i in range(len(episodes))
    ]  # fmt: skip


def summary_table(table: Sequence[Row], title: str) -> Table:
    """Student and teacher side by side, over all terrain."""
    roles = list(dict.fromkeys(row.role for row in table))
    result = Table(title=title)
    result.add_column("")
    for role in roles:
        result.add_column(role, justify="right")
    cells = {(row.role, row.metric): row.summary for row in table if row.terrain == ALL}
    for metric, (label, digits) in METRICS.items():
        if any(cells[role, metric].episodes for role in roles):
            result.add_row(escape(label), *(_cell(cells[role, metric], digits) for role in roles))
    return result


def terrain_table(table: Sequence[Row]) -> Table | None:
    """Errors and falls per kind of terrain, None on ground of one kind."""
    kinds = list(dict.fromkeys(row.terrain for row in table if row.terrain != ALL))
    if not kinds:
        return None
    roles = list(dict.fromkeys(row.role for row in table))
    metrics = ("lin_error", "fall", "promoted_level")
    cells = {(row.role, row.terrain, row.metric): row.summary for row in table if row.level == ALL}
    result = Table(title="by kind of terrain")
    result.add_column("terrain")
    for role in roles:
        for metric in metrics:
            result.add_column(escape(f"{role}: {METRICS[metric][0]}"), justify="right")
    for kind in kinds:
        values = [(cells.get((role, kind, metric)), METRICS[metric][1]) for role in roles for metric in metrics]
        result.add_row(kind, *("-" if cell is None else _cell(cell, digits, False) for cell, digits in values))
    return result


def _cell(summary: Summary, digits: int, interval: bool = True) -> str:
    if not summary.episodes:
        return "-"
    text = f"{summary.mean:.{digits}f}"
    if not interval or math.isnan(summary.low):
        return text
    return f"{text} [dim]({summary.low:.{digits}f} .. {summary.high:.{digits}f})[/dim]"
