"""Says where a deployment's record differs: `python scripts/replay.py record=... policy=policy.onnx`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.commands import ReplayOptions
from legged_cts.deploy.words import run_words


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word, file or robot is one line on stderr."""
    return run_words("replay", __doc__, ReplayOptions, "legged_cts.viewer.onboard:show", argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
