"""Summaries, tables and files."""

import csv
import io
import math

import pytest
import torch
from rich.console import Console

from legged_cts.evaluation.metrics import Episodes
from legged_cts.evaluation.report import (
    METRICS,
    rows,
    summarise,
    summary_table,
    terrain_table,
    write_csv,
)


def made(count: int = 4) -> Episodes:
    ramp = torch.arange(count, dtype=torch.float32)
    values = {name: 0.1 * (1 + ramp) for name in METRICS}
    values["fall"] = (ramp == 0).float()
    return Episodes(**values, level=torch.tensor([0, 0, 1, 1]), kind=torch.tensor([0, 0, 0, 1]))


def test_mean_and_interval_by_hand():
    got = summarise(torch.tensor([1.0, 2.0, 3.0, math.nan]))
    # Standard deviation 1, three values, t(2) = 4.302653.
    assert got.episodes == 3 and got.mean == 2.0
    assert [got.high - 2.0, 2.0 - got.low] == pytest.approx([4.302653 / math.sqrt(3)] * 2, rel=1e-5)
    assert math.isnan(summarise(torch.tensor([1.0])).low)
    assert summarise(torch.tensor([math.nan])).episodes == 0


def test_share_of_falls_has_wilsons_interval():
    got = summarise(torch.tensor([0.0] * 10), share=True)
    # Wilson's upper bound for none of ten: z^2 / (n + z^2).
    assert (got.mean, got.low) == (0.0, 0.0) and got.high == pytest.approx(1.959964**2 / (10 + 1.959964**2))


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


def test_csv_says_under_which_conditions(tmp_path):
    table = rows("student", made(), ["flat"]) + rows("teacher", made(), ["flat"])
    write_csv(tmp_path / "new" / "evaluation.csv", table, {"seed": 7, "physics": "mujoco_cpu"})
    with (tmp_path / "new" / "evaluation.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * len(METRICS) and {line["role"] for line in lines} == {"student", "teacher"}
    first = lines[0]
    assert (first["metric"], first["mean"], first["episodes"], first["seed"]) == ("lin_error", "0.25", "4", "7")


def test_tables_show_both_roles_and_units():
    table = rows("student", made(), ["slopes", "stairs_up"]) + rows("teacher", made(), ["slopes", "stairs_up"])
    console = Console(width=160, file=io.StringIO())
    console.print(summary_table(table, "a title"))
    console.print(terrain_table(table))
    text = console.file.getvalue()
    for part in ("linear error [m/s]", "0.250 (", "student", "teacher", "stairs_up", "a title"):
        assert part in text
    assert terrain_table(rows("student", made(), ["flat"])) is None
