"""A run's folder: held by one run, no branch lost, one line when it can no longer be written."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from build import make_runner
from entries import metrics_rows
from omegaconf import OmegaConf
from task_files import TASKS

from legged_cts.training.checkpoint import BEST, checkpoint_iteration, latest_checkpoint, load_checkpoint
from legged_cts.training.faults import FaultGuard
from legged_cts.training.hold_folder import HoldRunFolder
from legged_cts.training.run_folder import FolderError, hold, new_folder, set_aside

OPTIONS = {"save_interval": 1, "best_interval": 1, "keep": 2}


def resumed(checkpoint: Path, folder: Path):
    runner = make_runner(folder, seed=5, **OPTIONS)
    runner.load(str(checkpoint))
    return runner


def contents(folder: Path) -> dict[str, int]:
    return {path.name: checkpoint_iteration(path) for path in folder.glob("*.pt")}


@pytest.fixture
def branched(tmp_path):
    """A run of 8 iterations with an old checkpoint of iteration 2 beside the newest, and its results."""
    make_runner(tmp_path, **OPTIONS).learn(2)
    old = load_checkpoint(tmp_path / "model_2.pt")
    make = resumed(tmp_path / "model_2.pt", tmp_path)
    make.learn(6)
    torch.save(old, tmp_path / "model_2.pt")
    for name in ("policy.onnx", "evaluation.csv"):
        (tmp_path / name).write_text("of the old branch")
    return tmp_path


def test_a_run_resumed_from_an_older_checkpoint_is_the_newest_and_the_old_branch_is_kept(branched):
    before = contents(branched)
    rows = metrics_rows(branched)
    runner = resumed(branched / "model_2.pt", branched)
    runner.learn(1)
    assert latest_checkpoint(branched) in (branched / "model_3.pt", branched / BEST)
    assert checkpoint_iteration(latest_checkpoint(branched)) == 3
    aside = branched / "abandoned_from_2"
    ahead = {name: iteration for name, iteration in before.items() if iteration > 2}
    assert contents(aside) == ahead and "model_8.pt" in ahead
    assert metrics_rows(aside) == rows and [int(row["iteration"]) for row in metrics_rows(branched)] == [1, 2, 3]
    # What would be taken for the new branch's results is of the old one.
    assert not (branched / "policy.onnx").exists() and (aside / "policy.onnx").exists()
    assert (aside / "evaluation.csv").exists()
    # The old branch is a run of its own.
    again = resumed(latest_checkpoint(aside), aside)
    assert again.current_learning_iteration == 8
    again.learn(1)
    assert checkpoint_iteration(latest_checkpoint(aside)) == 9


def test_what_a_branch_from_the_best_student_saves_is_not_deleted_as_old(branched):
    shutil.copy(branched / "model_2.pt", branched / BEST)
    runner = resumed(branched / BEST, branched)
    for number in (3, 4, 5):
        runner.learn(1)
        assert (branched / f"model_{number}.pt").is_file()
        assert checkpoint_iteration(latest_checkpoint(branched)) == number
    assert sorted(contents(branched)) == [BEST, "model_4.pt", "model_5.pt"]
    resumed(branched / "model_4.pt", branched).learn(1)
    assert {path.name for path in branched.glob("abandoned*")} == {"abandoned_from_2", "abandoned_from_4"}


def test_a_second_branch_from_the_same_iteration_has_a_folder_of_its_own(branched):
    resumed(branched / "model_2.pt", branched).learn(2)
    shutil.copy(branched / "abandoned_from_2" / "model_8.pt", branched / "model_8.pt")
    assert set_aside(branched, 4) == branched / "abandoned_from_4"
    (branched / "model_9.pt").write_bytes(b"")
    assert set_aside(branched, 4) == branched / "abandoned_from_4_2"
    assert set_aside(branched, 4) is None


def test_a_plain_resume_moves_nothing(tmp_path):
    make_runner(tmp_path, **OPTIONS).learn(3)
    resumed(latest_checkpoint(tmp_path), tmp_path).learn(1)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_new_run_in_the_folder_of_another_keeps_that_one(tmp_path, capsys):
    make_runner(tmp_path, logger="tensorboard", **OPTIONS).learn(4)
    (tmp_path / "faults").mkdir()
    rows, names = metrics_rows(tmp_path), {path.name for path in tmp_path.iterdir()}
    make_runner(tmp_path, logger="tensorboard", **OPTIONS).learn(1)
    aside = tmp_path / "earlier_run"
    assert {path.name for path in aside.iterdir()} == names and metrics_rows(aside) == rows
    assert "model_1.pt" in contents(tmp_path) and len(metrics_rows(tmp_path)) == 1
    assert f"resume={aside}" in capsys.readouterr().out
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


def test_going_on_in_the_folder_of_another_run_keeps_that_one(tmp_path):
    for name in ("a", "b"):
        make_runner(tmp_path / name, **OPTIONS).learn(3)
    resumed(tmp_path / "a" / "model_3.pt", tmp_path / "b").learn(1)
    assert "model_3.pt" in contents(tmp_path / "b" / "earlier_run")
    assert set(contents(tmp_path / "b")) - {BEST} == {"model_4.pt"} and "model_3.pt" in contents(tmp_path / "a")


def test_new_folders_never_meet(tmp_path):
    assert [new_folder(tmp_path / "logs" / "now").name for _ in range(3)] == ["now", "now_2", "now_3"]


def hydra_config(folder: Path, *given: str):
    return OmegaConf.create(
        {"hydra": {"run": {"dir": str(folder)}, "sweep": {"dir": str(folder)}, "overrides": {"hydra": list(given)}}}
    )


def test_two_runs_of_one_second_get_two_folders(tmp_path):
    configs, hooks = [hydra_config(tmp_path / "now") for _ in range(2)], [HoldRunFolder(), HoldRunFolder()]
    for config, hook in zip(configs, hooks, strict=True):
        hook.on_run_start(config, config_name="train")
    assert [Path(config.hydra.run.dir).name for config in configs] == ["now", "now_2"]
    sweep = hydra_config(tmp_path / "now")
    HoldRunFolder().on_multirun_start(sweep, config_name="train")
    assert Path(sweep.hydra.sweep.dir).name == "now_3"
    # The training script has this hook.
    named = OmegaConf.load(TASKS / "train.yaml").hydra.callbacks.run_folder._target_
    assert named == f"{HoldRunFolder.__module__}.{HoldRunFolder.__qualname__}"


def test_a_folder_where_a_run_is_alive_is_refused_in_one_line(tmp_path, capsys):
    given = f"hydra.run.dir='{tmp_path}'"
    hook = HoldRunFolder()
    hook.on_run_start(hydra_config(tmp_path, given))
    with pytest.raises(SystemExit, match="2"):
        HoldRunFolder().on_run_start(hydra_config(tmp_path, given))
    said = capsys.readouterr().err
    assert f"error: {tmp_path}: a run is alive in this folder" in said and "Traceback" not in said
    # The other process ended, however it did.
    assert hook._held is not None
    hook._held.close()
    HoldRunFolder().on_run_start(hydra_config(tmp_path, given))


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    code = (
        "import sys, time, pathlib; from legged_cts.training.run_folder import hold; "
        "held = hold(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError):
        hold(tmp_path)
    process.kill()
    process.wait()
    hold(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="2"):
        HoldRunFolder().on_run_start(hydra_config(tmp_path / "file" / "run"))
    said = capsys.readouterr().err
    assert "error: " in said and str(tmp_path / "file") in said and "Traceback" not in said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_folder_that_can_no_longer_be_written_names_the_newest_good_checkpoint(tmp_path, monkeypatch, number):
    runner = make_runner(tmp_path, **OPTIONS)
    runner.learn(2)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
    with pytest.raises(FolderError) as caught:
        runner.learn(1)
    said = str(caught.value)
    newest = latest_checkpoint(tmp_path)
    assert os.strerror(number).lower() in said and "model_3.pt (0." in said or "best_student.pt (0." in said
    assert f"{newest} (iteration 2)" in said and f"resume={tmp_path}" in said and "\n" not in said
    for path in tmp_path.glob("*.pt"):
        load_checkpoint(path)
    assert not list(tmp_path.glob(".*.tmp")) and runner.display.stopped


@pytest.mark.parametrize("limit", [10_000, 60])
def test_a_full_disk_is_named_whatever_file_meets_it_first(tmp_path, limit):
    """A limit on the size of files fails like a full disk, at a checkpoint or in the middle of a row of metrics."""
    runner = make_runner(tmp_path, logger="tensorboard", **OPTIONS)
    runner.learn(1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(FolderError, match=f"file too large.*iteration 1.*resume={tmp_path}"):
            runner.learn(3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for file in tmp_path.glob("*.pt"):
        load_checkpoint(file)


def test_a_folder_that_was_deleted_is_said_and_the_work_saved_anew(tmp_path):
    folder = tmp_path / "run"
    runner = make_runner(folder, **OPTIONS)
    show = runner.display.update
    runner.display.update = lambda n, metrics: (show(n, metrics), n == 2 and shutil.rmtree(folder))
    with pytest.raises(FolderError, match="deleted or moved.*model_3.pt .iteration 3.; go on with resume="):
        runner.learn(6)
    assert load_checkpoint(folder / "model_3.pt")["iter"] == 3
    again = resumed(latest_checkpoint(folder), folder)
    again.learn(1)
    assert [int(row["iteration"]) for row in metrics_rows(folder)] == [4]


def test_a_dump_that_cannot_be_written_ends_no_training(tmp_path, monkeypatch):
    runner = make_runner(tmp_path, **OPTIONS)
    (tmp_path / "faults").write_text("in the way")
    assert FaultGuard._dump(runner._guard, "obs", 0, {}) is None


@pytest.mark.parametrize("what", ["start", "update", "stop"])
def test_a_terminal_that_is_gone_ends_no_training(tmp_path, what):
    runner = make_runner(tmp_path, **OPTIONS)

    def gone(*_):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    setattr(runner.display, what, gone)
    runner.learn(3)
    assert load_checkpoint(tmp_path / "model_3.pt")["iter"] == 3
