"""Summaries, tables and files."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from legged_cts.deploy.metrics import METRICS, Episodes
from legged_cts.evaluation.report import as_records, episode_records, rows, summary_table, terrain_table


def made(count: int = 4) -> Episodes:
    ramp = np.arange(count, dtype=float)
    values = {name: 0.1 * (1 + ramp) for name in METRICS}
    values["fall"] = (ramp == 0).astype(float)
    return Episodes(**values, level=np.array([0, 0, 1, 1])[:count], kind=np.array([0, 0, 0, 1])[:count])


def test_rows_break_down_by_kind_and_level():
    table = rows("student", made(), ["slopes", "stairs_up"])
    parts = list(dict.fromkeys((row.terrain, row.level) for row in table))
    assert parts == [("all", "all"), ("slopes", "all"), ("slopes", "0"), ("slopes", "1"), ("stairs_up", "all"),
                     ("stairs_up", "1")]  # fmt: skip
    cell = {(row.terrain, row.level, row.metric): row.summary for row in table}
    assert cell["all", "all", "lin_error"].mean == pytest.approx(0.25)
    assert cell["slopes", "0", "lin_error"].mean == pytest.approx(0.15)
    assert cell["slopes", "all", "fall"].mean == pytest.approx(1 / 3) and cell["stairs_up", "all", "fall"].episodes == 1
    assert len(rows("student", made(), ["flat"])) == len(METRICS)


def test_records_say_under_which_conditions():
    table = rows("student", made(), ["flat"]) + rows("teacher", made(), ["flat"])
    records = as_records(table, {"seed": 7, "physics": "mujoco_cpu"})
    assert len(records) == 2 * len(METRICS) and {record["role"] for record in records} == {"student", "teacher"}
    first = records[0]
    assert (first["metric"], first["episodes"], first["seed"]) == ("lin_error", 4, 7)
    assert first["mean"] == pytest.approx(0.25) and first["low"] < 0.25 < first["high"]
    assert as_records(rows("student", made(1), ["flat"]))[0]["low"] is None


def test_an_episode_says_where_and_how_it_ended():
    episodes = made()
    episodes.yaw_error[2] = math.nan
    records = episode_records(episodes, ["slopes", "stairs_up"])
    assert [(one["terrain"], one["level"], one["fall"]) for one in records] == [
        ("slopes", 0, 1.0), ("slopes", 0, 0.0), ("slopes", 1, 0.0), ("stairs_up", 1, 0.0)
    ]  # fmt: skip
    assert records[1]["duration"] == pytest.approx(0.2) and records[2]["yaw_error"] is None


def test_tables_show_both_roles_and_units():
    table = rows("student", made(), ["slopes", "stairs_up"]) + rows("teacher", made(), ["slopes", "stairs_up"])
    console = Console(width=160, file=io.StringIO())
    console.print(summary_table(table, "a title"))
    console.print(terrain_table(table))
    text = console.file.getvalue()
    for part in ("linear error [m/s]", "0.250 (", "student", "teacher", "stairs_up", "a title"):
        assert part in text
    assert terrain_table(rows("student", made(), ["flat"])) is None
