"""The runner: exact resume, clean endings, statistics."""

import csv
import math
import signal
import time

import numpy as np
import pytest
import torch
from build import make_runner
from entries import TIMINGS, differences, metrics_rows
from line_env import stop_at_step

from legged_cts.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, trained_steps
from legged_cts.training.random_state import random_state, seed_everything, set_random_state
from legged_cts.training.runner import Ending


def parameters(runner):
    state = runner.alg.save()
    return {
        f"{part}.{name}": value
        for part in ("actor_state_dict", "critic_state_dict", "student_encoder_state_dict")
        for name, value in state[part].items()
    }


def test_the_display_is_told_what_is_under_way(tmp_path):
    runner = make_runner(tmp_path)
    runner.learn(2)
    assert runner.display.phases == ["collect", "learn", "collect", "learn", "save"]


def test_resumed_training_equals_an_uninterrupted_one_bit_by_bit(tmp_path):
    whole = make_runner(tmp_path / "whole", best_interval=1)
    whole.learn(6, init_at_random_ep_len=True)
    make_runner(tmp_path / "parts", best_interval=1).learn(3, init_at_random_ep_len=True)
    second = make_runner(tmp_path / "parts", seed=99, best_interval=1)
    second.load(str(tmp_path / "parts" / "model_3.pt"))
    assert second.current_learning_iteration == 3 and second.total_steps == 3 * 5 * 8
    second.learn(3)
    expected, got = parameters(whole), parameters(second)
    assert expected.keys() == got.keys() and len(expected) > 10
    for name in expected:
        assert torch.equal(expected[name], got[name]), name
    a = load_checkpoint(tmp_path / "whole" / "model_6.pt")
    b = load_checkpoint(tmp_path / "parts" / "model_6.pt")
    assert a["total_steps"] == b["total_steps"] == 240
    assert differences(a, b, but=TIMINGS) == []
    # What the display and the choice of the best student are made of goes on too.
    assert len(a["statistics"]["window"]) == 6
    rows = metrics_rows(tmp_path / "whole"), metrics_rows(tmp_path / "parts")
    assert rows[0] == rows[1] and len(rows[0]) == 6
    best = [load_checkpoint(tmp_path / name / "best_student.pt") for name in ("whole", "parts")]
    assert differences(*best, but=TIMINGS) == []


@pytest.mark.parametrize("option", [None, "learning_rate", "student_learning_rate"])
def test_a_resumed_run_takes_a_learning_rate_that_was_given_anew(tmp_path, option):
    first = make_runner(tmp_path)
    first.learn(1)
    expected = {"learning_rate": first.alg.learning_rate, "student_learning_rate": 1e-3}
    second = make_runner(tmp_path, seed=1)
    if option:
        second.config["algorithm"][option] = expected[option] = 2e-4
    second.load(str(tmp_path / "model_1.pt"))
    alg = second.alg
    assert alg.learning_rate == alg.optimizer.param_groups[0]["lr"] == expected["learning_rate"]
    assert alg.student_optimizer.param_groups[0]["lr"] == expected["student_learning_rate"]


def test_another_random_state_would_have_shown(tmp_path):
    whole = make_runner(tmp_path)
    whole.learn(3)
    second = make_runner(tmp_path, seed=99)
    second.load(str(tmp_path / "model_3.pt"))
    torch.manual_seed(5)
    whole.learn(1)
    torch.manual_seed(6)
    second.learn(1)
    other = parameters(second)
    assert any(not torch.equal(value, other[name]) for name, value in parameters(whole).items())


