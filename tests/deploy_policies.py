"""Contracts and hand-made policies for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from legged_cts.deploy.contract import ObservationTerm, PolicyContract
from legged_cts.export.onnx import write_contract
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import load_robot

GO2 = load_robot("go2")
COUNT_GAIN = 0.001
"""Action of `write_counting_policy` per step since the reset."""


def make_contract(**changes: Any) -> PolicyContract:
    """The contract of a policy for the Go2 as its files stand, with changes."""
    fields: dict[str, Any] = {
        "version": 1,
        "robot": "go2",
        "robot_hash": GO2.hash,
        "joints": GO2.joints,
        "default_joint_pos": GO2.nominal_pose,
        "stiffness": GO2.stiffness,
        "damping": GO2.damping,
        "effort_limit": GO2.effort_limit,
        "action_scale": GO2.action_scale,
        "action_clip": 10.0,
        "control_dt": 0.02,
        "physics_dt": 0.005,
        "observations": (
            ObservationTerm("base_ang_vel", 3, 0.25),
            ObservationTerm("projected_gravity", 3, 1.0),
            ObservationTerm("command", 3, 2.0),
            ObservationTerm("joint_pos", 12, 1.0),
            ObservationTerm("joint_vel", 12, 0.05),
            ObservationTerm("last_action", 12, 1.0),
        ),
        "history_length": 3,
        "history_order": "oldest_first",
        "history_reset": "backfill",
        "command_ranges": {"lin_vel_x": (-1.0, 1.0), "lin_vel_y": (-0.5, 0.5), "ang_vel_z": (-1.0, 1.0)},
        "git_revision": "0123abc",
        "parity_error": 1.5e-7,
        "trained_steps": 1000,
        "algorithm": "CTS",
        "terrain": "flat",
    }
    return PolicyContract(**(fields | changes))


def make_gait_contract(**changes: Any) -> PolicyContract:
    """The same of a policy that trots to a clock."""
    gait = Gait(frequency=2.5, offsets=(0.0, 0.5, 0.5, 0.0), duty=0.5, foot_height=0.08)
    terms = (*make_contract().observations, ObservationTerm("gait_phase", 2, 1.0))
    return make_contract(**({"version": 2, "gait": gait, "observations": terms} | changes))


def make_recurrent_contract(**changes: Any) -> PolicyContract:
    """The same of a policy with a state of two numbers."""
    return make_contract(**({"version": 3, "state_size": 2} | changes))


def write_linear_policy(
    path: Path,
    contract: PolicyContract | None,
    now: np.ndarray | None = None,
    past: np.ndarray | None = None,
    history_length: int | None = None,
) -> Path:
    """A policy that is linear: actions = proprioception @ now + flat(history) @ past; zeros by default."""
    shape = contract or make_contract()
    n, d, length = shape.observation_size, len(shape.joints), history_length or shape.history_length
    weights = {
        "now": np.zeros((n, d)) if now is None else now,
        "past": np.zeros((length * n, d)) if past is None else past,
    }
    nodes = [
        helper.make_node("MatMul", ["proprioception", "now"], ["a"]),
        helper.make_node("Flatten", ["history"], ["flat"]),
        helper.make_node("MatMul", ["flat", "past"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["actions"]),
    ]
    return _write(path, contract, nodes, weights, {"proprioception": [n], "history": [length, n]}, {"actions": [d]})


def write_counting_policy(
    path: Path, contract: PolicyContract | None = None, gains: np.ndarray | None = None, state_size: int = 2
) -> Path:
    """A recurrent policy whose state is the number of steps since the reset and the sum of the first entry of o_t.

    Args:
        path: File to write.
        contract: Of `make_recurrent_contract` by default.
        gains: actions = next_state @ gains [S, d]; 0.001 of the count for every joint by default, so that a robot
            stands.
        state_size: Numbers in the state; those after the second stay zero.
    """
    contract = contract or make_recurrent_contract()
    n, d, s = contract.observation_size, len(contract.joints), state_size
    if gains is None:
        gains = np.zeros((s, d))
        gains[0] = COUNT_GAIN
    pick, one = np.zeros((n, s)), np.zeros(s)
    pick[0, 1] = one[0] = 1.0
    nodes = [
        helper.make_node("MatMul", ["proprioception", "pick"], ["a"]),
        helper.make_node("Add", ["a", "one"], ["b"]),
        helper.make_node("Add", ["state", "b"], ["next_state"]),
        helper.make_node("MatMul", ["next_state", "gains"], ["actions"]),
    ]
    weights = {"pick": pick, "one": one, "gains": gains}
    inputs = {"proprioception": [n], "history": [contract.history_length, n], "state": [s]}
    return _write(path, contract, nodes, weights, inputs, {"actions": [d], "next_state": [s]})


def _write(
    path: Path,
    contract: PolicyContract | None,
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
) -> Path:
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in side.items()]
        for side in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "policy", *values, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if contract is not None:
        write_contract(model, contract)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
