"""The states of a robot, its guards and what they leave of the posture: a Go2 in plain MuJoCo, without any wire."""

from __future__ import annotations

import copy
import dataclasses
from functools import cache

import numpy as np
import pytest
from faults import FAULTS, changed, outcome, spoilt
from onboard_pair import DT, FORWARD, Pair

from legged_cts.deploy.contract import ContractError
from legged_cts.deploy.onboard.guards import RESPONSES, SITS_DOWN, Limits, Mode
from legged_cts.deploy.onboard.link import Reading
from legged_cts.deploy.onboard.machine import SLEW, Machine
from legged_cts.deploy.onboard.wiring import wiring_of
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.robots.spec import assets_dir, load_robot

LYING_HEIGHT = 0.14
"""Of a Go2's base [m], at most; it stands at 0.27 and walks at 0.35."""

FALL = float(np.sqrt(2 * 9.81 * LYING_HEIGHT))
"""Speed after a fall from that height [m/s]."""


def test_it_stands_up_walks_stands_and_lies_down() -> None:
    pair = Pair()
    assert pair.body.clearance < LYING_HEIGHT
    pair.step("stand")
    pair.until(Mode.STAND)
    assert pair.body.clearance > 0.25
    pair.step("walk")
    start = pair.body.base_pos
    for _ in range(200):
        pair.step()
    assert pair.machine.mode is Mode.WALK
    assert 1.4 < (pair.body.base_pos - start)[0] < 2.2
    pair.step("stand")
    pair.until(Mode.STAND)
    pair.sunk = 0.0
    pair.step("lie")
    pair.until(Mode.DAMPING)
    assert pair.body.clearance < LYING_HEIGHT
    assert -pair.sunk < 0.5
    assert [line.split(": ")[1] for line in pair.lines] == [
        "damping -> stand_up",
        "stand_up -> stand",
        "stand -> walk",
        "walk -> stop",
        "stop -> stand",
        "stand -> lie_down",
        "lie_down -> damping",
    ]


def test_standing_up_begins_where_the_joints_are_and_targets_never_jump() -> None:
    pair = Pair()
    pair.step()
    before = np.clip(pair.reading().state.joint_pos, pair.spec.joint_lower, pair.spec.joint_upper)
    first = pair.step("stand")
    np.testing.assert_allclose(first.q, before, atol=1e-9)
    pair.until(Mode.STAND)
    for _ in range(50):
        pair.step()
    # 1.2 rad/s on average is 1.8 at the steepest of a smooth step, 0.036 rad a period.
    assert np.abs(np.diff(pair.targets[2:], axis=0)).max() < 0.04


def test_a_blocked_joint_ends_standing_up_and_asks_for_no_more_than_its_torque() -> None:
    pair = Pair()
    held = pair.reading()
    sent = pair.step("stand", reading=held)
    for _ in range(400):
        # The motors move, but the sensors say they do not.
        sent = pair.step(reading=dataclasses.replace(held, time=pair.period * DT))
        if pair.machine.mode is not Mode.STAND_UP:
            break
        assert (
            np.abs(sent.kp * (sent.q - held.state.joint_pos)) <= 0.9 * np.array(pair.spec.effort_limit) + 1e-9
        ).all()
    assert pair.machine.mode is Mode.LIE_DOWN
    assert "blocked: " in pair.lines[-1] and "rad away from standing" in pair.lines[-1]


def test_commands_are_clipped_to_the_contract_and_slewed() -> None:
    pair = Pair().walking(0.2)
    low, high = np.array(list(pair.policy.contract.command_ranges.values())).T
    before = pair.machine.command
    for _ in range(100):
        pair.step(command=np.array([9.0, -9.0, 9.0]))
        assert (np.abs(pair.machine.command - before) <= SLEW * DT + 1e-12).all()
        before = pair.machine.command
    np.testing.assert_allclose(before, [high[0], low[1], high[2]])


@pytest.mark.parametrize(
    ("modes", "request_", "line"),
    [
        ("damping", "walk", "walk refused in damping: it does not stand"),
        ("damping", "lie", "lie refused in damping: it lies"),
        ("stand_up", "walk", "walk refused in stand_up: it does not stand"),
        ("stand", "fly", "fly refused in stand: there is no such request"),
    ],
)
def test_what_would_lose_the_robot_is_refused_in_one_line(modes: str, request_: str, line: str) -> None:
    pair = Pair()
    if modes != "damping":
        pair.step("stand")
        pair.until(Mode(modes))
    count = len(pair.lines)
    pair.step(request_)
    assert pair.machine.mode.value == modes
    assert len(pair.lines) == count + 1 and line in pair.lines[-1]


