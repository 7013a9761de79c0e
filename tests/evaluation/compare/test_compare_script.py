"""The comparing script on the real environment, whose trainings and evaluations are started by its own words."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

from stand_in import COMMANDS

from legged_cts.evaluation.compare.comparison import load_comparison
from legged_cts.evaluation.compare.jobs import run_all
from legged_cts.evaluation.compare.runs import plan

ROOT = Path(__file__).parents[3]
FILE = """
common:
  [robot=go2, terrain=flat, device=cpu, env.scene.num_envs=8, max_iterations=2, logger=none, evaluation.episodes=2,
   evaluation.duration=2]
arms:
  students: [algorithm.teacher_fraction=0]
  teachers: [algorithm.teacher_fraction=1, algorithm.reconstruction_envs=all]
seeds: [1]
baseline: students
metrics: {lin_error: lower, fall: lower}
"""


def test_an_arm_is_trained_measured_and_reported_beside_the_one_that_was_there(tmp_path):
    file, out = tmp_path / "file.yaml", tmp_path / "out"
    file.write_text(FILE)
    # The first arm is the stand-in's: a real one would take two more starts of the simulator and show nothing else.
    run_all(plan(load_comparison(file), out)[:1], 1, COMMANDS, io.StringIO(), poll_s=0.01)
    command = [sys.executable, str(ROOT / "scripts" / "compare.py"), str(file), f"output={out}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, cwd=ROOT)
    logs = "".join(path.read_text()[-3000:] for path in out.glob("*/*/run.log"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + logs
    with (out / "results.csv").open(newline="") as table:
        rows = {(row["arm"], row["role"], row["metric"]): row for row in csv.DictReader(table)}
    # Nobody trained as a student, and the student is measured all the same.
    assert {key[:2] for key in rows} == {
        (arm, role) for arm in ("students", "teachers") for role in ("student", "teacher")
    }
    assert all(row["steps"] == str(2 * 24 * 8) for row in rows.values())
    assert all(0.0 <= float(row["value"]) < 3.0 for row in rows.values())
    text = (out / "summary.md").read_text()
    assert "2 of 2 runs are finished." in text and "Steps are equal within 1 %." in text
    cores = len(os.sched_getaffinity(0))
    assert f"solver.threads={cores}" in (out / "teachers" / "1" / "run.log").read_text()
