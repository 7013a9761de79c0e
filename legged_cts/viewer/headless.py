"""A video of a policy that follows a script of commands."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from legged_cts.deploy.contract import COMMANDS
from legged_cts.deploy.protocol import SETTLING
from legged_cts.deploy.robot import Array
from legged_cts.deploy.video import FPS, FrameRenderer, open_video, robot_camera
from legged_cts.viewer.session import Falls, Simulation

SMOOTHING = 0.2
LAG = 0.15
"""Of its way to the robot, what the camera goes from one picture of an mp4 to the next: slowly, else it bobs."""


@dataclass(frozen=True)
class Segment:
    """A command that holds for a while.

    Attributes:
        name: what the robot is asked to do.
        share: of the whole time.
        command: (v_x, v_y, yaw rate) [m/s, m/s, rad/s].
    """

    name: str
    share: float
    command: tuple[float, float, float]


SCRIPT = (
    Segment("stand", 0.10, (0.0, 0.0, 0.0)),
    Segment("walk forward", 0.25, (0.8, 0.0, 0.0)),
    Segment("turn left", 0.15, (0.0, 0.0, 0.8)),
    Segment("walk a curve", 0.15, (0.6, 0.0, -0.6)),
    Segment("step sideways", 0.20, (0.0, 0.4, 0.0)),
    Segment("walk backward", 0.15, (-0.5, 0.0, 0.0)),
)


@dataclass(frozen=True)
class Tracking:
    """How well the robot followed one segment; NaN where the segment was too short to say.

    Attributes:
        name: of the segment.
        command: as the policy got it, within its ranges [3].
        lin_error: mean |v_xy,cmd - v_xy| [m/s].
        yaw_error: mean |w_cmd - w_z| [rad/s].
        falls: how often the robot fell.
    """

    name: str
    command: Array
    lin_error: float
    yaw_error: float
    falls: int


def record(
    session: Simulation,
    path: str | Path,
    seconds: float = 20.0,
    width: int = 640,
    height: int = 360,
    renderer: str = "auto",
    script: Sequence[Segment] = SCRIPT,
    text: bool = True,
) -> list[Tracking]:
    """Plays the script and films it. A robot that fell lies there until the next segment, which it begins upright.

    Args:
        session: what to play; it is reset first.
        path, renderer: see `open_video` and `FrameRenderer`.
        seconds, width, height: of the video, in s and pixels.
        script: commands, cut to the policy's ranges.
        text: whether commanded and measured velocities are written into the picture.

    Returns:
        How each segment was followed.

    Raises:
        ValueError: if there is no time to film, or the file cannot be written.
    """
    if seconds <= 0:
        raise ValueError(f"seconds must be above 0, got {seconds}")
    dt = session.control_dt
    state = session.reset()
    data = mujoco.MjData(session.model)
    lookat, shown = state.base_pos, np.zeros(3)
    results, frames, step = list[Tracking](), 0, 0
    started = told = time.monotonic()
    camera = robot_camera(session.model, session.spec)
    writer, fps = open_video(path)
    with writer as video, FrameRenderer(session.model, width, height, camera, renderer) as frame:
        for part, end in zip(script, _ends(script, seconds / dt), strict=True):
            command = within(part.command, session.command_ranges)
            if state.fallen:
                state = session.reset()
                lookat, shown = state.base_pos, np.zeros(3)
            begun, errors, falls = step, [], Falls()
            while step < end:
                # A frame shows the state at its own time; at 50 Hz every second state is one.
                if frames / fps <= step * dt + 1e-9:
                    lookat = lookat + LAG * FPS / fps * (state.base_pos - lookat)
                    picture = draw(frame, session.model, data, state.qpos, lookat)
                    video.append(write_text(picture, part.name, command, shown) if text else picture)
                    frames += 1
                    told = _tell(frames, math.ceil(seconds * fps), started, told)
                state = session.step(command)
                step += 1
                shown = shown + min(1.0, dt / SMOOTHING) * (state.velocity - shown)
                falls.look(state.fallen, dt)
                if (step - begun) * dt > SETTLING:
                    error = command - state.velocity
                    errors.append((np.linalg.norm(error[:2]), abs(error[2])))
            linear, yaw = np.mean(errors, axis=0) if errors else (np.nan, np.nan)
            results.append(Tracking(part.name, command, float(linear), float(yaw), falls.count))
    return results


def _ends(script: Sequence[Segment], steps: float) -> Array:
    """The step at which each segment ends, when all together take so many."""
    shares = np.array([part.share for part in script])
    return np.round(np.cumsum(shares) / shares.sum() * steps)


def _tell(done: int, total: int, started: float, told: float) -> float:
    """Print progress every few seconds; returns when that was last done."""
    now = time.monotonic()
    if now - told < 3.0:
        return told
    rate = done / (now - started)
    print(f"video: frame {done} of {total}, {(total - done) / rate:.0f} s left", file=sys.stderr)
    return now


def within(command: Sequence[float] | Array, ranges: dict[str, tuple[float, float]]) -> Array:
    """The command, cut to the ranges [3]."""
    low, high = np.array([ranges[name] for name in COMMANDS]).T
    return np.clip(np.asarray(command, dtype=np.float64), low, high)


def draw(frame: FrameRenderer, model: mujoco.MjModel, data: mujoco.MjData, qpos: Array, lookat: Array) -> Array:
    """A picture of the state, uint8 [height, width, 3]."""
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    return frame.render(data, lookat)


def write_text(picture: Array, name: str, command: Array, velocity: Array) -> Array:
    """The picture with a line for the command and one for the velocity, uint8 [height, width, 3]."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    size = max(8, round(picture.shape[0] / 24))
    font = ImageFont.load_default(size)
    pen = ImageDraw.Draw(image)
    for line, (label, (vx, vy, yaw)) in enumerate(((name, command), ("measured", velocity))):
        words = (label, f"v_x {vx:+.2f}", f"v_y {vy:+.2f} m/s", f"yaw {yaw:+.2f} rad/s")
        for word, column in zip(words, (0.5, 8.0, 13.5, 21.0), strict=True):
            place = (column * size, (0.5 + 1.4 * line) * size)
            pen.text(place, word, font=font, fill="white", stroke_width=1, stroke_fill="black")
    return np.asarray(image)


def table(results: Sequence[Tracking]) -> str:
    """The tracking errors as lines of text."""
    lines = [f"{'':<15}{'v_x':>6}{'v_y':>6}{'yaw':>6}   error [m/s]   [rad/s]   falls"]
    for part in results:
        errors = ("-" if np.isnan(value) else f"{value:.2f}" for value in (part.lin_error, part.yaw_error))
        wanted = "".join(f"{value:>6.2f}" for value in part.command)
        lines.append("{:<15}{}   {:>11}   {:>7}   {:>5}".format(part.name, wanted, *errors, part.falls))
    return "\n".join(lines)
