"""The mirror map of the spec against the robot's geometry, by forward kinematics."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from legged_cts.robots.doctor.report import Row, Status, judge, names
from legged_cts.robots.doctor.subject import MIRROR, Subject
from legged_cts.robots.symmetry import mirror_joints

# Vendors round positions to a tenth of a millimetre or so.
_POSITION = (0.002, 0.01)
_AXIS = 0.99
_POSES = 20
# Share of each joint's range that random poses take.
_SPREAD = 0.6


def check(subject: Subject) -> Iterator[Row]:
    """Axes at the nominal pose, which tell each right sign; positions in random poses; limits of both sides."""
    yield _signs(subject)
    yield _positions(subject)
    yield _limits(subject)
    yield _gains(subject)


def _signs(subject: Subject) -> Row:
    """A mirrored rotation turns about the mirrored axis, the other way round."""
    spec = subject.spec
    subject.place(np.zeros(len(spec.joints)))
    axes = dict(zip(spec.joints, subject.data.xaxis[subject.joint_ids], strict=True))
    wrong, askew = [], []
    for joint, partner in spec.mirror_swap.items():
        sign = float(axes[joint] @ (-MIRROR * axes[partner]))
        if abs(sign) < _AXIS:
            askew.append(joint)
        elif sign * spec.mirror_sign[joint] < 0:
            wrong.append(f"{joint} needs {sign:+.0f}")
    if wrong:
        hint = "change mirror.sign, or turn round the axis of the joint of one side in the MJCF, where it is wrong"
        return Row("mirror map, signs", Status.FAIL, names(wrong), "the sign of the axes", hint)
    if askew:
        hint = (
            "their axes are no mirror images of their partners': mirror.swap pairs the wrong joints, or an axis is off"
        )
        return Row("mirror map, signs", Status.FAIL, names(askew), "mirrored axes", hint)
    return Row("mirror map, signs", Status.OK, f"{len(axes)} joints as their axes in the MJCF")


def _positions(subject: Subject) -> Row:
    """The mirrored pose must put each body where the mirror image of its partner is."""
    spec = subject.spec
    rng = np.random.default_rng(0)
    lower, upper = np.array(spec.joint_lower), np.array(spec.joint_upper)
    partner = np.array([spec.joints.index(spec.mirror_swap[joint]) for joint in spec.joints])
    subject.place(subject.pose)
    feet = subject.foot_positions()
    # The foot that a foot mirrors to; the spec's map is one of joints.
    gaps = np.linalg.norm(feet[:, None] - MIRROR * feet[None, :], axis=2)
    foot_partner = gaps.argmin(axis=1)
    worst = (0.0, "")
    for _ in range(_POSES):
        pose = (lower + upper) / 2 + _SPREAD * (upper - lower) / 2 * rng.uniform(-1, 1, len(lower))
        subject.place(pose)
        anchors, feet = subject.data.xanchor[subject.joint_ids].copy(), subject.foot_positions()
        subject.place(mirror_joints(spec, pose))
        now, feet_now = subject.data.xanchor[subject.joint_ids], subject.foot_positions()
        # From the line of the axis: where along it a file puts the anchor moves nothing.
        offsets = np.cross(now - MIRROR * anchors[partner], subject.data.xaxis[subject.joint_ids])
        errors = np.linalg.norm(offsets, axis=1)
        foot_errors = np.linalg.norm(feet_now - MIRROR * feet[foot_partner], axis=1)
        worst = max(worst, (float(errors.max()), spec.joints[int(errors.argmax())]))
        worst = max(worst, (float(foot_errors.max()), spec.feet[int(foot_errors.argmax())]))
    status = judge(worst[0], *_POSITION)
    return Row(
        "mirror map, positions",
        status,
        f"off by up to {1000 * worst[0]:.1f} mm in {_POSES} random poses",
        f"<= {1000 * _POSITION[0]:.0f} mm",
        f"worst at {worst[1]}: mirror.swap or mirror.sign is wrong, or the sides of the MJCF differ"
        if status is not Status.OK
        else "",
    )


def _limits(subject: Subject) -> Row:
    spec = subject.spec
    place = {joint: i for i, joint in enumerate(spec.joints)}
    wrong = []
    for joint, other in spec.mirror_swap.items():
        i, k, sign = place[joint], place[other], spec.mirror_sign[joint]
        mirrored = sorted((sign * spec.joint_lower[k], sign * spec.joint_upper[k]))
        if not np.allclose(mirrored, (spec.joint_lower[i], spec.joint_upper[i]), atol=0.01) and i <= k:
            wrong.append(f"{joint} [{spec.joint_lower[i]:.2f}, {spec.joint_upper[i]:.2f}]")
    if wrong:
        hint = "the ranges of the two sides are no mirror images: check the MJCF against the vendor's figures"
        return Row("mirror map, limits", Status.WARN, names(wrong, 2), "mirrored ranges", hint)
    return Row("mirror map, limits", Status.OK, "mirrored ranges")


def _gains(subject: Subject) -> Row:
    spec = subject.spec
    place = {joint: i for i, joint in enumerate(spec.joints)}
    columns = np.array([spec.stiffness, spec.damping, spec.effort_limit, spec.armature, spec.velocity_limit]).T
    wrong = [
        joint
        for joint, other in spec.mirror_swap.items()
        if not np.allclose(columns[place[joint]], columns[place[other]], rtol=1e-3)
    ]
    if wrong:
        hint = "gains, limits or armature differ from the partner's: a regular expression catches one side only?"
        return Row("mirror map, motors", Status.FAIL, names(wrong), "equal motors", hint)
    return Row("mirror map, motors", Status.OK, "equal gains, limits and armature")
