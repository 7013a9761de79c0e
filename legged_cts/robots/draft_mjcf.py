"""A vendor's model made fit for training: one free base, jointless feet, torque limits, our masks of contact."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np

from legged_cts.robots.draft_plain import (
    BALL,
    FREE,
    HINGE,
    SLIDE,
    Element,
    Plain,
    Plan,
    above,
    build,
    check_kinematics,
    draft_name,
    moving_joints,
    numbers,
)
from legged_cts.robots.draft_source import MASSLESS, DraftError, Notes, Source, listed, unique
from legged_cts.robots.inertia import principal, rotation, steiner
from legged_cts.robots.posed import Array, Posed

# A tip this far from the joint that moves it, as a share of the robot's reach, is a shank's end and not a foot.
_SHANK = 0.25
# Two leaves whose lowest points differ by more than this share of the reach are not both feet.
_LEVEL = 0.15
# A base frame further from the middle of the hips than this share of the reach is moved there.
_BESIDE = 0.02
# A limit above so many times weight x leg length / feet is a placeholder; motors of walking robots have 1 to 4 times.
_BELIEVED = 10.0
_FASTEST = 100.0
_GROUNDS = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD))


class Servo(NamedTuple):
    """What the actuator of a joint gives away."""

    force: float | None = None  # torque limit [N m], None if unlimited
    angles: tuple[float, float] | None = None  # range of its target [rad], None for a motor or without a limit
    gains: tuple[float, float] | None = None  # of a position servo: stiffness [N m/rad], damping [N m s/rad]


def clean(source: Source, notes: Notes) -> tuple[Plain, str, tuple[str, ...]]:
    """Write a vendor's model anew, so that it can be trained with; returns also the names of base and feet.

    Raises:
        DraftError: If the model has no hinges, joints of another kind, no shapes to touch the ground with, or no legs.
    """
    plan = Plan(_base(source, notes))
    plan.solid = _solid(source, notes)
    _hold(source, plan, notes)
    plan.keep = {body for body in range(1, source.model.nbody) if body != plan.base}
    stance = _stance(source, build(source, plan))
    legs = _hold_wheels(source, plan, stance, _legs(source, plan, stance, notes), notes)
    plan.keep = {foot for foot in legs.values() if foot is not None}
    _place_base(source, plan, stance, list(legs), notes)
    plain = build(source, plan)
    feet = _feet(source, plan, plain, legs, notes)
    _tell(source, plan, plain, notes)
    _limits(source, plain, feet, notes)
    _show_bare_bodies(plain)
    check_kinematics(source, plan, plain)
    return plain, draft_name(source, plan, plan.base), feet


def pose_of(source: Source, stance: Posed) -> Array:
    """Return the pose [rad] [d] of the file's key frame; 0, or what is nearest to it, where that says nothing."""
    return np.array([source.pose.get(joint, zero) for joint, zero in zip(stance.joints, stance.pose, strict=True)])


def _stance(source: Source, plain: Plain) -> Posed:
    """Put a robot into the pose of its file; joints without a range, which get one here, turn all the way round."""
    for joint in plain.root.iter("joint"):
        if "range" not in joint.attrib:
            joint.set("range", numbers((-math.pi, math.pi)))
    stance = Posed(plain.compile())
    stance.put(pose_of(source, stance))
    return stance


# What is the robot, and what moves.


