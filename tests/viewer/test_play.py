"""The words of the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from legged_cts.deploy.words import parse_words
from legged_cts.viewer.app import App
from legged_cts.viewer.play import PlayOptions, open_session, play

SCRIPT = Path(__file__).parents[2] / "scripts" / "play.py"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["polcy=a.onnx"], "unknown key 'polcy'.*did you mean 'policy'"),
        (["role=teacher"], "role: an ONNX policy holds the student alone"),
        (["policy=a.onnx", "role=teacher"], "role: .* give checkpoint=model.pt"),
        (["role=judge"], "role must be one of student, teacher, got 'judge'"),
        (["physics=auto"], "physics: .* give checkpoint=model.pt"),
        (["policy=a.onnx", "checkpoint=b.pt"], "exclude each other"),
        (["policy=b.pt"], "give checkpoint=b.pt"),
        (["checkpoint=a.onnx"], "give policy=a.onnx"),
        (["terrain=moon"], "terrain must be one of flat, rough, slopes"),
        (["difficulty=2"], r"difficulty must lie in \[0, 1\]"),
        (["video=a.avi"], "must end in .mp4 or .gif"),
        (["run=logs/a", "policy=b.onnx"], "policy, checkpoint and run exclude each other"),
        (["run=logs/a", "video=a.mp4"], "video: .* give checkpoint=logs/a"),
        (["terrain=stairs_up_11"], "did you mean 'stairs_up_1"),
        (["duration=0"], "duration must be above 0"),
        (["duration=1e6"], "duration must be above 0 and at most 86400"),
        (["duration=inf"], "duration: expected a finite number, got 'inf'"),
        (["duration=nan"], "duration: expected a finite number, got 'nan'"),
        (["width=200000", "height=200000"], "width and height must be even and above 0, at most 4096"),
        (["seed=-1"], "seed: must be a whole number from 0"),
        (["port=99999"], "port: must be a whole number from 0 to 65535"),
        (["width=63"], "must be even"),
        (["command=fast"], "command: expected v_x,v_y,yaw as in command=0.5,0,0"),
        (["checkpoint=a.pt", "physics=auto", "robot=go2"], "robot: .* the robot it was trained for"),
    ],
)
def test_words_that_cannot_be_are_refused_with_the_fix(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_words(words, PlayOptions)


def test_without_a_shipped_policy_the_message_says_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEGGED_CTS_ASSETS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"go2_flat.*give policy="), open_session(PlayOptions()):
        pass


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    for words in ({"checkpoint": str(tmp_path / "no.pt")}, {"checkpoint": str(tmp_path), "role": "teacher"}):
        with (
            pytest.raises((ValueError, OSError), match="checkpoint: .*" + str(tmp_path)),
            open_session(PlayOptions(**words)),
        ):
            pass


def test_play_writes_a_video_and_tells_how_it_went(
    standing_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "a.mp4"
    play(PlayOptions(policy=str(standing_policy), video=str(video), duration=0.2, width=16, height=16, renderer="cpu"))
    assert video.stat().st_size > 0
    assert "walk forward" in capsys.readouterr().out


def test_a_file_of_commands_is_filmed_for_its_seconds(
    standing_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "walk.csv").write_text("seconds,vx,vy,yaw\n0.2,0.5,0,0\n0.1,0,-0.4,0.3\n")
    video = tmp_path / "a.mp4"
    words = [f"policy={standing_policy}", f"command={tmp_path}/walk.csv", "width=16", "height=16", "renderer=cpu"]
    play(parse_words([*words, f"video={video}"], PlayOptions))
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[:5] for line in printed[1:3]] == [
        ["line", "2", "0.50", "0.00", "0.00"],
        ["line", "3", "0.00", "-0.40", "0.30"],
    ]
    # 15 periods of 20 ms: a picture at 0, 40, ..., 280 ms.
    assert len(list(imageio_ffmpeg.read_frames(str(video)))) - 1 == 8
    with pytest.raises(ValueError, match="command: a file of commands needs video=out.mp4"):
        parse_words(words, PlayOptions)
    with pytest.raises(ValueError, match="duration: the file of commands says how long"):
        parse_words([*words, f"video={video}", "duration=5"], PlayOptions)


def test_a_command_that_the_policy_cannot_follow_is_refused_before_anything_is_shown(
    standing_policy: Path, tmp_path: Path
) -> None:
    for more in ({}, {"video": str(tmp_path / "a.mp4")}):
        with pytest.raises(ValueError, match=r"command: v_y 0\.7 is outside of the policy's -0\.5 to 0\.5"):
            play(PlayOptions(policy=str(standing_policy), command="0,0.7,0", **more))
    assert not (tmp_path / "a.mp4").exists()


def test_the_page_begins_with_the_command(standing_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[np.ndarray] = []
    monkeypatch.setattr(App, "run", lambda app, seconds: begun.append(app.command))
    play(PlayOptions(policy=str(standing_policy), command="0.5,0,-0.25", port=0))
    np.testing.assert_allclose(begun, [(0.5, 0.0, -0.25)])


def test_the_script_needs_neither_torch_nor_isaac_lab_for_a_policy_and_fails_in_one_line(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "script = runpy.run_path(sys.argv[1])\n"
        "status = script['main'](['policy=' + sys.argv[2]])\n"
        "assert not {'torch', 'isaaclab'} & set(sys.modules), 'heavy imports'\n"
        "sys.exit(status)\n"
    )
    missing = str(tmp_path / "none.onnx")
    command = [sys.executable, "-c", code, str(SCRIPT), missing]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith("play: policy: there is no file") and run.stderr.count("\n") == 1
