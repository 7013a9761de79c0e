"""Examines a robot before an hour of training is spent on it: `examine(robot)` gives a `Report`."""

from __future__ import annotations

from pathlib import Path

from legged_cts.robots.doctor import masses, motors, naming, pose
from legged_cts.robots.doctor.report import JointFigures, Report, Row, Status, table
from legged_cts.robots.posed import standing
from legged_cts.robots.spec import RobotSpec, RobotSpecError, load_robot

__all__ = ["JointFigures", "Report", "Row", "Status", "examine", "examine_spec", "table"]


def examine(robot: str | Path, usd: bool = True) -> Report:
    """Examine a robot; takes a few seconds.

    Args:
        robot: What `load_robot` takes: a name, or the path of a robot.yaml or its folder.
        usd: Whether to make the robot's USD and look at its names, where OpenUSD is installed.

    Returns:
        The report. A spec that does not load is a failed check, not an error.

    Raises:
        FileNotFoundError: If a robot is asked for by name and there is no assets folder.
    """
    try:
        spec = load_robot(robot)
    except RobotSpecError as error:
        wrong = Row("spec loads", Status.FAIL, str(error), "", "mend the field that the message names, then run again")
        return Report(str(robot), (wrong, *masses.of_unloaded(robot)))
    rows, figures = examine_spec(spec, usd)
    loads = Row("spec loads", Status.OK, f"{spec.name}, {spec.morphology}, hash {spec.hash}")
    return Report(spec.name, (loads, *rows), figures)


def examine_spec(spec: RobotSpec, usd: bool = True) -> tuple[tuple[Row, ...], tuple[JointFigures, ...]]:
    """Examine a spec that has been loaded, see `examine`."""
    posed = standing(spec)
    figures = motors.figures(spec, posed)
    first = *naming.check(spec, posed, usd), *masses.check(spec, posed), *pose.check(spec, posed)
    return (*first, *motors.check_gains(spec, posed, figures), *motors.check_standing(spec, posed)), figures