def _base(source: Source, notes: Notes) -> int:
    """Return the body that carries the legs, 0 if they hang in the world itself."""
    model, path = source.model, source.path
    hinges = np.flatnonzero(model.jnt_type == HINGE)
    if not len(hinges):
        raise DraftError(f"{path}: no hinge joints, so nothing to train")
    roots = model.body_rootid[model.jnt_bodyid[hinges]]
    counts = np.bincount(roots, minlength=model.nbody)
    base = int(counts.argmax())
    floating = set(model.jnt_bodyid[model.jnt_type == FREE].tolist())
    own = [i for i in np.flatnonzero(model.jnt_bodyid == base) if model.jnt_type[i] != FREE]
    names, odd = [source.joints[i] for i in own], any(model.jnt_type[i] in (SLIDE, BALL) for i in own)
    rooted = set(roots.tolist()) - floating
    if own and len(rooted) > 1 and not odd:
        trunk = [g for g in np.flatnonzero(model.geom_bodyid == 0) if model.geom_type[g] not in _GROUNDS]
        trees = f"{len(rooted)} bodies with joints hang in the world itself"
        if not trunk:
            raise DraftError(f"{path}: {trees}: put them, and the trunk's shapes and mass, in a body of their own")
        notes.warnings.append(
            f"{trees}, so the trunk is the world: its {len(trunk)} shapes become the body 'trunk', of a guessed mass "
            "(their volume by 1000 kg/m^3): look it up"
        )
        return 0
    if own and (len(own) > 2 or odd):
        notes.changed.append(f"joints {listed(names)}, which moved the base, are replaced by a free joint")
    elif own:
        moved = f"joints {names} move the base {source.bodies[base]!r} itself"
        raise DraftError(f"{path}: {moved}; remove them, a free joint is added")
    elif base not in floating:
        notes.changed.append(f"the base {source.bodies[base]!r} had no free joint; one is added")
    for root in np.flatnonzero(model.body_parentid == 0)[1:]:
        if root != base:
            robot = " (it has joints too, but no more than the base)" if counts[root] else ""
            notes.changed.append(f"body {source.bodies[root]!r} is left out: no part of the robot{robot}")
    return base


def _solid(source: Source, notes: Notes) -> set[int]:
    """Return the shapes that touch the ground: colliders, shapes of contact pairs, else what there is to look at."""
    model = source.model
    own = [g for g in range(model.ngeom) if model.geom_type[g] not in _GROUNDS]
    solid = {g for g in own if model.geom_contype[g] or model.geom_conaffinity[g]}
    paired = {int(g) for g in (*model.pair_geom1, *model.pair_geom2)} & set(own)
    if paired - solid:
        notes.changed.append("shapes that touch only by contact pairs are colliders")
    solid |= paired
    if not solid:
        # Group 3 is where vendors put colliders whose masks a scene sets; else what there is to look at must do.
        solid = {g for g in own if model.geom_group[g] == 3} or set(own)
        notes.warnings.append(
            "no shape of the file can touch anything (all contype and conaffinity are 0, or the meshes of colliders "
            f"could not be read): {len(solid)} shapes that it has are taken for colliders: look at them"
        )
    if not solid:
        raise DraftError(f"{source.path}: the robot has no shapes that MuJoCo reads (.stl, .obj, .msh): add colliders")
    return solid


def _hold(source: Source, plan: Plan, notes: Notes) -> None:
    """Hold what no motor of a leg could move: slides, joints without a way to go and those that mimic others."""
    model = source.model
    told: dict[str, list[str]] = {}
    for joint, name in enumerate(source.joints):
        body, kind = int(model.jnt_bodyid[joint]), int(model.jnt_type[joint])
        low, high = model.jnt_range[joint]
        if body == plan.base or kind == FREE or plan.base not in above(model, body):
            continue
        if kind in (SLIDE, BALL):
            kind = "slide" if kind == SLIDE else "ball"
            if _bears(source, body):
                mend = "make it one, or remove the joint to hold its body in place"
                raise DraftError(f"{source.path}: joint {name!r} is a {kind} joint; only hinges can be trained: {mend}")
            plan.held[joint] = float(np.clip(0.0, low, high)) if model.jnt_limited[joint] else 0.0
            reason = f"{kind} joints are held in place: only hinges can be trained"
        elif name in source.mimics and not _bears(source, body):
            plan.held[joint] = source.mimics[name]
            reason = "joints that mimic another one are held in place"
        elif name in source.mimics:
            reason = "joints mimic another one in the file, and move freely here"
        elif (model.jnt_limited[joint] or low) and low >= high:
            plan.held[joint] = float(low)
            reason = "joints with no way between their limits are held there"
        else:
            continue
        told.setdefault(reason, []).append(name)
    notes.warnings += [f"{reason}: {listed(names)}" for reason, names in told.items()]


def _bears(source: Source, body: int) -> bool:
    """Whether a body is part of what could be a leg: at least two hinges lie on one way through it."""
    model = source.model
    hinged = set(model.jnt_bodyid[model.jnt_type == HINGE].tolist())
    over = hinged & set(above(model, body)) - {int(model.body_rootid[body])}
    return len(over) == 1 or any(body in above(model, other) for other in hinged)


