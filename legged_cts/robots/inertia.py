"""Tensors of inertia: summed, turned, and mended where no body can have them."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

Array = np.ndarray


def rotation(quat: Array) -> Array:
    """Return the rotation matrix [3, 3] of a quaternion (w first) [4]."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, np.asarray(quat, float))
    return matrix.reshape(3, 3)


def quaternion(matrix: Array) -> Array:
    """Return the quaternion (w first) [4] of a rotation matrix [3, 3]."""
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(matrix, float).ravel())
    return quat


def steiner(mass: float, offset: Array) -> Array:
    """Return the inertia [3, 3] of a point mass about a point that is `offset` [3] away."""
    return mass * (offset @ offset * np.eye(3) - np.outer(offset, offset))


def lumped(
    model: mujoco.MjModel, data: mujoco.MjData, parts: Sequence[int] | Array, axes: Array | None = None
) -> tuple[float, Array, Array]:
    """Return mass, centre [3] and inertia about it [3, 3] of some bodies as one, the inertia in given axes [3, 3]."""
    mass = float(model.body_mass[parts].sum())
    centre = model.body_mass[parts] @ data.xipos[parts] / mass
    turn, tensor = np.eye(3) if axes is None else axes.T, np.zeros((3, 3))
    for part in parts:
        own = turn @ data.ximat[part].reshape(3, 3)
        tensor += own @ np.diag(model.body_inertia[part]) @ own.T
        tensor += steiner(model.body_mass[part], turn @ (data.xipos[part] - centre))
    return mass, centre, tensor


def principal(tensor: Array) -> tuple[Array, Array]:
    """Return principal moments, largest first as in MuJoCo's models [3], and the quaternion [4] of their axes."""
    moments, axes = np.linalg.eigh(tensor)
    moments, axes = moments[::-1], axes[:, ::-1].copy()
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    return moments, quaternion(axes)


def tensor_of(body: mujoco.MjsBody) -> Array:
    """Return a body's tensor [3, 3] as its file gives it, in the axes in which it is given."""
    full = np.array(body.fullinertia)
    if np.isnan(full[0]):
        return np.diag(body.inertia)
    xx, yy, zz, xy, xz, yz = full
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def mend_tensor(tensor: Array, mass: float) -> tuple[Array, str | None]:
    """Return the nearest tensor that a body can have, and what was wrong, None if nothing.

    Args:
        tensor: Moments and products [kg m^2] [3, 3].
        mass: [kg]; a moment of zero becomes that of a ball of this mass and 1 mm.
    """
    moments, axes = np.linalg.eigh(tensor)
    if moments[0] > 0 and moments[0] + moments[1] >= moments[2]:
        return tensor, None
    kind = "a moment is not positive" if moments[0] <= 0 else "A + B < C"
    moments = np.maximum(moments, 1e-6 * mass)
    # The least change of the three that makes the two small ones add up to the large one.
    gap = max(moments[2] - moments[0] - moments[1], 0.0) / 3 * (1 + 1e-6)
    return axes @ np.diag(moments + np.array([gap, gap, -gap])) @ axes.T, kind
