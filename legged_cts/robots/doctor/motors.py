"""PD gains against the inertias they move and the weight they carry, then at work alone under gravity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import mujoco
import numpy as np

from legged_cts.robots.doctor.report import JointFigures, Row, Status, judge, names, verdict, worst
from legged_cts.robots.posed import PHYSICS_DT, Posed, standing
from legged_cts.robots.spec import RobotSpec

# A policy acts at 50 Hz: joints much slower do not follow it, joints much faster are driven by single ticks.
_FREQUENCY = (0.5, 20.0)
# Direct drives of legged robots measure 0.1 to 2 against the whole leg.
_DAMPING = (0.1, 3.0)
_DAMPING_FAR = (0.03, 10.0)
_EFFORT = (0.5, 1.0)
_SAG = (0.15, 0.5)
_SECONDS = 3.0
_RESERVE = (1.2, 1.0)
_TILT = (0.15, 0.5)
_SINK = (0.2, 0.4)
_SPEED = (0.1, 0.5)
_HOLD = (0.15, 0.5)


def figures(spec: RobotSpec, posed: Posed) -> tuple[JointFigures, ...]:
    """What the gains amount to, joint by joint.

    The inertia is the diagonal of the mass matrix in the nominal pose: of all that hangs on the joint, plus the
    armature, as if the joint's other side stood still.
    """
    torque = posed.standing_torques()
    inertia = posed.mass_matrix().diagonal()[posed.dofs]
    kp, kd = np.array(spec.stiffness), spec.damping + posed.model.dof_damping[posed.dofs].ravel()
    frequency, damping = np.sqrt(kp / inertia) / (2 * np.pi), kd / (2 * np.sqrt(kp * inertia))
    columns = (inertia, frequency, damping, torque, np.array(spec.effort_limit), np.abs(torque) / kp)
    rows = zip(spec.joints, *(column.tolist() for column in columns), strict=True)
    return tuple(JointFigures(*row) for row in rows)


def check_gains(spec: RobotSpec, posed: Posed, joints: Sequence[JointFigures]) -> Iterator[Row]:
    """Frequency, damping, stability of a physics tick, torque and sag of standing."""
    frequency = {joint.joint: joint.frequency for joint in joints}
    hint = "stiffness = inertia (2 pi f)^2: choose f from 1 to 15 Hz"
    yield _between("natural frequency", frequency, _FREQUENCY, (0.0, np.inf), " Hz", hint)
    damping = {joint.joint: joint.damping_ratio for joint in joints}
    hint = "damping = 2 ratio sqrt(stiffness inertia): choose a ratio from 0.2 to 2"
    yield _between("damping ratio", damping, _DAMPING, _DAMPING_FAR, "", hint)
    yield _stable(spec, posed)
    effort = {joint.joint: abs(joint.torque) / joint.effort_limit for joint in joints}
    hint = "the motor is too weak for this pose, or actuatorfrcrange too small: straighten the legs, check the limit"
    yield _at_most("torque, standing", effort, _EFFORT, "{:.0%} of the limit", hint)
    sag = {joint.joint: joint.sag for joint in joints}
    hint = "gains too weak for the weight: raise the stiffness, or choose a pose with less torque"
    yield _at_most("sag, standing", sag, _SAG, "{:.3f} rad", hint)


def _between(
    name: str,
    found: dict[str, float],
    right: tuple[float, float],
    possible: tuple[float, float],
    unit: str,
    hint: str,
) -> Row:
    low, high = min(found.values()), max(found.values())
    limit = f"{right[0]:g} to {right[1]:g}{unit}"
    off = [joint for joint, figure in found.items() if not right[0] <= figure <= right[1]]
    if not off:
        return Row(name, Status.OK, f"{low:.2f} to {high:.2f}{unit}", limit)
    status = Status.WARN if possible[0] <= low and high <= possible[1] else Status.FAIL
    measured = names([f"{joint} {found[joint]:.2f}{unit}" for joint in sorted(off, key=lambda j: found[j])], 2)
    return Row(name, status, measured, limit, hint)


def _at_most(name: str, found: dict[str, float], limits: tuple[float, float], text: str, hint: str) -> Row:
    ordered = sorted(found, key=lambda joint: found[joint], reverse=True)
    over = names([joint for joint in ordered if found[joint] > limits[0]])
    measured, limit = f"{ordered[0]} {text.format(found[ordered[0]])}", f"<= {text.format(limits[0])}"
    return Row(name, judge(found[ordered[0]], *limits), measured, limit, f"{over}: {hint}")


def _stable(spec: RobotSpec, posed: Posed) -> Row:
    """The linear map of one tick of all joints, the base floating: implicit in the velocities, as implicitfast is."""
    nv, dt = posed.model.nv, PHYSICS_DT
    stiffness, damping = np.zeros((nv, nv)), np.diag(posed.model.dof_damping)
    stiffness[posed.dofs, posed.dofs] = spec.stiffness
    damping[posed.dofs, posed.dofs] += spec.damping
    mass = posed.mass_matrix()
    inverse = np.linalg.inv(mass + dt * damping)
    velocity = np.hstack((-dt * inverse @ stiffness, inverse @ mass))
    position = np.hstack((np.eye(nv), np.zeros((nv, nv)))) + dt * velocity
    radius = float(np.abs(np.linalg.eigvals(np.vstack((position, velocity)))).max())
    hint = "the stiffness is too high for the inertia and the tick: lower it, or raise the armature"
    measured = f"a tick multiplies errors by up to {radius:.4f}"
    # The floating base itself neither grows nor decays: exactly 1.
    return Row(f"stable at {1000 * dt:g} ms", verdict(radius < 1 + 1e-6), measured, "<= 1", hint)


def check_standing(spec: RobotSpec, posed: Posed) -> Iterator[Row]:
    """Whether springs can hold it up; then, 3 s in simulation: on the ground, or held in the air where they cannot."""
    reserve = spring_reserve(spec, posed)
    name, limit = "springs against tipping", f">= {_RESERVE[0]} x the least"
    balance = "balancing is the policy's job"
    if spec.morphology == "point_foot_biped":
        yield Row(name, Status.SKIP, f"point feet hold no moment: {balance}")
        yield Row("stands still", Status.SKIP, "point feet cannot stand; its joints are tested with the base held")
        yield _holds(spec)
    elif spec.morphology == "humanoid" and reserve < _RESERVE[1]:
        yield Row(name, Status.SKIP, f"{reserve:.2f} x the least stiffness that stands: {balance}", limit)
        yield Row("stands still", Status.SKIP, "cannot without a policy; its joints are tested with the base held")
        yield _holds(spec)
    else:
        status = judge(-reserve, -_RESERVE[0], -_RESERVE[1])
        hint = "the legs buckle or it tips over: raise the stiffness, or put the feet further apart"
        yield Row(name, status, f"{min(reserve, 99):.1f} x the least stiffness that stands", limit, hint)
        yield _stands(spec, posed)


def spring_reserve(spec: RobotSpec, posed: Posed) -> float:
    """How many times softer the joints could be before the robot, its soles held in place, buckles or tips over.

    The second variation of the potential energy of gravity and joint springs, over all motions that leave the points
    under the feet where they are: its stiffness part times s must outweigh its gravity part; this returns 1/s. Below
    1, standing still needs a controller that balances, however exact the pose. 0: no gains help (two point feet).
    """
    points, bodies, forces = posed.foot_forces()
    model, data, nv = posed.model, posed.data, posed.model.nv
    still = _null_space(posed.jacobian(points, bodies))
    if not still.shape[1]:
        return np.inf
    start = data.qpos.copy()
    # The points as parts of their bodies, to follow them as the robot moves.
    local = [data.xmat[b].reshape(3, 3).T @ (p - data.xpos[b]) for p, b in zip(points, bodies, strict=True)]
    gravity, step = np.zeros((nv, nv)), 1e-5
    for i in range(nv):
        sides = []
        for direction in step * np.eye(nv)[i], -step * np.eye(nv)[i]:
            data.qpos[:] = start
            mujoco.mj_integratePos(model, data.qpos, direction, 1.0)
            mujoco.mj_forward(model, data)
            moved = [data.xpos[b] + data.xmat[b].reshape(3, 3) @ q for q, b in zip(local, bodies, strict=True)]
            sides.append(posed.load(np.array(moved), bodies, forces))
        gravity[:, i] = (sides[0] - sides[1]) / (2 * step)
    posed.rest()
    springs = np.zeros(nv)
    springs[posed.dofs] = spec.stiffness
    # Still motions that bend no joint (a line of point feet to turn about) make this singular; no spring resists them.
    stiff = still.T @ (springs[:, None] * still) + 1e-9 * np.eye(still.shape[1])
    pull = -still.T @ ((gravity + gravity.T) / 2) @ still
    root = np.linalg.inv(np.linalg.cholesky(stiff))
    needed = float(np.linalg.eigvalsh(root @ pull @ root.T).max())
    return np.inf if needed <= 0 else 0.0 if needed > 1e4 else 1 / needed


def _null_space(matrix: np.ndarray) -> np.ndarray:
    """Orthonormal directions that the matrix maps to 0, as columns."""
    _, values, directions = np.linalg.svd(matrix)
    rank = int((values > 1e-6 * values.max(initial=1.0)).sum())
    return directions[rank:].T


def _stands(spec: RobotSpec, posed: Posed) -> Row:
    model, data = posed.model, posed.data
    # From where its feet touch: a wrong nominal height is told once, elsewhere.
    start = spec.nominal_height - min((point.height for sole in posed.soles for point in sole), default=0.0)
    posed.rest(start)
    touched, tilt = set(), 0.0
    for _ in range(round(_SECONDS / PHYSICS_DT)):
        mujoco.mj_step(model, data)
        pairs = data.contact.geom
        touched.update(model.geom_bodyid[pairs[(pairs == posed.ground).any(axis=1)]].ravel().tolist())
        tilt = max(tilt, float(np.arccos(np.clip(data.xmat[posed.base][8], -1, 1))))
    speed = float(np.abs(data.qvel).max())
    sink = 1 - float(data.xpos[posed.base][2]) / start
    if not np.isfinite(data.qpos).all() or data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number:
        return _diverges("stands still")
    wrong = sorted(posed.body_name(body) for body in touched - {0, *posed.feet.tolist()})
    status = worst(judge(tilt, *_TILT), judge(sink, *_SINK), judge(speed, *_SPEED), verdict(not wrong))
    measured = f"tilt {tilt:.2f} rad, sinks {sink:.0%}, speed {speed:.2f} at the end"
    if wrong:
        measured += f", on its {names(wrong, 2)}"
    hint = "it does not hold its pose: see torque, sag and support above, then the gains"
    limit = f"<= {_TILT[0]} rad, {_SINK[0]:.0%}, {_SPEED[0]}"
    return Row(f"stands still for {_SECONDS:g} s", status, measured, limit, hint)


def _holds(spec: RobotSpec) -> Row:
    name, held = "holds its pose in the air", standing(spec, free=False)
    for _ in range(round(_SECONDS / PHYSICS_DT)):
        mujoco.mj_step(held.model, held.data)
    errors = np.abs(held.data.qpos[held.qpos] - held.pose)
    speed = float(np.abs(held.data.qvel).max())
    if not np.isfinite(errors).all():
        return _diverges(name)
    status = worst(judge(float(errors.max()), *_HOLD), judge(speed, *_SPEED))
    measured = f"{spec.joints[int(errors.argmax())]} off by {errors.max():.3f} rad, speed {speed:.2f}"
    hint = "the gains do not hold the weight of the limb"
    return Row(name, status, measured, f"<= {_HOLD[0]} rad, {_SPEED[0]} rad/s", hint)


def _diverges(name: str) -> Row:
    return Row(name, Status.FAIL, "the simulation diverges", "", "gains or inertias are impossible: see above")
