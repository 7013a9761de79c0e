"""Which policies the page offers, and where their robots start."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from legged_cts.viewer import choices
from legged_cts.viewer.session import World


@pytest.fixture
def offered(standing_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> choices.Choices:
    monkeypatch.chdir(tmp_path)
    for number, run in enumerate(("go2_flat_cts/old", "go2_flat_cts/new", "arms/cts/seed1")):
        folder = tmp_path / "logs" / run
        folder.mkdir(parents=True)
        shutil.copy(standing_policy, folder / "policy.onnx")
        os.utime(folder / "policy.onnx", (number, number))
    (tmp_path / "logs" / "unfinished").mkdir()
    return choices.Choices("my.onnx", standing_policy)


def test_the_first_the_shipped_and_the_runs_newest_first(offered: choices.Choices) -> None:
    names = offered.names()
    assert names[0] == "my.onnx"
    assert names[1:10] == (
        "g1_12_flat", "g1_flat", "g1_rough", "go1_flat", "go2_flat", "go2_rough", "go2_sprint",
        "tron1_flat", "tron1_rough",
    )  # fmt: skip
    assert names[10:] == ("logs/arms/cts/seed1", "logs/go2_flat_cts/new", "logs/go2_flat_cts/old")
    # A shipped policy that is the first one is there once.
    assert choices.Choices("go2_flat", Path("x")).names().count("go2_flat") == 1


def test_a_choice_is_played_in_the_world_and_at_its_place(offered: choices.Choices) -> None:
    world = World("waves", 0.1, 0.5, 1.0)
    for place, y in ((0, 0.0), (1, 1.2), (2, -1.2), (3, 2.4)):
        session = offered.open("logs/go2_flat_cts/new", world, place)
        assert session.world == world
        np.testing.assert_allclose(session.state().base_pos[:2], (0.0, y))
        np.testing.assert_allclose(session.reset().base_pos[:2], (0.0, y))
    assert offered.open("my.onnx", World()).spec.name == "go2"


def test_what_is_not_in_the_list_is_not_opened(offered: choices.Choices, standing_policy: Path) -> None:
    for name in (str(standing_policy), "../evil", "", "logs/unfinished"):
        with pytest.raises(ValueError, match="is not in the list"):
            offered.open(name, World())
