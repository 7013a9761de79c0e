"""Robots deployed to over their own wire formats, in processes of their own on the loopback interface."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deployments import PACKAGES, SCRIPTS, Deployment, forward_speed, need, speed_without_a_wire
from faults import WALKS, WIRE_FAULTS, walk_outcome

from legged_cts.deploy.commands import ReplayOptions
from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.record import MODES, read_record
from legged_cts.deploy.onboard.replay import replay
from legged_cts.robots.spec import assets_dir, load_robot

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


REMOTE_FAULTS = ("no orientation", "wrong checksum", "hot motor", "no remote control", "the same state again",
                 "no state", "another publisher")  # fmt: skip


def test_faults_on_the_wire_of_a_go2_that_its_remote_control_drives_end_in_their_states(tmp_path: Path) -> None:
    happens, start = [], 0.0
    for name in REMOTE_FAULTS:
        line = WIRE_FAULTS[name].format(joint="FL_calf_joint")
        steps = ((0.2, "buttons L2 up"), (2.6, "buttons"), (2.8, "buttons start"), (2.8, "sticks 0.5"), (3.4, line))
        happens += [f"{start + seconds} {what}" for seconds, what in steps]
        # Without a state the simulator waits for the controller, which takes seconds of this computer's clock.
        happens += [f"{start + (3.7 if 'state' in name else 5.5)} normal"]
        start += 6.4
        happens += [f"{start - 0.2} buttons", f"{start - 0.2} sticks 0"]
    run = Deployment(tmp_path, "go2", ";".join(happens), None, start + 5.0, "state_timeout=2").finish()
    tripped = [line.split(": ", 1)[1] for line in run.lines if line.split(": ", 1)[1].startswith("walk -> ")]
    wanted = [
        "damping: corrupt: quat holds a value that is not finite",
        "damping: corrupt: the state's CRC is ",
        "stop: temperature: FL_calf_joint at 90 deg C, at most 85",
        "stop: command_lost: no command for ",
        "damping: stale: no new state for ",
        "damping: stale: no new state for ",
        "damping: other_controller: another controller publishes rt/lowcmd",
    ]
    assert len(tripped) == len(wanted), run.lines
    assert all(line.startswith(f"walk -> {begin}") for line, begin in zip(tripped, wanted, strict=True)), tripped
    assert run.truth["tilt"].max() < 0.5
    contract, rows = read_record(tmp_path / "walk.rec")
    assert contract.robot == "go2" and np.isfinite(rows["q"]).all()
    assert MODES[rows["mode"][-1]] is Mode.DAMPING


@pytest.mark.parametrize(
    ("robot", "happens", "line"),
    [
        ("go2", "0 intruder", "another controller publishes rt/lowcmd"),
        ("g1", "0 mode 4", "mode_machine is 4, 5 is this robot's"),
    ],
)
def test_a_robot_that_is_another_or_not_free_is_refused_before_anything_is_published(
    robot: str, happens: str, line: str, tmp_path: Path
) -> None:
    run = Deployment(tmp_path, robot, happens, "0.2 stand", 2.0).finish(status=2)
    assert run.errors[-1] == f"deploy: robot: {line}"
    assert run.said.startswith("robot_sim: 0 commands, 0 with a bad checksum")


def test_a_g1_that_says_it_is_another_build_goes_limp(tmp_path: Path) -> None:
    # It keeps hanging in its gantry.
    run = Deployment(tmp_path, "g1", "1.5 mode 4", "0.2 stand", 2.5).finish()
    (line,) = [line for line in run.lines if "-> damping" in line]
    assert "wrong_robot: mode_machine is 4, 5 is this robot's" in line and 1.5 <= float(line.split(" s:")[0]) < 1.56


def test_a_go2_walks_on_with_a_fifth_of_the_messages_lost_and_20_ms_of_delay(tmp_path: Path) -> None:
    speed, share, tilt = walk_outcome(tmp_path, "go2", WALKS[-1])
    assert speed > 0.3 and share == pytest.approx(1.0, abs=0.2) and tilt < 0.5


def test_by_the_clock_a_go2_walks_or_a_guard_says_why_not(tmp_path: Path) -> None:
    """On a machine that is too busy for 50 Hz it must not walk, but go limp; both are right."""
    run = RealTime(tmp_path, "go2", "", "0.2 stand; 2.4 walk; 2.4 command 0.5 0 0; 5 stand", 6.5).finish()
    _, rows = read_record(tmp_path / "walk.rec")
    assert len(rows) <= (rows["now"][-1] / 0.02) + 1 and np.isfinite(rows["q"]).all()
    assert MODES[rows["mode"][-1]] is Mode.DAMPING and run.lines[-1].startswith("timing: ")
    guards = [line for line in run.lines if any(f": {name}: " in line for name in ("late", "stale", "blocked"))]
    if not guards and not rows["late"].any():
        walked = run.between(3.0, 5.0)
        assert forward_speed(walked) > 0.3 and walked["tilt"].max() < 0.5
    assert run.truth["tilt"].max() < 0.7


class RealTime(Deployment):
    """Neither end waits for the other."""

    simulation = ("patience=0", "rate=1", "dt=0.002")
    control = ("pace=clock", "state_timeout=0.05")


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