# Feet.


def _legs(source: Source, plan: Plan, stance: Posed, notes: Notes) -> dict[int, int | None]:
    """Return the last moving body of each leg, with the fixed body that is its foot, if there is one.

    Both are indices of the source's bodies; the robot stands in the pose of its file with all its bodies.
    """
    own = {draft_name(source, plan, body): body for body in range(source.model.nbody)}
    tips, reach = stance.tips(), stance.reach()
    if not tips:
        raise DraftError("no leg has a collider at its end, so there are no feet: add shapes that touch the ground")
    ground = min(tip[2] for tip in tips.values())
    legs = [leaf for leaf, tip in tips.items() if tip[2] < ground + _LEVEL * reach]
    alike = [leaf for leaf in tips if leaf not in legs and any(_alike(stance, leaf, leg) for leg in legs)]
    if alike:
        names = listed(stance.body_name(leaf) for leaf in alike)
        where = f"in the key frame {source.key!r}" if source.key else "with all joints at 0"
        notes.warnings.append(f"{names} hang above the ground {where}, but are legs like the others: taken as feet")
    if len(legs) + len(alike) < 2:
        limb = f"only one limb ({stance.body_name(legs[0])}) reaches the ground, like an arm"
        raise DraftError(f"{source.path}: {limb}: what walks has two feet or more")
    found = {}
    for leaf in sorted([*legs, *alike]):
        _, geom = stance.lowest(_welded(stance, leaf))
        body = int(stance.model.geom_bodyid[geom])
        spans = [stance.extent(geom, 2) for geom in stance.colliders([body])]
        foot = body != leaf and float(np.ptp(spans)) < _SHANK * reach
        found[own[stance.body_name(leaf)]] = own[stance.body_name(body)] if foot else None
    return found


def _welded(stance: Posed, body: int) -> list[int]:
    """Return the colliders of a moving body and of all that is welded to it."""
    return stance.colliders(np.flatnonzero(stance.model.body_weldid == body).tolist())


def _alike(stance: Posed, leaf: int, other: int) -> bool:
    """Whether two limbs are built alike: as many joints, of like length and weight."""
    chains = [stance.chain(body) for body in (leaf, other)]
    places = [stance.data.xanchor[stance.ids[chain]] for chain in chains]
    lengths = [np.linalg.norm(np.diff(place, axis=0), axis=1).sum() for place in places]
    masses = [stance.model.body_mass[stance.bodies[chain]].sum() for chain in chains]
    alike = np.allclose((lengths[0], masses[0]), (lengths[1], masses[1]), rtol=0.25)
    return len(chains[0]) == len(chains[1]) and alike


def _hold_wheels(
    source: Source, plan: Plan, stance: Posed, legs: dict[int, int | None], notes: Notes
) -> dict[int, int | None]:
    """Hold wheels, which turn without end, and take them for feet."""
    held: dict[int, int | None] = {}
    wheels = []
    for leaf, foot in legs.items():
        joint, *more = moving_joints(source, plan, leaf)
        if more or not _turns_round(source, joint) or not _round(stance, source.joints[joint]):
            held[leaf] = foot
            continue
        wheels.append(source.joints[joint])
        plan.held[joint] = 0.0
        # The base has no moving joints.
        if shank := next((b for b in above(source.model, leaf) if moving_joints(source, plan, b)), 0):
            held[shank] = foot or leaf
    if wheels:
        notes.warnings.append(
            f"{listed(wheels)} turn without end and carry a round body at the ground: wheels. Training is for legs: "
            "they are held in place (the draft's joints leave them out), and the wheels are feet that do not roll"
        )
    if not held:
        raise DraftError(f"{source.path}: only wheels touch the ground ({listed(wheels)}): this project trains legs")
    return held


def _turns_round(source: Source, joint: int) -> bool:
    """Whether a joint turns without end: it has no limits, or limits more than two turns apart."""
    low, high = source.model.jnt_range[joint]
    return not source.model.jnt_limited[joint] or bool(high - low > 4 * math.pi)


