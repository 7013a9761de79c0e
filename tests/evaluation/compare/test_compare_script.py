"""The comparing script on the real environment: no teachers against teachers alone."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

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


def test_two_arms_are_trained_measured_and_reported(tmp_path):
    (tmp_path / "file.yaml").write_text(FILE)
    command = [
        sys.executable,
        str(ROOT / "scripts" / "compare.py"),
        str(tmp_path / "file.yaml"),
        f"output={tmp_path}/out",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, cwd=ROOT)
    logs = "".join(path.read_text()[-3000:] for path in tmp_path.glob("out/*/*/run.log"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + logs
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        rows = {(row["arm"], row["role"], row["metric"]): row for row in csv.DictReader(file)}
    # Arms with one role alone: the student is measured in both, the teacher where there was one.
    assert {key[:2] for key in rows} == {("students", "student"), ("teachers", "student"), ("teachers", "teacher")}
    assert all(row["steps"] == str(2 * 24 * 8) for row in rows.values())
    assert all(0.0 <= float(row["value"]) < 3.0 for row in rows.values())
    text = (tmp_path / "out" / "summary.md").read_text()
    assert "2 of 2 runs are finished." in text and "Steps are equal within 1 %." in text
    cores = len(os.sched_getaffinity(0))
    assert f"solver.threads={cores}" in (tmp_path / "out" / "teachers" / "1" / "run.log").read_text()
