"""The timing of whole trainings."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from legged_cts.benchmarks import train
from legged_cts.benchmarks.train import PARTS, ROOT


class Nested:
    """A method that calls another, on a clock that the test turns."""

    def __init__(self, now: list[float]) -> None:
        self.now = now

    def outer(self) -> str:
        self.now[0] += 1.0
        self.inner()
        self.now[0] += 2.0
        return "done"

    def inner(self) -> None:
        self.now[0] += 10.0


def test_time_in_a_timed_method_inside_another_is_its_own(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    nested, clock = Nested(now), train._Clock()
    clock.time("inner", nested, "inner")
    clock.time("outer", nested, "outer")
    assert [nested.outer(), nested.outer()] == ["done", "done"]
    assert clock.seconds == {"inner": 20.0, "outer": 6.0}


def test_a_revision_is_checked_out_for_the_time_of_the_comparison():
    with train._checkout("HEAD") as tree:
        assert tree is not None and tree != ROOT and (tree / "pyproject.toml").is_file()
    assert not tree.exists()
    with (
        pytest.raises(ValueError, match="against=no_such_state is no folder and no revision"),
        train._checkout("no_such_state"),
    ):
        pass


def test_a_training_is_timed_part_by_part():
    row = train._apart(ROOT, ["env.scene.num_envs=4"], 1)
    assert row["num_envs"] == 4 and row["steps_per_s"] > 0 and row["bare"] > 0
    assert all(row[part] > 0 for part in PARTS if part != "reset")  # four environments may go on through an iteration
    assert sum(row[part] for part in PARTS) == pytest.approx(4 * 24 / row["steps_per_s"])


def test_a_wrong_word_of_the_benchmark_is_one_line():
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), "update", "env=3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and done.stderr.count("\n") == 1 and "env=3" in done.stderr
