"""Shows a policy in the browser, or in a video: `python scripts/play.py [policy=policy.onnx] [video=out.mp4]`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.words import run_words
from legged_cts.viewer.play import PlayOptions, play


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word, policy or robot is one line on stderr."""
    return run_words("play", __doc__, PlayOptions, play, argv, trust=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
