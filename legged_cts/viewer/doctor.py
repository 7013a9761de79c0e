"""The doctor's visit: examine robots, print what was found, draw each robot as it stands."""

from __future__ import annotations

import difflib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from legged_cts.deploy.camera import Camera
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.robot import Array
from legged_cts.deploy.video import FrameRenderer
from legged_cts.deploy.words import option
from legged_cts.robots.doctor import Report, examine, table
from legged_cts.robots.spec import RobotSpec, RobotSpecError, assets_dir, load_robot

SIZE = 480
"""Height of a picture and width of each of its views [pixels]."""
# From the front left, from its left, from the front.
_VIEWS = ((-145.0, -20.0), (-90.0, -5.0), (180.0, -5.0))


@dataclass(frozen=True)
class DoctorOptions:
    """The words of `scripts/doctor.py`."""

    robot: str = option("go2", "name or robot.yaml of the robot, or all")
    picture: str | None = option("auto", "PNG of the robot in its nominal pose; auto is logs/doctor/<robot>.png")
    output: str | None = option(None, "json file for the figures")
    usd: bool = option(True, "whether to make the USD that Isaac Lab loads and compare its names")
    renderer: str = option("auto", "of the picture: gl, cpu, or auto")


def doctor(options: DoctorOptions) -> int:
    """Examine, print the tables, write the files.

    Returns:
        0, or 1 if any check of any robot failed.

    Raises:
        ValueError: If an option is wrong; this is found before any robot is examined.
    """
    robots = _robots(options.robot)
    if options.output and Path(options.output).suffix != ".json":
        raise ValueError(f"output: the file must end in .json, got {options.output}")
    if options.picture and options.picture != "auto":
        if Path(options.picture).suffix != ".png":
            raise ValueError(f"picture: the file must end in .png, got {options.picture}")
        if len(robots) > 1:
            raise ValueError("picture: one file cannot show all robots; leave picture out, or name one robot")
    reports = []
    for robot in robots:
        report = examine(robot, options.usd)
        reports.append(report)
        print(table(report, colour=sys.stdout.isatty()))
        if options.picture:
            path = Path("logs", "doctor", f"{_stem(robot)}.png") if options.picture == "auto" else Path(options.picture)
            print(_draw(robot, path, options.renderer))
        print()
    if options.output:
        write(reports, Path(options.output))
        print(f"figures: {options.output}")
    # Last, so that it can be read without scrolling.
    print("\n".join(report.summary for report in reports))
    return int(any(report.failed for report in reports))


def write(reports: list[Report], path: Path) -> None:
    """Write reports as JSON: a list of {robot, failed, rows, joints}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = [{"failed": report.failed, **asdict(report)} for report in reports]
    path.write_text(json.dumps(content, indent=2) + "\n")


def portrait(spec: RobotSpec, renderer: str = "auto") -> tuple[Array, str]:
    """Draw a robot from three sides, in its nominal pose and at its nominal height.

    Returns:
        The picture, uint8 [SIZE, 3 SIZE, 3], and the renderer that drew it.
    """
    robot = MujocoRobot(spec, 0.005, 0.005)
    model, data = robot.model, robot.data
    shapes = model.geom_bodyid > 0
    low, high = data.geom_xpos[shapes].min(axis=0), data.geom_xpos[shapes].max(axis=0)
    middle = (low + high) / 2
    radius = float((np.linalg.norm(data.geom_xpos[shapes] - middle, axis=1) + model.geom_rbound[shapes]).max())
    views, backend = [], ""
    for azimuth, elevation in _VIEWS:
        camera = Camera(azimuth=float(np.deg2rad(azimuth)), elevation=float(np.deg2rad(elevation)))
        camera = Camera(1.05 * radius / np.sin(camera.fovy / 2), camera.azimuth, camera.elevation, camera.fovy)
        with FrameRenderer(model, SIZE, SIZE, camera, renderer) as frames:
            views.append(frames.render(data, middle))
            backend = frames.backend
    return np.hstack(views), backend


def _draw(robot: str, path: Path, renderer: str) -> str:
    """Draw a robot into a file; returns a line that says so, or why not."""
    try:
        # Only pictures need it, and checks must run on a robot's computer, which may lack it.
        from PIL import Image
    except ImportError:
        return "no picture: Pillow is not installed (picture=none leaves it out)"
    try:
        spec = load_robot(robot)
    except RobotSpecError:
        return "no picture: the spec does not load"
    picture, backend = portrait(spec, renderer)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path)
    return f"picture: {path} (drawn by {backend})"


def _robots(robot: str) -> list[str]:
    if not robot:
        raise ValueError("robot: give a name, a path, or all")
    if Path(robot).expanduser().exists() and (Path(robot).suffix or "/" in robot):
        return [robot]
    known = sorted(path.parent.name for path in (assets_dir() / "robots").glob("*/robot.yaml"))
    if robot == "all":
        return known
    if robot not in known:
        close = difflib.get_close_matches(robot, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"robot: no file and no robot named {robot}{hint} (robots: all, {', '.join(known)})")
    return [robot]


def _stem(robot: str) -> str:
    path = Path(robot)
    return path.parent.resolve().name if path.name == "robot.yaml" else path.stem
