"""Reward terms of a task, from its configuration node."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from isaaclab.managers import RewardTermCfg

from legged_cts.envs.own_terms import own_reward
from legged_cts.envs.reward_params import weighted_terms
from legged_cts.mdp.rewards import REWARDS
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import RobotSpec
from legged_cts.task.own import own_terms


def reward_terms(
    node: Mapping[str, Any], spec: RobotSpec, gait: Gait | None, staged: Collection[str] = ()
) -> dict[str, RewardTermCfg]:
    """Build the reward terms that have a weight, and those in ``staged``, which may get one while a training runs.

    Raises:
        ValueError: Naming the key, if a term does not fit the robot, or none is left.
    """
    own, terms = own_terms(node), {}
    for name, weight, params in weighted_terms(node, spec, gait, staged):
        function = own_reward(name, own[name]) if name in own else REWARDS[name]
        terms[name] = RewardTermCfg(func=function, weight=weight, params=params)
    if not terms:
        raise ValueError("env.rewards: every weight is zero, so there is nothing to learn")
    return terms
