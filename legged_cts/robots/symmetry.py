"""The left-right mirror of a robot's quantities, from its spec."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from legged_cts.robots.feet import foot_partners
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import RobotSpec


@dataclass(frozen=True)
class Mirror:
    """A mirror of vectors: ``mirrored[..., i] = sign[i] * x[..., index[i]]``.

    Attributes:
        index: Int array [n], a permutation.
        sign: Float array [n] of -1 and 1.
    """

    index: np.ndarray
    sign: np.ndarray

    def __len__(self) -> int:
        """Return the number of entries n."""
        return self.index.size

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Mirror `x` [..., n]; the result is a new array of its shape and floating type."""
        x = np.asarray(x)
        if x.ndim == 0 or x.shape[-1] != len(self):
            raise ValueError(f"the last axis must have {len(self)} entries, got the shape {x.shape}")
        kind = x.dtype if np.issubdtype(x.dtype, np.floating) else np.float64
        return x[..., self.index] * self.sign.astype(kind)


def joined(mirrors: Iterable[Mirror]) -> Mirror:
    """Return the mirror of the concatenation of what `mirrors` mirror, in their order."""
    index, sign, size = [np.empty(0, int)], [np.empty(0)], 0
    for mirror in mirrors:
        index.append(size + mirror.index)
        sign.append(mirror.sign)
        size += len(mirror)
    return Mirror(np.concatenate(index), np.concatenate(sign))


def signs(*values: float) -> Mirror:
    """Return the mirror that only changes signs."""
    return Mirror(np.arange(len(values)), np.array(values, float))


def scalar_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of one number that has no side, such as a mass [1]: the identity."""
    return signs(1.0)


def vector_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of a velocity, force or place [3] in the base's or the heading frame: y changes its sign."""
    return signs(1.0, -1.0, 1.0)


def pseudovector_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of an angular velocity or torque [3] in such a frame: x and z change their sign."""
    return signs(-1.0, 1.0, -1.0)


def planar_velocity_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of v_x, v_y and yaw rate [3] in such a frame."""
    return signs(1.0, -1.0, -1.0)


def joint_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of one value per joint (position, velocity, torque, action), in the order of `spec.joints`."""
    index = np.array([spec.joints.index(spec.mirror_swap[joint]) for joint in spec.joints])
    return Mirror(index, np.array([spec.mirror_sign[joint] for joint in spec.joints]))


def joint_gain_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of one stiffness and then one damping per joint [2 d], which only change sides."""
    gains = Mirror(joint_mirror(spec).index, np.ones(len(spec.joints)))
    return joined((gains, gains))


def foot_mirror(spec: RobotSpec) -> Mirror:
    """Return the mirror of one number without a direction per foot, such as its height, in the order of `spec.feet`."""
    partners = np.array(foot_partners(spec))
    return Mirror(partners, np.ones(partners.size))


def phase_mirror(spec: RobotSpec, gait: Gait) -> Mirror:
    """Return the mirror of sine and cosine [2] of the phase of a gait's clock.

    Mirrored, each foot does what its partner did, so the clock is off by the difference of their offsets: by half a
    cycle, which changes both signs, or not at all.

    Raises:
        ValueError: If that difference is not the same for all feet, or neither none nor half a cycle.
    """
    partners = foot_partners(spec)
    shifts = {round((gait.offsets[i] - gait.offsets[k]) % 1.0, 6) % 1.0 for i, k in enumerate(partners)}
    if shifts not in ({0.0}, {0.5}):
        raise ValueError(
            f"gait.offsets: {gait.offsets} have no mirror; the feet {', '.join(spec.feet)} must all be in step with "
            "their partners on the other side, or all half a cycle apart"
        )
    sign = -1.0 if shifts == {0.5} else 1.0
    return signs(sign, sign)
