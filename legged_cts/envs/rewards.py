"""Reward terms of a task, from its configuration node."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from isaaclab.managers import RewardTermCfg

from legged_cts.envs.checks import check_keys
from legged_cts.mdp.gait_rewards import GAIT_TERMS
from legged_cts.mdp.rewards import REWARDS
from legged_cts.robots.feet import foot_frames, foot_pairs, upright_weights
from legged_cts.robots.gait import Gait
from legged_cts.robots.mjcf import sideways_joints
from legged_cts.robots.spec import RobotSpec
from legged_cts.trust.patterns import matching

NARROW = 0.6
"""Share of the feet's lateral distance in the nominal pose that they should keep, unless a distance is given."""

Params = dict[str, Any]


def reward_terms(node: Mapping[str, Any], spec: RobotSpec, gait: Gait | None) -> dict[str, RewardTermCfg]:
    """Build the terms whose weight is not zero.

    Raises:
        ValueError: Naming the key, if a term or parameter is unknown or does not fit the robot.
    """
    check_keys("env.rewards", node, REWARDS)
    terms = {}
    for name, term in node.items():
        path = f"env.rewards.{name}"
        check_keys(path, term, ("weight", "params", "later"))
        params = dict(term.get("params") or {})
        weight = float(term["weight"])
        if weight == 0.0 and not term.get("later"):
            continue
        if gait is None and REWARDS[name] in GAIT_TERMS:
            raise ValueError(f"{path} needs a gait: set env.gait, or its weight to 0")
        resolve = _RESOLVED.get(name)
        if resolve is None:
            check_keys(f"{path}.params", params, tuple(inspect.signature(REWARDS[name]).parameters)[1:])
        else:
            params = resolve(f"{path}.params", params, spec)
        if params is not None:
            terms[name] = RewardTermCfg(func=REWARDS[name], weight=weight, params=params)
    if not terms:
        raise ValueError("env.rewards: every weight is zero, so there is nothing to learn")
    return terms


def later_weights(node: Mapping[str, Any]) -> dict[str, tuple[int, float]]:
    """Return (control steps, weight) of the terms whose weight changes after so many steps of the training.

    Raises:
        ValueError: Naming the key, if an entry is unknown or the number of steps is no whole number of at least 0.
    """
    changes = {}
    for name, term in node.items():
        later = term.get("later")
        if not later:
            continue
        path = f"env.rewards.{name}.later"
        check_keys(path, later, ("after", "weight"))
        after = later.get("after")
        if isinstance(after, bool) or not isinstance(after, int) or after < 0 or later.get("weight") is None:
            raise ValueError(f"{path} needs `after`, a whole number of control steps, and `weight`; got {later}")
        changes[name] = (after, float(later["weight"]))
    return changes


def _base_height(path: str, params: Params, spec: RobotSpec) -> Params:
    check_keys(path, params, ("target", "share"))
    if params.get("target") is None:
        return {"target": float(params.get("share", 1.0)) * spec.nominal_height}
    return {"target": float(params["target"])}


def _feet_regulation(path: str, params: Params, spec: RobotSpec) -> Params:
    check_keys(path, params, ("reach",))
    reach = 0.025 * spec.nominal_height if params.get("reach") is None else float(params["reach"])
    if not reach > 0:
        raise ValueError(f"{path}.reach must be above 0 m, got {reach}")
    return {"reach": reach}


def _joint_limits(path: str, params: Params, spec: RobotSpec) -> Params:
    check_keys(path, params, ("soft",))
    factor = float(params.get("soft", 0.9))
    lower, upper = [], []
    for low, high in zip(spec.joint_lower, spec.joint_upper, strict=True):
        middle, half = 0.5 * (low + high), 0.5 * (high - low) * factor
        lower.append(middle - half)
        upper.append(middle + half)
    return {"lower": tuple(lower), "upper": tuple(upper)}


def _hip_default(path: str, params: Params, spec: RobotSpec) -> Params | None:
    check_keys(path, params, ("joints",))
    if params.get("joints") is None:
        sideways = tuple(spec.joints.index(joint) for joint in sideways_joints(spec))
        return {"joints": sideways} if sideways else None
    ids = [i for pattern in params["joints"] for i in _matching(pattern, spec)]
    if not ids:
        raise _no_joint(f"{path}.joints", params["joints"], spec)
    return {"joints": tuple(sorted(set(ids)))}


def _posture(path: str, params: Params, spec: RobotSpec) -> Params | None:
    check_keys(path, params, ("joints", "optional", "sigma"))
    by_axes = "joints" in params and params["joints"] is None
    weights = list(upright_weights(spec)) if by_axes else [0.0] * len(spec.joints)
    # A pack for a morphology names joints that some of its robots lack; what a user names for one robot must be there.
    for key in ("optional", "joints"):
        for pattern, weight in (params.get(key) or {}).items():
            ids = _matching(pattern, spec)
            if not ids and key == "joints":
                raise _no_joint(f"{path}.joints", pattern, spec)
            for i in ids:
                weights[i] = float(weight)
    if not any(weights):
        return None
    sigma = params.get("sigma")
    return {"weights": tuple(weights), "sigma": None if sigma is None else float(sigma)}


def _feet_distance(path: str, params: Params, spec: RobotSpec) -> Params:
    check_keys(path, params, ("minimum",))
    pairs, lateral = foot_pairs(spec), foot_frames(spec).position[:, 1]
    if not pairs:
        raise ValueError(f"{path}: the feet of '{spec.name}' form no left and right pair; set the term's weight to 0")
    given = params.get("minimum")
    return {
        "left": tuple(left for left, _ in pairs),
        "right": tuple(right for _, right in pairs),
        "minimum": tuple(
            float(NARROW * (lateral[left] - lateral[right]) if given is None else given) for left, right in pairs
        ),
    }


_RESOLVED: dict[str, Callable[[str, Params, RobotSpec], Params | None]] = {
    "base_height": _base_height,
    "feet_regulation": _feet_regulation,
    "joint_limits": _joint_limits,
    "hip_default": _hip_default,
    "posture": _posture,
    "feet_distance": _feet_distance,
}
# Terms whose parameters depend on the robot; the result is None if the robot has nothing that the term is about.


def _matching(pattern: str, spec: RobotSpec) -> list[int]:
    fitting = matching(pattern, spec.joints)
    return [i for i, joint in enumerate(spec.joints) if joint in fitting]


def _no_joint(path: str, patterns: Any, spec: RobotSpec) -> ValueError:
    joints = ", ".join(spec.joints)
    return ValueError(f"{path}: no joint of '{spec.name}' matches {patterns!r}; its joints: {joints}")
