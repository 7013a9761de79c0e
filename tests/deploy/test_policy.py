from pathlib import Path

import numpy as np
import onnx
import pytest
from deploy_policies import (
    make_contract,
    make_recurrent_contract,
    write_counting_policy,
    write_linear_policy,
)

from legged_cts.deploy.contract import CONTRACT_VERSION, ContractError, PolicyContract
from legged_cts.deploy.onnx_file import network_hash
from legged_cts.deploy.policy import OnnxNetwork, OnnxPolicy
from legged_cts.robots.spec import assets_dir


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


def test_history_may_begin_with_zeros(tmp_path: Path) -> None:
    past = np.zeros((3 * 45, 12))
    past[0, 0] = past[45, 1] = past[90, 2] = 1.0
    contract = make_contract(version=3, history_reset="zero")
    policy = OnnxPolicy(write_linear_policy(tmp_path / "p.onnx", contract, past=past))
    frames = np.arange(1, 4 * 45 + 1, dtype=np.float32).reshape(4, 45)
    nothing = np.zeros((1, 45), dtype=np.float32)
    np.testing.assert_array_equal(policy.act(frames[0] / 100)[:3], np.float32([0, 0, 0.01]))
    np.testing.assert_array_equal(policy.history, np.concatenate((nothing, nothing, frames[:1] / 100)))
    policy.act(frames[1])
    np.testing.assert_array_equal(policy.history[1:], [frames[0] / 100, frames[1]])
    np.testing.assert_array_equal(policy.history[:1], nothing)
    policy.act(frames[2])
    policy.act(frames[3])
    np.testing.assert_array_equal(policy.history, frames[1:])
    policy.reset()
    policy.act(frames[3])
    np.testing.assert_array_equal(policy.history, np.concatenate((nothing, nothing, frames[3:])))


def test_the_state_goes_from_step_to_step_until_a_reset(tmp_path: Path) -> None:
    gains = np.zeros((2, 12))
    gains[0, 0] = gains[1, 1] = 1.0
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx", gains=gains))
    np.testing.assert_array_equal(policy.state, [0, 0])
    seen = [policy.act(np.eye(45)[0] * value)[:3] for value in (0.5, 2.0, -1.0)]
    np.testing.assert_array_equal(seen, [[1, 0.5, 0], [2, 2.5, 0], [3, 1.5, 0]])
    np.testing.assert_array_equal(policy.state, [3, 1.5])
    policy.state[:] = 9  # a copy
    policy.reset()
    np.testing.assert_array_equal(policy.act(np.eye(45)[0])[:3], [1, 1, 0])


def test_clipping_an_action_leaves_the_state_alone(tmp_path: Path) -> None:
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx", gains=np.full((2, 12), 8.0)))
    for _ in range(3):
        actions = policy.act(np.zeros(45))
    np.testing.assert_array_equal(actions, np.full(12, 10.0))
    np.testing.assert_array_equal(policy.state, [3, 0])


def test_a_state_that_is_not_finite_is_refused_and_not_kept(tmp_path: Path) -> None:
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx"))
    big = np.eye(45)[0] * 3e38
    policy.act(big)
    before = policy.state
    with pytest.raises(ValueError, match="(state|actions): the policy gave a value that is not finite"):
        policy.act(big)
    np.testing.assert_array_equal(policy.state, before)


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


@pytest.mark.parametrize(
    ("written", "stated", "message"),
    [
        (2, 0, r"the inputs \['history', 'proprioception'\] of a contract with the state_size 0, got .*'state'"),
        (0, 2, r"the inputs .*'state'\] of a contract with the state_size 2, got \['history', 'proprioception'\]"),
        (3, 2, r"'state' has the shape \[3\], the contract says \[2\]"),
    ],
)
def test_a_state_that_contradicts_the_contract(tmp_path: Path, written: int, stated: int, message: str) -> None:
    contract = make_recurrent_contract(state_size=stated)
    path = tmp_path / "p.onnx"
    write_counting_policy(path, contract, state_size=written) if written else write_linear_policy(path, contract)
    with pytest.raises(ContractError, match=message):
        OnnxPolicy(path)


def test_a_next_state_of_another_name_is_named(tmp_path: Path) -> None:
    model = onnx.load(write_counting_policy(tmp_path / "p.onnx"))
    model.graph.node.append(onnx.helper.make_node("Identity", ["next_state"], ["memory"]))
    model.graph.output[1].name = "memory"
    onnx.save(model, tmp_path / "p.onnx")
    with pytest.raises(ContractError, match=r"the outputs \['actions', 'next_state'\] .*got \['actions', 'memory'\]"):
        OnnxPolicy(tmp_path / "p.onnx")