def test_iterations_are_counted_once_and_metrics_go_on(tmp_path):
    make_runner(tmp_path, save_interval=2).learn(5)
    resumed = make_runner(tmp_path)
    resumed.load(str(tmp_path / "model_4.pt"))
    resumed.learn(3)
    with (tmp_path / "metrics.csv").open() as file:
        lines = list(csv.DictReader(file))
    # The fifth row of the first run, which the checkpoint of iteration 4 does not know, has been replaced.
    assert [int(line["iteration"]) for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert [float(line["total_steps"]) for line in lines] == [40.0 * i for i in range(1, 8)]


def test_the_last_checkpoints_and_the_best_are_kept(tmp_path):
    runner = make_runner(tmp_path, save_interval=1, keep=2, best_interval=1)
    runner.learn(8)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["best_student.pt", "model_7.pt", "model_8.pt"]
    scores = [metrics["score"] for _, metrics in runner.display.shown]
    finite = [score for score in scores if math.isfinite(score)]
    best = load_checkpoint(tmp_path / "best_student.pt")
    assert best["best_score"] == max(finite) == runner.best_score
    assert best["iter"] == scores.index(max(finite)) + 1


def test_a_score_from_before_a_stage_is_not_the_best_any_more(tmp_path, monkeypatch):
    """A stage that pays more narrowly lowers every score: the best student stayed the one from before it."""
    runner = make_runner(tmp_path, save_interval=1, best_interval=1)
    monkeypatch.setattr("legged_cts.training.runner.student_score", lambda metrics: 1.0 / metrics["total_steps"])
    monkeypatch.setattr(runner._stages, "look", lambda _, iteration: ["stage fine"] if iteration == 4 else [])
    monkeypatch.setattr(runner._stages, "settled", lambda iteration: iteration not in (5, 6))
    runner.learn(8)
    assert load_checkpoint(tmp_path / "best_student.pt")["iter"] == 7
    best = [metrics["best_score"] for _, metrics in runner.display.shown]
    assert best[:4] == [1 / 40] * 4 and math.isnan(best[4]) and math.isnan(best[5]) and best[6:] == [1 / 280] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_finishes_the_iteration_and_saves(tmp_path, capsys, number):
    before = signal.getsignal(number)
    runner = make_runner(tmp_path)
    stop_at_step(runner.env, 12, number)
    assert runner.learn(100_000) is Ending.SIGNAL
    done = runner.current_learning_iteration
    assert done == 3  # of five steps each
    assert load_checkpoint(tmp_path / f"model_{done}.pt")["iter"] == done
    assert f"resume={tmp_path}" in capsys.readouterr().out
    assert runner.display.stopped and runner.display.shown[-1][0] == done
    assert signal.getsignal(number) is before


def test_the_time_budget_ends_a_training(tmp_path, monkeypatch):
    runner = make_runner(tmp_path)
    # A tenth of a second for each of the five steps of an iteration.
    monkeypatch.setattr(time, "monotonic", lambda: 0.1 * runner.env.steps)
    assert runner.learn(100_000, max_minutes=1.2 / 60) is Ending.TIME
    assert runner.current_learning_iteration == 3 and (tmp_path / "model_3.pt").is_file()
    assert make_runner(None).learn(1) is Ending.DONE


def test_an_error_of_the_environment_restores_signals_and_display(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    runner = make_runner(tmp_path)
    runner.env.fail_after = 7
    with pytest.raises(RuntimeError, match="the world ended"):
        runner.learn(3)
    assert signal.getsignal(signal.SIGINT) is before and runner.display.stopped


def test_weights_alone_start_a_new_run(tmp_path):
    first = make_runner(tmp_path)
    first.learn(2)
    second = make_runner(None, seed=7)
    second.load(str(tmp_path / "model_2.pt"), {"actor": True, "critic": True})
    assert second.current_learning_iteration == 0 and second.total_steps == 0
    for name, value in parameters(first).items():
        assert torch.equal(value, parameters(second)[name])
    # Its steps are those of the whole lineage, also after a third training and a resume.
    second.log_dir = tmp_path / "second"
    second.learn(1)
    saved = load_checkpoint(tmp_path / "second" / "model_1.pt")
    assert saved["total_steps"] == 40 and trained_steps(saved) == 3 * 40
    third = make_runner(None, seed=8)
    third.load(str(tmp_path / "second" / "model_1.pt"), {"actor": True, "critic": True})
    assert third.previous_steps == 120
    again = make_runner(None, seed=8)
    again.load(str(tmp_path / "second" / "model_1.pt"))
    assert (again.previous_steps, again.total_steps) == (80, 40)


def test_networks_that_do_not_fit_are_named(tmp_path):
    runner = make_runner(tmp_path)
    runner.learn(1)
    content = load_checkpoint(tmp_path / "model_1.pt")
    content["actor_state_dict"] = {"x": torch.zeros(1)}
    save_checkpoint(tmp_path / "other.pt", content)
    with pytest.raises(CheckpointError, match="networks in .*other.pt are not those"):
        runner.load(str(tmp_path / "other.pt"))


def test_checkpoints_hold_all_that_was_promised(tmp_path):
    make_runner(tmp_path).learn(1)
    content = load_checkpoint(tmp_path / "model_1.pt")
    assert {"version", "config", "env_info", "iter", "total_steps", "random_state", "env_state"} <= set(content)
    assert content["env_info"] == {"robot": "line"} and content["config"]["logger"] == "none"
    states = ("actor", "critic", "optimizer", "student_encoder", "student_optimizer")
    assert {f"{name}_state_dict" for name in states} <= set(content)
    assert isinstance(content["git_revision"], str)


def test_tensorboard_and_csv_agree(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    make_runner(tmp_path, logger="tensorboard").learn(3)
    events = EventAccumulator(str(tmp_path)).Reload()
    logged = [event.value for event in events.Scalars("loss/value")]
    with (tmp_path / "metrics.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert logged == pytest.approx([float(line["loss/value"]) for line in lines], rel=1e-4)
    assert [event.step for event in events.Scalars("loss/value")] == [1, 2, 3]


def test_wandb_offline_run_goes_on_under_its_id(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    make_runner(tmp_path, logger="wandb").learn(1)
    run_id = load_checkpoint(tmp_path / "model_1.pt")["wandb_run_id"]
    assert run_id and list(tmp_path.glob(f"wandb/offline-run-*-{run_id}"))
    resumed = make_runner(tmp_path, logger="wandb")
    resumed.load(str(tmp_path / "model_1.pt"))
    resumed.learn(1)
    assert load_checkpoint(tmp_path / "model_2.pt")["wandb_run_id"] == run_id


def test_random_states_return_everywhere():
    import random

    seed_everything(3)
    np.random.normal()  # leaves a cached second value behind
    state = random_state()
    draws = [(random.random(), np.random.normal(), torch.rand(1).item(), random.gauss(0, 1)) for _ in range(3)]
    set_random_state(state)
    assert draws == [(random.random(), np.random.normal(), torch.rand(1).item(), random.gauss(0, 1)) for _ in range(3)]
    for bad in (-1, 2**32, 1.5, True):
        with pytest.raises(ValueError, match="seed must be"):
            seed_everything(bad)
