"""Checkpoints: whole or not at all, and never code."""

import os
import pickle

import pytest
import torch

from legged_cts.training import checkpoint as module
from legged_cts.training.checkpoint import (
    CheckpointError,
    latest_checkpoint,
    load_checkpoint,
    remove_drafts,
    save_checkpoint,
)

CONTENT = {"config": {"a": [1, 2.5, None]}, "env_info": {}, "iter": 3, "total_steps": 7, "actor_state_dict": {}}


def test_round_trip_keeps_values_exactly(tmp_path):
    weights = torch.randn(5, 3, dtype=torch.float64)
    path = save_checkpoint(tmp_path / "new" / "model_3.pt", {**CONTENT, "actor_state_dict": {"w": weights}})
    loaded = load_checkpoint(path)
    assert loaded["config"] == {"a": [1, 2.5, None]} and loaded["iter"] == 3 and loaded["version"] == 1
    assert torch.equal(loaded["actor_state_dict"]["w"], weights)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path / "model_3.pt", CONTENT)

    def half(content, file):
        file.write(b"PK half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {**CONTENT, "iter": 4})
    assert load_checkpoint(path)["iter"] == 3
    assert os.listdir(tmp_path) == ["model_3.pt"]


def test_what_cannot_be_read_back_is_not_written(tmp_path):
    with pytest.raises(CheckpointError, match="never loaded"):
        save_checkpoint(tmp_path / "model_1.pt", {**CONTENT, "env_info": {"path": tmp_path}})
    assert os.listdir(tmp_path) == []


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(marker),))

    for name, save in (("a.pt", lambda o, f: torch.save(o, f)), ("b.pt", pickle.dump)):
        with (tmp_path / name).open("wb") as file:
            save({**CONTENT, "config": Evil()}, file)
        with pytest.raises(CheckpointError, match="damaged|never loaded"):
            load_checkpoint(tmp_path / name)
    assert not marker.exists()


def test_refusals_name_the_cause(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file"):
        load_checkpoint(tmp_path / "nothing.pt")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint(tmp_path)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match="text.pt"):
        load_checkpoint(tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="holds a list"):
        load_checkpoint(tmp_path / "list.pt")
    torch.save({"version": 1, "iter": 3}, tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match="lacks config, env_info, total_steps, actor_state_dict"):
        load_checkpoint(tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match="lacks iter"):
        save_checkpoint(tmp_path / "x.pt", {k: v for k, v in CONTENT.items() if k != "iter"})
    torch.save({**CONTENT, "version": module.CHECKPOINT_VERSION + 1}, tmp_path / "newer.pt")
    with pytest.raises(CheckpointError, match="update legged_cts"):
        load_checkpoint(tmp_path / "newer.pt")


def test_a_truncated_file_is_refused(tmp_path):
    path = save_checkpoint(tmp_path / "model_3.pt", {**CONTENT, "actor_state_dict": {"w": torch.zeros(1000)}})
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


def test_latest_checkpoint_counts_numbers_not_letters(tmp_path):
    with pytest.raises(CheckpointError, match="holds no model"):
        latest_checkpoint(tmp_path)
    for name in ("model_9.pt", "model_100.pt", "best_student.pt", "model_x.pt"):
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path).name == "model_100.pt"
    assert latest_checkpoint(tmp_path / "model_9.pt").name == "model_9.pt"
    with pytest.raises(CheckpointError, match="no file or run folder"):
        latest_checkpoint(tmp_path / "gone")


def test_the_best_student_is_the_latest_if_it_is_newer(tmp_path):
    save_checkpoint(tmp_path / "best_student.pt", {**CONTENT, "iter": 7})
    assert latest_checkpoint(tmp_path).name == "best_student.pt"
    for name, iteration in (("model_7.pt", 7), ("model_8.pt", 8)):
        save_checkpoint(tmp_path / name, {**CONTENT, "iter": iteration})
        assert latest_checkpoint(tmp_path).name == name


def test_drafts_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    for name in (".model_3-a1b2c3d4.tmp", ".metrics-17.tmp", "own.tmp", "model_3.pt"):
        (tmp_path / name).touch()
    remove_drafts(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["model_3.pt", "own.tmp"]
