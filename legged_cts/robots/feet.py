"""Where a robot's feet are, which way their soles face, and which of them are a pair."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from legged_cts.robots.mjcf import nominal_state, robot_model
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
    legs = [_joints_above(model, spec, foot) for foot in spec.feet]
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


def _joints_above(model: mujoco.MjModel, spec: RobotSpec, foot: str) -> set[str]:
    joints, body = set(), model.body(foot).id
    while body:
        first, count = model.body_jntadr[body], model.body_jntnum[body]
        joints |= {model.joint(i).name for i in range(first, first + count)}
        body = model.body_parentid[body]
    return joints & set(spec.joints)


def _reach(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> float:
    first, count = model.body_geomadr[body], model.body_geomnum[body]
    return max(
        data.xpos[body, 2] - data.geom_xpos[geom, 2] + _support(model, geom, -data.geom_xmat[geom].reshape(3, 3)[2])
        for geom in range(first, first + count)
        if model.geom_contype[geom] or model.geom_conaffinity[geom]
    )


def _support(model: mujoco.MjModel, geom: int, direction: np.ndarray) -> float:
    """How far a shape reaches from its centre in a direction of its own frame."""
    size, kind, geoms = model.geom_size[geom], model.geom_type[geom], mujoco.mjtGeom
    if kind == geoms.mjGEOM_SPHERE:
        return size[0]
    if kind == geoms.mjGEOM_CAPSULE:
        return size[0] + size[1] * abs(direction[2])
    if kind == geoms.mjGEOM_CYLINDER:
        return size[0] * np.hypot(direction[0], direction[1]) + size[1] * abs(direction[2])
    if kind == geoms.mjGEOM_ELLIPSOID:
        return float(np.linalg.norm(size * direction))
    if kind == geoms.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first = model.mesh_vertadr[mesh]
        vertices = model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
        return float((vertices @ direction).max())
    # A box, and the box around anything else.
    half = size if kind == geoms.mjGEOM_BOX else model.geom_aabb[geom, 3:]
    return float(half @ np.abs(direction))
