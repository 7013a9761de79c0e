from pathlib import Path

import numpy as np
import pytest
from deploy_policies import make_contract, write_linear_policy

from legged_cts.deploy.contract import ContractError, PolicyContract
from legged_cts.deploy.policy import OnnxPolicy


def test_history_is_filled_with_the_first_frame_then_moves(zero_policy: Path) -> None:
    policy = OnnxPolicy(zero_policy)
    frames = np.arange(4 * 45, dtype=np.float32).reshape(4, 45)
    assert policy.history is None
    policy.act(frames[0])
    np.testing.assert_array_equal(policy.history, frames[[0, 0, 0]])
    policy.act(frames[1])
    np.testing.assert_array_equal(policy.history, frames[[0, 0, 1]])
    policy.act(frames[2])
    policy.act(frames[3])
    np.testing.assert_array_equal(policy.history, frames[[1, 2, 3]])
    policy.reset()
    policy.act(frames[3])
    np.testing.assert_array_equal(policy.history, frames[[3, 3, 3]])


def test_the_network_sees_the_oldest_frame_first(tmp_path: Path, contract: PolicyContract) -> None:
    now, past = np.zeros((45, 12)), np.zeros((3 * 45, 12))
    now[0, 0] = past[0, 1] = past[45, 2] = past[90, 3] = 1.0
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract, now, past))
    for value in (1.0, 2.0, 3.0):
        actions = policy.act(np.eye(45)[0] * value)
    np.testing.assert_array_equal(actions[:5], [3.0, 1.0, 2.0, 3.0, 0.0])


def test_actions_are_clipped_then_scaled(tmp_path: Path, contract: PolicyContract) -> None:
    now = np.zeros((45, 12))
    now[0] = 100.0
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract, now))
    actions = policy.act(np.eye(45)[0])
    np.testing.assert_array_equal(actions, np.full(12, 10.0))
    np.testing.assert_allclose(policy.joint_targets(actions), np.array(contract.default_joint_pos) + 2.5)


@pytest.mark.parametrize(
    ("index", "term"), [(0, "base_ang_vel"), (8, "command"), (9, "joint_pos"), (44, "last_action")]
)
def test_a_value_that_is_not_finite_is_named(zero_policy: Path, index: int, term: str) -> None:
    policy = OnnxPolicy(zero_policy)
    frame = np.zeros(45)
    frame[index] = np.nan
    with pytest.raises(ValueError, match=f"'{term}' holds a value that is not finite"):
        policy.act(frame)


def test_a_wrong_shape_is_refused(zero_policy: Path) -> None:
    with pytest.raises(ValueError, match=r"expected shape \(45,\), got \(44,\)"):
        OnnxPolicy(zero_policy).act(np.zeros(44))


def test_files_that_are_no_policy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scripts/export\.py"):
        OnnxPolicy(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ContractError, match="no ONNX file"):
        OnnxPolicy(tmp_path / "text.onnx")
    with pytest.raises(ContractError, match="carries no contract"):
        OnnxPolicy(write_linear_policy(tmp_path / "bare.onnx", None))


def test_a_network_that_contradicts_its_contract(tmp_path: Path) -> None:
    contract = make_contract(history_length=5)
    with pytest.raises(ContractError, match=r"'history' has the shape \[3, 45\], the contract says \[5, 45\]"):
        OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract, history_length=3))
