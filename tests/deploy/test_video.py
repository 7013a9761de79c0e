import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest

from legged_cts.deploy import video
from legged_cts.deploy.camera import Camera
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.video import FrameRenderer, VideoWriter, robot_camera, write_video
from legged_cts.robots.spec import load_robot
from legged_cts.terrain.grid import rough_terrain


@pytest.fixture(scope="module")
def robot() -> MujocoRobot:
    return MujocoRobot(load_robot("go2"), 0.02, 0.005)


@pytest.mark.parametrize("name", ["go1", "go2", "tron1", "g1_12", "g1"])
def test_all_of_every_robot_is_in_the_picture(name: str) -> None:
    robot = MujocoRobot(load_robot(name), 0.02, 0.005)
    camera = robot_camera(robot.model, robot.spec)
    # A camera that lags behind a walking robot, too.
    for behind in ([0.0, 0.0, 0.0], [0.15, 0.0, 0.03]):
        feet = np.append(robot.foot_pos, [robot.data.geom_xpos[robot.model.geom_bodyid > 0].max(axis=0)], axis=0)
        column, row = camera.project(feet, robot.base_pos - behind, 640, 360).T
        assert (column > 20).all() and (column < 620).all() and (row > 10).all() and (row < 345).all()


def test_projection_inverts_rays() -> None:
    camera, lookat = Camera(), np.array([1.0, -2.0, 0.3])
    rays = camera.rays(64, 36)
    points = camera.position(lookat) + 3.0 * rays.reshape(-1, 3)
    pixels = camera.project(points, lookat, 64, 36).reshape(36, 64, 2)
    np.testing.assert_allclose(pixels[5, 17], [17.5, 5.5], atol=1e-9)
    np.testing.assert_allclose(pixels[35, 63], [63.5, 35.5], atol=1e-9)
    np.testing.assert_allclose(camera.project(lookat[None], lookat, 64, 36), [[32.0, 18.0]], atol=1e-9)


def test_camera_looks_along_its_azimuth() -> None:
    forward, left, up = Camera(azimuth=np.pi / 2, elevation=0.0).axes
    np.testing.assert_allclose(forward, [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(left, [-1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-12)


def test_cpu_picture_shows_sky_ground_robot_and_shadow(robot: MujocoRobot) -> None:
    lookat = robot.base_pos
    with FrameRenderer(robot.model, 160, 90, backend="cpu") as renderer:
        assert renderer.backend == "cpu"
        picture = renderer.render(robot.data, lookat)
        qpos = robot.data.qpos.copy()
        robot.data.qpos[2] += 50.0
        mujoco.mj_kinematics(robot.model, robot.data)
        empty = renderer.render(robot.data, lookat)
        robot.data.qpos[:] = qpos
        mujoco.mj_kinematics(robot.model, robot.data)
    assert picture.shape == (90, 160, 3) and picture.dtype == np.uint8
    # Bluish, bright sky at the top; a checkered ground, of two greys at least, at the bottom.
    assert picture[0, :, 2].min() > picture[0, :, 0].max() - 1
    assert len(np.unique(empty[-1, :, 0])) > 1
    changed = (picture.astype(int) - empty != 0).any(axis=-1)
    rows, cols = np.nonzero(changed)
    # The robot and its shadow fill a good part of the middle and nothing of the rim.
    assert 0.03 < changed.mean() < 0.4
    assert abs(cols.mean() - 80) < 20 and abs(rows.mean() - 50) < 20
    assert rows.min() > 0 and cols.min() > 0 and cols.max() < 159
    robot_pixels = picture[changed]
    assert robot_pixels.min() < 60 and robot_pixels.max() > 190


def test_cpu_picture_of_a_heightfield_hides_the_sky_behind_a_hill() -> None:
    spec = load_robot("go2")
    pictures = []
    for difficulty in (0.0, 1.0):
        # This seed puts the robot at the foot of a pit.
        terrain = rough_terrain(difficulty, 1, kinds=("slopes",), tiles=1)
        simulated = MujocoRobot(spec, 0.02, 0.005, terrain=terrain)
        with FrameRenderer(simulated.model, 80, 45, backend="cpu") as renderer:
            pictures.append(renderer.render(simulated.data, simulated.base_pos).astype(int))
    assert np.abs(pictures[1] - pictures[0]).mean() > 5


def test_gl_picture_agrees_with_the_cpu_picture(robot: MujocoRobot) -> None:
    pictures = []
    for backend in ("gl", "cpu"):
        try:
            renderer = FrameRenderer(robot.model, 160, 90, backend=backend)
        except RuntimeError as error:
            pytest.skip(str(error))
        with renderer:
            pictures.append(renderer.render(robot.data, robot.base_pos).mean(axis=-1))
    # Dark parts of the robot lie at the same place in both.
    masks = [picture < 50 for picture in pictures]
    assert masks[1].any()
    centres = [np.argwhere(mask[20:70, 40:120]).mean(axis=0) for mask in masks]
    assert np.abs(centres[0] - centres[1]).max() < 8


def test_auto_falls_back_to_the_cpu(robot: MujocoRobot, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("no OpenGL off screen on this machine")

    monkeypatch.setattr(video, "_offscreen_context", none)
    with FrameRenderer(robot.model, 32, 18) as renderer:
        assert renderer.backend == "cpu"
        renderer.render(robot.data, robot.base_pos)
    with pytest.raises(RuntimeError, match="no OpenGL"):
        FrameRenderer(robot.model, 32, 18, backend="gl")
    with pytest.raises(ValueError, match="'vulkan'"):
        FrameRenderer(robot.model, 32, 18, backend="vulkan")
    with pytest.raises(RuntimeError, match="closed"):
        renderer.render(robot.data, robot.base_pos)


def test_video_has_the_frames(robot: MujocoRobot, tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    frames = [(robot.data.qpos.copy(), robot.base_pos)] * 10
    path = tmp_path / "stand.mp4"
    assert write_video(path, robot.model, frames, backend="cpu", width=64, height=36) == "cpu"
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == 10 and seconds == pytest.approx(0.4, abs=0.05)


def test_frames_of_another_shape_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.append(np.zeros((36, 64, 3), dtype=np.uint8))
        with pytest.raises(ValueError, match="expected uint8 frames of shape"):
            writer.append(np.zeros((18, 64, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="mp4"):
        VideoWriter(tmp_path / "a.avi")


def test_a_missing_writer_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['imageio_ffmpeg'] = None\n"
        "from legged_cts.deploy.video import VideoWriter\n"
        "VideoWriter('x.mp4')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0 and "pip install 'legged-cts[video]'" in done.stderr


def test_a_typing_error_in_a_path_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="video: there is no folder"):
        VideoWriter(tmp_path / "nowhere" / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_named_before_anything_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match=r"video: .*folder\.mp4 cannot be written: Is a directory"):
        VideoWriter(tmp_path / "folder.mp4")
    VideoWriter(tmp_path / "new.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mp4"]
