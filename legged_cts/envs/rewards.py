"""Reward terms of a task, from its configuration node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from isaaclab.envs.mdp import modify_reward_weight
from isaaclab.managers import CurriculumTermCfg, RewardTermCfg

from legged_cts.envs.reward_params import weighted_terms
from legged_cts.mdp.rewards import REWARDS
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import RobotSpec


def reward_terms(
    node: Mapping[str, Any], spec: RobotSpec, gait: Gait | None
) -> tuple[dict[str, RewardTermCfg], dict[str, CurriculumTermCfg]]:
    """Build the reward terms, and the terms of the curriculum that change the weights of some of them later.

    Raises:
        ValueError: Naming the key, if a term does not fit the robot, or none is left.
    """
    terms, schedules = {}, {}
    for name, weight, params, later in weighted_terms(node, spec, gait):
        terms[name] = RewardTermCfg(func=REWARDS[name], weight=weight, params=params)
        if later:
            change = {"term_name": name, "weight": float(later["weight"]), "num_steps": later["after"]}
            schedules[f"{name}_weight"] = CurriculumTermCfg(func=cast(Any, modify_reward_weight), params=change)
    if not terms:
        raise ValueError("env.rewards: every weight is zero, so there is nothing to learn")
    return terms, schedules