def _round(stance: Posed, name: str) -> bool:
    """Whether what a joint turns is round about its axis and reaches no further along it than a wheel."""
    joint = stance.model.joint(name).id
    axis, anchor = stance.data.xaxis[joint], stance.data.xanchor[joint]
    geoms = _welded(stance, int(stance.model.jnt_bodyid[joint]))
    side = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    side /= np.linalg.norm(side)
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)[:, None]
    directions = np.cos(turns) * side + np.sin(turns) * np.cross(axis, side)
    spans = [max(stance.support(geom, d) - d @ anchor for geom in geoms) for d in directions]
    return min(spans) > 0.85 * max(spans)


def _place_base(source: Source, plan: Plan, stance: Posed, legs: Sequence[int], notes: Notes) -> None:
    """Turn a base frame that the file tilts upright, and move one at the feet or beside the hips between those."""
    name = draft_name(source, plan, plan.base)
    if plan.base and rotation(source.model.body_quat[plan.base])[2, 2] < math.cos(0.3):
        plan.upright = True
        notes.changed.append(f"the frame of the base {name!r} is turned to stand upright, as the file places it")
        stance = _stance(source, build(source, plan))
    bodies = [stance.model.body(source.bodies[leg]).id for leg in legs]
    anchors = np.array([stance.data.xanchor[stance.ids[stance.chain(body)[0]]] for body in bodies])
    hips, beside = anchors[:, 2], float(np.round((anchors[:, 1].min() + anchors[:, 1].max()) / 2, 6))
    tips = stance.tips()
    if len(legs) % 2 == 0 and abs(beside) > _BESIDE * stance.reach():
        plan.shift = beside, plan.shift[1]
        where = f"{100 * abs(beside):.1f} cm to the {'left' if beside > 0 else 'right'}"
        notes.changed.append(f"the frame of the base {name!r} lay beside the hips; it is {where} now, in their middle")
    feet = [tips[body][2] for body in bodies if body in tips]
    if feet and np.mean(hips) - min(feet) > 0 and -min(feet) < 0.25 * (np.mean(hips) - min(feet)):
        plan.shift = plan.shift[0], float(np.round(np.mean(hips), 6))
        higher = f"{100 * plan.shift[1]:.1f} cm higher now, at the hips"
        notes.changed.append(f"the frame of the base {name!r} lay at the feet; it is {higher}")


def _feet(source: Source, plan: Plan, plain: Plain, legs: dict[int, int | None], notes: Notes) -> tuple[str, ...]:
    """Return the feet's bodies; a shank that is its own foot gets a body of its own for it."""
    stance = _stance(source, build(source, plan))
    reach, told, found = stance.reach(), {}, {}
    for leaf, foot in legs.items():
        name = source.bodies[leaf]
        found[name] = source.bodies[leaf if foot is None else foot]
        if foot is not None:
            continue
        body = stance.model.body(name).id
        height, geom = stance.lowest(stance.colliders([body]))
        tip = np.array([*stance.data.geom_xpos[geom, :2], height])
        if np.linalg.norm(tip - stance.data.xanchor[stance.ids[stance.chain(body)[-1]]]) > _SHANK * reach:
            found[name], what = _split_foot(stance, plain, name, geom, reach)
            told.setdefault(what, []).append(name)
    notes.warnings += [what.format(listed(shanks)) for what, shanks in told.items()]
    model = plain.compile()
    for shank, foot in found.items():
        if foot != shank and model.body(foot).mass[0] < MASSLESS:
            _weigh_foot(plain, model, shank, foot)
            plain.comments.setdefault(("body", foot), "guess: mass, taken out of its parent's")
    return tuple(model.body(i).name for i in range(model.nbody) if model.body(i).name in found.values())


