"""Examines a robot before training: `python scripts/doctor.py robot=path/to/robot.yaml picture=robot.png`.

Exits with 0 if all is well (warnings included), 1 if a check fails, 2 for a wrong word.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.words import run_words
from legged_cts.viewer.doctor import DoctorOptions, doctor


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word or file is one line on stderr."""
    return run_words("doctor", __doc__, DoctorOptions, doctor, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
