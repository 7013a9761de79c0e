"""The nominal pose: within limits, symmetric, feet on the ground, the weight over them."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from legged_cts.robots.doctor.report import Row, Status, judge, names
from legged_cts.robots.doctor.subject import MIRROR, Subject

_MARGIN = 0.05
_SYMMETRY = (0.005, 0.02)
_HEIGHT = 0.02
_PLANE = (0.015, 0.03)
_FLAT = (0.004, 0.009)
_SUPPORT = 0.01
# A walking biped on points falls from step to step, but with the weight far off the feet it falls one way only.
_POINT_FEET = (0.03, 0.08)


def check(subject: Subject) -> Iterator[Row]:
    """Limits, symmetry, feet, support."""
    yield _limits(subject)
    subject.place(subject.pose)
    yield _symmetric(subject)
    yield from _feet(subject)
    yield _support(subject)


def _limits(subject: Subject) -> Row:
    spec = subject.spec
    margins = np.minimum(subject.pose - spec.joint_lower, np.array(spec.joint_upper) - subject.pose)
    near = [f"{spec.joints[i]} {margins[i]:.3f}" for i in np.flatnonzero(margins < _MARGIN)]
    status = Status.FAIL if margins.min() < 0 else Status.WARN if near else Status.OK
    return Row(
        "pose within limits",
        status,
        f"near: {names(near, 2)} rad" if near else f"least margin {margins.min():.3f} rad",
        f">= {_MARGIN} rad",
        "move the nominal pose away from the end stop: a policy explores to both sides of it" if near else "",
    )


def _symmetric(subject: Subject) -> Row:
    feet = subject.foot_positions()
    gaps = np.linalg.norm(feet[:, None] - MIRROR * feet[None, :], axis=2).min(axis=1)
    status = judge(float(gaps.max()), *_SYMMETRY)
    worst = subject.spec.feet[int(gaps.argmax())]
    return Row(
        "pose symmetric",
        status,
        f"feet off by up to {1000 * gaps.max():.1f} mm",
        f"<= {1000 * _SYMMETRY[0]:.0f} mm",
        f"{worst}: the mirror image of the nominal pose puts no foot there: an axis or a position of one side is wrong"
        if status is not Status.OK
        else "",
    )


def _feet(subject: Subject) -> Iterator[Row]:
    lowest = np.array([min((point.height for point in sole), default=np.nan) for sole in subject.soles])
    if np.isnan(lowest).any():
        bare = [subject.spec.feet[i] for i in np.flatnonzero(np.isnan(lowest))]
        hint = "contype 1 or conaffinity 1 is needed: the ground has both"
        yield Row("feet meet the ground", Status.FAIL, f"cannot touch it: {names(bare)}", "", hint)
        return
    height = float(lowest.min())
    right = subject.spec.nominal_height - height
    status = Status.OK if abs(height) <= _HEIGHT else Status.FAIL
    where = "above" if height > 0 else "in"
    yield Row(
        "nominal height",
        status,
        f"lowest foot {1000 * abs(height):.1f} mm {where} the ground",
        f"<= {1000 * _HEIGHT:.0f} mm",
        f"set nominal_height to {right:.3f}, at which the lowest foot touches" if status is not Status.OK else "",
    )
    spread = float(np.ptp(lowest))
    status = judge(spread, *_PLANE)
    high = subject.spec.feet[int(lowest.argmax())]
    yield Row(
        "feet in one plane",
        status,
        f"{1000 * spread:.1f} mm between lowest and highest",
        f"<= {1000 * _PLANE[0]:.0f} mm",
        f"{high} hangs in the air: bend its leg's nominal pose so that all feet stand level"
        if status is not Status.OK
        else "",
    )
    flat = [np.ptp([point.height for point in sole]) for sole in subject.soles]
    if max(len(sole) for sole in subject.soles) >= 3:
        status = judge(float(max(flat)), *_FLAT)
        yield Row(
            "soles level",
            status,
            f"{1000 * max(flat):.1f} mm under a foot",
            f"<= {1000 * _FLAT[0]:.0f} mm",
            "hip, knee and ankle pitch of the nominal pose should add up to 0" if status is not Status.OK else "",
        )


def _support(subject: Subject) -> Row:
    points = np.array([point.position[:2] for sole in subject.soles for point in sole])
    centre = subject.data.subtree_com[subject.base][:2]
    if not len(points):
        return Row("weight over the feet", Status.SKIP, "no foot can touch the ground")
    directions = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    directions = np.stack((np.cos(directions), np.sin(directions)))
    # How far the polygon of the feet reaches beyond the centre of mass in its worst direction; negative is outside.
    margin = float(((points - centre) @ directions).max(axis=0).min())
    limit = f">= {1000 * _SUPPORT:.0f} mm inside"
    place = f"{1000 * abs(margin):.0f} mm {'inside' if margin >= 0 else 'outside'} the polygon"
    if subject.spec.morphology == "point_foot_biped":
        status = judge(-margin, *_POINT_FEET)
        hint = "the weight is not between the feet: shift them fore or aft in the nominal pose"
        limit = f"<= {1000 * _POINT_FEET[0]:.0f} mm beside the line"
        place = f"{1000 * abs(margin):.0f} mm beside the line between the feet"
        return Row("weight over the feet", status, place, limit, hint if status is not Status.OK else "")
    status = Status.OK if margin >= _SUPPORT else Status.WARN if margin >= 0 else Status.FAIL
    hint = "it tips over: shift the feet under the weight in the nominal pose"
    return Row("weight over the feet", status, place, limit, hint if status is not Status.OK else "")
