"""The left-right mirror of a robot, from its spec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

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


def proprioception_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of one proprioception frame.

    The frame is base angular velocity (3), projected gravity (3), command (v_x, v_y, yaw rate), joint positions
    relative to the nominal pose, joint velocities and the last action (d each). Scales do not matter as long as they
    are equal on both sides.
    """
    joints = joint_mirror(spec)
    count = len(spec.joints)
    blocks = [np.arange(9), *(9 + i * count + joints.index for i in range(3))]
    # The command is a velocity in the plane and the z component of an angular velocity.
    command = np.array([_VECTOR[0], _VECTOR[1], _PSEUDOVECTOR[2]])
    signs = [_PSEUDOVECTOR, _VECTOR, command, *(3 * [joints.sign])]
    return Mirror(np.concatenate(blocks), np.concatenate(signs))


def mirror_proprioception(spec: RobotSpec, x: ArrayLike) -> np.ndarray:
    """Mirror proprioception frames [..., 9 + 3 d] left to right."""
    return proprioception_mirror(spec)(x)
