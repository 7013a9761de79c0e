"""The policies that the project ships walk, in the engine that trained them and in others."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from legged_cts.deploy.contract import check
from legged_cts.deploy.evaluate import Conditions, evaluate
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.evaluation.app import evaluate as measure
from legged_cts.evaluation.options import split_words
from legged_cts.robots.spec import load_robot

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "assets" / "policies"
POLICY = POLICIES / "go2_flat" / "policy.onnx"
GROUND = {
    "go2_flat": Conditions("flat"),
    "go2_sprint": Conditions("flat"),
    "go2_rough": Conditions("rough", 0.1),
    "go1_flat": Conditions("flat"),
    "tron1_flat": Conditions("flat"),
    "tron1_rough": Conditions("flat"),
    "g1_12_flat": Conditions("flat"),
    "g1_flat": Conditions("flat"),
    "g1_rough": Conditions("flat"),
}
"""What each policy of the project walks on in plain MuJoCo."""


def check_it_walks(folder: Path, falls: float) -> None:
    with (folder / "evaluation.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["terrain"] == "all" and row["level"] == "all"]
    value = {row["metric"]: float(row["mean"]) for row in rows if row["mean"]}
    assert {row["role"] for row in rows} == {"student"}
    # A robot that stood still would have a linear error of about 0.5 m/s.
    assert value["fall"] <= falls
    assert value["lin_error"] < 0.3
    assert value["yaw_error"] < 0.3


def words(engine: str, episodes: int, folder: Path) -> list[str]:
    task = [f"physics={engine}", f"env.scene.num_envs={episodes}", "device=cpu"]
    return [f"policy={POLICY}", f"episodes={episodes}", "duration=8", f"output={folder}", *task]


def test_it_walks_in_isaac_lab(tmp_path):
    options, overrides = split_words(words("mujoco_cpu", 64, tmp_path))
    measure(options, overrides, Console(quiet=True))
    check_it_walks(tmp_path, 0.05)
    still, *moving = json.loads((tmp_path / "response.json").read_text())["response"]["student"]
    assert len(moving) == 12 and still["drift"] < 0.1 and still["fell"] == 0.0
    for answer in (moving[3], moving[7], moving[11]):  # each axis at the end of its range
        told, does = np.array(answer["command"]), np.array(answer["achieved"])
        assert np.abs(does - told).max() < 0.3


def test_it_crosses_courses_in_isaac_lab_as_far_as_it_can(tmp_path):
    own = ["courses=flat,stairs_up_20", "speeds=0.8,-0.4", "episodes=6", f"output={tmp_path}", "device=cpu"]
    options, overrides = split_words([f"policy={POLICY}", *own])
    measure(options, overrides, Console(quiet=True))
    with (tmp_path / "courses.csv").open(newline="") as file:
        rows = {(row["course"], float(row["told"])): row for row in csv.DictReader(file)}
    assert len(rows) == 4 and {row["episodes"] for row in rows.values()} == {"6"}
    assert float(rows["flat", 0.8]["success"]) == float(rows["flat", -0.4]["success"]) == 1.0
    assert abs(float(rows["flat", 0.8]["speed"]) - 0.8) < 0.15
    assert float(rows["stairs_up_20", 0.8]["success"]) == 0.0
    assert rows["flat", 0.8]["friction"] == "0.4 .. 1.2" and rows["flat", 0.8]["pushes_m_s"] == "0.0"
    assert (tmp_path / "courses.png").read_bytes()[:4] == b"\x89PNG"
    assert len(json.loads((tmp_path / "courses.json").read_text())["courses"]["student"]) == 4


def test_the_script_measures_it_under_physx(tmp_path):
    """In a process of its own, as Isaac Lab cannot change between its engines in one."""
    command = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), *words("physx", 20, tmp_path), "response=false"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    check_it_walks(tmp_path, 0.1)


def test_every_policy_is_listed_and_tells_where_it_comes_from():
    assert {folder.name for folder in POLICIES.iterdir()} == set(GROUND)
    for name in GROUND:
        files = {path.name for path in (POLICIES / name).iterdir()}
        assert files - {"model.pt"} == {"policy.onnx", "README.md", "evaluation.csv", "learning.png", "trace.npz"}
        assert "uv run scripts/train.py" in (POLICIES / name / "README.md").read_text()


@pytest.mark.parametrize("name", GROUND)
def test_it_walks_in_plain_mujoco(name):
    policy = POLICIES / name / "policy.onnx"
    contract = OnnxPolicy(policy).contract
    check(contract, load_robot(contract.robot))
    result = evaluate(policy, contract.robot, GROUND[name], 6, 0, 10.0, 2)
    metrics = {metric: value["mean"] for metric, value in result["metrics"].items()}
    assert metrics["fall"] == 0.0
    assert metrics["lin_error"] < 0.3
    assert metrics["yaw_error"] < 0.3
