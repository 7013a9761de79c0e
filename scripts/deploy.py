"""Runs a policy on a robot: `python scripts/deploy.py robot=go2 policy=policy.onnx interface=eth0`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.commands import DeployOptions, leave
from legged_cts.deploy.words import run_words


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word, file or robot is one line on stderr."""
    return run_words("deploy", __doc__, DeployOptions, "legged_cts.deploy.onboard.loop:deploy", argv)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
