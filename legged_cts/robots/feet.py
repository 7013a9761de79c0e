"""Where a robot's feet are, which way their soles face, and which of them are a pair."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from legged_cts.robots.mjcf import nominal_state, robot_model, support
from legged_cts.robots.spec import RobotSpec


@dataclass(frozen=True)
class FootFrames:
    """The feet in the nominal pose with a level base, in the order of the spec's feet.

    Attributes:
        position: Origin of each foot in the base's frame [F, 3] in m.
        up: The vertical in each foot's own frame [F, 3], unit vectors: where a foot points when it stands flat.
        reach: How far each foot's collision shapes reach below its origin [F] in m.
    """

    position: np.ndarray
    up: np.ndarray
    reach: np.ndarray


def foot_frames(spec: RobotSpec) -> FootFrames:
    """Measure the feet of a robot in its nominal pose."""
    model, data = nominal_state(spec)
    feet = [model.body(foot).id for foot in spec.feet]
    return FootFrames(
        position=data.xpos[feet].copy(),
        up=data.xmat[feet].reshape(-1, 3, 3)[:, 2].copy(),
        reach=np.array([_reach(model, data, foot) for foot in feet]),
    )


def foot_partners(spec: RobotSpec) -> tuple[int, ...]:
    """Return the index of each foot's mirror image, a foot in the middle being its own.

    Raises:
        ValueError: If a foot has none; the joints between a foot and the base must mirror to those of another foot.
    """
    model = robot_model(spec)
    legs = [set(_way_to(model, foot)) & set(spec.joints) for foot in spec.feet]
    partners = []
    for foot, leg in zip(spec.feet, legs, strict=True):
        mirrored = {spec.mirror_swap[joint] for joint in leg}
        if mirrored not in legs:
            raise ValueError(
                f"{spec.name}: the foot '{foot}' has no mirror image among the feet {', '.join(spec.feet)}"
            )
        partners.append(legs.index(mirrored))
    return tuple(partners)


def foot_pairs(spec: RobotSpec) -> list[tuple[int, int]]:
    """Return (left, right) of each pair of feet, left being where y is larger in the nominal pose."""
    lateral = foot_frames(spec).position[:, 1]
    partners = foot_partners(spec)
    return [(foot, partner) for foot, partner in enumerate(partners) if lateral[foot] > lateral[partner]]


def upright_weights(spec: RobotSpec) -> tuple[float, ...]:
    """Return how much each joint [d] of a humanoid should stay where the nominal pose has it: 0 is free to walk.

    Known by axes and places, not by names: 1 for roll and yaw of the hips and for joints in the middle (waist, neck),
    0.5 for the roll of the ankles, which come after hip and knee pitch, 0.3 for arms, which may swing.
    """
    model, data = nominal_state(spec)
    weights = {joint: 1.0 if spec.mirror_swap[joint] == joint else 0.3 for joint in spec.joints}
    for foot in spec.feet:
        leg = [joint for joint in _way_to(model, foot) if joint in weights]
        pitching = [abs(data.xaxis[model.joint(joint).id, 1]) >= 0.5 for joint in leg]
        for i, joint in enumerate(leg):
            weights[joint] = 0.0 if pitching[i] else 1.0 if sum(pitching[:i]) < 2 else 0.5
    return tuple(weights[joint] for joint in spec.joints)


def _way_to(model: mujoco.MjModel, body_name: str) -> list[str]:
    """Return the joints from the base out to a body."""
    joints, body = [], model.body(body_name).id
    while body:
        first, count = model.body_jntadr[body], model.body_jntnum[body]
        joints += [model.joint(i).name for i in range(first, first + count)][::-1]
        body = model.body_parentid[body]
    return joints[::-1]


def _reach(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> float:
    first, count = model.body_geomadr[body], model.body_geomnum[body]
    return max(
        data.xpos[body, 2] - data.geom_xpos[geom, 2] + support(model, geom, -data.geom_xmat[geom].reshape(3, 3)[2])
        for geom in range(first, first + count)
        if model.geom_contype[geom] or model.geom_conaffinity[geom]
    )
