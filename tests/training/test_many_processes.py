"""Two processes under torchrun train as one: on the tiny environment, with gloo."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from build import make_runner

from legged_cts.training.checkpoint import load_checkpoint

HERE = Path(__file__).parent


def leaves(tree) -> list[torch.Tensor]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    return [tree] if isinstance(tree, torch.Tensor) else []


def assert_equal(a, b, least: int = 20) -> None:
    a, b = leaves(a), leaves(b)
    assert len(a) == len(b) > least
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


def torchrun(scenario: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(HERE / "torchrun_worker.py")]
    path = os.pathsep.join([*map(str, (HERE.parents[1], HERE.parent, HERE)), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "LEGGED_CTS_TIMEOUT_S": "86400"}
    return subprocess.run(
        [sys.executable, *words, scenario, str(folder)],
        capture_output=True, text=True, env=environment, timeout=1800, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun")
    make_runner(folder / "alone").learn(2)
    done = torchrun("trainings", folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return folder


@pytest.fixture(scope="module")
def ranks(folder) -> tuple[dict, dict]:
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    return first, second


@pytest.mark.parametrize("key", ["whole", "resumed", "ppo"])
def test_networks_statistics_and_optimizers_are_equal_bit_by_bit(ranks, key):
    assert_equal(ranks[0][key], ranks[1][key])


def test_the_environments_differ(ranks):
    assert not torch.equal(ranks[0]["x"][0], ranks[1]["x"][0])


def test_a_resumed_training_equals_an_uninterrupted_one_on_every_rank(folder, ranks):
    for rank in ranks:
        assert rank["loaded"] == 3
        assert_equal(rank["whole"], rank["resumed"])
        assert torch.equal(*rank["x"])
    a, b = (load_checkpoint(folder / name / "model_6.pt") for name in ("whole", "parts"))
    for one, other in zip(a["rank_states"], b["rank_states"], strict=True):
        assert torch.equal(one["random_state"]["torch"], other["random_state"]["torch"])
    assert not torch.equal(*(state["random_state"]["torch"] for state in a["rank_states"]))


def test_rank_0_alone_writes_and_counts_the_steps_of_all(folder, ranks):
    assert sorted(path.name for path in (folder / "whole").iterdir()) == [
        "best_student.pt", "metrics.csv", "model_2.pt", "model_4.pt", "model_6.pt",
    ]  # fmt: skip
    assert [rank["steps"] for rank in ranks] == [6 * 5 * 8 * 2] * 2
    assert len(ranks[0]["shown"]) == 6 and not ranks[1]["shown"]
    content = load_checkpoint(folder / "whole" / "model_6.pt")
    assert content["total_steps"] == 480 and len(content["rank_states"]) == 2
    assert_equal({key: value for key, value in content.items() if key.endswith("state_dict")}, ranks[0]["whole"])
    assert torch.equal(content["rank_states"][1]["env_state"]["own"]["x"], ranks[1]["x"][0])
    with (folder / "whole" / "metrics.csv").open() as file:
        assert [float(line["total_steps"]) for line in csv.DictReader(file)] == [80.0 * i for i in range(1, 7)]


def test_a_signal_and_the_time_on_one_rank_stop_all_after_the_same_iteration(folder, ranks):
    for rank in ranks:
        assert rank["endings"] == ranks[0]["endings"]
    by_signal, stopped, by_time, late = ranks[0]["endings"]
    # Twelve steps are in the third iteration of five.
    assert (by_signal, stopped, by_time) == ("SIGNAL", 3, "TIME")
    assert load_checkpoint(folder / "stopped" / f"model_{stopped}.pt")["iter"] == stopped
    assert load_checkpoint(folder / "late" / f"model_{late}.pt")["iter"] == late > 0


def test_one_process_goes_on_where_two_stopped_and_two_where_one_did(folder, ranks, capsys):
    runner = make_runner(None, seed=3)
    runner.load(str(folder / "whole" / "model_6.pt"))
    assert "another number of processes" in capsys.readouterr().out
    assert runner.current_learning_iteration == 6 and runner.total_steps == 480
    assert torch.equal(runner.env.x, ranks[0]["x"][0])
    runner.learn(1)
    assert runner.total_steps == 520
    for rank in ranks:
        assert rank["grown"][:2] == [2, 80]
    assert not torch.equal(ranks[0]["grown"][2], ranks[1]["grown"][2])


def test_numbers_are_shared(ranks):
    for rank in ranks:
        assert rank["mean"] == {"a": 0.5, "b": 4.0, "only0": 7.0, "only1": 7.0}
        assert rank["any"] == [False, True, True]
        assert rank["run_time"] == ranks[0]["run_time"]
        assert "env.scene.num_envs must be the same on all processes, got 8 on rank 0, 9 on rank 1" == rank["refused"]


def test_a_process_that_fails_does_not_leave_the_other_waiting(tmp_path):
    # With a day's patience, the time limit of the subprocess would end this test, were there any waiting.
    done = torchrun("failure", tmp_path)
    assert done.returncode != 0 and "the world ended" in done.stderr
    assert "rank 1 of 2 failed" in done.stderr
