"""Buttons, keys, plans and programs become requests and commands, by a clock that keeps to its grid."""

from __future__ import annotations

import dataclasses
import os
import pty
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from onboard_pair import DT, Pair, PairLink

from legged_cts.deploy.commands import DeployOptions
from legged_cts.deploy.onboard import loop as loop_module
from legged_cts.deploy.onboard.guards import Mode
from legged_cts.deploy.onboard.link import Reading, Remote
from legged_cts.deploy.onboard.loop import Loop, deploy
from legged_cts.deploy.onboard.mishaps import Mishaps, read_mishaps
from legged_cts.deploy.onboard.operators import Keyboard, Plan, RemoteOperator
from legged_cts.deploy.words import run_words
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


def test_a_simulator_that_missed_the_first_commands_hears_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "AGAIN", 0.01)
    pair, seen = Pair(), []
    pair.machine.limits = dataclasses.replace(pair.machine.limits, state_timeout=1e4)

    class Deaf(PairLink):
        """Its time stands still until it hears a command, as a simulator's does; two are lost."""

        def read(self, timeout: float) -> Reading:
            time.sleep(min(timeout, 0.001))
            return dataclasses.replace(super().read(timeout), time=DT * max(0, len(self.sent) - 2))

    class Noted:
        def poll(self, now: float, reading: Reading | None) -> tuple[str | None, np.ndarray | None]:
            seen.append((round(now, 3), reading is None))
            return None, None

    link = Deaf(pair)
    Loop(link, pair.machine, Noted(), pace="state").run(duration=0.1)
    assert seen == [(round(DT * max(0, step), 3), False) for step in range(-1, 6)] and len(link.sent) > len(seen)


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
