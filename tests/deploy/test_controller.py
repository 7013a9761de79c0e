"""The control loop with a clock: what the policy sees of it, step by step."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from deploy_policies import (
    COUNT_GAIN,
    make_contract,
    make_gait_contract,
    make_recurrent_contract,
    write_counting_policy,
    write_linear_policy,
)

from legged_cts.deploy.contract import PolicyContract
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.robot import Array, RobotState


class Still:
    """A robot that never moves."""

    def __init__(self, contract: PolicyContract) -> None:
        self.joints, self.control_dt = contract.joints, contract.control_dt
        self._pose = np.array(contract.default_joint_pos)

    def read_state(self) -> RobotState:
        return RobotState(np.array([1.0, 0, 0, 0]), np.zeros(3), self._pose, np.zeros(12))

    def send_targets(self, targets: Array) -> None:
        pass


def clocks(controller: Controller, policy: OnnxPolicy, steps: int) -> np.ndarray:
    seen = []
    for _ in range(steps):
        controller.step(np.zeros(3))
        assert policy.history is not None
        seen.append(policy.history[-1, -2:])
    return np.array(seen)


def test_the_phase_starts_at_zero_and_advances_by_frequency_times_control_dt(tmp_path: Path) -> None:
    contract = make_gait_contract()
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract))
    controller = Controller(policy, Still(contract))
    # 2.5 Hz at 50 Hz: 20 steps per cycle.
    angle = 2 * np.pi * np.arange(30) / 20
    expected = np.stack((np.sin(angle), np.cos(angle)), axis=1)
    np.testing.assert_allclose(clocks(controller, policy, 30), expected, atol=1e-6)
    controller.reset()
    np.testing.assert_allclose(clocks(controller, policy, 3), expected[:3], atol=1e-6)


def test_the_clock_rests_at_first_and_once_the_command_has_been_zero_for_a_while(tmp_path: Path) -> None:
    gait = dataclasses.replace(make_gait_contract().gait, still=0.1, linger=0.06)  # type: ignore[type-var]
    contract = make_gait_contract(gait=gait, version=5)
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract))
    controller, angle = Controller(policy, Still(contract)), 2 * np.pi * np.arange(12) / 20
    seen = []
    for speed in (0, 0, 0.1, 0.2, 0.09, 0, 0, 0, 0, 0.1, 0, 0):
        controller.step(np.array([speed, 0.0, 0.0]))
        assert policy.history is not None
        seen.append(policy.history[-1, -2:])
    moves = np.array([0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1])[:, None]
    np.testing.assert_allclose(seen, moves * np.stack((np.sin(angle), np.cos(angle)), axis=1), atol=1e-6)
    controller.reset()
    controller.step(np.zeros(3))
    np.testing.assert_allclose(policy.history[-1, -2:], 0.0, atol=1e-9)


def test_there_is_no_clock_without_a_gait(tmp_path: Path) -> None:
    contract = make_contract()
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract))
    controller = Controller(policy, Still(contract))
    controller.step(np.zeros(3))
    assert controller.phase == 0.0


def test_a_reset_and_a_new_controller_begin_with_a_fresh_state(tmp_path: Path) -> None:
    contract = make_recurrent_contract()
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx", contract))
    controller = Controller(policy, Still(contract))

    def first_joint(steps: int) -> list[float]:
        return [float(controller.step(np.zeros(3))[0]) / COUNT_GAIN for _ in range(steps)]

    np.testing.assert_allclose(first_joint(3), [1, 2, 3], rtol=1e-6)
    np.testing.assert_allclose(first_joint(2), [4, 5], rtol=1e-6)
    controller.reset()
    np.testing.assert_allclose(first_joint(2), [1, 2], rtol=1e-6)
    controller = Controller(policy, Still(contract))
    np.testing.assert_allclose(first_joint(1), [1], rtol=1e-6)


def seen_commands(controller: Controller, policy: OnnxPolicy, commands: list[tuple[float, ...]]) -> list[list[float]]:
    terms = policy.contract.observations
    start = sum(term.size for term in terms[: [term.name for term in terms].index("command")])
    scale = next(term.scale for term in terms if term.name == "command")
    seen = []
    for command in commands:
        controller.step(np.array(command))
        assert policy.history is not None
        seen.append((policy.history[-1, start : start + 3] / scale).tolist())
    return seen


def test_commands_are_clipped_to_the_trained_ranges_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ranges = {"lin_vel_x": (-1.0, 1.0), "lin_vel_y": (-0.5, 0.5), "ang_vel_z": (-0.25, 1.0)}
    contract = make_contract(command_ranges=ranges)
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract))
    controller = Controller(policy, Still(contract))
    assert seen_commands(controller, policy, [(1.0, -0.5, 0.5)]) == [[1.0, -0.5, 0.5]]
    assert not caplog.records
    clipped = seen_commands(controller, policy, [(5.0, 2.0, -1.0), (-5.0, 0.0, 0.0)])
    assert clipped == [[1.0, 0.5, -0.25], [-1.0, 0.0, 0.0]]
    assert len(caplog.records) == 1
    assert "[5.0, 2.0, -1.0]" in caplog.text and "lin_vel_y [-0.5, 0.5]" in caplog.text
    free = Controller(policy, Still(contract), clip_commands=False)
    assert seen_commands(free, policy, [(5.0, 2.0, -1.0)]) == [[5.0, 2.0, -1.0]]


@pytest.mark.parametrize("command", [(np.inf, 0.0, 0.0), (0.0, np.nan, 0.0)])
def test_a_command_that_is_not_finite_is_refused_and_not_clipped(tmp_path: Path, command: tuple[float, ...]) -> None:
    contract = make_contract()
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract))
    with pytest.raises(ValueError, match="the term 'command' holds a value that is not finite"):
        Controller(policy, Still(contract)).step(np.array(command))


def test_each_joint_may_have_its_own_action_scale(tmp_path: Path) -> None:
    scale = tuple(0.1 + 0.05 * i for i in range(12))
    contract = make_contract(action_scale=scale)
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract))
    expected = np.array(contract.default_joint_pos) + np.array(scale) * 2.0
    np.testing.assert_allclose(policy.joint_targets(np.full(12, 2.0)), expected)
