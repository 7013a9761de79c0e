"""PD gains against the inertias they move and the weight they carry."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from legged_cts.robots.doctor.report import JointFigures, Row, Status, judge, names
from legged_cts.robots.doctor.statics import standing_torques
from legged_cts.robots.doctor.subject import PHYSICS_DT, Subject

# A policy acts at 50 Hz: joints much slower do not follow it, joints much faster are driven by single ticks.
_FREQUENCY = (0.5, 20.0)
# Direct drives of legged robots measure 0.1 to 2 against the whole leg.
_DAMPING = (0.1, 3.0)
_DAMPING_FAR = (0.03, 10.0)
_EFFORT = (0.5, 1.0)
_SAG = (0.15, 0.5)


def figures(subject: Subject) -> tuple[JointFigures, ...]:
    """What the gains amount to, joint by joint.

    The inertia is the diagonal of the mass matrix in the nominal pose: of all that hangs on the joint, plus the
    armature, as if the joint's other side stood still.
    """
    spec = subject.spec
    subject.place(subject.pose)
    inertia = np.diag(subject.mass_matrix())[subject.dofs]
    friction = subject.model.dof_damping[subject.dofs].ravel()
    torque = standing_torques(subject)
    found = []
    for i, joint in enumerate(spec.joints):
        kp, kd = spec.stiffness[i], spec.damping[i] + friction[i]
        found.append(
            JointFigures(
                joint=joint,
                inertia=float(inertia[i]),
                frequency=float(np.sqrt(kp / inertia[i]) / (2 * np.pi)),
                damping_ratio=float(kd / (2 * np.sqrt(kp * inertia[i]))),
                torque=float(torque[i]),
                effort_limit=spec.effort_limit[i],
                sag=float(abs(torque[i]) / kp),
            )
        )
    return tuple(found)


def check(subject: Subject, joints: Sequence[JointFigures]) -> Iterator[Row]:
    """Frequency, damping, stability of a physics tick, torque and sag of standing."""
    yield _between(
        joints,
        "natural frequency",
        lambda joint: joint.frequency,
        _FREQUENCY,
        (0.0, np.inf),
        "Hz",
        "stiffness = inertia (2 pi f)^2: choose f from 1 to 15 Hz",
    )
    yield _between(
        joints,
        "damping ratio",
        lambda joint: joint.damping_ratio,
        _DAMPING,
        _DAMPING_FAR,
        "",
        "damping = 2 ratio sqrt(stiffness inertia): choose a ratio from 0.2 to 2",
    )
    yield _stable(subject)
    yield _at_most(
        joints,
        "torque, standing",
        lambda joint: abs(joint.torque) / joint.effort_limit,
        _EFFORT,
        lambda value: f"{value:.0%} of the limit",
        "the motor is too weak for this pose, or actuatorfrcrange too small: straighten the legs, check the limit",
    )
    yield _at_most(
        joints,
        "sag, standing",
        lambda joint: joint.sag,
        _SAG,
        lambda value: f"{value:.3f} rad",
        "gains too weak for the weight: raise the stiffness, or choose a pose with less torque",
    )


def _between(
    joints: Sequence[JointFigures],
    name: str,
    value: Callable[[JointFigures], float],
    right: tuple[float, float],
    possible: tuple[float, float],
    unit: str,
    hint: str,
) -> Row:
    found = {joint.joint: value(joint) for joint in joints}
    low, high = min(found.values()), max(found.values())
    unit = f" {unit}" if unit else ""
    limit = f"{right[0]:g} to {right[1]:g}{unit}"
    off = [joint for joint, figure in found.items() if not right[0] <= figure <= right[1]]
    if not off:
        return Row(name, Status.OK, f"{low:.2f} to {high:.2f}{unit}", limit)
    status = Status.FAIL if not (possible[0] <= low and high <= possible[1]) else Status.WARN
    measured = names([f"{joint} {found[joint]:.2f}{unit}" for joint in sorted(off, key=lambda j: found[j])], 2)
    return Row(name, status, measured, limit, hint)


def _at_most(
    joints: Sequence[JointFigures],
    name: str,
    value: Callable[[JointFigures], float],
    limits: tuple[float, float],
    text: Callable[[float], str],
    hint: str,
) -> Row:
    worst = max(joints, key=value)
    status = judge(value(worst), *limits)
    over = names([joint.joint for joint in sorted(joints, key=value, reverse=True) if value(joint) > limits[0]])
    measured = f"{worst.joint} {text(value(worst))}"
    return Row(name, status, measured, f"<= {text(limits[0])}", f"{over}: {hint}" if status is not Status.OK else "")


def _stable(subject: Subject) -> Row:
    """The linear map of one tick of all joints, the base floating: implicit in the velocities, as implicitfast is."""
    spec = subject.spec
    nv, dt = subject.model.nv, PHYSICS_DT
    stiffness, damping = np.zeros((nv, nv)), np.diag(subject.model.dof_damping)
    stiffness[subject.dofs, subject.dofs] = spec.stiffness
    damping[subject.dofs, subject.dofs] += spec.damping
    mass = subject.mass_matrix()
    inverse = np.linalg.inv(mass + dt * damping)
    velocity = np.hstack((-dt * inverse @ stiffness, inverse @ mass))
    position = np.hstack((np.eye(nv), np.zeros((nv, nv)))) + dt * velocity
    radius = float(np.abs(np.linalg.eigvals(np.vstack((position, velocity)))).max())
    # The floating base itself neither grows nor decays: exactly 1.
    status = Status.OK if radius < 1 + 1e-6 else Status.FAIL
    return Row(
        f"stable at {1000 * dt:g} ms",
        status,
        f"a tick multiplies errors by up to {radius:.4f}",
        "<= 1",
        "the stiffness is too high for the inertia and the tick: lower it, or raise the armature"
        if radius >= 1 + 1e-6
        else "",
    )