def _split_foot(stance: Posed, plain: Plain, shank: str, index: int, reach: float) -> tuple[str, str]:
    """Give a shank's end a body of its own, so that a contact of the foot can be told from one of the shank.

    Returns its name, the shank's where the shape leaves open what the foot is, and a warning with a gap for shanks.
    """
    compiled = stance.model.geom(index)
    kind, size = mujoco.mjtGeom(int(compiled.type[0])).name[len("mjGEOM_") :].lower(), compiled.size
    spans = [np.ptp(stance.extent(index, axis)) for axis in range(3)]
    element = plain.body(shank)
    geom = next(g for g in element.findall("geom") if g.get("name") == compiled.name)
    look = {key: geom.attrib[key] for key in ("friction", "rgba") if key in geom.attrib}
    name = re.sub(r"(?i)calf|shank|shin|tibia|lower_?leg", "foot", shank)
    # In USD it lies beside the shapes and the joint of the shank.
    name = unique(name if name != shank else f"{shank}_foot", [e.get("name", "") for e in plain.root.iter()])
    if np.linalg.norm(spans) < 2 * _SHANK * reach and len(stance.colliders([int(compiled.bodyid[0])])) > 1:
        # A shape of its own at the end: it moves, as it is.
        element.remove(geom)
        foot = _foot_body(plain, element, name, compiled.pos, kind, _floats(geom, "size"), look, compiled.quat)
        plain.shapes = {g: foot if owned == compiled.name else owned for g, owned in plain.shapes.items()}
        how = "its lowest collider"
    elif kind in ("capsule", "cylinder"):
        # The end of a capsule is a sphere already; of a cylinder it nearly is.
        radius, half = float(size[0]), float(size[1])
        end = -np.sign(stance.data.geom_xmat[index].reshape(3, 3)[2, 2]) or 1.0
        axis, beyond = end * rotation(compiled.quat)[:, 2], half if kind == "capsule" else half - radius
        # The shank's own shape ends where the foot begins.
        geom.set("size", numbers([radius, max(half - radius, 1e-3)]))
        geom.set("pos", numbers(compiled.pos - radius * axis))
        plain.shapes = {g: owned for g, owned in plain.shapes.items() if owned != compiled.name}
        _foot_body(plain, element, name, compiled.pos + beyond * axis, "sphere", np.array([radius]), look)
        how = f"a sphere at the end of its {kind}"
    else:
        return shank, (
            f"{{}} hold foot and shank in one {kind}: a contact of the shank counts as a step. Give each "
            "foot a body of its own in the MJCF, with a sphere, and name that under feet"
        )
    plain.comments["body", name] = f"guess: a body of its own for the foot, made of {how}; mass taken out of {shank}'s"
    return name, f"{{}} held the foot too: a body without a joint is added for each foot, made of {how}"


def _floats(element: Element, key: str) -> Array:
    return np.array(element.get(key, "0").split(), float)


def _foot_body(
    plain: Plain, shank: Element, name: str, pos: Array, kind: str, size: Array, look, quat: Array | None = None
) -> str:
    foot = Element("body", {"name": name, "pos": numbers(pos)})
    shank.append(foot)
    return plain.add_geom(
        foot, True, kind, size, np.zeros(3), np.array([1.0, 0, 0, 0]) if quat is None else quat, **look
    )


def _weigh_foot(plain: Plain, model: mujoco.MjModel, shank: str, foot: str) -> None:
    """Take a foot's mass out of its shank's, so that both together stay what they were.

    The foot is a solid sphere of a tenth of the mass, or of less where the rest would be no possible body.
    """
    whole, tip = model.body(shank), model.body(foot)
    total, place, radius = whole.mass[0], tip.pos.copy(), float(model.geom_rbound[tip.geomadr[0]])
    turn = rotation(whole.iquat)
    about_origin = turn @ np.diag(whole.inertia) @ turn.T + steiner(total, whole.ipos)
    mass = 0.1 * total
    while mass > 1e-3 * total:
        ball, rest = 0.4 * mass * radius**2 * np.eye(3), total - mass
        centre = (total * whole.ipos - mass * place) / rest
        tensor = about_origin - ball - steiner(mass, place) - steiner(rest, centre)
        a, b, c = np.linalg.eigvalsh(tensor)
        if a > 0 and a + b > c:
            plain.set_inertial(plain.body(shank), rest, centre, *principal(tensor))
            break
        mass /= 2
    # A body without mass is no body to other simulators; what cannot be taken is too little to matter.
    plain.set_inertial(plain.body(foot), mass, np.zeros(3), np.full(3, 0.4 * mass * radius**2))


# What is left out, and the limits of the joints.


