"""Buttons, keys, plans and programs become requests and commands; records are read back."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

import numpy as np
import pytest
from onboard_pair import DT, Pair

from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.link import MotorCommand, Reading, Remote
from legged_cts.deploy.onboard.loop import Loop, main
from legged_cts.deploy.onboard.operators import Keyboard, Plan, Program, RemoteOperator
from legged_cts.deploy.onboard.record import MODES, Recorder, ReplayOptions, read_record, replay
from legged_cts.deploy.onboard.robot_sim import Mishaps, read_mishaps
from legged_cts.robots.spec import assets_dir

POLICY = assets_dir() / "policies/go2_flat/policy.onnx"


def with_remote(remote: Remote | None) -> Reading:
    return Reading(0.0, None, None, None, remote)  # type: ignore[arg-type]


def test_a_chord_asks_once_and_damping_as_long_as_it_is_held() -> None:
    operator = RemoteOperator(Pair().policy.contract)
    held = [{"L2"}, {"L2", "up"}, {"L2", "up"}, set(), {"start"}, {"R1", "X"}, {"L2", "down"}, {"select"}]
    asked = [operator.poll(0, with_remote(Remote(frozenset(buttons))))[0] for buttons in held]
    assert asked == [None, "stand", None, None, "walk", "walk", "lie", "stand"]
    for chord in ({"L2", "B"}, {"L1", "R1"}, {"L1", "R1", "L2", "up", "start"}):
        for _ in range(3):
            assert operator.poll(0, with_remote(Remote(frozenset(chord))))[0] == "damp"


def test_full_sticks_are_the_ends_of_the_contracts_ranges_and_no_remote_is_no_command() -> None:
    contract = Pair().policy.contract
    operator = RemoteOperator(contract)
    low, high = np.array(list(contract.command_ranges.values())).T
    command = operator.poll(0, with_remote(Remote(left=(1.0, 1.0), right=(1.0, 0.0))))[1]
    np.testing.assert_allclose(command, [high[0], low[1], low[2]])
    command = operator.poll(0, with_remote(Remote(left=(-1.0, -1.0), right=(-0.01, 0.0))))[1]
    np.testing.assert_allclose(command, [low[0], high[1], 0.0])
    assert operator.poll(0, with_remote(None)) == (None, None)
    assert operator.poll(0, None) == (None, None)


def test_keys_ask_and_change_the_command_and_a_closed_terminal_is_no_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        keyboard = Keyboard()
        os.write(ours, b"u")
        assert keyboard.poll(0, None)[0] == "stand"
        os.write(ours, b"wwwqd")
        request, command = keyboard.poll(0, None)
        assert request is None
        np.testing.assert_allclose(command, [0.3, -0.1, 0.1])
        os.write(ours, b" u")
        request, command = keyboard.poll(0, None)
        assert request == "damp" and command is not None and not command.any()
        keyboard.close()
    os.close(ours)
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read) as closed:
        monkeypatch.setattr("sys.stdin", closed)
        assert Keyboard().poll(0, None) == (None, None)


def test_a_plan_gives_its_steps_in_time(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_text("1 stand  # up\n\n3 walk\n3 command 0.5 0 -0.1\n")
    plan = Plan(path)
    assert plan.poll(0.5, None)[0] is None
    assert plan.poll(1.0, None)[0] == "stand"
    request, command = plan.poll(3.0, None)
    assert request == "walk" and command is not None and not command.any()
    np.testing.assert_allclose(plan.poll(3.02, None)[1], [0.5, 0, -0.1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 jump", "line 2: 'jump' is no step (allowed: damp, stand, walk, lie, command"),
        ("1 command 1 2", "line 2: 'command 1 2' is no step"),
        ("soon stand", "line 2: expected '<seconds> <what>', got 'soon stand'"),
        ("nan stand", "line 2: expected '<seconds> <what>'"),
    ],
)
def test_a_bad_line_of_a_plan_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_text(f"\n{line}\n")
    with pytest.raises(ValueError) as caught:
        Plan(path)
    assert message in str(caught.value)


def test_a_plan_of_mishaps_reaches_the_body_and_bad_lines_are_named(tmp_path: Path) -> None:
    pair, path = Pair(), tmp_path / "sim"
    mishaps = Mishaps(pair.body, None)
    path.write_text("2 dead FL_calf_joint\n1 push 0.5 0\n3 loss 0.25\n4 buttons L2 B\n")
    steps = read_mishaps(str(path), mishaps)
    assert [time for time, _ in steps] == [1, 2, 3, 4]
    for _, step in steps:
        step()
    assert pair.body.dead.sum() == 1 and pair.body.dead[pair.spec.joints.index("FL_calf_joint")]
    assert pair.body.speed[0] == pytest.approx(0.5, abs=0.05)
    assert mishaps.lost == 0.25 and mishaps.remote == Remote(frozenset({"L2", "B"}))
    path.write_text("1 explode\n")
    with pytest.raises(ValueError, match="line 1: no 'explode' .allowed: loss, delay"):
        read_mishaps(str(path), mishaps)


class PairLink:
    """A wire to a simulated body, without the wire: each command is a period."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.sent, self.time = pair, [], 0.0

    def read(self, timeout: float) -> Reading:
        state, torque, _ = self.pair.body.sense()
        self.time += DT
        return Reading(self.time, state, torque, np.full(12, 30.0), Remote())

    def send(self, command: MotorCommand) -> None:
        self.sent.append(command)
        self.pair.body.drive(command.q, command.kp, command.kd)
        for _ in range(10):
            self.pair.body.tick()

    def close(self) -> None:
        pass


