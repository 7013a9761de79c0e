"""The policy that the project ships walks, in the engine that trained it and in others."""

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
POLICY = ROOT / "assets" / "policies" / "go2_flat" / "policy.onnx"
EPISODES = 64


@pytest.mark.parametrize("engine", ["mujoco_cpu", "physx"])
def test_it_walks_in_isaac_lab(engine, tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), f"policy={POLICY}", f"physics={engine}"]
    command += [f"episodes={EPISODES}", f"env.scene.num_envs={EPISODES}", "duration_s=8", "device=cpu"]
    done = subprocess.run([*command, f"output={tmp_path}"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "evaluation.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["terrain"] == "all" and row["level"] == "all"]
    value = {row["metric"]: float(row["mean"]) for row in rows if row["mean"]}
    assert {row["role"] for row in rows} == {"student"}
    # A robot that stood still would have a linear error of about 0.5 m/s.
    assert value["fall"] <= 0.05
    assert value["lin_error"] < 0.3
    assert value["yaw_error"] < 0.3


def test_it_walks_in_plain_mujoco():
    spec = load_robot("go2")
    check(OnnxPolicy(POLICY).contract, spec)
    result = evaluate(POLICY, "go2", Conditions("flat"), 6, 0, 10.0, 2)
    metrics = {name: value["mean"] for name, value in result["metrics"].items()}
    assert metrics["falls"] == 0.0
    assert metrics["linear_error"] < 0.3
    assert metrics["yaw_error"] < 0.3
