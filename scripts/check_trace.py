"""Checks the shipped policies against their golden traces: `python scripts/check_trace.py [policy=policy.onnx]`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.trace import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
