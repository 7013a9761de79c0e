"""A recording holds what was played, and is drawn by a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from legged_cts.viewer import recorder as module
from legged_cts.viewer.app import App
from legged_cts.viewer.recorder import Recorder
from legged_cts.viewer.session import MujocoSession


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "FOLDER", tmp_path / "recordings")
    monkeypatch.setattr(module, "SIZES", {"mp4": (64, 48), "gif": (64, 48)})
    return tmp_path / "recordings"


def drawn(recorder: Recorder) -> tuple[str, Path | None]:
    """Waits until the file is there."""
    for _ in range(6000):
        text, path = recorder.poll(0.0)
        if not recorder.busy:
            return text, path
        time.sleep(0.1)
    raise AssertionError(f"never done: {text}")


@pytest.mark.parametrize(("kind", "pictures"), [("mp4", 6), ("gif", 3)])
def test_what_was_played_is_drawn(standing_policy: Path, folder: Path, kind: str, pictures: int) -> None:
    session, recorder = MujocoSession(standing_policy), Recorder()
    recorder.start(session.model, session.spec, kind, 5.0)
    state = session.state()
    # Eleven periods of 20 ms: a picture at 0, 40, ..., 200 ms, or every 80 ms.
    for step in range(11):
        state.qpos[0] += 0.01
        recorder.take(5.0 + 0.02 * step, state.qpos, state.base_pos)
    assert recorder.recording and recorder.poll(5.2)[0].startswith("recording")
    assert len(recorder._states) == pictures
    recorder.finish()
    assert recorder.busy and not recorder.recording
    text, path = drawn(recorder)
    assert path is not None and path.parent == folder and path.suffix == f".{kind}", text
    assert text.startswith(f"saved {path}")
    if kind == "gif":
        with Image.open(path) as image:
            assert (image.format, image.n_frames, image.size) == ("GIF", pictures, (64, 48))
    else:
        reader = imageio_ffmpeg.read_frames(str(path))
        assert next(reader)["size"] == (64, 48)
        assert len(list(reader)) == pictures


def test_a_recording_ends_by_itself_and_nothing_makes_no_file(standing_policy: Path, folder: Path) -> None:
    session, recorder = MujocoSession(standing_policy), Recorder()
    state = session.state()
    recorder.take(0.0, state.qpos, state.base_pos)  # nobody asked for one
    recorder.start(session.model, session.spec, "mp4", 0.0)
    for now in np.arange(0.0, 100.0, 0.5):
        recorder.take(float(now), state.qpos, state.base_pos)
    assert len(recorder._states) == 121
    recorder.start(session.model, session.spec, "mp4", 0.0)
    recorder.finish()
    assert not recorder.busy and not list(folder.iterdir())


def test_what_cannot_be_written_is_told_in_one_line(standing_policy: Path, folder: Path) -> None:
    session, recorder = MujocoSession(standing_policy), Recorder()
    state = session.state()
    recorder.start(session.model, session.spec, "mp4", 0.0)
    recorder.take(0.0, state.qpos, state.base_pos)
    folder.rmdir()
    recorder.finish()
    text, path = drawn(recorder)
    assert path is None and text.startswith("not saved: video: there is no folder")


def test_the_page_records_until_told_to_stop(standing_policy: Path, folder: Path) -> None:
    app = App(MujocoSession(standing_policy), port=0)
    try:
        app._press_record(None)
        app.run(seconds=0.5)
        assert app._record.button.label == "Stop and save"
        app._press_record(None)
        app._tell()
        assert app._record.button.disabled
        for _ in range(3000):
            app.run(seconds=0.2)
            if not app._recorder.busy:
                break
        assert app._record._said.content.startswith("saved")
        assert len(list(folder.iterdir())) == 1 and not app._record.button.disabled
    finally:
        app.close()
