"""Whether a task fits its robot, found out before a simulator starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from legged_cts.envs.gait import task_gait
from legged_cts.envs.reward_params import weighted_terms
from legged_cts.mdp.mirrors import term_mirror
from legged_cts.robots.mjcf import body_mass
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.task.check import check_task
from legged_cts.task.fields import suggest
from legged_cts.task.own import own_term, own_terms
from legged_cts.trust.patterns import matching


def check_task_and_robot(config: Mapping[str, Any]) -> RobotSpec:
    """Check a whole, resolved configuration, and whether what it says of joints and feet is true of the robot.

    Returns:
        The robot.

    Raises:
        ValueError: Naming the key, its value and what it may be.
    """
    check_task(config)
    spec, env = load_robot(config["robot"]), config["env"]
    for _ in weighted_terms(env["rewards"], spec, task_gait(env, spec)):
        pass
    _check_own(config, spec)
    _check_base_mass("env.randomization", env["randomization"], spec)
    scale = action_scale(env["actions"]["scale"], spec)
    if config["algorithm"].get("symmetry_cfg") and isinstance(scale, tuple):
        by_joint = dict(zip(spec.joints, scale, strict=True))
        for joint, twin in spec.mirror_swap.items():
            if by_joint[joint] != by_joint[twin]:
                raise ValueError(
                    f"env.actions.scale: {joint} and its mirror image {twin} must have the same scale with symmetry, "
                    f"got {by_joint[joint]} and {by_joint[twin]}; or take symmetry=none"
                )
    return spec


def _check_own(config: Mapping[str, Any], spec: RobotSpec) -> None:
    """Refuse terms of the user's own that cannot be had, and observations without a mirror where one is needed."""
    env = config["env"]
    for name, term in own_terms(env["observations"]["privileged"]).items():
        function, _ = own_term(f"env.observations.privileged.{name}", term)
        if config["algorithm"].get("symmetry_cfg"):
            term_mirror(function, spec)
    for group, given in (("terminations", 1), ("events", 2)):
        for name, term in own_terms(env.get(group)).items():
            own_term(f"env.{group}.{name}", term, given)


def action_scale(value: Any, spec: RobotSpec) -> float | tuple[float, ...]:
    """Return the radians per unit of action: one number, or one per joint in the spec's order.

    Args:
        value: ``env.actions.scale``: None for the spec's, a number, one for each joint, or a mapping from patterns of
            joint names, of which exactly one fits each joint.
        spec: The robot.

    Raises:
        ValueError: If a joint has no number, or two.
    """
    path = "env.actions.scale"
    if value is None:
        return spec.action_scale
    if isinstance(value, Mapping):
        for pattern in value:
            if not matching(pattern, spec.joints):
                raise ValueError(
                    f"{path}: '{pattern}' matches no joint of '{spec.name}'{suggest(pattern, spec.joints)}"
                )
        return tuple(float(value[_pattern_of(joint, list(value))]) for joint in spec.joints)
    if isinstance(value, Sequence):
        if len(value) != len(spec.joints):
            raise ValueError(f"{path}: {len(value)} numbers for the {len(spec.joints)} joints of '{spec.name}'")
        return tuple(float(one) for one in value)
    return float(value)


def _pattern_of(joint: str, patterns: Sequence[str]) -> str:
    fitting = [pattern for pattern in patterns if matching(pattern, [joint])]
    if len(fitting) != 1:
        raise ValueError(
            f"env.actions.scale: {len(fitting)} of the patterns {list(patterns)} match the joint '{joint}'"
        )
    return fitting[0]


def _check_base_mass(path: str, drawn: Mapping[str, Any], spec: RobotSpec) -> None:
    """Refuse ranges that may leave the base next to no mass."""
    base = body_mass(spec, spec.base)
    link, scale = ((drawn.get(key) or (1.0, 1.0))[0] for key in ("link_mass_scale", "base_mass_scale"))
    added = (drawn.get("added_mass") or (0.0, 0.0))[0]
    left = base * (link + scale - 1.0) + added
    if left < 0.1 * base:
        least = 0.1 * base - base * (link + scale - 1.0)
        allowed = f"added_mass may go down to {least:.2g} kg" if least <= 0 else "raise the lower ends of the factors"
        raise ValueError(
            f"{path}.{'added_mass' if added < 0 else 'base_mass_scale'}: these ranges may leave the base {spec.base!r} "
            f"of {base:.3g} kg with {left:.3g} kg; {allowed}"
        )
