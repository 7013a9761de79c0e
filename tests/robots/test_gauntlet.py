"""The gauntlet's table: what is tried, what is told, and that a second run goes on."""

from __future__ import annotations

from pathlib import Path

import gauntlet
import pytest
from vendor_files import dog


def test_it_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a.xml", "copy.xml"):
        (tmp_path / name).write_text(dog())
    (tmp_path / "bad.xml").write_text("<mujoco/>")
    (tmp_path / "notes.xml").write_text("<notes/>")
    ran = []

    def run(command: list[str], limit: float) -> tuple[int, str, float]:
        ran.append(Path(command[2]).name)
        if ran[-1] == "bad.xml":
            return 2, "new_robot: bad.xml: no hinge joints, so nothing to train", 1.0
        folder = Path(command[3].split("=")[1])
        folder.mkdir(parents=True)
        (folder / "robot.yaml").write_text("# of a.xml\nname: a\n")
        return 0, "written", 1.0

    monkeypatch.setattr(gauntlet, "run", run)
    monkeypatch.chdir(tmp_path)
    words = [str(tmp_path), "table=table.csv", "stages=draft"]
    for _ in range(2):
        assert gauntlet.main(words) == 0
    # Equal contents once, what is no robot never, nothing twice.
    assert ran == ["a.xml", "bad.xml"]
    text = (tmp_path / "table.md").read_text()
    assert "1 of legged robots" in text and "1 drafted" in text
    assert "| bad.xml | no legs | no |" in text and "no hinge joints" in text


def test_wrong_words_are_one_line(capsys: pytest.CaptureFixture[str]):
    assert gauntlet.main(["speed=1"]) == 2
    assert "unknown speed" in capsys.readouterr().out