def walk_by_program(tmp_path: Path) -> tuple[PairLink, Loop, Path]:
    """Stands up, walks for two seconds and is ended; recorded."""
    pair, program, path = Pair(), Program(), tmp_path / "log" / "walk.rec"

    class Scripted:
        def poll(self, now: float, reading: Reading | None) -> tuple[str | None, np.ndarray | None]:
            if now < 0.1:
                program.ask("stand")
            elif pair.machine.mode is Mode.STAND and now < 3:
                program.ask("walk")
            program.drive(np.array([0.5, 0.0, 0.2]))
            return program.poll(now, reading)

    link = PairLink(pair)
    recorder = Recorder(path, pair.policy.contract)
    loop = Loop(link, pair.machine, Scripted(), recorder, pace="state")
    loop.run(duration=4.5)
    recorder.close()
    return link, loop, path


def test_the_loop_lies_the_robot_down_before_it_returns_and_its_record_fits(tmp_path: Path) -> None:
    link, loop, path = walk_by_program(tmp_path)
    modes = [line.split(" -> ")[1].split(":")[0] for line in link.pair.lines if " -> " in line]
    assert modes == ["stand_up", "stand", "walk", "stop", "stand", "lie_down", "damping"]
    assert link.pair.body.height < 0.14
    assert not link.sent[-1].kp.any()
    assert len(loop.timing.seconds) == len(link.sent) - 1
    contract, rows = read_record(path)
    assert contract == link.pair.policy.contract and len(rows) == len(link.sent) - 1
    np.testing.assert_allclose(rows["q"][-1], link.sent[-2].q, atol=1e-6)
    assert MODES[rows["mode"][-1]] is Mode.DAMPING
    assert replay(ReplayOptions(str(path), str(POLICY))) == {"contract": None, "physics": None, "task": None}


def test_replay_says_where_a_record_first_differs(tmp_path: Path) -> None:
    _, _, path = walk_by_program(tmp_path)
    contract, rows = read_record(path)
    walking = np.flatnonzero(rows["mode"] == MODES.index(Mode.WALK))
    head = path.read_bytes().partition(b"\n")[0] + b"\n"
    changed = rows.copy()
    changed["action"][walking[20], 3] += 0.5
    changed["torque"][walking[30], 1] -= 20.0
    changed["ang_vel"][walking[40:], 2] = -1.0
    path.write_bytes(head + changed.tobytes())
    first = replay(ReplayOptions(str(path), str(POLICY)))
    assert first["contract"] == pytest.approx(rows["now"][walking[20]])
    assert first["physics"] == pytest.approx(rows["now"][walking[30]])
    assert first["task"] is not None and first["task"] <= rows["now"][walking[40]]
    # A crash in the middle of a period loses that period alone.
    path.write_bytes(head + rows.tobytes()[:-7])
    assert len(read_record(path)[1]) == len(rows) - 1
    path.write_bytes(json.dumps({"version": 99}).encode())
    with pytest.raises(ValueError, match="is no record of a deployment"):
        read_record(path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"robot": "go1"}, "robot: 'go1' has no wiring (allowed: go2, g1, g1_12, tron1)"),
        ({"operator": "joystick"}, "operator: expected remote or keyboard or plan, got 'joystick'"),
        ({"operator": "plan"}, "plan: a file goes with operator=plan, and only with it"),
        ({"policy": "nowhere.onnx"}, "policy: there is no file nowhere.onnx"),
        ({"robot": "g1"}, "robot: the policy was trained for 'go2', this robot is 'g1'"),
        ({"domain": "x"}, "domain: expected int, got 'x'"),
    ],
)
def test_wrong_words_of_a_deployment_are_one_line(
    words: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"robot": "go2", "policy": str(POLICY), "interface": "lo"} | words
    assert main([f"{key}={value}" for key, value in given.items()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
