"""The video has the frames that were asked for, and follows its script."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from deploy_policies import write_counting_policy
from PIL import Image

from legged_cts.deploy.video import FPS
from legged_cts.viewer.headless import SCRIPT, Segment, record, table, within, write_text
from legged_cts.viewer.session import MujocoSession, State


def test_a_gif_has_every_fourth_period_and_goes_on_and_on(standing_policy: Path, tmp_path: Path) -> None:
    path = tmp_path / "walk.gif"
    record(MujocoSession(standing_policy), path, seconds=0.42, width=64, height=48, renderer="cpu")
    with Image.open(path) as image:
        assert (image.format, image.n_frames, image.size) == ("GIF", 6, (64, 48))
        assert (image.info["loop"], image.info["duration"]) == (0, 80)


def test_the_video_has_the_right_number_of_frames_and_size(standing_policy: Path, tmp_path: Path) -> None:
    path = tmp_path / "walk.mp4"
    results = record(MujocoSession(standing_policy), path, seconds=0.42, width=64, height=48, renderer="cpu")
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    frames = [np.frombuffer(frame, dtype=np.uint8) for frame in reader]
    # 21 control steps of 20 ms: a picture at 0, 40, ..., 400 ms.
    assert len(frames) == 11
    assert meta["size"] == (64, 48)
    assert meta["fps"] == pytest.approx(FPS)
    assert frames[0].std() > 10
    assert [part.name for part in results] == [part.name for part in SCRIPT]


def test_errors_are_those_of_a_robot_that_stands_still(standing_policy: Path, tmp_path: Path) -> None:
    script = (Segment("walk", 0.5, (0.8, -0.6, 0.0)), Segment("turn", 0.5, (0.0, 0.0, -9.0)))
    session = MujocoSession(standing_policy)
    walk, turn = record(session, tmp_path / "a.mp4", 4.0, 16, 16, "cpu", script, text=False)
    # The commands are cut to the ranges of training.
    np.testing.assert_allclose(walk.command, (0.8, -0.5, 0.0))
    np.testing.assert_allclose(turn.command, (0.0, 0.0, -1.0))
    assert walk.lin_error == pytest.approx(np.hypot(0.8, 0.5), abs=0.05)
    assert walk.yaw_error == pytest.approx(0.0, abs=0.05)
    assert turn.lin_error == pytest.approx(0.0, abs=0.05)
    assert turn.yaw_error == pytest.approx(1.0, abs=0.05)
    assert (walk.falls, turn.falls) == (0, 0)
    assert "walk" in table((walk, turn)) and "1.00" in table((walk, turn))


def test_the_film_of_a_recurrent_policy_begins_with_a_fresh_state(tmp_path: Path) -> None:
    session = MujocoSession(write_counting_policy(tmp_path / "p.onnx"))
    for _ in range(30):
        session.step(np.zeros(3))
    record(session, tmp_path / "a.mp4", 0.2, 16, 16, "cpu", text=False)
    assert session._policy.state[0] == 10


class ThrownOnce(MujocoSession):
    """Its robot is laid on its back before the 13th step."""

    steps = resets = 0

    def step(self, command: np.ndarray) -> State:
        if self.steps == 12:
            self._robot.data.qpos[2:7] = 0.2, 0.0, 1.0, 0.0, 0.0
        self.steps += 1
        return super().step(command)

    def reset(self) -> State:
        self.resets += 1
        return super().reset()


def test_a_robot_that_fell_begins_the_next_command_upright(standing_policy: Path, tmp_path: Path) -> None:
    session = ThrownOnce(standing_policy)
    script = [Segment(name, 1.0, (0.0, 0.0, 0.0)) for name in ("a", "b", "c", "d")]
    results = record(session, tmp_path / "a.mp4", 0.8, 16, 16, "cpu", script, text=False)
    assert [part.falls for part in results] == [0, 1, 0, 0]
    assert session.resets == 2  # at the start, and with the third command
    assert not session.state().fallen


def test_a_command_is_cut_to_the_ranges() -> None:
    ranges = {"lin_vel_x": (-1.0, 0.5), "lin_vel_y": (0.0, 0.0), "ang_vel_z": (-1.0, 1.0)}
    np.testing.assert_array_equal(within((0.8, 0.4, -0.2), ranges), (0.5, 0.0, -0.2))


def test_text_changes_the_picture_at_the_top_alone() -> None:
    picture = np.full((120, 200, 3), 90, dtype=np.uint8)
    written = write_text(picture, "walk", np.zeros(3), np.zeros(3))
    assert written.shape == picture.shape and written.dtype == np.uint8
    assert (written[:40] != picture[:40]).any()
    np.testing.assert_array_equal(written[60:], picture[60:])


def test_a_video_without_length_is_refused(standing_policy: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seconds must be above 0"):
        record(MujocoSession(standing_policy), tmp_path / "a.mp4", seconds=0.0)
