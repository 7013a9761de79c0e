"""The command that examines robots: exit status, files, picture."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legged_cts.robots.spec import assets_dir, load_robot
from legged_cts.viewer import doctor as app

MAIN = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "doctor.py"))["main"]
GO2 = assets_dir() / "robots" / "go2"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    text = (GO2 / "robot.yaml").read_text()
    (tmp_path / "go2.xml").write_text((GO2 / "go2.xml").read_text())
    (tmp_path / "robot.yaml").write_text(text.replace("nominal_height: 0.32", "nominal_height: 0.5"))
    return tmp_path / "robot.yaml"


def test_a_healthy_robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    assert MAIN(["usd=false", "renderer=cpu", f"output={tmp_path}/figures.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "go2: 35 ok, 1 warning, 0 failures, 1 skipped"
    assert max(map(len, lines)) <= 120
    (report,) = json.loads((tmp_path / "figures.json").read_text())
    assert report["robot"] == "go2"
    assert report["failed"] is False
    assert {row["status"] for row in report["rows"]} == {"ok", "warn", "skip"}
    assert report["joints"][0]["joint"] == "FL_hip_joint"
    with Image.open(tmp_path / "logs" / "doctor" / "go2.png") as picture:
        assert picture.size == (3 * app.SIZE, app.SIZE)


def test_a_broken_robot_fails_and_is_still_drawn(broken: Path, capsys: pytest.CaptureFixture[str]):
    picture = broken.with_name("broken.png")
    assert MAIN([f"robot={broken}", "usd=false", f"picture={picture}"]) == 1
    out = capsys.readouterr().out
    assert "fail nominal height" in out
    assert out.splitlines()[-1].endswith("1 failure, 1 skipped")
    assert picture.is_file()


def test_a_spec_that_does_not_load(broken: Path, capsys: pytest.CaptureFixture[str]):
    broken.write_text(broken.read_text().replace("morphology: quadruped", "morphology: quadrupet"))
    assert MAIN([f"robot={broken}", "usd=false"]) == 1
    out = capsys.readouterr().out
    assert "fail spec loads" in out
    assert "did you mean 'quadruped'?" in " ".join(out.split())
    assert "no picture: the spec does not load" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["robto=go2"], "did you mean 'robot'?"),
        (["robot=go3"], "no robot named go3; did you mean go1?"),
        (["robot=nowhere/robot.yaml"], "no file"),
        (["robot="], "give a name"),
        (["picture=go2.jpg"], "must end in .png"),
        (["output=go2.txt"], "must end in .json"),
        (["robot=all", "picture=all.png"], "cannot show all robots"),
    ],
)
def test_wrong_words(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]):
    assert MAIN(words) == 2
    printed = capsys.readouterr()
    assert complaint in printed.err or complaint.replace("go1", "go2") in printed.err
    assert printed.out == ""


def test_all_robots(capsys: pytest.CaptureFixture[str]):
    assert MAIN(["robot=all", "usd=false", "picture=none"]) == 0
    names = sorted(path.parent.name for path in assets_dir().glob("robots/*/robot.yaml"))
    last = capsys.readouterr().out.splitlines()[-len(names) :]
    assert [line.split(":")[0] for line in last] == names


def test_the_portrait_shows_a_robot(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(app, "SIZE", 96)
    picture, backend = app.portrait(load_robot("go2"), "cpu")
    assert backend == "cpu"
    assert picture.shape == (96, 288, 3)
    # The middle of each view is the robot, its upper corners are sky.
    for view in np.split(picture.astype(int), 3, axis=1):
        assert np.abs(view[45, 48] - view[2, 2]).sum() > 60
