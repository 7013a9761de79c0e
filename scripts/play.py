"""Shows a policy in the browser, or in a video: `python scripts/play.py [policy=policy.onnx] [video=out.mp4]`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.words import describe, parse_words
from legged_cts.trust.names import take_trust
from legged_cts.viewer.play import PlayOptions, play


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word, policy or robot is one line on stderr."""
    if {"help", "-h", "--help"} & set(argv):
        print(f"{__doc__}\n\n{describe(PlayOptions)}")
        return 0
    try:
        play(parse_words(take_trust(argv), PlayOptions))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"play: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
