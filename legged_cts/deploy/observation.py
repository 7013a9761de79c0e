"""Builds the proprioception o_t the way the policy's contract describes it."""

from __future__ import annotations

import math

import numpy as np

from legged_cts.deploy.contract import GAIT_PHASE, PolicyContract
from legged_cts.deploy.robot import Array, RobotState, projected_gravity


def build_observation(
    contract: PolicyContract, state: RobotState, command: Array, last_action: Array, phase: float = 0.0
) -> Array:
    """The proprioception o_t as the policy saw it in training.

    Args:
        contract: names the terms, their order and their scales.
        state: sensor reading, joints in the contract's order.
        command: (v_x, v_y, yaw rate) [m/s, m/s, rad/s].
        last_action: the last action the policy gave, clipped, before scaling [d].
        phase: of the gait's clock, in cycles; of no account to a policy without a gait.

    Returns:
        o_t, float32 [n].

    Raises:
        ValueError: naming the term whose size is not the contract's.
    """
    values = {
        "base_ang_vel": state.ang_vel,
        "projected_gravity": projected_gravity(state.quat),
        "command": command,
        "joint_pos": np.asarray(state.joint_pos) - np.asarray(contract.default_joint_pos),
        "joint_vel": state.joint_vel,
        "last_action": last_action,
        GAIT_PHASE: _clock(contract, command, phase),
    }
    parts = []
    for term in contract.observations:
        value = np.asarray(values[term.name], dtype=np.float64)
        if value.shape != (term.size,):
            raise ValueError(f"observation term '{term.name}': expected shape ({term.size},), got {value.shape}")
        parts.append(term.scale * value)
    return np.concatenate(parts).astype(np.float32)


def _clock(contract: PolicyContract, command: Array, phase: float) -> tuple[float, float]:
    if contract.gait is None or float(np.linalg.norm(command)) < contract.gait.still:
        return 0.0, 0.0
    return math.sin(2.0 * math.pi * phase), math.cos(2.0 * math.pi * phase)
