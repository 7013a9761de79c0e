"""The parameters of reward terms that depend on the robot; without a simulator, so that they can be checked first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from legged_cts.robots.feet import foot_frames, foot_pairs, sideways_joints, upright_weights
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import RobotSpec
from legged_cts.task.own import own_term
from legged_cts.task.rewards import full_term
from legged_cts.trust.patterns import matching

NARROW = 0.6
"""Share of the feet's lateral distance in the nominal pose that they should keep, unless a distance is given."""
GAIT_TERMS = ("gait_contact", "swing_height")
"""Terms that need a gait; without one they are left out."""

Params = dict[str, Any]


def weighted_terms(
    node: Mapping[str, Any], spec: RobotSpec, gait: Gait | None, staged: Collection[str] = ()
) -> Iterator[tuple[str, float, Params]]:
    """Yield (name, weight, parameters) of the terms that have a weight, now or in a stage, and concern the robot.

    Args:
        node: ``env.rewards``, as :func:`legged_cts.task.check.check_task` accepts it.
        spec: The robot.
        gait: Its gait, or None.
        staged: Terms that a stage gives a weight.

    Raises:
        ValueError: Naming the key, if a term does not fit the robot, or one of the user's own cannot be had.
    """
    for name, term in node.items():
        term = full_term(term)
        if term is None or term.get("weight") is None or not (term["weight"] or name in staged):
            continue
        if gait is None and name in GAIT_TERMS:
            continue
        path = f"env.rewards.{name}"
        params: Params | None = dict(term.get("params") or {})
        if "func" in term:
            _, params = own_term(path, term)
        if name in _RESOLVED:
            params = _RESOLVED[name](f"{path}.params", params, spec)
        if params is not None:
            yield name, float(term["weight"]), params


def _base_height(path: str, params: Params, spec: RobotSpec) -> Params:
    if params.get("target") is None:
        return {"target": float(params.get("share", 1.0)) * spec.nominal_height}
    return {"target": float(params["target"])}


def _feet_regulation(path: str, params: Params, spec: RobotSpec) -> Params:
    return {"reach": 0.025 * spec.nominal_height if params.get("reach") is None else float(params["reach"])}


def _joint_limits(path: str, params: Params, spec: RobotSpec) -> Params:
    factor = float(params.get("soft", 0.9))
    lower, upper = [], []
    for low, high in zip(spec.joint_lower, spec.joint_upper, strict=True):
        middle, half = 0.5 * (low + high), 0.5 * (high - low) * factor
        lower.append(middle - half)
        upper.append(middle + half)
    return {"lower": tuple(lower), "upper": tuple(upper)}


def _hip_default(path: str, params: Params, spec: RobotSpec) -> Params | None:
    if params.get("joints") is None:
        sideways = tuple(spec.joints.index(joint) for joint in sideways_joints(spec))
        return {"joints": sideways} if sideways else None
    ids = [i for pattern in params["joints"] for i in _matching(pattern, spec)]
    if not ids:
        raise _no_joint(f"{path}.joints", params["joints"], spec)
    return {"joints": tuple(sorted(set(ids)))}


def _posture(path: str, params: Params, spec: RobotSpec) -> Params | None:
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
