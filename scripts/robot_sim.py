"""Simulates a robot on its own wire format: `python scripts/robot_sim.py robot=go2 interface=lo`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.onboard.loop import leave
from legged_cts.deploy.onboard.robot_sim import main

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
