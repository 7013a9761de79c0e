"""What touches what at rest in the nominal pose."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import mujoco
import numpy as np

from legged_cts.robots.doctor.report import Row, Status, names
from legged_cts.robots.doctor.subject import Subject

_CLEARANCE = 0.005
_DEEP = 0.01
# Shapes of bodies this near in the chain overlap by design, and do not push each other.
_NEIGHBOURS = 2


def check(subject: Subject) -> Iterator[Row]:
    """Only feet on the ground, no contact forces inside the robot, no shapes deep in each other."""
    subject.place(subject.pose)
    yield _ground(subject)
    yield _pushing(subject)
    yield _overlaps(subject)


def _ground(subject: Subject) -> Row:
    feet = set(subject.feet.tolist())
    points = subject.ground_points()
    # Measured from the lowest foot, so that a wrong nominal height is told once.
    floor = min((point.height for point in points if point.body in feet), default=0.0)
    height = {}
    for point in points:
        if point.body not in feet:
            name = subject.geom_name(point.geom)
            height[name] = min(height.get(name, np.inf), point.height - floor)
    low = sorted((value, name) for name, value in height.items() if value < _CLEARANCE)
    if low:
        status = Status.FAIL if low[0][0] <= 0 else Status.WARN
        found = names([f"{name} {1000 * value:+.0f} mm" for value, name in low], 2)
        hint = "in the nominal pose nothing but the feet may reach the ground: shorten the shape, or mend the pose"
        return Row("only feet on the ground", status, found, f">= {1000 * _CLEARANCE:.0f} mm", hint)
    least = f"next shape {1000 * min(height.values()):.0f} mm above it" if height else "no other shape can touch it"
    return Row("only feet on the ground", Status.OK, least, f">= {1000 * _CLEARANCE:.0f} mm")


def _pushing(subject: Subject) -> Row:
    pairs = []
    for pair, distance in zip(subject.data.contact.geom, subject.data.contact.dist, strict=True):
        if subject.ground not in pair and distance < 0:
            pairs.append(f"{subject.geom_name(int(pair[0]))} in {subject.geom_name(int(pair[1]))}")
    if pairs:
        hint = "the robot pushes itself apart: move or shrink a shape, or exclude the pair (contype, <exclude>)"
        return Row("no contact with itself", Status.FAIL, names(sorted(set(pairs)), 2), "none", hint)
    return Row("no contact with itself", Status.OK, "none in the nominal pose", "none")


def _overlaps(subject: Subject) -> Row:
    model = subject.model
    solid = np.flatnonzero((model.geom_contype | model.geom_conaffinity) != 0)
    solid = [int(geom) for geom in solid if geom != subject.ground and model.geom_bodyid[geom] != 0]
    chains = {int(body): _chain(model, int(body)) for body in np.unique(model.geom_bodyid[solid])}
    ends, deep = np.zeros(6), []
    for one, other in combinations(solid, 2):
        a, b = chains[int(model.geom_bodyid[one])], chains[int(model.geom_bodyid[other])]
        if len(set(a) ^ set(b)) <= _NEIGHBOURS:
            continue
        distance = mujoco.mj_geomDistance(model, subject.data, one, other, 0.0, ends)
        if distance < -_DEEP:
            deep.append(f"{subject.geom_name(one)} in {subject.geom_name(other)} {-1000 * distance:.0f} mm")
    limit = f"<= {1000 * _DEEP:.0f} mm"
    if deep:
        hint = "shapes of parts that are no neighbours overlap: a position is wrong, or the pose cannot be reached"
        return Row("shapes apart", Status.WARN, names(deep, 2), limit, hint)
    return Row("shapes apart", Status.OK, "no parts deep in each other", limit)


def _chain(model: mujoco.MjModel, body: int) -> list[int]:
    """The moving bodies from this one to the root; what is welded together counts as one."""
    chain = []
    body = int(model.body_weldid[body])
    while body:
        chain.append(body)
        body = int(model.body_weldid[model.body_parentid[body]])
    return chain
