"""Checks the shipped policies against their golden traces: `python scripts/check_trace.py [policy=policy.onnx]`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.commands import TraceOptions
from legged_cts.deploy.words import run_words


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word, file or robot is one line on stderr."""
    return run_words("check_trace", __doc__, TraceOptions, "legged_cts.deploy.trace:check_traces", argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
