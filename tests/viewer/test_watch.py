"""What is found in the folder of a training that goes on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from legged_cts.evaluation.training_log import TrainingLog
from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from legged_cts.viewer.training_plots import words
from legged_cts.viewer.usage import Usage
from legged_cts.viewer.watch import Watch, await_checkpoint


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    """A real checkpoint, though an old one."""
    return load_checkpoint(latest_checkpoint("go2_flat"))


class Ears:
    """A watch on a folder, and all that it said."""

    def __init__(self, folder: Path) -> None:
        self.iterations: list[int] = []
        self.logs: list[TrainingLog] = []
        self.lines: list[str] = []
        self.watch = Watch(folder, self.hear, self.logs.append, self.lines.append)

    def hear(self, checkpoint: Mapping[str, Any], policies: Mapping[str, Any]) -> None:
        assert tuple(policies) == ("student", "teacher")
        self.iterations.append(checkpoint["iter"])


def save(folder: Path, content: dict[str, Any], iteration: int) -> Path:
    return save_checkpoint(folder / f"model_{iteration}.pt", {**content, "iter": iteration})


def test_each_new_checkpoint_is_taken_once(tmp_path: Path, content: dict[str, Any]) -> None:
    ears = Ears(tmp_path)
    ears.watch.look()
    assert ears.iterations == [] and ears.lines == []
    save(tmp_path, content, 2)
    ears.watch.look()
    ears.watch.look()
    save(tmp_path, content, 10)
    ears.watch.look()
    assert ears.iterations == [2, 10] and ears.lines == []


def test_what_is_half_written_gone_or_foreign_is_one_line_each(tmp_path: Path, content: dict[str, Any]) -> None:
    ears = Ears(tmp_path)
    save(tmp_path, content, 2)
    ears.watch.look()
    whole = save(tmp_path, content, 4).read_bytes()
    (tmp_path / "model_4.pt").write_bytes(whole[: len(whole) // 2])
    ears.watch.look()
    ears.watch.look()
    assert len(ears.lines) == 1 and "model_4.pt is not a checkpoint or is damaged" in ears.lines[0]
    foreign = {name: value for name, value in content.items() if name != "env_info"}
    (tmp_path / "model_4.pt").unlink()
    import torch

    torch.save(foreign, tmp_path / "model_5.pt")
    ears.watch.look()
    assert len(ears.lines) == 2 and "model_5.pt lacks env_info" in ears.lines[1]
    for path in tmp_path.glob("model_*.pt"):
        path.unlink()
    ears.watch.look()
    ears.watch.look()
    assert len(ears.lines) == 3 and ears.lines[2].endswith("its checkpoints are gone")
    save(tmp_path, content, 6)
    ears.watch.look()
    assert ears.iterations == [2, 6] and all(line.count("\n") == 0 for line in ears.lines)


def test_metrics_are_read_when_they_grow_and_said_in_words(tmp_path: Path) -> None:
    ears = Ears(tmp_path)
    table = tmp_path / "metrics.csv"
    table.write_text("iteration,student/return,stage\n1,0.5,0\n")
    (tmp_path / "config.yaml").write_text("max_iterations: 9\nstages: {'`walks`': {}}\n")
    ears.watch.look()
    ears.watch.look()
    with table.open("a") as file:
        file.write("2,0.7,1\n3,0.9")  # a row that is being written
    ears.watch.look()
    assert [len(log.rows) for log in ears.logs] == [1, 2]
    said = words(ears.logs[-1])
    assert "`iteration 2 of 9" in said and "`stage walks from iteration 2 on`" in said


def test_it_looks_only_while_it_is_awake(tmp_path: Path, content: dict[str, Any]) -> None:
    heard = threading.Event()
    watch = Watch(tmp_path, lambda *_: heard.set(), lambda _: None, lambda _: None)
    save(tmp_path, content, 2)
    watch.start()
    assert not heard.wait(0.3)
    watch.wake(True)
    assert heard.wait(120.0)
    watch.close()
    assert not watch._thread.is_alive()


def test_a_folder_that_is_no_training_is_refused_and_the_newest_checkpoint_found(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    with pytest.raises(FileNotFoundError, match="run: .* it has no config.yaml"):
        await_checkpoint(tmp_path)
    path = save(tmp_path, content, 3)
    assert await_checkpoint(tmp_path) == path


def test_the_share_of_a_core_is_measured_since_the_last_time() -> None:
    usage = Usage()
    while usage.age < 0.05:
        pass
    seconds, share = usage.share()
    assert seconds >= 0.05 and 0.0 < share < 100.0
    assert usage.age < seconds
