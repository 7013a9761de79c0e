"""Drafts the spec of your own robot: `python scripts/new_robot.py path/to/robot.xml [name=...] [output=folder]`.

Takes an MJCF or a URDF; writes robot.yaml and an MJCF to train with, and says what was read and what was guessed.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
from dataclasses import dataclass, field
from pathlib import Path

from legged_cts.deploy.words import option, run_words


@dataclass(frozen=True)
class NewRobotOptions:
    """The words of this script."""

    mjcf: str = field(metadata={"help": "MJCF or URDF of the robot; may stand first without `mjcf=`"})
    name: str | None = option(None, "of the robot; none is the file's")
    output: str | None = option(None, "folder to write; none is one named after the robot, here")
    morphology: str | None = option(None, "quadruped, point_foot_biped or humanoid; none guesses")
    overwrite: bool = option(False, "replace files in an existing folder")


def new_robot(options: NewRobotOptions) -> None:
    """Draft and write."""
    # Late, because a wrong word should be answered before OpenUSD is imported.
    from legged_cts.robots.draft import draft_robot, write_draft

    draft = draft_robot(options.mjcf, options.name, options.morphology)
    path = write_draft(draft, options.output or Path(draft.name), options.overwrite)
    print(f"{draft.summary()}\nwritten: {path}\nnext, once the guesses are checked:")
    print(f"  uv run scripts/doctor.py robot={path}\n  uv run scripts/train.py robot={path}")


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word or file is one line on stderr."""
    if argv and "=" not in argv[0] and argv[0] != "help" and not argv[0].startswith("-"):
        argv = [f"mjcf={argv[0]}", *argv[1:]]
    return run_words("new_robot", __doc__, NewRobotOptions, new_robot, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
