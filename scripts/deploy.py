"""Runs a policy on a robot: `python scripts/deploy.py robot=go2 policy=policy.onnx interface=eth0`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.onboard.loop import leave, main

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
