"""Pictures and videos of a MuJoCo simulation on a machine without a display."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from legged_cts.deploy.camera import Camera
from legged_cts.deploy.raycast import RaycastRenderer
from legged_cts.deploy.robot import Array
from legged_cts.robots.spec import RobotSpec

BACKENDS = ("auto", "gl", "cpu")
FPS, GIF_FPS = 25.0, 12.5
"""Frames per second of an mp4 and of a GIF: whole control periods at 50 Hz, and whole hundredths of a second."""
SOFTWARE = (b"llvmpipe", b"softpipe", b"swrast", b"swiftshader")
"""What OpenGL calls itself where no graphics card draws."""
COLOURS = 128
"""Of a GIF."""


class GlRenderer:
    """Draws with OpenGL, off screen, by EGL or else OSMesa.

    Raises:
        RuntimeError: if the machine offers neither, saying why.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int, camera: Camera) -> None:
        """Open a context and upload the model."""
        # `mujoco.Renderer` fixes its context when mujoco is first imported, which is too early to choose one here.
        self._gl = _offscreen_context(width, height)
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, height)
        model.vis.global_.fovy = float(np.rad2deg(camera.fovy))
        self._model, self._size = model, (width, height)
        try:
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except mujoco.FatalError as error:
            self._gl.free()
            raise RuntimeError(f"OpenGL of this machine cannot draw off screen: {error}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._option = mujoco.MjvOption()
        # Collision shapes are drawn only where a robot has no visual ones.
        self._option.geomgroup[3] = not (model.geom_group == 2).any()
        self._camera, self._view = camera, mujoco.MjvCamera()
        self._view.distance = camera.distance
        self._view.azimuth = float(np.rad2deg(camera.azimuth))
        self._view.elevation = float(np.rad2deg(camera.elevation))

    @property
    def software(self) -> bool:
        """Whether no graphics card draws."""
        gl: Any = importlib.import_module("OpenGL.GL")
        return any(name in (gl.glGetString(gl.GL_RENDERER) or b"").lower() for name in SOFTWARE)

    def render(self, data: mujoco.MjData, lookat: Array) -> Array:
        """Draws the state, see `FrameRenderer.render`."""
        width, height = self._size
        self._gl.make_current()
        self._view.lookat[:] = self._camera.target(lookat)
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._view, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(viewport, self._scene, self._context)
        picture = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(picture, None, viewport, self._context)
        return picture[::-1]

    def close(self) -> None:
        """Frees what the graphics driver holds."""
        self._context.free()
        self._gl.free()


class FrameRenderer:
    """Draws a MuJoCo model, with OpenGL on a graphics card and by ray casting on the CPU elsewhere.

    Use it as a context manager, or call `close`.

    Args:
        model: what to draw.
        width: of the pictures [pixels].
        height: of the pictures [pixels].
        camera: follows the point to look at.
        backend: `gl`, `cpu`, or `auto`: `gl` if a graphics card draws it.

    Raises:
        ValueError: for an unknown backend.
        RuntimeError: for `gl` on a machine without.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int = 640,
        height: int = 360,
        camera: Camera | None = None,
        backend: str = "auto",
    ) -> None:
        """Choose and open a backend."""
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {BACKENDS}, got '{backend}'")
        camera = camera or Camera()
        self.backend = "cpu"
        self._renderer: GlRenderer | RaycastRenderer | None = None
        if backend in ("auto", "gl"):
            try:
                found = GlRenderer(model, width, height, camera)
                # OpenGL computed on the CPU takes longer than our own ray casting.
                if backend == "gl" or not found.software:
                    self._renderer, self.backend = found, "gl"
                else:
                    found.close()
            except RuntimeError:
                if backend == "gl":
                    raise
        if self._renderer is None:
            self._renderer = RaycastRenderer(model, width, height, camera)

    def render(self, data: mujoco.MjData, lookat: Array) -> Array:
        """Draws the state.

        Args:
            data: state, with positions of geoms computed.
            lookat: point in the middle of the picture, in the world [m] [3].

        Returns:
            uint8 [height, width, 3].

        Raises:
            RuntimeError: after `close`.
        """
        if self._renderer is None:
            raise RuntimeError("the renderer is closed")
        return self._renderer.render(data, np.asarray(lookat, dtype=np.float64))

    def close(self) -> None:
        """Frees the graphics context, if any."""
        if isinstance(self._renderer, GlRenderer):
            self._renderer.close()
        self._renderer = None

    def __enter__(self) -> FrameRenderer:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()


def robot_camera(model: mujoco.MjModel, spec: RobotSpec) -> Camera:
    """A camera for all of a robot, its feet too."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    highest = data.geom_xpos[model.geom_bodyid > 0, 2].max() - data.xpos[model.body(spec.base).id, 2]
    return Camera.following(spec.nominal_height, float(highest))


class VideoWriter:
    """Writes an mp4 (H.264) frame by frame; use it as a context manager.

    Args:
        path: file to write, in a folder that is there.
        fps: frames per second.

    Raises:
        ValueError: if the file is no .mp4, or there is no such folder.
        RuntimeError: if the package that writes videos is missing.
    """

    def __init__(self, path: str | Path, fps: float = 25.0) -> None:
        """Find the encoder; the file is opened by the first frame, which gives its size."""
        try:
            self._ffmpeg: Any = importlib.import_module("imageio_ffmpeg")
        except ImportError as error:
            raise RuntimeError("video: writing an mp4 needs imageio-ffmpeg: pip install 'legged-cts[video]'") from error
        self.path = Path(path)
        if self.path.suffix != ".mp4":
            raise ValueError(f"video: the file must end in .mp4, got {self.path.name}")
        if not self.path.parent.is_dir():
            raise ValueError(f"video: there is no folder {self.path.parent}; make it first")
        new = not self.path.exists()
        try:
            self.path.open("ab").close()
        except OSError as error:
            raise ValueError(f"video: {self.path} cannot be written: {error.strerror}") from error
        if new:
            self.path.unlink()
        self._fps = fps
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def append(self, picture: Array) -> None:
        """Adds a frame.

        Args:
            picture: uint8 [height, width, 3], all of one shape.
        """
        if self._stream is None:
            height, width = picture.shape[:2]
            self._shape = picture.shape
            self._stream = self._ffmpeg.write_frames(
                str(self.path), (width, height), fps=self._fps, macro_block_size=2, ffmpeg_log_level="error"
            )
            self._stream.send(None)
        if picture.shape != self._shape or picture.dtype != np.uint8:
            got = f"{picture.dtype} {picture.shape}"
            raise ValueError(f"video: expected uint8 frames of shape {self._shape}, got {got}")
        self._stream.send(np.ascontiguousarray(picture))

    def __enter__(self) -> VideoWriter:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Finishes the file."""
        if self._stream is not None:
            self._stream.close()


class GifWriter:
    """Writes an animation that goes on and on, in the colours of its first frame; use it as a context manager.

    Args:
        path: file to write, in a folder that is there.
        fps: frames per second.

    Raises:
        ValueError: if there is no such folder.
        RuntimeError: if the package that writes pictures is missing.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        """Find Pillow, which a robot's computer may lack."""
        try:
            self._image: Any = importlib.import_module("PIL.Image")
        except ImportError as error:
            raise RuntimeError("video: writing a GIF needs Pillow: pip install pillow") from error
        self._path, self._fps = Path(path), fps
        if not self._path.parent.is_dir():
            raise ValueError(f"video: there is no folder {self._path.parent}; make it first")
        self._images: list[Any] = []

    def append(self, picture: Array) -> None:
        """Adds a frame, uint8 [height, width, 3]."""
        image = self._image.fromarray(np.ascontiguousarray(picture))
        palette = self._images[0] if self._images else None
        self._images.append(image.quantize(COLOURS, palette=palette, dither=self._image.Dither.NONE))

    def __enter__(self) -> GifWriter:
        """Returns itself."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Writes the file, unless what drew it failed."""
        if kind is None and self._images:
            first, *others = self._images
            first.save(self._path, save_all=True, append_images=others, duration=round(1000 / self._fps), loop=0)


def open_video(path: str | Path) -> tuple[VideoWriter | GifWriter, float]:
    """A writer for an mp4 or GIF, and its frames per second; raises as these do."""
    if Path(path).suffix == ".gif":
        return GifWriter(path, GIF_FPS), GIF_FPS
    return VideoWriter(path, FPS), FPS


def write_video(
    path: str | Path,
    model: mujoco.MjModel,
    frames: Iterable[tuple[Array, Array]],
    fps: float = 25.0,
    backend: str = "auto",
    total: int | None = None,
    width: int = 640,
    height: int = 360,
    camera: Camera | None = None,
) -> str:
    """Draws recorded states into an mp4, printing progress to stderr.

    Args:
        path: file to write.
        model: what to draw.
        frames: pairs of a state `qpos` [nq] and the point to look at [3].
        fps: frames per second.
        backend: see `FrameRenderer`.
        total: number of frames, to say how long it will take.
        width: of the video [pixels].
        height: of the video [pixels].
        camera: follows the point to look at.

    Returns:
        The backend that drew.
    """
    data = mujoco.MjData(model)
    with VideoWriter(path, fps) as video, FrameRenderer(model, width, height, camera, backend) as renderer:
        start = told = time.monotonic()
        for count, (qpos, lookat) in enumerate(frames, start=1):
            data.qpos[:] = qpos
            mujoco.mj_kinematics(model, data)
            # Lights and cameras follow the bodies' centres.
            mujoco.mj_comPos(model, data)
            mujoco.mj_camlight(model, data)
            video.append(renderer.render(data, lookat))
            now = time.monotonic()
            if now - told > 5.0:
                told = now
                rate = count / (now - start)
                left = f" of {total}, {(total - count) / rate:.0f} s left" if total else ""
                print(f"video: frame {count}{left}, {rate:.1f} a second", file=sys.stderr)
        return renderer.backend


def _offscreen_context(width: int, height: int) -> Any:
    reasons = []
    for name in ("mujoco.egl", "mujoco.osmesa"):
        try:
            context = importlib.import_module(name).GLContext(width, height)
            context.make_current()
        # Drivers fail in many ways: PyOpenGL raises AttributeError for a missing library, and errors of its own.
        except Exception as error:
            reasons.append(f"{name}: {type(error).__name__}: {error}")
        else:
            return context
    raise RuntimeError("no OpenGL off screen on this machine (" + "; ".join(reasons) + ")")
