"""Where a robot's feet are, which way their soles face, which of them are a pair, and what its joints do to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legged_cts.robots.posed import nominal
from legged_cts.robots.spec import RobotSpec


@dataclass(frozen=True)
class FootFrames:
    """The feet in the nominal pose with a level base, in the order of the spec's feet."""

    position: np.ndarray  # origin of each foot in the base's frame [m] [F, 3]
    up: np.ndarray  # the vertical in each foot's own frame [F, 3], unit vectors: where it points when it stands flat
    reach: np.ndarray  # how far each foot's collision shapes reach below its origin [m] [F]


def foot_frames(spec: RobotSpec) -> FootFrames:
    """Measure the feet of a robot in its nominal pose."""
    posed = nominal(spec)
    position, up = posed.data.xpos[posed.feet].copy(), posed.data.xmat[posed.feet].reshape(-1, 3, 3)[:, 2].copy()
    lowest = [posed.lowest(posed.colliders([foot]))[0] for foot in posed.feet]
    return FootFrames(position, up, position[:, 2] - lowest)


def foot_partners(spec: RobotSpec) -> tuple[int, ...]:
    """Return the index of each foot's mirror image, a foot in the middle being its own.

    Raises:
        ValueError: If a foot has none; the joints between a foot and the base must mirror to those of another foot.
    """
    posed = nominal(spec)
    legs = [{spec.joints[i] for i in posed.chain(foot)} for foot in posed.feet]
    partners = []
    for foot, leg in zip(spec.feet, legs, strict=True):
        mirrored = {spec.mirror_swap[joint] for joint in leg}
        if mirrored not in legs:
            feet = ", ".join(spec.feet)
            raise ValueError(f"{spec.name}: the foot '{foot}' has no mirror image among the feet {feet}")
        partners.append(legs.index(mirrored))
    return tuple(partners)


def foot_pairs(spec: RobotSpec) -> list[tuple[int, int]]:
    """Return (left, right) of each pair of feet, left being where y is larger in the nominal pose."""
    lateral = foot_frames(spec).position[:, 1]
    partners = foot_partners(spec)
    return [(foot, partner) for foot, partner in enumerate(partners) if lateral[foot] > lateral[partner]]


def sideways_joints(spec: RobotSpec) -> tuple[str, ...]:
    """Return the joints that move a leg sideways or turn it: those whose axis is not lateral in the nominal pose."""
    posed = nominal(spec)
    lateral = np.abs(posed.data.xaxis[posed.ids, 1])
    return tuple(joint for joint, share in zip(spec.joints, lateral, strict=True) if share < 0.5)


def upright_weights(spec: RobotSpec) -> tuple[float, ...]:
    """Return how much each joint [d] of a humanoid should stay where the nominal pose has it: 0 is free to walk.

    Known by axes and places, not by names: 1 for roll and yaw of the hips and for joints in the middle (waist, neck),
    0.5 for the roll of the ankles, which come after hip and knee pitch, 0.3 for arms, which may swing.
    """
    posed = nominal(spec)
    weights = [1.0 if spec.mirror_swap[joint] == joint else 0.3 for joint in spec.joints]
    for foot in posed.feet:
        leg = posed.chain(foot)
        pitching = [abs(posed.data.xaxis[posed.ids[joint], 1]) >= 0.5 for joint in leg]
        for i, joint in enumerate(leg):
            weights[joint] = 0.0 if pitching[i] else 1.0 if sum(pitching[:i]) < 2 else 0.5
    return tuple(weights)
