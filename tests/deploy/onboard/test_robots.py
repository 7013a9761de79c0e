"""Deployments in processes of their own, over the robots' own wire formats on the loopback interface.

The simulator waits for each command and the controller follows the simulator's time stamps, so that a busy machine
makes these tests slow but not different.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legged_cts.deploy.contract import check
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.record import MODES, ReplayOptions, read_record, replay
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
    """A simulator and a controller; `lines` is what the controller reported."""

    def __init__(self, folder: Path, robot: str, happens: str, steps: str, seconds: float, *words: str) -> None:
        need(robot)
        self.folder, self.policy = folder, assets_dir() / "policies" / f"{robot}_flat" / "policy.onnx"
        (folder / "sim.txt").write_text(happens.replace(";", "\n"))
        (folder / "plan.txt").write_text(steps.replace(";", "\n"))
        address = "127.0.0.1" if robot == "tron1" else "lo"
        common = [f"robot={robot}", f"interface={address}", f"domain={DOMAIN}"]
        sim = ["dt=0.004", "rate=50", "patience=20", f"plan={folder}/sim.txt", f"duration={seconds + 1}"]
        deploy = [f"policy={self.policy}", "operator=plan", f"plan={folder}/plan.txt", "pace=state", "state_timeout=20"]
        self.simulator = self._start(self.simulated, *common, *sim, *self.simulation, f"truth={folder}/truth.npz")
        ends = [f"duration={seconds}", f"record={folder}/walk.rec"]
        self.controller = self._start(SCRIPTS / "deploy.py", *common, *deploy, *ends, *words)

    simulated = SCRIPTS / "robot_sim.py"
    simulation: tuple[str, ...] = ()

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


PLAN = "0.2 stand; 2.4 walk; 2.4 command 0.5 0 0; 22.4 command 0.3 0 0.5; 25.4 stand; 27 lie"
STATES = ["stand_up", "stand", "walk", "stop", "stand", "lie_down", "damping"]


@pytest.mark.parametrize("robot", PACKAGES)
def test_a_robot_stands_up_walks_20_s_turns_stops_and_lies_down(robot: str, tmp_path: Path) -> None:
    biped = robot != "go2"
    gantry = "2.4 gantry release; 27.5 gantry hold; 29.5 gantry lower" if biped else ""
    run = Deployment(tmp_path, robot, gantry, PLAN, 32.0).finish()
    states = [line.split(" -> ")[1].split(":")[0] for line in run.lines if " -> " in line]
    assert states == ([state for i, state in enumerate(STATES) if i != 4] if biped else STATES)
    walk, turn, end = run.between(4.0, 22.4), run.between(23.4, 25.4), run.between(31.0, 33.0)
    nominal = load_robot(robot).nominal_height
    assert walk["z"].min() > 0.5 * nominal and max(walk["tilt"].max(), turn["tilt"].max()) < 0.5
    expected = speed_without_a_wire(robot, 20.0)
    assert forward_speed(walk) == pytest.approx(expected, rel=0.2)
    assert np.unwrap(turn["yaw"])[-1] - turn["yaw"][0] > 0.5
    assert end["z"].max() < (0.75 if biped else 0.4) * nominal
    assert run.said.endswith(", 0 with a bad checksum or for another robot")
    assert replay(ReplayOptions(str(tmp_path / "walk.rec"), str(run.policy)))["contract"] is None


def test_faults_on_the_wire_end_in_damping_and_the_robot_lies(tmp_path: Path) -> None:
    happens = "3 nan; 3.5 normal; 6.5 freeze"
    run = Deployment(tmp_path, "go2", happens, "0.2 stand; 2.4 walk; 4 stand; 6 walk", 9.0, "state_timeout=3").finish()
    tripped = [line.split(": ", 1)[1] for line in run.lines if "-> damping" in line]
    assert tripped[0].startswith("walk -> damping: corrupt: quat holds a value that is not finite")
    assert tripped[1].startswith("walk -> damping: stale: no new state for ")
    contract, rows = read_record(tmp_path / "walk.rec")
    assert contract.robot == "go2" and np.isfinite(rows["q"]).all()
    assert MODES[rows["mode"][-1]] is Mode.DAMPING


class VendorDeployment(Deployment):
    """The robot's end is Unitree's own SDK, on domain 0; it does not say which command is new, so nothing waits."""

    simulated = Path(__file__).with_name("vendor_robot.py")
    simulation = ("patience=0", "rate=0.5")


def test_unitrees_own_sdk_reads_our_commands_and_we_its_states(tmp_path: Path) -> None:
    if importlib.util.find_spec("unitree_interface") is None:
        pytest.skip("needs far-unitree-sdk, Unitree's C++ SDK for Python 3.12 on x86-64")
    plan = "0.2 stand; 2.4 walk; 2.4 command 0.5 0 0; 6 stand"
    run = VendorDeployment(tmp_path, "go2", "", plan, 7.5, "domain=0").finish()
    states = [line.split(" -> ")[1].split(":")[0] for line in run.lines if " -> " in line]
    assert states[:4] == ["stand_up", "stand", "walk", "stop"]
    # A state with a wrong checksum would have ended in damping; here it is the end that brings it.
    assert not any("corrupt" in line for line in run.lines) and states[-2:] == ["lie_down", "damping"]
    walk = run.between(3.0, 6.0)
    assert forward_speed(walk) > 0.3 and walk["z"].min() > 0.2 and walk["tilt"].max() < 0.5


def test_another_build_of_the_robot_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    need("g1")
    words = [f"policy={assets_dir()}/policies/go2_flat/policy.onnx", "robot=g1", "interface=lo"]
    run = subprocess.run([sys.executable, SCRIPTS / "deploy.py", *words], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.splitlines() == ["deploy: robot: the policy was trained for 'go2', this robot is 'g1'"]