def test_a_robot_on_its_side_does_not_stand_up() -> None:
    pair = Pair()
    state = dataclasses.replace(pair.reading().state, quat=np.array([np.cos(0.4), np.sin(0.4), 0.0, 0.0]))
    pair.step("stand", reading=dataclasses.replace(pair.reading(), state=state))
    assert pair.machine.mode is Mode.DAMPING
    assert "stand refused in damping: it tilts by 0.80 rad" in pair.lines[-1]


@pytest.mark.parametrize("name", FAULTS)
def test_every_guard_ends_in_its_state_within_a_period_and_in_one_line_and_the_robot_does_not_fall(name: str) -> None:
    fault = FAULTS[name]
    pair = Pair().walking()
    network = pair.policy._network
    lines = len(pair.lines)
    end = outcome(pair, fault, fault.periods * DT)
    assert (end.state, end.after) == (RESPONSES[fault.guard].value, pytest.approx(1e3 * DT * fault.periods))
    assert len(pair.lines) == lines + 1
    assert f"walk -> {end.state}: {fault.guard}: " in pair.lines[-1]
    end = outcome(pair, fault)
    if fault.guard == "command_lost":
        assert pair.machine.mode is Mode.STAND and end.height > 0.25
    else:
        assert pair.machine.mode is Mode.DAMPING and end.height < LYING_HEIGHT
    assert end.sank < FALL
    # As long as the fault lasts the robot does not stand up, and says why; afterwards it does.
    if pair.machine.mode is Mode.DAMPING and fault.guard not in ("torque", "late", "policy"):
        pair.step("stand", **fault.inject(pair))
        assert f"stand refused in damping: {fault.guard}: " in pair.lines[-1]
    pair.policy._network = network
    pair.step("stand")
    pair.until(Mode.STAND)


@cache
def walking(robot: str) -> Pair:
    return Pair(robot).walking(0.5)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("robot", ["tron1", "g1"])
def test_every_guard_of_a_biped_ends_in_its_state_within_a_period(robot: str, name: str) -> None:
    fault, pair = FAULTS[name], copy.copy(walking(robot))
    pair.lines, pair.ticks, pair.policy = [], 0, OnnxPolicy(pair.policy_path)
    pair.machine = copy.deepcopy(pair.machine, {id(walking(robot).policy): pair.policy})
    pair.machine._report = pair.lines.append
    end = outcome(pair, fault, fault.periods * DT)
    mode = Mode.LIE_DOWN if fault.guard in SITS_DOWN else RESPONSES[fault.guard]
    assert (end.state, end.after) == (mode.value, pytest.approx(1e3 * DT * fault.periods))
    assert [f"walk -> {mode.value}: {fault.guard}: " in line for line in pair.lines] == [True]


@pytest.mark.parametrize("robot", ["tron1", "g1"])
def test_a_biped_without_a_state_sits_down_and_falls_slower_than_a_limp_one(robot: str) -> None:
    """Nobody catches it: the gantry is slack."""
    ends = {}
    for name in ("no state", "another controller"):
        pair = Pair(robot).walking(0.88)
        freely = np.sqrt(2 * 9.81 * pair.body.clearance)
        ends[name] = outcome(pair, FAULTS[name], 2.0)
        assert ends[name].end == "damping" and ends[name].height < 0.4 * pair.spec.nominal_height
    assert ends["no state"].sank < 0.7 * freely
    assert ends["no state"].sank < ends["another controller"].sank - 0.2


def test_a_biped_stays_up_in_its_gantry_whatever_happens() -> None:
    pair = Pair("tron1").walking(1.0)
    pair.body.hold()
    end = outcome(pair, FAULTS["no state"])
    assert end.end == "damping" and end.height > 0.8 * pair.spec.nominal_height and end.tilt < 0.3


def test_damping_is_always_granted() -> None:
    for mode in (Mode.STAND_UP, Mode.STAND, Mode.WALK, Mode.STOP, Mode.LIE_DOWN):
        pair = Pair()
        pair.machine.mode = mode
        sent = pair.step("damp")
        assert pair.machine.mode is Mode.DAMPING
        assert not sent.kp.any() and (sent.kd > 0).all()


