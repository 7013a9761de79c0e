"""All checks, one after the other."""

from __future__ import annotations

from pathlib import Path

from legged_cts.robots.doctor import collisions, gains, masses, naming, posture, standing, symmetry
from legged_cts.robots.doctor.report import JointFigures, Report, Row, Status
from legged_cts.robots.doctor.subject import Subject
from legged_cts.robots.spec import RobotSpec, RobotSpecError, load_robot


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
    subject = Subject(spec)
    figures = gains.figures(subject)
    rows = [
        *naming.check(subject, usd),
        *masses.check(subject),
        *symmetry.check(subject),
        *posture.check(subject),
        *collisions.check(subject),
        *gains.check(subject, figures),
        *standing.check(subject),
    ]
    return tuple(rows), figures