def _tell(source: Source, plan: Plan, plain: Plain, notes: Notes) -> None:
    """Say what of the file is not in the draft."""
    model = source.model
    warn, change = notes.warnings.append, notes.changed.append
    if fused := [source.bodies[b] for b, name in plain.owner.items() if b and name != source.bodies[b]]:
        change(f"bodies without joints are fused to their parents: {listed(fused)}")
    if chains := [source.bodies[b] for b in plain.owner if len(moving_joints(source, plan, b)) > 1]:
        change(f"bodies with several joints become chains with a body for each: {listed(chains)}")
    if model.nu:
        change(
            f"{model.nu} actuators are left out: training and deployment add their own PD, which a second "
            "drive would double; their limits are kept"
        )
    loops = int(np.isin(model.eq_type, (int(mujoco.mjtEq.mjEQ_CONNECT), int(mujoco.mjtEq.mjEQ_WELD))).sum())
    if loops:
        warn(
            f"{loops} closed loops (equality constraints) are left out: training cannot keep them, "
            "and what they held moves freely; lock or drive those joints, or remove them"
        )
    for what, count in ("tendons", model.ntendon), ("couplings of joints (equality constraints)", model.neq - loops):
        if count:
            warn(f"{count} {what} are left out: a coupled joint moves freely here; lock or remove it")
    if springs := [name for name, joint in plain.joints().items() if joint.get("stiffness")]:
        warn(f"joints have passive springs beside their motors: {listed(springs)}")
    if (model.body_gravcomp != 0).any():
        warn("the file lifts bodies against gravity (gravcomp); the draft does not")
    world = [g for g in np.flatnonzero(model.geom_bodyid == 0) if g not in plain.shapes]
    if world and plan.base:
        change(f"the world's own shapes ({len(world)}, the ground) are left out: the task brings its terrain")
    counts = {
        "sensors": model.nsensor, "sites": model.nsite, "cameras": model.ncam, "lights": model.nlight,
        "key frames": model.nkey, "contact pairs": model.npair, "contact exclusions": model.nexclude,
    }  # fmt: skip
    gone = [f"{count} {what}" for what, count in counts.items() if count]
    change(f"left out too: {', '.join([*gone, 'defaults, materials and textures (colours are kept)'])}")
    change(
        f"{sum(geom.get('class') == 'collider' for _, geom in plain.geoms())} colliders meet the ground and not "
        "each other (contype 0, conaffinity 1), with priority 1 so that their friction counts"
    )
    if fitted := sum("fitted to the mesh" in remark for remark in plain.comments.values()):
        warn(
            f"meshes that collide are replaced by boxes, capsules and spheres of their extent ({fitted}): look at them"
        )


def _limits(source: Source, plain: Plain, feet: Sequence[str], notes: Notes) -> None:
    actuators = servos(source)
    guess = _torque_guess(plain.compile(), feet)
    origins: dict[str, list[str]] = {}
    wide: list[str] = []
    fast = {joint for joint, speed in source.velocity_limit.items() if speed >= _FASTEST}
    for name, joint in plain.joints().items():
        index, servo, remarks = source.joints.index(name), actuators.get(name, Servo()), []
        if not source.model.jnt_limited[index]:
            joint.set("range", numbers(servo.angles or (-math.pi, math.pi)))
            remarks.append("range read from its actuator" if servo.angles else "guess: range, for it had none")
            if not servo.angles:
                origins.setdefault("no range, so -pi to pi", []).append(name)
        elif _turns_round(source, index):
            wide.append(name)
        limit, remark = _torque_limit(source.model, index, servo)
        remarks += [remark] if remark else []
        if limit and not limit <= _BELIEVED * guess:
            doubt = f"a torque limit of {limit:g} N m is a placeholder, so {guess:g} N m"
            origins.setdefault(doubt, []).append(name)
            remarks = [f"guess: torque limit, for the file's {limit:g} N m is a placeholder"]
            limit = guess
            if name in source.velocity_limit:
                fast.add(name)
        elif not limit:
            remarks.append(f"guess: torque limit [N m], for the file has none: weight x leg length / feet is {guess:g}")
            origins.setdefault(f"no torque limit, so {guess:g} N m", []).append(name)
            limit = guess
        joint.set("actuatorfrcrange", numbers((-limit, limit)))
        if remarks:
            plain.comments["joint", name] = "; ".join(remarks)
    if wide:
        notes.warnings.append(
            f"limits are more than two turns apart: {listed(wide)}: are they in degrees? A URDF has radians"
        )
    if doubted := sorted(joint for joint in fast if source.velocity_limit[joint] > 40):
        speeds = f"{min(source.velocity_limit[j] for j in doubted):g} rad/s"
        notes.warnings.append(f"speed limits from {speeds} on are placeholders and not used: {listed(doubted)}")
        for joint in doubted:
            del source.velocity_limit[joint]
    notes.warnings += [f"{reason} is guessed for {listed(joints)}" for reason, joints in origins.items()]


