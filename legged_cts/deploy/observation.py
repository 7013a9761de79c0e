"""Builds the proprioception o_t the way the policy's contract describes it."""

from __future__ import annotations

import math

import numpy as np

from legged_cts.deploy.contract import PolicyContract
from legged_cts.deploy.robot import Array, RobotState, projected_gravity
from legged_cts.robots.proprioception import Reading, terms_of


def build_observation(
    contract: PolicyContract, state: RobotState, command: Array, last_action: Array, phase: float | None = None
) -> Array:
    """The proprioception o_t as the policy saw it in training.

    Args:
        contract: names the terms, their order and their scales.
        state: sensor reading, joints in the contract's order.
        command: (v_x, v_y, yaw rate) [m/s, m/s, rad/s].
        last_action: the last action the policy gave, clipped, before scaling [d].
        phase: of the gait's clock, in cycles; None while it rests, and without a gait.

    Returns:
        o_t, float32 [n].

    Raises:
        ValueError: naming the term whose size is not the contract's.
    """
    angle = None if phase is None else 2.0 * math.pi * phase
    reading = Reading(
        ang_vel=state.ang_vel,
        gravity=projected_gravity(state.quat),
        command=command,
        joint_pos=np.asarray(state.joint_pos),
        joint_vel=state.joint_vel,
        last_action=last_action,
        default_joint_pos=np.asarray(contract.default_joint_pos),
        clock=(0.0, 0.0) if angle is None else (math.sin(angle), math.cos(angle)),
    )
    terms, parts = terms_of(contract.gait is not None), []
    for term in contract.observations:
        value = np.asarray(terms[term.name].read(reading), dtype=np.float64)
        if value.shape != (term.size,):
            raise ValueError(f"observation term '{term.name}': expected shape ({term.size},), got {value.shape}")
        parts.append(term.scale * value)
    return np.concatenate(parts).astype(np.float32)
