"""Contracts and hand-made policies for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from legged_cts.deploy.contract import CONTRACT_KEY, ObservationTerm, PolicyContract
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import load_robot


def make_contract(**changes: Any) -> PolicyContract:
    """The contract of a policy for the Go2 as its files stand, with changes."""
    spec = load_robot("go2")
    fields: dict[str, Any] = {
        "version": 1,
        "robot": "go2",
        "robot_hash": spec.hash,
        "joints": spec.joints,
        "default_joint_pos": spec.nominal_pose,
        "stiffness": spec.stiffness,
        "damping": spec.damping,
        "effort_limit": spec.effort_limit,
        "action_scale": spec.action_scale,
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
    now = np.zeros((n, d)) if now is None else now
    past = np.zeros((length * n, d)) if past is None else past
    nodes = [
        helper.make_node("MatMul", ["proprioception", "now"], ["a"]),
        helper.make_node("Flatten", ["history"], ["flat"]),
        helper.make_node("MatMul", ["flat", "past"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["actions"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [
            helper.make_tensor_value_info("proprioception", TensorProto.FLOAT, ["batch", n]),
            helper.make_tensor_value_info("history", TensorProto.FLOAT, ["batch", length, n]),
        ],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", d])],
        [
            numpy_helper.from_array(now.astype(np.float32), "now"),
            numpy_helper.from_array(past.astype(np.float32), "past"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if contract is not None:
        helper.set_model_props(model, {CONTRACT_KEY: contract.to_json()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
