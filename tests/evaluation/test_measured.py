"""What an evaluation leaves: each table twice, and a picture."""

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from legged_cts.deploy.metrics import METRICS, Episodes
from legged_cts.evaluation.measured import Measured


def made() -> Measured:
    values = {name: np.full(4, 0.5) for name in METRICS}
    values |= {"fall": np.array([1.0, 0.0, 0.0, 0.0]), "cost_of_transport": np.full(4, np.nan)}
    level, kind = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    answer = {"command": [1.0, 0.0, 0.0], "achieved": [0.9, 0.0, 0.0], "drift": 0.9, "touch_downs": [1.0] * 4,
              "tilt_rate": [0.1, 0.2], "duty": [0.5, 0.5], "fell": 0.0}  # fmt: skip
    return Measured(
        {"seed": 7}, 20.0, ["slopes", "stairs"], {"student": Episodes(**values, level=level, kind=kind)},
        {"student": [answer]},
    )  # fmt: skip


def test_tables_are_there_as_csv_and_as_json_with_a_picture(tmp_path):
    measured = made()
    written = measured.write(tmp_path / "new")
    assert {path.name for path in written} == {path.name for path in (tmp_path / "new").iterdir()}
    assert {path.name for path in written} == {
        "evaluation.csv", "evaluation.json", "response.csv", "response.json", "evaluation.png"
    }  # fmt: skip
    content = json.loads((tmp_path / "new" / "evaluation.json").read_text())
    with (tmp_path / "new" / "evaluation.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(content["rows"]) and content["seed"] == 7 and content["duration"] == 20.0
    for line, record in zip(lines, content["rows"], strict=True):
        assert line["seed"] == "7" and line["metric"] == record["metric"] and line["level"] == record["level"]
        assert (float(line["mean"]) if line["mean"] else None) == pytest.approx(record["mean"], rel=1e-5)
    assert [episode["fall"] for episode in content["episodes"]["student"]] == [1.0, 0.0, 0.0, 0.0]
    with (tmp_path / "new" / "response.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["role"], line["achieved_lin_vel_x"], line["seed"]) == ("student", "0.9", "7")
    assert json.loads((tmp_path / "new" / "response.json").read_text())["response"] == measured.answers


def test_without_constant_commands_there_are_no_files_of_them(tmp_path):
    measured = made()
    measured.answers.clear()
    assert {path.name for path in measured.write(tmp_path)} == {"evaluation.csv", "evaluation.json", "evaluation.png"}


def test_it_is_shown_by_role_and_by_terrain():
    console = Console(width=160, file=io.StringIO())
    made().show(console)
    text = console.file.getvalue()
    assert "seed 7, 4 episodes" in text and "by kind of terrain" in text and "stairs" in text
