"""Deployments in processes of their own, over the robots' own wire formats on the loopback interface.

The simulator waits for each command and the controller follows the simulator's time stamps, so that a busy machine
makes them slow but not different.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from legged_cts.deploy.contract import check
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.robots.spec import assets_dir, load_robot

SCRIPTS = Path(__file__).parents[3] / "scripts"
PACKAGES = {"go2": "cyclonedds", "g1": "cyclonedds", "tron1": "limxsdk"}
DOMAIN = 100 + os.getpid() % 100
"""Of DDS, one for each process of tests."""


def need(robot: str) -> None:
    if importlib.util.find_spec(PACKAGES[robot]) is None:
        pytest.skip(f"needs {PACKAGES[robot]}, which docs/deploy.md says how to install")


class Deployment:
    """A simulator and a controller; `lines` is what the controller reported.

    Without steps it is the simulated remote control that says what to do.
    """

    def __init__(self, folder: Path, robot: str, happens: str, steps: str | None, seconds: float, *words: str) -> None:
        need(robot)
        self.folder, self.policy = folder, assets_dir() / "policies" / f"{robot}_flat" / "policy.onnx"
        (folder / "sim.txt").write_text(happens.replace(";", "\n"))
        address = "127.0.0.1" if robot == "tron1" else "lo"
        common = [f"robot={robot}", f"interface={address}", f"domain={DOMAIN}"]
        sim = ["dt=0.004", "rate=50", "patience=60", f"plan={folder}/sim.txt", f"duration={seconds + 10}"]
        deploy = [f"policy={self.policy}", "pace=state", "state_timeout=60"]
        if steps is not None:
            (folder / "plan.txt").write_text(steps.replace(";", "\n"))
            deploy += ["operator=plan", f"plan={folder}/plan.txt"]
        self.simulator = self._start(self.simulated, *common, *sim, *self.simulation, f"truth={folder}/truth.npz")
        # On a busy machine it takes seconds, and the controller does not wait for a robot for long.
        assert self.simulator.stdout is not None
        while "waits for commands" not in (line := self.simulator.stdout.readline()):
            assert line, self.simulator.communicate()[1]
        ends = [f"duration={seconds}", f"record={folder}/walk.rec"]
        self.controller = self._start(SCRIPTS / "deploy.py", *common, *deploy, *ends, *self.control, *words)

    simulated = SCRIPTS / "robot_sim.py"
    simulation: tuple[str, ...] = ()
    control: tuple[str, ...] = ()

    def _start(self, script: Path, *words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        last = {word.partition("=")[0]: word for word in words}
        return subprocess.Popen([sys.executable, script, *last.values()], stdout=pipe, stderr=pipe, text=True)

    def finish(self, status: int = 0) -> Deployment:
        try:
            out, err = self.controller.communicate(timeout=900)
            assert self.controller.returncode == status, out + err
            self.lines, self.errors = out.splitlines(), err.splitlines()
            self.simulator.send_signal(signal.SIGINT)
            said, err = self.simulator.communicate(timeout=120)
            assert self.simulator.returncode == 0, said + err
            self.said = said.splitlines()[-1]
        finally:
            self.controller.kill()
            self.simulator.kill()
        self.truth = np.load(self.folder / "truth.npz")
        return self

    def between(self, start: float, end: float) -> dict[str, np.ndarray]:
        chosen = (self.truth["time"] >= start) & (self.truth["time"] < end)
        return {name: self.truth[name][chosen] for name in self.truth.files}


def forward_speed(motion: dict[str, np.ndarray]) -> float:
    """Mean speed along the heading [m/s]."""
    return float(np.mean(motion["vx"] * np.cos(motion["yaw"]) + motion["vy"] * np.sin(motion["yaw"])))


@cache
def speed_without_a_wire(robot: str, seconds: float) -> float:
    """The same in `MujocoRobot`, as in sim to sim."""
    spec = load_robot(robot)
    policy = OnnxPolicy(assets_dir() / "policies" / f"{robot}_flat" / "policy.onnx")
    check(policy.contract, spec)
    body = MujocoRobot(spec, policy.contract.control_dt, policy.contract.physics_dt)
    controller = Controller(policy, body)
    speeds = []
    for _ in range(round(seconds / body.control_dt)):
        controller.step(np.array([0.5, 0.0, 0.0]))
        speeds.append(body.velocity[0])
    return float(np.mean(speeds[50:]))
