"""The nominal pose, the mirror map against the robot's geometry, and what touches what."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import mujoco
import numpy as np

from legged_cts.robots.doctor.report import Row, Status, judge, names, verdict
from legged_cts.robots.posed import MIRROR, Posed
from legged_cts.robots.spec import RobotSpec
from legged_cts.robots.symmetry import joint_mirror

# Vendors round positions to a tenth of a millimetre or so.
_POSITION = (0.002, 0.01)
_AXIS = 0.99
_POSES = 20
# Share of each joint's range that random poses take.
_SPREAD = 0.6
_MARGIN = 0.05
_MIRRORED = (0.005, 0.02)
_HEIGHT = 0.02
_PLANE = (0.015, 0.03)
_FLAT = (0.004, 0.009)
_SUPPORT = 0.01
# A walking biped on points falls from step to step, but with the weight far off the feet it falls one way only.
_POINT_FEET = (0.03, 0.08)
_CLEARANCE = 0.005
_DEEP = 0.01
# Shapes of bodies this near in the chain overlap by design, and do not push each other.
_NEIGHBOURS = 2


def check(spec: RobotSpec, posed: Posed) -> Iterator[Row]:
    """Axes at the nominal pose, which tell each right sign; positions in random poses; limits of both sides.

    Then the pose: limits, symmetry, feet, support; and only feet on the ground, no contact forces inside the robot, no
    shapes deep in each other.
    """
    mirror = joint_mirror(spec)
    yield _signs(spec, posed, mirror.index)
    yield _positions(spec, posed, mirror.index, mirror.sign)
    yield from _motors(spec, mirror.index, mirror.sign)
    yield _limits(spec)
    posed.rest()
    yield _symmetric(spec, posed)
    yield from _feet(spec, posed)
    yield _support(spec, posed)
    posed.rest()
    yield _ground(posed)
    yield _pushing(posed)
    yield _overlaps(posed)


def _signs(spec: RobotSpec, posed: Posed, partner: np.ndarray) -> Row:
    """A mirrored rotation turns about the mirrored axis, the other way round."""
    posed.put(np.zeros(len(spec.joints)))
    axes = posed.data.xaxis[posed.ids]
    wrong, askew = [], []
    for joint, axis, other in zip(spec.joints, axes, axes[partner], strict=True):
        sign = float(axis @ (-MIRROR * other))
        if abs(sign) < _AXIS:
            askew.append(joint)
        elif sign * spec.mirror_sign[joint] < 0:
            wrong.append(f"{joint} needs {sign:+.0f}")
    name = "mirror map, signs"
    if wrong:
        hint = "change mirror.sign, or turn round the axis of the joint of one side in the MJCF, where it is wrong"
        return Row(name, Status.FAIL, names(wrong), "the sign of the axes", hint)
    if askew:
        hint = (
            "their axes are no mirror images of their partners': mirror.swap pairs the wrong joints, or an axis is off"
        )
        return Row(name, Status.FAIL, names(askew), "mirrored axes", hint)
    return Row(name, Status.OK, f"{len(axes)} joints as their axes in the MJCF")


def _positions(spec: RobotSpec, posed: Posed, partner: np.ndarray, sign: np.ndarray) -> Row:
    """The mirrored pose must put each joint and foot where the mirror image of its partner is."""
    rng, data, d = np.random.default_rng(0), posed.data, len(spec.joints)
    middle, half = (posed.low + posed.high) / 2, (posed.high - posed.low) / 2
    poses = middle + _SPREAD * half * rng.uniform(-1, 1, (_POSES, d))
    posed.put(posed.pose)
    # The foot that a foot mirrors to; the spec's map is one of joints.
    feet = data.xpos[posed.feet]
    foot_partner = np.linalg.norm(feet[:, None] - MIRROR * feet[None, :], axis=2).argmin(axis=1)
    places, worst = np.concatenate((partner, d + foot_partner)), (0.0, "")

    def look() -> np.ndarray:
        return np.concatenate((data.xanchor[posed.ids], data.xpos[posed.feet]))

    for gaps in posed.mirror_errors(partner, sign, poses, look, places):
        # From the line of the axis: where along it a file puts the anchor moves nothing.
        gaps[:d] = np.cross(gaps[:d], data.xaxis[posed.ids])
        found = zip(np.linalg.norm(gaps, axis=1).tolist(), (*spec.joints, *spec.feet), strict=True)
        worst = max(worst, *found, key=lambda entry: entry[0])
    measured, limit = (
        f"off by up to {1000 * worst[0]:.1f} mm in {_POSES} random poses",
        f"<= {1000 * _POSITION[0]:.0f} mm",
    )
    hint = f"worst at {worst[1]}: mirror.swap or mirror.sign is wrong, or the sides of the MJCF differ"
    return Row("mirror map, positions", judge(worst[0], *_POSITION), measured, limit, hint)


def _motors(spec: RobotSpec, partner: np.ndarray, sign: np.ndarray) -> Iterator[Row]:
    limits = np.array([spec.joint_lower, spec.joint_upper]).T
    mirrored = np.sort(sign[:, None] * limits[partner], axis=1)
    differ = ~np.isclose(mirrored, limits, atol=0.01).all(axis=1) & (np.arange(len(partner)) <= partner)
    wrong = [f"{spec.joints[i]} [{limits[i, 0]:.2f}, {limits[i, 1]:.2f}]" for i in np.flatnonzero(differ)]
    hint = "the ranges of the two sides are no mirror images: check the MJCF against the vendor's figures"
    status, found = (Status.WARN, names(wrong, 2)) if wrong else (Status.OK, "mirrored ranges")
    yield Row("mirror map, limits", status, found, "mirrored ranges" if wrong else "", hint)
    columns = np.array([spec.stiffness, spec.damping, spec.effort_limit, spec.armature, spec.velocity_limit]).T
    differ = ~np.isclose(columns, columns[partner], rtol=1e-3).all(axis=1)
    wrong = [spec.joints[i] for i in np.flatnonzero(differ)]
    hint = "gains, limits or armature differ from the partner's: a regular expression catches one side only?"
    status, found = (Status.FAIL, names(wrong)) if wrong else (Status.OK, "equal gains, limits and armature")
    yield Row("mirror map, motors", status, found, "equal motors" if wrong else "", hint)


def _limits(spec: RobotSpec) -> Row:
    pose = np.array(spec.nominal_pose)
    margins = np.minimum(pose - spec.joint_lower, np.array(spec.joint_upper) - pose)
    near = [f"{spec.joints[i]} {margins[i]:.3f}" for i in np.flatnonzero(margins < _MARGIN)]
    status = Status.FAIL if margins.min() < 0 else Status.WARN if near else Status.OK
    measured = f"near: {names(near, 2)} rad" if near else f"least margin {margins.min():.3f} rad"
    hint = "move the nominal pose away from the end stop: a policy explores to both sides of it"
    return Row("pose within limits", status, measured, f">= {_MARGIN} rad", hint)


def _symmetric(spec: RobotSpec, posed: Posed) -> Row:
    feet = posed.data.xpos[posed.feet]
    gaps = np.linalg.norm(feet[:, None] - MIRROR * feet[None, :], axis=2).min(axis=1)
    worst = spec.feet[int(gaps.argmax())]
    measured, limit = f"feet off by up to {1000 * gaps.max():.1f} mm", f"<= {1000 * _MIRRORED[0]:.0f} mm"
    hint = (
        f"{worst}: the mirror image of the nominal pose puts no foot there: an axis or a position of one side is wrong"
    )
    return Row("pose symmetric", judge(float(gaps.max()), *_MIRRORED), measured, limit, hint)


def _feet(spec: RobotSpec, posed: Posed) -> Iterator[Row]:
    lowest = np.array([min((point.height for point in sole), default=np.nan) for sole in posed.soles])
    if np.isnan(lowest).any():
        bare = names([spec.feet[i] for i in np.flatnonzero(np.isnan(lowest))])
        hint = "contype 1 or conaffinity 1 is needed: the ground has both"
        yield Row("feet meet the ground", Status.FAIL, f"cannot touch it: {bare}", "", hint)
        return
    height = float(lowest.min())
    measured = f"lowest foot {1000 * abs(height):.1f} mm {'above' if height > 0 else 'in'} the ground"
    hint = f"set nominal_height to {spec.nominal_height - height:.3f}, at which the lowest foot touches"
    good = abs(height) <= _HEIGHT
    yield Row("nominal height", verdict(good), measured, f"<= {1000 * _HEIGHT:.0f} mm", hint)
    spread = float(np.ptp(lowest))
    measured, limit = f"{1000 * spread:.1f} mm between lowest and highest", f"<= {1000 * _PLANE[0]:.0f} mm"
    high = spec.feet[int(lowest.argmax())]
    hint = f"{high} hangs in the air: bend its leg's nominal pose so that all feet stand level"
    yield Row("feet in one plane", judge(spread, *_PLANE), measured, limit, hint)
    if max(len(sole) for sole in posed.soles) >= 3:
        flat = float(max(np.ptp([point.height for point in sole]) for sole in posed.soles))
        measured, limit = f"{1000 * flat:.1f} mm under a foot", f"<= {1000 * _FLAT[0]:.0f} mm"
        hint = "hip, knee and ankle pitch of the nominal pose should add up to 0"
        yield Row("soles level", judge(flat, *_FLAT), measured, limit, hint)


def _support(spec: RobotSpec, posed: Posed) -> Row:
    name = "weight over the feet"
    points = np.array([point.position[:2] for sole in posed.soles for point in sole])
    if not len(points):
        return Row(name, Status.SKIP, "no foot can touch the ground")
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    directions = np.stack((np.cos(angles), np.sin(angles)))
    # How far the polygon of the feet reaches beyond the centre of mass in its worst direction; negative is outside.
    margin = float(((points - posed.centre[:2]) @ directions).max(axis=0).min())
    if spec.morphology == "point_foot_biped":
        hint = "the weight is not between the feet: shift them fore or aft in the nominal pose"
        limit = f"<= {1000 * _POINT_FEET[0]:.0f} mm beside the line"
        place = f"{1000 * abs(margin):.0f} mm beside the line between the feet"
        return Row(name, judge(-margin, *_POINT_FEET), place, limit, hint)
    limit = f">= {1000 * _SUPPORT:.0f} mm inside"
    place = f"{1000 * abs(margin):.0f} mm {'inside' if margin >= 0 else 'outside'} the polygon"
    hint = "it tips over: shift the feet under the weight in the nominal pose"
    return Row(name, judge(-margin, -_SUPPORT, 0.0), place, limit, hint)


def _ground(posed: Posed) -> Row:
    points = posed.ground_points()
    # Measured from the lowest foot, so that a wrong nominal height is told once.
    floor = min((point.height for point in points if point.body in posed.feet), default=0.0)
    height: dict[str, float] = {}
    for point in points:
        if point.body not in posed.feet:
            name = posed.geom_name(point.geom)
            height[name] = min(height.get(name, np.inf), point.height - floor)
    low = sorted((value, name) for name, value in height.items() if value < _CLEARANCE)
    status, found = Status.OK, "no other shape can touch it"
    if low:
        status = Status.FAIL if low[0][0] <= 0 else Status.WARN
        found = names([f"{name} {1000 * value:+.0f} mm" for value, name in low], 2)
    elif height:
        found = f"next shape {1000 * min(height.values()):.0f} mm above it"
    hint = "in the nominal pose nothing but the feet may reach the ground: shorten the shape, or mend the pose"
    return Row("only feet on the ground", status, found, f">= {1000 * _CLEARANCE:.0f} mm", hint)


def _pushing(posed: Posed) -> Row:
    name, pairs = "no contact with itself", set()
    for pair, distance in zip(posed.data.contact.geom, posed.data.contact.dist, strict=True):
        if posed.ground not in pair and distance < 0:
            pairs.add(f"{posed.geom_name(int(pair[0]))} in {posed.geom_name(int(pair[1]))}")
    if not pairs:
        return Row(name, Status.OK, "none in the nominal pose", "none")
    hint = "the robot pushes itself apart: move or shrink a shape, or exclude the pair (contype, <exclude>)"
    return Row(name, Status.FAIL, names(sorted(pairs), 2), "none", hint)


def _overlaps(posed: Posed) -> Row:
    model, ends, deep = posed.model, np.zeros(6), []
    solid = posed.colliders(range(1, model.nbody))
    chains = {body: _chain(model, body) for body in np.unique(model.geom_bodyid[solid]).tolist()}
    for one, other in combinations(solid, 2):
        a, b = (chains[int(model.geom_bodyid[geom])] for geom in (one, other))
        if len(a ^ b) <= _NEIGHBOURS:
            continue
        distance = mujoco.mj_geomDistance(model, posed.data, one, other, 0.0, ends)
        if distance < -_DEEP:
            deep.append(f"{posed.geom_name(one)} in {posed.geom_name(other)} {-1000 * distance:.0f} mm")
    hint = "shapes of parts that are no neighbours overlap: a position is wrong, or the pose cannot be reached"
    status, found = (Status.WARN, names(deep, 2)) if deep else (Status.OK, "no parts deep in each other")
    return Row("shapes apart", status, found, f"<= {1000 * _DEEP:.0f} mm", hint)


def _chain(model: mujoco.MjModel, body: int) -> set[int]:
    """The moving bodies from this one to the root; what is welded together counts as one."""
    chain = set()
    while body := int(model.body_weldid[body]):
        chain.add(body)
        body = int(model.body_parentid[body])
    return chain
