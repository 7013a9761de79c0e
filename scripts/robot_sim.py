"""Simulates a robot on its own wire format: `python scripts/robot_sim.py robot=go2 interface=lo`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.commands import RobotSimOptions, leave
from legged_cts.deploy.words import run_words


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word, file or robot is one line on stderr."""
    return run_words("robot_sim", __doc__, RobotSimOptions, "legged_cts.viewer.onboard:simulate", argv)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
