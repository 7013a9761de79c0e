"""The control loop with a clock: what the policy sees of it, step by step."""

from pathlib import Path

import numpy as np
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
