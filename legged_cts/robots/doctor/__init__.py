"""Examines a robot before an hour of training is spent on it: `examine(robot)` gives a `Report`."""

from legged_cts.robots.doctor.examine import examine
from legged_cts.robots.doctor.report import JointFigures, Report, Row, Status, table

__all__ = ["JointFigures", "Report", "Row", "Status", "examine", "table"]
