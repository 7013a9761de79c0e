"""Buttons, keys, plans and programs become requests and commands; records are read back."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import imageio.v2 as imageio
import numpy as np
import pytest
from onboard_pair import DT, Pair

from legged_cts.deploy.commands import DeployOptions, ReplayOptions
from legged_cts.deploy.onboard import loop as loop_module
from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.link import MotorCommand, Reading, Remote
from legged_cts.deploy.onboard.loop import Loop, deploy
from legged_cts.deploy.onboard.operators import Keyboard, Plan, Program, RemoteOperator
from legged_cts.deploy.onboard.record import MODES, Recorder, read_record
from legged_cts.deploy.onboard.replay import Recorded, replay
from legged_cts.deploy.onboard.robot_sim import Mishaps, read_mishaps
from legged_cts.deploy.words import run_words
from legged_cts.robots.spec import assets_dir
from legged_cts.viewer.onboard import RecordedSession, Window

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
    mishaps = Mishaps(pair.body, SimpleNamespace(lacks=("crc",)))
    path.write_text("2 dead FL_calf_joint\n1 push 0.5 0\n3 loss 0.25\n4 buttons L2 B\n")
    steps = read_mishaps(str(path), mishaps)
    assert [time for time, _ in steps] == [1, 2, 3, 4]
    for _, step in steps:
        step()
    assert pair.body.dead.sum() == 1 and pair.body.dead[pair.spec.joints.index("FL_calf_joint")]
    assert pair.body.base_velocity[0] == pytest.approx(0.5, abs=0.05)
    assert mishaps.lost == 0.25 and mishaps.remote == Remote(frozenset({"L2", "B"}))
    for line, message in (
        ("1 explode", "no 'explode' (allowed: loss, delay"),
        ("1 crc", "no 'crc' (allowed: "),
        ("1 loss much", "loss: share: expected a number, got 'much'"),
        ("1 loss nan", "loss: share: expected a number, got 'nan'"),
        ("1 loss", "missing a required argument: 'share'"),
        ("1 dead FL_calf", "dead: no 'FL_calf' (allowed: "),
        ("1 buttons L2 Z", "buttons: no 'Z' (allowed: R1, L1"),
        ("1 gantry fly", "gantry: no 'fly' (allowed: hold, lower, release)"),
    ):
        path.write_text(f"\n{line}\n")
        with pytest.raises(ValueError) as caught:
            read_mishaps(str(path), mishaps)
        assert f"line 2: {message}" in str(caught.value)


class PairLink:
    """A wire to a simulated body, without the wire: each command is a period."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.sent, self.time = pair, [], 0.0

    def read(self, timeout: float) -> Reading:
        self.time += DT
        body = self.pair.body
        return Reading(self.time, body.read_state(), body.torques, np.full(12, 30.0), Remote())

    def send(self, command: MotorCommand) -> None:
        self.sent.append(command)
        self.pair.body.drive(command.q, command.kp, command.kd)
        for _ in range(10):
            self.pair.body.tick()

    def close(self) -> None:
        pass


def walk_by_program(
    tmp_path: Path, at: float = np.inf, happens: Callable[[Pair], None] | None = None
) -> tuple[PairLink, Loop, Path]:
    """Stands up, walks for two seconds and is ended; recorded. Something may happen at a time [s]."""
    pair, program, path = Pair(), Program(), tmp_path / "log" / "walk.rec"

    class Scripted:
        def poll(self, now: float, reading: Reading | None) -> tuple[str | None, np.ndarray | None]:
            if now < 0.1:
                program.ask("stand")
            elif pair.machine.mode is Mode.STAND and now < 3:
                program.ask("walk")
            program.drive(np.array([0.5, 0.0, 0.2]))
            if now >= at and happens is not None:
                happens(pair)
            return program.poll(now, reading)

    link = PairLink(pair)
    recorder = Recorder(path, pair.policy.contract)
    loop = Loop(link, pair.machine, Scripted(), recorder, pace="state")
    loop.run(duration=4.5)
    recorder.close()
    return link, loop, path


class Clock:
    """A computer's clock, on which every sleep takes longer than asked for [s], and nothing else takes any time."""

    def __init__(self, longer: list[float]) -> None:
        self.now, self.longer = 100.0, iter(longer)

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds + next(self.longer, 0.0)


@pytest.mark.parametrize(
    ("longer", "begun", "misses"),
    [
        ([0.0] * 5, [20, 40, 60, 80, 100], 0),
        # What comes late does not make the next one later: the grid of 20 ms stays.
        ([0.003, 0.009, 0.0], [23, 49, 60, 80, 100], 0),
        # A missed deadline is not made up for: no two periods follow upon each other.
        ([0.0, 0.015, 0.0], [20, 55, 75, 95, 115], 1),
        ([0.1, 0.0], [120, 140, 160, 180, 200], 1),
    ],
)
def test_by_the_clock_periods_keep_to_their_grid(
    longer: list[float], begun: list[int], misses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "time", Clock(longer))
    pair, begins = Pair(), []

    class Noted:
        def poll(self, now: float, reading: Reading | None) -> tuple[str | None, np.ndarray | None]:
            begins.append(round(1e3 * now))
            return None, None

    loop = Loop(PairLink(pair), pair.machine, Noted())
    loop.run(duration=begun[-1] / 1e3 - 0.001)
    assert begins == begun and loop.timing.misses == misses
    assert 1e3 * loop.timing.lateness[0] == pytest.approx(1e3 * longer[0])


