"""Standing as a problem of statics: what the feet and the motors carry, and whether springs alone can hold it."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np

from legged_cts.robots.doctor.subject import Subject


def vertical_forces(points: np.ndarray, centre: np.ndarray, weight: float) -> np.ndarray:
    """Share a weight among points under it.

    The smallest upward forces (least squares) that carry the weight and its moments; points that would have to pull
    carry nothing.

    Args:
        points: positions of the points [m] [n, 2].
        centre: position of the centre of mass [m] [2].
        weight: [N].

    Returns:
        Forces [N] [n], none negative. They sum to the weight unless the centre is far off the points.
    """
    forces = np.zeros(len(points))
    active = np.arange(len(points))
    while len(active):
        arms = points[active] - centre
        system = np.vstack((np.ones(len(active)), arms.T))
        found = np.linalg.lstsq(system, np.array([weight, 0.0, 0.0]), rcond=None)[0]
        if found.min() >= -1e-9 * weight:
            forces[active] = np.maximum(found, 0.0)
            break
        active = active[found > 0]
    return forces


def standing_torques(subject: Subject) -> np.ndarray:
    """Torques that hold the nominal pose with the feet carrying the weight by vertical forces [N m] [d]."""
    subject.place(subject.pose)
    return (_gravity(subject) - _foot_load(subject, *_contacts(subject)))[subject.dofs]


def spring_reserve(subject: Subject) -> float:
    """How many times softer the joints could be before the robot, its soles held in place, buckles or tips over.

    The second variation of the potential energy of gravity and joint springs, over all motions that leave the points
    under the feet where they are: its stiffness part times s must outweigh its gravity part; this returns 1/s. Below
    1, standing still needs a controller that balances, however exact the pose. 0: no gains help (two point feet).
    """
    subject.place(subject.pose)
    nv = subject.model.nv
    points, bodies, forces = _contacts(subject)
    jacobian = _jacobian(subject, points, bodies)
    still = _null_space(jacobian)
    if not still.shape[1]:
        return np.inf
    start = subject.data.qpos.copy()
    # The points as parts of their bodies, to follow them as the robot moves.
    local = [
        subject.data.xmat[b].reshape(3, 3).T @ (p - subject.data.xpos[b]) for p, b in zip(points, bodies, strict=True)
    ]
    gravity = np.zeros((nv, nv))
    step = 1e-5
    for i in range(nv):
        sides = []
        for sign in (1.0, -1.0):
            direction = np.zeros(nv)
            direction[i] = sign * step
            subject.data.qpos[:] = start
            mujoco.mj_integratePos(subject.model, subject.data.qpos, direction, 1.0)
            mujoco.mj_forward(subject.model, subject.data)
            moved = [
                subject.data.xpos[b] + subject.data.xmat[b].reshape(3, 3) @ q
                for q, b in zip(local, bodies, strict=True)
            ]
            sides.append(_gravity(subject) - _foot_load(subject, np.array(moved), bodies, forces))
        gravity[:, i] = (sides[0] - sides[1]) / (2 * step)
    subject.place(subject.pose)
    springs = np.zeros(nv)
    springs[subject.dofs] = subject.spec.stiffness
    # Still motions that bend no joint (a line of point feet to turn about) make this singular; no spring resists them.
    stiff = still.T @ (springs[:, None] * still) + 1e-9 * np.eye(still.shape[1])
    pull = -still.T @ ((gravity + gravity.T) / 2) @ still
    root = np.linalg.inv(np.linalg.cholesky(stiff))
    needed = float(np.linalg.eigvalsh(root @ pull @ root.T).max())
    return np.inf if needed <= 0 else 0.0 if needed > 1e4 else 1 / needed


def _contacts(subject: Subject) -> tuple[np.ndarray, list[int], np.ndarray]:
    points = [point for sole in subject.soles for point in sole]
    positions = np.array([point.position for point in points]).reshape(-1, 3)
    weight = float(subject.model.body_mass.sum() * -subject.model.opt.gravity[2])
    subject.place(subject.pose)
    centre = subject.data.subtree_com[subject.base][:2]
    forces = vertical_forces(positions[:, :2], centre, weight)
    return positions, [point.body for point in points], forces


def _gravity(subject: Subject) -> np.ndarray:
    """Generalised forces that hold all joints and the base against gravity, at rest [nv]."""
    return subject.data.qfrc_bias.copy()


def _foot_load(subject: Subject, points: np.ndarray, bodies: list[int], forces: np.ndarray) -> np.ndarray:
    """Generalised forces of vertical forces under the feet [nv]."""
    if not bodies:
        return np.zeros(subject.model.nv)
    return _jacobian(subject, points, bodies)[2::3].T @ forces


def _jacobian(subject: Subject, points: np.ndarray, bodies: list[int]) -> np.ndarray:
    """Velocities of points, three rows each, per generalised velocity [3 n, nv]."""
    rows = np.zeros((3 * len(bodies), subject.model.nv))
    for i, (point, body) in enumerate(zip(points, bodies, strict=True)):
        block = np.zeros((3, subject.model.nv))
        mujoco.mj_jac(subject.model, subject.data, block, None, point, body)
        rows[3 * i : 3 * i + 3] = block
    return rows


def _null_space(matrix: np.ndarray) -> np.ndarray:
    """Orthonormal directions that the matrix maps to 0, as columns."""
    _, values, directions = np.linalg.svd(matrix)
    rank = int((values > 1e-6 * values.max(initial=1.0)).sum())
    return directions[rank:].T
