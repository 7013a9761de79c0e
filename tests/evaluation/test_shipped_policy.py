"""The policies that the project ships walk, in the engine that trained them and in others."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from legged_cts.deploy.contract import check
from legged_cts.deploy.evaluate import Conditions, evaluate
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.robots.spec import load_robot

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "assets" / "policies"
POLICY = POLICIES / "go2_flat" / "policy.onnx"
EPISODES = 64
GROUND = {
    "go2_flat": Conditions("flat"),
    "go2_rough": Conditions("rough", 0.1),
    "go1_flat": Conditions("flat"),
    "tron1_flat": Conditions("flat"),
    "g1_12_flat": Conditions("flat"),
    "g1_flat": Conditions("flat"),
}
"""What each policy of the project walks on in plain MuJoCo."""


@pytest.mark.parametrize(("engine", "falls"), [("mujoco_cpu", 0.05), ("physx", 0.1)])
def test_it_walks_in_isaac_lab(engine, falls, tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), f"policy={POLICY}", f"physics={engine}"]
    command += [f"episodes={EPISODES}", f"env.scene.num_envs={EPISODES}", "duration=8", "device=cpu"]
    done = subprocess.run([*command, f"output={tmp_path}"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "evaluation.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["terrain"] == "all" and row["level"] == "all"]
    value = {row["metric"]: float(row["mean"]) for row in rows if row["mean"]}
    assert {row["role"] for row in rows} == {"student"}
    # A robot that stood still would have a linear error of about 0.5 m/s.
    assert value["fall"] <= falls
    assert value["lin_error"] < 0.3
    assert value["yaw_error"] < 0.3


def test_every_policy_is_listed_and_tells_where_it_comes_from():
    assert {folder.name for folder in POLICIES.iterdir()} == set(GROUND)
    for name in GROUND:
        files = {path.name for path in (POLICIES / name).iterdir()}
        assert files == {"policy.onnx", "README.md", "evaluation.csv", "learning.png", "trace.npz"}
        assert "uv run scripts/train.py" in (POLICIES / name / "README.md").read_text()


@pytest.mark.parametrize("name", GROUND)
def test_it_walks_in_plain_mujoco(name):
    policy = POLICIES / name / "policy.onnx"
    contract = OnnxPolicy(policy).contract
    check(contract, load_robot(contract.robot))
    result = evaluate(policy, contract.robot, GROUND[name], 6, 0, 10.0, 2)
    metrics = {metric: value["mean"] for metric, value in result["metrics"].items()}
    assert metrics["falls"] == 0.0
    assert metrics["linear_error"] < 0.3
    assert metrics["yaw_error"] < 0.3
