"""Records what is played and draws it afterwards, in a process of its own: a picture takes longer than it is seen."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import mujoco

from legged_cts.deploy.camera import Camera
from legged_cts.deploy.robot import Array
from legged_cts.deploy.video import FPS, GIF_FPS, FrameRenderer, open_video, robot_camera
from legged_cts.robots.spec import RobotSpec
from legged_cts.viewer.headless import LAG, draw

FOLDER = Path("logs", "recordings")
KINDS = ("mp4", "gif")
SIZES = {"mp4": (640, 360), "gif": (480, 270)}
"""Width and height [pixels]."""
LONGEST = 60.0
"""Seconds; what is played longer is not recorded."""


class Recorder:
    """Keeps the states of one recording at a time, and has them drawn when it ends."""

    def __init__(self) -> None:
        self._model: mujoco.MjModel | None = None
        self._states: list[tuple[Array, Array]] = []
        self._began = 0.0
        self._kind, self._path, self._camera = "mp4", Path(), Camera()
        self._process: Any = None
        self._told: Any = None
        self._said = ""

    @property
    def recording(self) -> bool:
        """Whether states are being kept."""
        return self._model is not None

    @property
    def busy(self) -> bool:
        """Whether a recording is being drawn."""
        return self._process is not None

    def start(self, model: mujoco.MjModel, spec: RobotSpec, kind: str, now: float) -> None:
        """Begins to keep states.

        Args:
            model: what to draw.
            spec: the robot.
            kind: one of `KINDS`.
            now: time of the simulation [s].

        Raises:
            OSError: if there is no place for the file.
        """
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._path = FOLDER / f"{spec.name}_{time.strftime('%Y-%m-%d_%H-%M-%S')}.{kind}"
        self._model, self._states, self._began, self._kind = model, [], now, kind
        self._camera = robot_camera(model, spec)

    def take(self, now: float, qpos: Array, base_pos: Array) -> None:
        """Keeps a state [nq] with the place of its base [m] [3], if the next picture is due at this time [s]."""
        if not self.recording or now - self._began > LONGEST:
            return
        fps = FPS if self._kind == "mp4" else GIF_FPS
        if len(self._states) / fps > now - self._began + 1e-9:
            return
        lookat = self._states[-1][1] if self._states else base_pos
        weight = LAG * FPS / fps
        self._states.append((qpos.copy(), lookat + weight * (base_pos - lookat)))

    def finish(self) -> None:
        """Has what was kept drawn; nothing if nothing was kept."""
        model, self._model = self._model, None
        if model is None or not self._states:
            return
        # A forked child would inherit the locks of the server's threads.
        context = multiprocessing.get_context("spawn")
        self._told, self._said = context.SimpleQueue(), f"drawing {len(self._states)} pictures"
        arguments = (self._told, self._path, model, self._states, SIZES[self._kind], self._camera)
        self._process = context.Process(target=write, args=arguments, daemon=True)
        self._process.start()
        self._states = []

    def poll(self, now: float) -> tuple[str, Path | None]:
        """How far it is, and the file once it is done."""
        if self.recording:
            return f"recording, {min(now - self._began, LONGEST):.0f} s of at most {LONGEST:.0f}", None
        if self._process is None:
            return self._said, None
        ended = not self._process.is_alive()
        while not self._told.empty():
            self._said = self._told.get()
        if not ended:
            return self._said, None
        done, self._process = self._process.exitcode == 0, None
        if not done and not self._said.startswith("not saved"):
            self._said = "not saved: the process that draws was ended"
        return self._said, self._path if done else None

    def close(self) -> None:
        """Ends a drawing that goes on."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
            self._path.unlink(missing_ok=True)


def write(
    told: Any,
    path: Path,
    model: mujoco.MjModel,
    states: list[tuple[Array, Array]],
    size: tuple[int, int],
    camera: Camera,
) -> None:
    """Draws states into a file, and tells how far it is; ends the process with 1 if it cannot."""
    # Who plays comes first.
    os.nice(5)
    try:
        data, began = mujoco.MjData(model), time.monotonic()
        with FrameRenderer(model, *size, camera) as renderer:
            with open_video(path)[0] as video:
                for number, (qpos, lookat) in enumerate(states):
                    told.put(f"drawing picture {number + 1} of {len(states)}")
                    video.append(draw(renderer, model, data, qpos, lookat))
        seconds = time.monotonic() - began
        told.put(f"saved {path} ({path.stat().st_size / 1e6:.1f} MB, drawn by {renderer.backend} in {seconds:.0f} s)")
    except (ValueError, OSError, RuntimeError) as error:
        told.put(f"not saved: {' '.join(str(error).split())}")
        raise SystemExit(1) from error