def _torque_limit(model: mujoco.MjModel, joint: int, servo: Servo) -> tuple[float | None, str | None]:
    """Return what a file gives as a joint's torque limit [N m], and where from if not from the joint itself."""
    low, high = model.jnt_actfrcrange[joint]
    limit = min(-low, high)
    if not model.jnt_actfrclimited[joint] or limit <= 0:
        return servo.force, "torque limit read from its actuator" if servo.force else None
    return limit, None if math.isclose(-low, high) else "torque limit: the smaller side of the file's range"


def servos(source: Source) -> dict[str, Servo]:
    """Return what the actuator of each joint gives away, by joint."""
    model = source.model
    found: dict[str, Servo] = {}
    for i in range(model.nu):
        if int(model.actuator_trntype[i]) not in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            continue
        gear, gain = abs(float(model.actuator_gear[i, 0])), abs(float(model.actuator_gainprm[i, 0]))
        bias, force, angles, gains = model.actuator_biasprm[i], None, None, None
        # A motor's control is a torque; a position servo's is an angle, and its bias pulls back to it.
        # Its target's speed is the control of an integrated one, and the control of a damper is a speed too.
        affine = model.actuator_biastype[i] == mujoco.mjtBias.mjBIAS_AFFINE
        servo, speed = affine and bias[1] != 0, affine and bias[1] == 0 and bias[2] != 0
        integrated = model.actuator_dyntype[i] == mujoco.mjtDyn.mjDYN_INTEGRATOR
        if model.actuator_forcelimited[i]:
            force = float(np.abs(model.actuator_forcerange[i]).min() * gear)
        elif model.actuator_ctrllimited[i] and not (servo or speed or integrated):
            force = float(np.abs(model.actuator_ctrlrange[i]).min() * gear * gain)
        if servo and gear > 0:
            gains = (-float(bias[1]) * gear**2, -float(bias[2]) * gear**2)
            limited, ranges = model.actuator_ctrllimited[i], model.actuator_ctrlrange[i]
            if integrated:
                limited, ranges = model.actuator_actlimited[i], model.actuator_actrange[i]
            if limited:
                low, high = ranges
                angles = (float(low / gear), float(high / gear))
        name = source.joints[model.actuator_trnid[i, 0]]
        # Some files give a joint a servo and a damper: each knows a part, and the servo has the force.
        before = found.get(name, Servo())
        force = max(force or 0.0, before.force or 0.0) or None
        found[name] = Servo(force, angles or before.angles, gains or before.gains)
    return found


def _torque_guess(model: mujoco.MjModel, feet: Sequence[str]) -> float:
    """Weight times leg length over the number of feet: 19 N m for the Go2, whose hips have 23.7."""
    lengths = []
    for foot in feet:
        # The way to the hip is no part of the leg.
        leg = [body for body in (model.body(foot).id, *above(model, model.body(foot).id)) if body][:-2]
        lengths.append(sum(float(np.linalg.norm(model.body_pos[body])) for body in leg))
    return float(f"{max(model.body_mass.sum() * 9.81 * max(lengths) / len(feet), 0.1):.2g}")


def _show_bare_bodies(plain: Plain) -> None:
    """Give bodies of colliders alone the same shapes to look at, if others have such: pictures leave colliders out."""
    looks = {body.get("name") for body, geom in plain.geoms() if geom.get("class") == "visual"}
    for body, geom in plain.geoms() if looks else []:
        if body.get("name") not in looks:
            size, pos, quat = (_floats(geom, key) for key in ("size", "pos", "quat"))
            words = {"rgba": "0.5 0.5 0.55 1", "density": "0"}
            plain.add_geom(body, False, geom.get("type", ""), size, pos, quat, **words)
