"""The words of the commands that run on a robot's computer, read before anything that takes time is imported."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

from legged_cts.deploy.words import option


@dataclass(frozen=True)
class DeployOptions:
    """The words of `scripts/deploy.py`."""

    robot: str = field(metadata={"help": "go2, g1, g1_12 or tron1"})
    policy: str = field(metadata={"help": "ONNX file of the policy"})
    interface: str = field(metadata={"help": "network interface to the robot, lo for a simulator; TRON1: its address"})
    domain: int = option(0, "DDS domain: 0 on a robot, 1 with a simulator")
    operator: str = option("remote", "remote, keyboard or plan")
    plan: str | None = option(None, "file with a line '<seconds> <request>' for each step, for operator=plan")
    motion: str = option("release", "what of the robot's own controllers: release or keep")
    pace: str = option("clock", "clock: 50 Hz of this computer; state: of the robot's time stamps, for slow simulators")
    state_timeout: float = option(0.05, "without a new state until damping [s]")
    duration: float | None = option(None, "seconds until it lies down and ends; none is until Ctrl-C")
    record: str | None = option(None, "file for the record; none is logs/deploy/<date>.rec")


@dataclass(frozen=True)
class RobotSimOptions:
    """The words of `scripts/robot_sim.py`."""

    robot: str = field(metadata={"help": "go2, g1 or tron1; g1_12 is g1 with its waist and arms locked"})
    interface: str = option("lo", "network interface, TRON1: address")
    domain: int = option(1, "DDS domain")
    dt: float = option(0.002, "of a tick [s]; a state is published after each")
    rate: float = option(1.0, "simulated seconds per second, at most")
    patience: float = option(
        0.0, "seconds to wait for each command, so that a slow controller misses nothing; 0 is none"
    )
    gantry: bool | None = option(None, "whether a gantry holds the robot at first; none: if it has two legs")
    plan: str | None = option(None, "file with a line '<seconds> <what>' for each thing that happens to the robot")
    duration: float | None = option(None, "simulated seconds; none is until Ctrl-C")
    truth: str | None = option(None, ".npz file for the true motion of the base, 50 times a second")
    view: bool = option(False, "show it in the browser")
    port: int = option(8080, "of the browser's page, or the next free one")


@dataclass(frozen=True)
class ReplayOptions:
    """The words of `scripts/replay.py`."""

    record: str = field(metadata={"help": "record of a deployment"})
    policy: str = field(metadata={"help": "ONNX file that walked"})
    torque: float = option(0.3, "difference of a motor's torque from its PD law, as a share of its limit")
    motion: float = option(0.2, "difference of a joint's angle from the simulator's, after one period [rad]")
    tracking: float = option(0.4, "difference of a velocity from its command, averaged over a second [m/s, rad/s]")
    video: str | None = option(None, "mp4 of what was recorded")
    view: bool = option(False, "show it in the browser")
    port: int = option(8080, "of the browser's page, or the next free one")


@dataclass(frozen=True)
class TraceOptions:
    """The words of `scripts/check_trace.py`."""

    policy: str | None = option(None, "ONNX file; none checks every policy of assets/policies")
    trace: str | None = option(None, "trace file; none is trace.npz beside the policy")
    write: bool = option(False, "write the trace, from a walk in plain MuJoCo, instead of checking it")


def leave(status: int) -> None:
    """Ends the process at once: limxsdk crashes in the usual way out."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
