"""The benchmark of the update on a handful of environments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from legged_cts.benchmarks.update import CONTENDERS, EPISODE, RandomEnv, compare_updates, measure

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark.py"


def test_all_contenders_are_timed_and_histories_weighed():
    row = measure("small", 8, 1, student="gru")
    assert all(row[name] > 0.0 for name in CONTENDERS)
    students, steps, length, features = 2, 24, 5, 45
    assert row["stack"] == students * steps * length * features * 4
    assert row["stack_all"] == 4 * row["stack"]
    assert row["frames"] == students * ((steps + length - 1) * features * 4 + steps * 8)


def test_the_table(capsys):
    compare_updates(["small"], [4], 1)
    lines = capsys.readouterr().out.splitlines()
    values = lines[-1].split()
    assert values[:2] == ["small", "4"]
    assert float(values[5]) == pytest.approx(float(values[4]) / float(values[2]), rel=0.2)


def test_the_environment_keeps_a_true_history():
    env = RandomEnv(50)
    before = env.get_observations()["history"]
    ends = 0
    for _ in range(100):
        obs, _, dones, _ = env.step(torch.zeros(50, 12))
        history, moved = obs["history"], dones == 0
        assert torch.equal(history[moved, :-1], before[moved, 1:])
        assert (history[~moved] == history[~moved, -1:]).all()
        ends += int(dones.sum())
        before = history
    assert 0 < ends < 4 * 50 * 100 / EPISODE


@pytest.mark.parametrize("words", [[], ["speed"], ["update", "sizes=small"], ["physics", "repetitions=1"]])
def test_unknown_words_are_named(words):
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and (not words or words[-1] in done.stderr)
