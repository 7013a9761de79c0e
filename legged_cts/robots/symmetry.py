"""The left-right mirror of a robot, from its spec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from legged_cts.robots.feet import foot_partners
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import RobotSpec

# Mirroring at the x-z plane negates the y component of a vector and the x and z components of a pseudovector.
_VECTOR = np.array([1.0, -1.0, 1.0])
_PSEUDOVECTOR = np.array([-1.0, 1.0, -1.0])


@dataclass(frozen=True)
class Mirror:
    """A mirror of vectors: ``mirrored[..., i] = sign[i] * x[..., index[i]]``.

    Attributes:
        index: Int array [n], a permutation.
        sign: Float array [n] of -1 and 1.
    """

    index: np.ndarray
    sign: np.ndarray

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Mirror `x` [..., n]; the result is a new array of its shape and floating type."""
        x = np.asarray(x)
        if x.ndim == 0 or x.shape[-1] != self.index.size:
            raise ValueError(f"the last axis must have {self.index.size} entries, got the shape {x.shape}")
        kind = x.dtype if np.issubdtype(x.dtype, np.floating) else np.float64
        return x[..., self.index] * self.sign.astype(kind)


def joint_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of one value per joint (position, velocity, torque, action), in the order of `spec.joints`."""
    index = np.array([spec.joints.index(spec.mirror_swap[joint]) for joint in spec.joints])
    return Mirror(index, np.array([spec.mirror_sign[joint] for joint in spec.joints]))


def mirror_joints(spec: RobotSpec, x: ArrayLike) -> np.ndarray:
    """Mirror values per joint [..., d] left to right."""
    return joint_mirror(spec)(x)


def proprioception_mirror(spec: RobotSpec, gait: Gait | None = None) -> Mirror:
    """Return the mirror of one proprioception frame.

    The frame is base angular velocity (3), projected gravity (3), command (v_x, v_y, yaw rate), joint positions
    relative to the nominal pose, joint velocities and the last action (d each), and sine and cosine of the phase where
    there is a gait. Scales do not matter as long as they are equal on both sides.

    Raises:
        ValueError: If a mirrored robot would need another clock, see `phase_sign`.
    """
    joints = joint_mirror(spec)
    count = len(spec.joints)
    blocks = [np.arange(9), *(9 + i * count + joints.index for i in range(3))]
    # The command is a velocity in the plane and the z component of an angular velocity.
    command = np.array([_VECTOR[0], _VECTOR[1], _PSEUDOVECTOR[2]])
    signs = [_PSEUDOVECTOR, _VECTOR, command, *(3 * [joints.sign])]
    if gait is not None:
        blocks.append(9 + 3 * count + np.arange(2))
        signs.append(np.full(2, phase_sign(spec, gait)))
    return Mirror(np.concatenate(blocks), np.concatenate(signs))


def phase_sign(spec: RobotSpec, gait: Gait) -> float:
    """Return the sign that mirroring gives the clock: -1 if it shifts the phase by half a cycle, 1 if by none.

    Mirrored, each foot does what its partner did, so the clock is off by the difference of their offsets.

    Raises:
        ValueError: If that difference is not the same for all feet, or neither none nor half a cycle.
    """
    partners = foot_partners(spec)
    ahead = [gait.offsets[foot] - gait.offsets[partner] for foot, partner in enumerate(partners)]
    shifts = {round(shift % 1.0, 6) % 1.0 for shift in ahead}
    if shifts not in ({0.0}, {0.5}):
        raise ValueError(
            f"gait.offsets: {gait.offsets} have no mirror; the feet {', '.join(spec.feet)} must all be in step with "
            "their partners on the other side, or all half a cycle apart"
        )
    return -1.0 if shifts == {0.5} else 1.0


def mirror_proprioception(spec: RobotSpec, x: ArrayLike, gait: Gait | None = None) -> np.ndarray:
    """Mirror proprioception frames [..., 9 + 3 d], or [..., 11 + 3 d] with a gait, left to right."""
    return proprioception_mirror(spec, gait)(x)