def test_the_network_takes_batches_and_remembers_nothing(tmp_path: Path) -> None:
    network = OnnxNetwork(write_counting_policy(tmp_path / "p.onnx"))
    state = np.array([[0, 0], [4, 1], [7, -2]], dtype=np.float32)
    frames = np.zeros((3, 45), dtype=np.float32)
    frames[:, 0] = (1, 2, 3)
    for _ in range(2):
        actions, following = network.run(frames, np.zeros((3, 3, 45), dtype=np.float32), state)
        np.testing.assert_array_equal(following, [[1, 1], [5, 3], [8, 1]])
        np.testing.assert_allclose(actions, np.repeat([[0.001], [0.005], [0.008]], 12, axis=1), rtol=1e-6)
    assert network.initial_state(3).shape == (3, 2) and not network.initial_state(3).any()


def test_a_network_that_is_not_the_contract_s_is_noticed(tmp_path: Path) -> None:
    contract = make_contract(version=CONTRACT_VERSION)
    path = write_linear_policy(tmp_path / "a.onnx", contract, now=np.full((45, 12), 0.5))
    whole = path.read_bytes()
    OnnxPolicy(path)
    begin = whole.index(np.full(100, 0.5, dtype=np.float32).tobytes())
    for place in range(begin, begin + 2000, 100):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ContractError, match="is damaged: its network is not the one"):
            OnnxPolicy(path)
    path.write_bytes(whole.replace(b'"network_hash": "', b'"network_hash": "0', 1))
    with pytest.raises(ContractError):
        OnnxPolicy(path)


def test_shipped_policies_hold_the_hash_of_their_network() -> None:
    for path in (assets_dir() / "policies").glob("*/policy.onnx"):
        assert OnnxPolicy(path).contract.network_hash == network_hash(path.read_bytes())


def _respell(path: Path, operator: str, inputs: list[str], weights: dict[str, np.ndarray]) -> Path:
    """A policy of version 1, which holds no hash, whose actions come out of another operator."""
    write_linear_policy(path, make_contract())
    model = onnx.load(path)
    model.graph.node[-1].CopyFrom(onnx.helper.make_node(operator, inputs, ["actions"]))
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    path.write_bytes(model.SerializeToString())
    return path


def test_a_network_that_fails_or_would_fill_the_memory_is_one_line(tmp_path: Path) -> None:
    for size in (10**10, 10**12):
        shape = {"shape": np.array([size // 12, 12], dtype=np.int64)}
        path = _respell(tmp_path / "a.onnx", "Expand", ["a", "shape"], shape)
        with pytest.raises(ContractError, match="its network failed|cannot|came out") as caught:
            OnnxPolicy(path)
        assert "\n" not in str(caught.value)


def test_operators_that_no_policy_has_and_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    path = _respell(tmp_path / "a.onnx", "RandomNormalLike", ["a"], {})
    with pytest.raises(ContractError, match="the operator 'RandomNormalLike', which no policy has"):
        OnnxPolicy(path)
    model = onnx.load(write_linear_policy(tmp_path / "a.onnx", make_contract()))
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ContractError, match="its weights lie in another file"):
        OnnxPolicy(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(ContractError, match="no protocol buffer"):
        OnnxPolicy(path)


def test_a_call_acts_for_many_environments_as_act_does_for_one(tmp_path: Path) -> None:
    policy = OnnxPolicy(write_counting_policy(tmp_path / "p.onnx"))
    frames = np.zeros((2, 45), dtype=np.float32)
    obs = {"proprioception": frames, "history": np.repeat(frames[:, None], 3, axis=1)}
    alone = OnnxPolicy(tmp_path / "p.onnx")
    for _ in range(3):
        actions, expected = policy(obs), alone.act(frames[0])
        np.testing.assert_array_equal(actions, [expected, expected])
    policy.reset(np.array([True, False]))
    np.testing.assert_allclose(policy(obs)[:, 0], [expected[0] / 3, expected[0] * 4 / 3], rtol=1e-6)
    policy.act(frames[0])  # of one robot again: nothing of the two is left
    np.testing.assert_allclose(policy.act(frames[0])[0], expected[0] * 2 / 3, rtol=1e-6)


def test_observations_of_another_task_are_refused_with_the_task_to_make(zero_policy: Path) -> None:
    obs = {"proprioception": np.zeros((2, 47)), "history": np.zeros((2, 3, 47))}
    message = r"reads proprioception \[N, 45\] and history \[N, 3, 45\], not \[2, 47\] .*make_env\(policy="
    with pytest.raises(ContractError, match=message):
        OnnxPolicy(zero_policy)(obs)
