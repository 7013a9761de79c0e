"""Tables and texts of a training's metrics for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from legged_cts.roles import ROLES
from legged_cts.training.machine import shortages

REWARD_ROWS = 14
"""Most terms that fit beside the other tables."""


def roles_table(metrics: Mapping[str, float]) -> Table:
    """Student and teacher side by side."""
    table = Table(expand=True)
    rows = {
        "return": ("episode return", 2),
        "episode_length_s": ("episode length [s]", 1),
        "lin_error": ("linear error [m/s]", 3),
        "yaw_error": ("yaw error [rad/s]", 3),
        "falls": ("falls per episode", 3),
        "terrain_level": ("terrain level", 2),
    }
    table.add_column("")
    for role in ROLES:
        table.add_column(role, justify="right")
    for key, (label, digits) in rows.items():
        values = [metrics.get(f"{role}/{key}") for role in ROLES]
        if values != [None, None]:
            table.add_row(escape(label), *(number(value, digits) for value in values))
    return table


def terrain_table(metrics: Mapping[str, float]) -> Table | None:
    """Where the students are and what they climb, by kind of terrain; None on ground without levels."""
    columns = {
        "terrain_level": ("level", 2),
        "passed": ("promoted", 2),
        "climb": ("climb [m]", 2),
        "steps": ("steps", 1),
    }
    kinds = [name.rpartition("/")[2] for name in metrics if name.startswith("student/terrain_level/")]
    if not kinds:
        return None
    table = Table(expand=True)
    table.add_column("students on")
    for label, _ in columns.values():
        table.add_column(escape(label), justify="right")
    for kind in kinds:
        cells = (number(metrics.get(f"student/{name}/{kind}"), digits) for name, (_, digits) in columns.items())
        table.add_row(kind, *cells)
    return table


def rewards_table(metrics: Mapping[str, float]) -> Table | None:
    """What the terms of the reward give per step, in thousandths, the largest first; None where it is not known."""
    terms = reward_terms(metrics)
    if not terms:
        return None
    roles = [role for role in ROLES if any(f"{role}/reward/{term}" in metrics for term in terms)]
    table = Table(expand=True)
    table.add_column("reward / 1000")
    for role in roles:
        table.add_column(role, justify="right")
    for term in terms[:REWARD_ROWS]:
        table.add_row(escape(term), *(_thousandths(metrics.get(f"{role}/reward/{term}")) for role in roles))
    if len(terms) > REWARD_ROWS:
        table.add_row(f"[dim]{len(terms) - REWARD_ROWS} smaller ones[/dim]")
    return table


def reward_terms(metrics: Mapping[str, float]) -> list[str]:
    """Return the terms that give or cost something, the largest first."""
    sizes: dict[str, float] = {}
    for name, value in metrics.items():
        role, _, term = name.partition("/reward/")
        if term and role in ROLES and math.isfinite(value) and value:
            sizes[term] = max(sizes.get(term, 0.0), abs(value))
    return sorted(sizes, key=lambda term: -sizes[term])


def state_table(metrics: Mapping[str, float]) -> Table:
    """Speed and state of the optimisation, in pairs."""
    table = Table.grid(expand=True, padding=(0, 2))
    entries = [
        ("env steps", number(metrics.get("total_steps"), 0)),
        ("steps/s", number(metrics.get("perf/env_steps_per_s"), 0)),
        ("collect", f"{number(metrics.get('perf/collect_s'))} s"),
        ("learn", f"{number(metrics.get('perf/learn_s'))} s"),
        ("score", number(metrics.get("score"), 3)),
        ("best", number(metrics.get("best_score"), 3)),
        ("learning rate", number(metrics.get("learning_rate"), 6)),
        ("kl", number(metrics.get("loss/kl"), 4)),
        ("reconstruction", number(metrics.get("loss/reconstruction"), 4)),
        ("action std", number(metrics.get("action_std"), 2)),
    ]
    for start in range(0, len(entries), 5):
        table.add_row(*(f"[dim]{label}[/dim] {value}" for label, value in entries[start : start + 5]))
    return table


def shortage_lines(metrics: Mapping[str, float]) -> list[Text]:
    """What the machine is short of, a line each; none while there is enough."""
    return [Text(f"short of {text}", style="yellow") for text in shortages(metrics).values()]


def number(value: float | None, digits: int = 2) -> str:
    """Format a number, ``-`` where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    """Format seconds as 1h02m, 3m04s or 5s; ``-`` where unknown."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def _thousandths(value: float | None) -> str:
    return number(None if value is None else 1000.0 * value)