def test_a_biped_stops_on_its_policy_and_keeps_balancing_with_a_hot_motor() -> None:
    pair = Pair("tron1")
    pair.step("stand")
    pair.until(Mode.STAND)
    pair.step("walk")
    pair.body.release()
    for _ in range(100):
        pair.step()
    pair.step("stand")
    for _ in range(150):
        pair.step(command=None)
    assert pair.machine.mode is Mode.STOP and pair.body.clearance > 0.6
    pair.step("walk")
    for _ in range(150):
        reading = pair.reading()
        pair.step(reading=changed(reading, temperature=spoilt(reading.temperature, 0, 90.0)))
        assert pair.machine.mode is Mode.STOP
    assert pair.body.clearance > 0.6


def test_a_policy_of_another_robot_is_refused() -> None:
    spec = load_robot("g1")
    policy = OnnxPolicy(assets_dir() / "policies/go2_flat/policy.onnx")
    with pytest.raises(ContractError, match="robot: the policy was trained for 'go2'"):
        Machine(policy, spec, wiring_of("g1").lying_pose(spec))


def random_reading(rng: np.random.Generator, normal: Reading, target: np.ndarray, time: float) -> Reading | None:
    """A robot that stands where it was sent, or any fault."""
    joints = {"joint_pos": target + rng.normal(0, 0.05, len(target)), "joint_vel": rng.normal(0, 1, len(target))}
    fine = changed(normal, time=time, **joints)
    if rng.random() > 0.1:
        return fine
    kind = rng.integers(6)
    if kind == 0:
        return None
    if kind == 1:
        return changed(fine, quat=rng.normal(size=4))
    if kind == 2:
        return changed(fine, fault=(("corrupt", "other_controller", "wrong_robot")[rng.integers(3)], "injected"))
    name = ("quat", "ang_vel", "joint_pos", "joint_vel", "torque", "temperature")[rng.integers(6)]
    values = getattr(fine, name) if hasattr(fine, name) else getattr(fine.state, name)
    value = (np.nan, np.inf, -np.inf, 1e30, 3.5)[rng.integers(5)]
    return changed(fine, **{name: spoilt(values, int(rng.integers(len(values))), value)})


@pytest.mark.parametrize(("robot", "sequences"), [("go2", 1000), ("tron1", 300)])
def test_random_sequences_of_buttons_and_faults_never_leave_the_states_the_limits_or_the_finite(
    robot: str, sequences: int
) -> None:
    normal = Pair(robot).reading()
    spec = load_robot(robot)
    policy = OnnxPolicy(assets_dir() / f"policies/{robot}_flat/policy.onnx")
    lying = wiring_of(robot).lying_pose(spec)
    lower, upper = np.array(spec.joint_lower), np.array(spec.joint_upper)
    gains = (np.zeros(len(lower)), np.array(spec.stiffness))
    seen: dict[Mode, int] = dict.fromkeys(Mode, 0)
    for seed in range(sequences):
        rng = np.random.default_rng(seed)
        lines: list[str] = []
        machine = Machine(policy, spec, lying, Limits(), lines.append)
        now, target = 0.0, lying
        for _ in range(25):
            # Long periods too, so that motions end.
            now += (0.02, 0.3, 0.8)[rng.integers(3)]
            request = (
                ("damp", "lie", "nonsense", *["stand", "walk"] * 3)[rng.integers(9)] if rng.random() < 0.4 else None
            )
            command = FORWARD * rng.normal(size=3) * (1.0, 1e9, np.nan)[rng.integers(3)] if rng.random() < 0.9 else None
            reading = random_reading(rng, normal, target, now)
            sent = machine.step(now, reading, request, command, bool(rng.random() < 0.2))
            values = np.concatenate((sent.q, sent.kp, sent.kd))
            assert isinstance(machine.mode, Mode), seed
            assert np.isfinite(values).all(), seed
            assert ((lower <= sent.q) & (sent.q <= upper)).all(), seed
            assert any(np.array_equal(sent.kp, kp) for kp in gains) and (sent.kd >= 0).all(), seed
            assert not any("\n" in line for line in lines), seed
            if request == "damp":
                assert machine.mode is Mode.DAMPING, seed
            seen[machine.mode] += 1
            target = sent.q if sent.kp.any() else lying
    assert min(seen.values()) > 0.1 * sequences, seen
