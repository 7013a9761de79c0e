"""Standing under gravity, with nothing but the PD controllers at work."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from legged_cts.robots.doctor.report import Row, Status, judge, names, worst
from legged_cts.robots.doctor.statics import spring_reserve
from legged_cts.robots.doctor.subject import PHYSICS_DT, Subject

_SECONDS = 3.0
_RESERVE = (1.2, 1.0)
_TILT = (0.15, 0.5)
_SINK = (0.2, 0.4)
_SPEED = (0.1, 0.5)
_HOLD = (0.15, 0.5)


def check(subject: Subject) -> Iterator[Row]:
    """Whether springs can hold it up; then, 3 s in simulation: on the ground, or held in the air where they cannot."""
    reserve = spring_reserve(subject)
    balance = "balancing is the policy's job"
    if subject.spec.morphology == "point_foot_biped":
        yield Row("springs against tipping", Status.SKIP, f"point feet hold no moment: {balance}")
        yield Row("stands still", Status.SKIP, "point feet cannot stand; its joints are tested with the base held")
        yield _holds(subject)
        return
    name, limit = "springs against tipping", f">= {_RESERVE[0]} x the least"
    if subject.spec.morphology == "humanoid" and reserve < _RESERVE[1]:
        yield Row(name, Status.SKIP, f"{reserve:.2f} x the least stiffness that stands: {balance}", limit)
        yield Row("stands still", Status.SKIP, "cannot without a policy; its joints are tested with the base held")
        yield _holds(subject)
        return
    status = judge(-reserve, -_RESERVE[0], -_RESERVE[1])
    hint = "the legs buckle or it tips over: raise the stiffness, or put the feet further apart"
    yield Row(
        name,
        status,
        f"{min(reserve, 99):.1f} x the least stiffness that stands",
        limit,
        hint if status is not Status.OK else "",
    )
    yield _stands(subject)


def _stands(subject: Subject) -> Row:
    model, data = subject.model, subject.data
    lowest = min((point.height for sole in subject.soles for point in sole), default=0.0)
    start = subject.spec.nominal_height - lowest
    # From where its feet touch: a wrong nominal height is told once, elsewhere.
    subject.place(subject.pose, start)
    touched: set[int] = set()
    tilt = 0.0
    for _ in range(round(_SECONDS / PHYSICS_DT)):
        mujoco.mj_step(model, data)
        touched.update(_on_ground(subject))
        tilt = max(tilt, float(np.arccos(np.clip(data.xmat[subject.base][8], -1, 1))))
    speed = float(np.abs(data.qvel).max())
    sink = 1 - float(data.xpos[subject.base][2]) / start
    wrong = sorted(subject.body_name(body) for body in touched - set(subject.feet.tolist()))
    if not np.isfinite(data.qpos).all() or data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number:
        return Row(
            "stands still", Status.FAIL, "the simulation diverges", "", "gains or inertias are impossible: see above"
        )
    fallen = Status.FAIL if wrong else Status.OK
    status = worst(judge(tilt, *_TILT), judge(sink, *_SINK), judge(speed, *_SPEED), fallen)
    measured = f"tilt {tilt:.2f} rad, sinks {sink:.0%}, speed {speed:.2f} at the end"
    if wrong:
        measured += f", on its {names(wrong, 2)}"
    hint = "it does not hold its pose: see torque, sag and support above, then the gains"
    limit = f"<= {_TILT[0]} rad, {_SINK[0]:.0%}, {_SPEED[0]}"
    return Row(f"stands still for {_SECONDS:g} s", status, measured, limit, hint if status is not Status.OK else "")


def _on_ground(subject: Subject) -> set[int]:
    pairs = subject.data.contact.geom
    on_ground = pairs[(pairs == subject.ground).any(axis=1)]
    return set(subject.model.geom_bodyid[on_ground[on_ground != subject.ground]].tolist())


def _holds(subject: Subject) -> Row:
    held = Subject(subject.spec, free=False)
    for _ in range(round(_SECONDS / PHYSICS_DT)):
        mujoco.mj_step(held.model, held.data)
    errors = np.abs(held.data.qpos[held.qpos] - held.pose)
    speed = float(np.abs(held.data.qvel).max())
    name = "holds its pose in the air"
    if not np.isfinite(errors).all():
        return Row(name, Status.FAIL, "the simulation diverges", "", "gains or inertias are impossible: see above")
    status = worst(judge(float(errors.max()), *_HOLD), judge(speed, *_SPEED))
    return Row(
        name,
        status,
        f"{subject.spec.joints[int(errors.argmax())]} off by {errors.max():.3f} rad, speed {speed:.2f}",
        f"<= {_HOLD[0]} rad, {_SPEED[0]} rad/s",
        "the gains do not hold the weight of the limb" if status is not Status.OK else "",
    )