def test_five_deadlines_missed_in_a_row_are_a_fault_and_four_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([*[0.015] * 4, 0.0, *[0.015] * 5])
    pair = Pair().walking(0.2)
    monkeypatch.setattr(loop_module, "time", clock)
    modes = []

    class Drive:
        def poll(self, now: float, reading: Reading | None) -> tuple[str | None, np.ndarray | None]:
            modes.append(pair.machine.mode)
            return None, np.zeros(3)

    loop = Loop(PairLink(pair), pair.machine, Drive())
    loop.run(duration=0.36)
    assert loop.timing.misses == 9 and modes[9] is Mode.WALK and modes[10] is Mode.DAMPING
    assert "walk -> damping: late: 5 deadlines missed in a row" in pair.lines[-1]


def test_the_loop_lies_the_robot_down_before_it_returns_and_its_record_fits(tmp_path: Path) -> None:
    link, loop, path = walk_by_program(tmp_path)
    modes = [line.split(" -> ")[1].split(":")[0] for line in link.pair.lines if " -> " in line]
    assert modes == ["stand_up", "stand", "walk", "stop", "stand", "lie_down", "damping"]
    assert link.pair.body.clearance < 0.14
    assert not link.sent[-1].kp.any()
    assert len(loop.timing.seconds) == len(link.sent) - 1
    contract, rows = read_record(path)
    assert contract == link.pair.policy.contract and len(rows) == len(link.sent) - 1
    np.testing.assert_allclose(rows["q"][-1], link.sent[-2].q, atol=1e-6)
    assert MODES[rows["mode"][-1]] is Mode.DAMPING
    assert replay(ReplayOptions(str(path), str(POLICY))) == dict.fromkeys(("contract", "torque", "motion", "task"))


def test_replay_says_where_a_record_first_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link, _, path = walk_by_program(tmp_path)
    contract, rows = read_record(path)
    walking = np.flatnonzero(rows["mode"] == MODES.index(Mode.WALK))
    # Without a position sensor, from the feet alone.
    walked = Recorded(str(path)).pos
    np.testing.assert_allclose(walked[-1], link.pair.body.base_pos, atol=0.15)
    head = path.read_bytes().partition(b"\n")[0] + b"\n"
    changed = rows.copy()
    changed["action"][walking[20], 3] += 0.5
    changed["torque"][walking[30], 1] -= 20.0
    changed["joint_pos"][walking[35], 1] += 0.4
    changed["ang_vel"][walking[40:], 2] = -1.0
    path.write_bytes(head + changed.tobytes())
    first = replay(ReplayOptions(str(path), str(POLICY)))
    assert first["contract"] == pytest.approx(rows["now"][walking[20]])
    assert first["torque"] == pytest.approx(rows["now"][walking[30]])
    assert first["motion"] == pytest.approx(rows["now"][walking[35]])
    assert first["task"] is not None and first["task"] <= rows["now"][walking[40]]
    said = capsys.readouterr().out.splitlines()[-4:]
    for line, name in zip(said, (contract.joints[3], contract.joints[1], contract.joints[1], "yaw rate"), strict=True):
        assert f": {name}" in line
    # A crash in the middle of a period loses that period alone.
    path.write_bytes(head + rows.tobytes()[:-7])
    assert len(read_record(path)[1]) == len(rows) - 1
    path.write_bytes(head)
    with pytest.raises(ValueError, match="holds no period"):
        replay(ReplayOptions(str(path), str(POLICY)))
    path.write_bytes(json.dumps({"version": 99}).encode())
    with pytest.raises(ValueError, match="is no record of a deployment"):
        read_record(path)


def test_replay_finds_a_motor_that_died(tmp_path: Path) -> None:
    def die(pair: Pair) -> None:
        pair.body.dead[pair.spec.joints.index("FL_calf_joint")] = True

    link, loop, path = walk_by_program(tmp_path, at=3.0, happens=die)
    first = replay(ReplayOptions(str(path), str(POLICY)))
    assert first["contract"] is None and first["torque"] is not None
    assert 3.0 <= first["torque"] < 3.2


def test_a_record_is_shown_in_the_viewer_as_it_was_and_from_the_beginning_again(tmp_path: Path) -> None:
    link, _, path = walk_by_program(tmp_path)
    session = RecordedSession(ReplayOptions(str(path), str(POLICY)))
    rows = read_record(path)[1]
    start = session.state()
    for _ in range(len(rows) - 1):
        last = session.step(np.ones(3))
    np.testing.assert_allclose(last.qpos[3:7], rows["quat"][-1], atol=1e-6)
    assert last.base_pos[0] > start.base_pos[0] + 0.3 and not last.fallen
    session.push(np.ones(3))
    np.testing.assert_array_equal(session.step(np.zeros(3)).qpos, start.qpos)


def test_a_simulated_robot_is_shown_as_it_is() -> None:
    body, window = Pair().body, Window(0)
    try:
        window(body)
        turned = dataclasses.replace(body.read_state(), quat=np.array([0.8, 0.0, 0.0, 0.6]))
        body.place(turned, (1.0, 2.0, 0.3))
        window._drawn = 0.0
        window(body)
        assert window._scene is not None
        np.testing.assert_allclose(window._scene.bodies[body.model.body("base").id].wxyz, turned.quat, atol=1e-6)
    finally:
        window.close()


def test_a_video_of_a_record_has_half_as_many_frames_as_periods(tmp_path: Path) -> None:
    _, _, path = walk_by_program(tmp_path)
    head, rows = path.read_bytes().partition(b"\n")[0] + b"\n", read_record(path)[1]
    path.write_bytes(head + rows[:4].tobytes())
    video = tmp_path / "walk.mp4"
    replay(ReplayOptions(str(path), str(POLICY), video=str(video)))
    assert imageio.get_reader(video).count_frames() == 2


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
    assert run_words("deploy", "", DeployOptions, deploy, [f"{key}={value}" for key, value in given.items()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
