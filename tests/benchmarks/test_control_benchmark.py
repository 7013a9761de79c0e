"""The benchmark of the control loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from legged_cts.benchmarks.control import measure, report
from legged_cts.deploy.onboard.loop import Timing

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark.py"


def test_every_step_of_a_robot_that_walks_is_timed() -> None:
    timing = measure("go2", "go2_flat", 30, 0.001, 1)
    assert len(timing.seconds) == len(timing.lateness) == 30
    # Standing or limp, no policy would be asked.
    assert min(timing.seconds[:-1]) > 2e-5


def test_a_command_is_late_by_its_waking_and_its_step_together() -> None:
    timing = Timing()
    timing.seconds, timing.lateness = [0.001, 0.006, 0.001], [0.0, 0.005, 0.012]
    lines = report(timing, 0.01).splitlines()
    assert lines[2:5] == [
        "| step | 1.00 ms | 5.99 ms | 6.00 ms |",
        "| woke late by | 5.00 ms | 11.99 ms | 12.00 ms |",
        "| command after it was due | 11.00 ms | 13.00 ms | 13.00 ms |",
    ]
    assert lines[-1] == "2 of 3 commands later than 10 ms"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("period=0", "period: expected 0.0001 to 1 s, got 0.0"),
        ("beside=-1", "beside: expected 0 to 100, got -1"),
        ("robot=go1", "robot: 'go1' has no wiring (allowed: go2, g1, g1_12, tron1)"),
    ],
)
def test_a_wrong_word_is_one_line(word: str, message: str) -> None:
    run = subprocess.run([sys.executable, SCRIPT, "control", word], capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.splitlines() == [f"error: {message}"]
