"""Runs a policy in plain MuJoCo: `python scripts/sim2sim.py policy=policy.onnx terrain=rough video=out.mp4`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.sim2sim import Sim2SimOptions, sim2sim
from legged_cts.deploy.words import run_words


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word, file or robot is one line on stderr."""
    return run_words("sim2sim", __doc__, Sim2SimOptions, sim2sim, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
