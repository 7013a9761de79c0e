"""A vendor's model made fit for training: one free base, jointless feet, torque limits, our masks of contact."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from legged_cts.robots.draft_check import check_kinematics
from legged_cts.robots.draft_plain import Element, Plain, Plan, build, moving_joints, numbers
from legged_cts.robots.draft_source import MASSLESS, DraftError, Notes, Source, listed, unique
from legged_cts.robots.draft_stance import Array, Stance
from legged_cts.robots.inertia import principal, rotation, steiner

# A tip this far from the joint that moves it, as a share of the robot's reach, is a shank's end and not a foot.
_SHANK = 0.25
# Two leaves whose lowest points differ by more than this share of the reach are not both feet.
_LEVEL = 0.15
# A limit above so many times weight x leg length / feet is a placeholder; motors of walking robots have 1 to 4 times.
_BELIEVED = 10.0
_FASTEST = 100.0
_HINGE, _SLIDE, _BALL, _FREE = (
    int(getattr(mujoco.mjtJoint, f"mjJNT_{kind}")) for kind in ("HINGE", "SLIDE", "BALL", "FREE")
)


@dataclass(frozen=True)
class Servo:
    """What the actuator of a joint gives away.

    Attributes:
        force: Torque limit [N m], None if unlimited.
        angles: Range of its target angle [rad], None for a motor or without a limit.
        gains: Stiffness [N m/rad] and damping [N m s/rad] of a position servo, None for others.
    """

    force: float | None
    angles: tuple[float, float] | None
    gains: tuple[float, float] | None


def clean(source: Source, notes: Notes) -> tuple[Plain, str, tuple[str, ...]]:
    """Write a vendor's model anew, so that it can be trained with.

    Returns:
        The new model, and the names of its base and of its feet; the foot order is that of the file.

    Raises:
        DraftError: If the model has no hinges, joints of another kind, no shapes to touch the ground with, or no legs.
    """
    plan = Plan(_base(source, notes), {}, set(), set())
    plan.solid = _solid(source, notes)
    _hold(source, plan, notes)
    plan.keep = {body for body in range(1, source.model.nbody) if body != plan.base}
    stance, legs = _legs(source, plan, notes)
    plan.keep = {foot for foot in legs.values() if foot is not None}
    _place_base(source, plan, stance, list(legs), notes)
    plain = build(source, plan)
    feet = _feet(source, plan, plain, legs, notes)
    _tell(source, plan, plain, notes)
    _limits(source, plain, feet, notes)
    _show_bare_bodies(plain)
    check_kinematics(source, plan, plain)
    return plain, "trunk" if plan.base == 0 else source.bodies[plan.base], feet


# What is the robot, and what moves.


def _base(source: Source, notes: Notes) -> int:
    """Return the body that carries the legs, 0 if they hang in the world itself."""
    model = source.model
    hinges = np.flatnonzero(model.jnt_type == _HINGE)
    if not len(hinges):
        raise DraftError(f"{source.path}: no hinge joints, so nothing to train")
    roots = model.body_rootid[model.jnt_bodyid[hinges]]
    counts = np.bincount(roots)
    base = int(counts.argmax())
    own = [i for i in range(model.njnt) if model.jnt_bodyid[i] == base and model.jnt_type[i] != _FREE]
    rooted = [int(r) for r in np.unique(roots) if not _floats(model, int(r))]
    trunk = [g for g in range(model.ngeom) if model.geom_bodyid[g] == 0 and model.geom_type[g] not in _GROUNDS]
    names = [source.joints[i] for i in own]
    if own and len(rooted) > 1 and not any(model.jnt_type[i] in (_SLIDE, _BALL) for i in own):
        trees = f"{len(rooted)} bodies with joints hang in the world itself"
        if not trunk:
            raise DraftError(
                f"{source.path}: {trees}: put them, and the trunk's shapes and mass, in a body of their own"
            )
        notes.warnings.append(
            f"{trees}, so the trunk is the world: its {len(trunk)} shapes become the body 'trunk', of a guessed mass "
            "(their volume by 1000 kg/m^3): look it up"
        )
        return 0
    if own and (len(own) > 2 or any(model.jnt_type[i] in (_SLIDE, _BALL) for i in own)):
        notes.changed.append(f"joints {listed(names)}, which moved the base, are replaced by a free joint")
    elif own:
        raise DraftError(
            f"{source.path}: joints {names} move the base {source.bodies[base]!r} itself; remove them, a free joint is "
            "added"
        )
    elif not _floats(model, base):
        notes.changed.append(f"the base {source.bodies[base]!r} had no free joint; one is added")
    for root in np.flatnonzero((model.body_parentid == 0) & (np.arange(model.nbody) != 0)):
        if root != base:
            robot = " (it has joints too, but fewer)" if root < len(counts) and counts[root] else ""
            notes.changed.append(f"body {source.bodies[root]!r} is left out: no part of the robot{robot}")
    return base


_GROUNDS = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD))


def _floats(model: mujoco.MjModel, body: int) -> bool:
    first = int(model.body_jntadr[body])
    return model.body_jntnum[body] > 0 and model.jnt_type[first] == _FREE


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
        shapes = {g for g in own if model.geom_group[g] == 3} or set(own)
        solid = shapes
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
    for joint in range(model.njnt):
        body, name = int(model.jnt_bodyid[joint]), source.joints[joint]
        low, high = model.jnt_range[joint]
        kind = mujoco.mjtJoint(int(model.jnt_type[joint]))
        if body == plan.base or kind == _FREE or plan.base not in (body, *_ancestors(model, body)):
            continue
        still = bool(model.jnt_limited[joint] or low) and low >= high
        if kind in (_SLIDE, _BALL) and _bears(source, body):
            raise DraftError(
                f"{source.path}: joint {name!r} is a {kind.name[6:].lower()} joint; only hinges can be trained: make "
                "it one, or remove the joint to hold its body in place"
            )
        if kind in (_SLIDE, _BALL):
            plan.held[joint] = float(np.clip(0.0, low, high)) if model.jnt_limited[joint] else 0.0
            told.setdefault(f"{kind.name[6:].lower()} joints are held in place: only hinges can be trained", []).append(
                name
            )
        elif name in source.mimics and not _bears(source, body):
            plan.held[joint] = source.mimics[name]
            told.setdefault("joints that mimic another one are held in place", []).append(name)
        elif name in source.mimics:
            told.setdefault("joints mimic another one in the file, and move freely here", []).append(name)
        elif still:
            plan.held[joint] = float(low)
            told.setdefault("joints with no way between their limits are held there", []).append(name)
    notes.warnings += [f"{reason}: {listed(names)}" for reason, names in told.items()]


def _ancestors(model: mujoco.MjModel, body: int) -> list[int]:
    found = []
    while body:
        body = int(model.body_parentid[body])
        found.append(body)
    return found


def _bears(source: Source, body: int) -> bool:
    """Whether a body is part of what could be a leg: at least two hinges lie on one way through it."""
    model = source.model
    hinged = set(model.jnt_bodyid[model.jnt_type == _HINGE].tolist())
    above = hinged & set(_ancestors(model, body)) - {int(model.body_rootid[body])}
    below = {b for b in hinged if body in _ancestors(model, b)}
    return bool(below) or len(above) == 1


# Feet.


def _legs(source: Source, plan: Plan, notes: Notes) -> tuple[Stance, dict[int, int | None]]:
    """Find the legs.

    Returns:
        The robot with all its bodies, and for each leg its last moving body with the fixed body that is its foot, if
        there is one (indices of the source's bodies). Wheels are held from here on.
    """
    whole = build(source, plan)
    _open_ranges(whole)
    stance = Stance(whole.compile())
    own = {name: body for body, name in plan_names(source, plan).items()}
    stance.place(stance.pose_of(source.pose))
    tips, reach = stance.tips(), stance.reach()
    if not tips:
        raise DraftError("no leg has a collider at its end, so there are no feet: add shapes that touch the ground")
    ground = min(tip[2] for tip in tips.values())
    legs = [leaf for leaf, tip in tips.items() if tip[2] < ground + _LEVEL * reach]
    alike = [leaf for leaf in tips if leaf not in legs and any(_alike(stance, leaf, leg) for leg in legs)]
    if alike:
        names = listed([stance.model.body(leaf).name for leaf in alike])
        where = f"in the key frame {source.key!r}" if source.key else "with all joints at 0"
        notes.warnings.append(f"{names} hang above the ground {where}, but are legs like the others: taken as feet")
    if len(legs) + len(alike) < 2:
        raise DraftError(
            f"{source.path}: only one limb ({stance.model.body(legs[0]).name}) reaches the ground, like an arm: what "
            "walks has two feet or more"
        )
    found: dict[int, int | None] = {}
    for leaf in sorted([*legs, *alike]):
        group = np.flatnonzero(stance.model.body_weldid == leaf).tolist()
        _, geom = stance.lowest(stance.colliders(group))
        body = int(stance.model.geom_bodyid[geom])
        foot = body != leaf and _is_foot(stance, body, reach)
        found[own[stance.model.body(leaf).name]] = own[stance.model.body(body).name] if foot else None
    return stance, _hold_wheels(source, plan, stance, found, notes)


def plan_names(source: Source, plan: Plan) -> dict[int, str]:
    """Return the name in the draft of each body of the source."""
    return {b: "trunk" if b == plan.base == 0 else source.bodies[b] for b in range(source.model.nbody)}


def _alike(stance: Stance, leaf: int, other: int) -> bool:
    """Whether two limbs are built alike: as many joints, of like length and weight."""
    figures = []
    for body in (leaf, other):
        chain = stance.chain(body)
        places = stance.data.xanchor[stance.ids[chain]]
        length = np.linalg.norm(np.diff(places, axis=0), axis=1).sum()
        figures.append((len(chain), length, stance.model.body_mass[stance.model.jnt_bodyid[stance.ids[chain]]].sum()))
    return figures[0][0] == figures[1][0] and np.allclose(figures[0][1:], figures[1][1:], rtol=0.25)


def _hold_wheels(
    source: Source, plan: Plan, stance: Stance, legs: dict[int, int | None], notes: Notes
) -> dict[int, int | None]:
    """Hold wheels, which turn without end, and take them for feet."""
    held: dict[int, int | None] = {}
    wheels = []
    for leaf, foot in legs.items():
        joints = moving_joints(source, plan, leaf)
        wheel = len(joints) == 1 and not source.model.jnt_limited[joints[0]] and _round(source, plan, stance, joints[0])
        if not wheel:
            held[leaf] = foot
            continue
        wheels.append(source.joints[joints[0]])
        plan.held[joints[0]] = 0.0
        shank = next(
            (b for b in _ancestors(source.model, leaf) if moving_joints(source, plan, b) or b == plan.base), plan.base
        )
        if shank != plan.base:
            held[shank] = foot or leaf
    if wheels:
        notes.warnings.append(
            f"{listed(wheels)} turn without end and carry a round body at the ground: wheels. Training is for legs: "
            "they are held in place (the draft's joints leave them out), and the wheels are feet that do not roll"
        )
    if not held:
        raise DraftError(f"{source.path}: only wheels touch the ground ({listed(wheels)}): this project trains legs")
    return held


def _round(source: Source, plan: Plan, stance: Stance, joint: int) -> bool:
    """Whether what a joint turns is round about its axis and reaches no further along it than a wheel."""
    body = stance.model.body(source.bodies[source.model.jnt_bodyid[joint]]).id
    axis = stance.data.xaxis[stance.model.joint(source.joints[joint]).id]
    anchor = stance.data.xanchor[stance.model.joint(source.joints[joint]).id]
    group = np.flatnonzero(stance.model.body_weldid == body).tolist()
    side = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    side /= np.linalg.norm(side)
    directions = [
        np.cos(t) * side + np.sin(t) * np.cross(axis, side) for t in np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ]
    spans = [max(stance.support(g, d) - d @ anchor for g in stance.colliders(group)) for d in directions]
    return min(spans) > 0.85 * max(spans)


def _is_foot(stance: Stance, body: int, reach: float) -> bool:
    geoms = stance.colliders([body])
    spans = [np.array([stance.extent(geom, axis) for geom in geoms]) for axis in range(3)]
    return float(np.ptp(spans[2])) < _SHANK * reach


def _place_base(source: Source, plan: Plan, stance: Stance, legs: Sequence[int], notes: Notes) -> None:
    """Turn a base frame that the file tilts upright, and lift one that lies at the feet up to the hips."""
    name = "trunk" if plan.base == 0 else source.bodies[plan.base]
    if plan.base and rotation(source.model.body_quat[plan.base])[2, 2] < math.cos(0.3):
        plan.upright = True
        notes.changed.append(f"the frame of the base {name!r} is turned to stand upright, as the file places it")
        stance = Stance(_opened(build(source, plan)))
    stance.place(stance.pose_of(source.pose))
    bodies = [stance.model.body(source.bodies[leg]).id for leg in legs]
    hips = [float(stance.data.xanchor[stance.ids[stance.chain(body)[0]], 2]) for body in bodies]
    tips = stance.tips()
    feet = [tips[body][2] for body in bodies if body in tips]
    if feet and np.mean(hips) - min(feet) > 0 and -min(feet) < 0.25 * (np.mean(hips) - min(feet)):
        plan.rise = float(np.round(np.mean(hips), 6))
        notes.changed.append(
            f"the frame of the base {name!r} lay at the feet; it is {100 * plan.rise:.1f} cm higher now, at the hips"
        )


def _opened(plain: Plain) -> mujoco.MjModel:
    _open_ranges(plain)
    return plain.compile()


def _open_ranges(plain: Plain) -> None:
    for joint in plain.root.iter("joint"):
        if "range" not in joint.attrib:
            joint.set("range", numbers((-math.pi, math.pi)))


def _feet(source: Source, plan: Plan, plain: Plain, legs: dict[int, int | None], notes: Notes) -> tuple[str, ...]:
    """Return the feet's bodies; a shank that is its own foot gets a body of its own for it."""
    stance = Stance(_opened(build(source, plan)))
    stance.place(stance.pose_of(source.pose))
    reach, told, found = stance.reach(), {}, {}
    for leaf, foot in legs.items():
        name = source.bodies[leaf]
        found[name] = name if foot is None else source.bodies[foot]
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


def _with_some_ranges(plain: Plain) -> mujoco.MjModel:
    return plain.compile()


def _split_foot(stance: Stance, plain: Plain, shank: str, index: int, reach: float) -> tuple[str, str]:
    """Give a shank's end a body of its own, so that a contact of the foot can be told from one of the shank.

    Returns:
        Name of the foot's body, which is the shank's where its shape leaves open what the foot is, and a warning with a
        gap for the names of shanks.
    """
    model = stance.model
    compiled = model.geom(index)
    kind, size = mujoco.mjtGeom(int(compiled.type[0])).name[len("mjGEOM_") :].lower(), compiled.size
    spans = [np.ptp(stance.extent(index, axis)) for axis in range(3)]
    element = plain.body(shank)
    geom = next(g for g in element.findall("geom") if g.get("name") == compiled.name)
    look = {key: geom.attrib[key] for key in ("friction", "rgba") if key in geom.attrib}
    axis = rotation(compiled.quat)[:, 2]
    name = re.sub(r"(?i)calf|shank|shin|tibia|lower_?leg", "foot", shank)
    name = unique(name if name != shank else f"{shank}_foot", [e.get("name", "") for e in plain.root.iter("body")])
    if np.linalg.norm(spans) < 2 * _SHANK * reach and len(stance.colliders([model.body(shank).id])) > 1:
        # A shape of its own at the end: it moves, as it is.
        element.remove(geom)
        foot = _foot_body(plain, element, name, compiled.pos, kind, _size(geom), compiled.quat, look)
        for source_geom, owned in plain.shapes.items():
            if owned == geom.get("name"):
                plain.shapes[source_geom] = foot
        how = "its lowest collider"
    elif kind in ("capsule", "cylinder"):
        # The end of a capsule is a sphere already; of a cylinder it nearly is.
        radius, half = float(size[0]), float(size[1])
        end = -np.sign(stance.data.geom_xmat[index].reshape(3, 3)[2, 2]) or 1.0
        beyond = half if kind == "capsule" else half - radius
        # The shank's own shape ends where the foot begins.
        geom.set("size", numbers([radius, max(half - radius, 1e-3)]))
        geom.set("pos", numbers(compiled.pos - end * radius * axis))
        plain.shapes = {g: owned for g, owned in plain.shapes.items() if owned != geom.get("name")}
        place = compiled.pos + end * beyond * axis
        _foot_body(plain, element, name, place, "sphere", np.array([radius]), np.array([1.0, 0, 0, 0]), look)
        how = f"a sphere at the end of its {kind}"
    else:
        return shank, (
            f"{{}} hold foot and shank in one {kind}: a contact of the shank counts as a step. Give each "
            "foot a body of its own in the MJCF, with a sphere, and name that under feet"
        )
    plain.comments["body", name] = f"guess: a body of its own for the foot, made of {how}; mass taken out of {shank}'s"
    return name, f"{{}} held the foot too: a body without a joint is added for each foot, made of {how}"


def _size(geom: Element) -> Array:
    return np.array(geom.get("size", "0").split(), float)


def _foot_body(plain: Plain, shank: Element, name: str, pos: Array, kind: str, size: Array, quat: Array, look) -> str:
    foot = Element("body", {"name": name, "pos": numbers(pos)})
    shank.append(foot)
    return plain.add_geom(foot, True, kind, size, np.zeros(3), quat, **look)


def _weigh_foot(plain: Plain, model: mujoco.MjModel, shank: str, foot: str) -> None:
    """Take a foot's mass out of its shank's, so that both together stay what they were.

    The foot is a solid sphere of a tenth of the mass, or of less where the rest would be no possible body.
    """
    whole, tip = model.body(shank), model.body(foot)
    radius = float(model.geom_rbound[tip.geomadr[0]])
    place = tip.pos.copy()
    turn = rotation(whole.iquat)
    about_origin = turn @ np.diag(whole.inertia) @ turn.T + steiner(whole.mass[0], whole.ipos)
    mass = 0.1 * whole.mass[0]
    while mass > 1e-3 * whole.mass[0]:
        ball = 0.4 * mass * radius**2 * np.eye(3)
        rest = whole.mass[0] - mass
        centre = (whole.mass[0] * whole.ipos - mass * place) / rest
        tensor = about_origin - ball - steiner(mass, place) - steiner(rest, centre)
        a, b, c = np.linalg.eigvalsh(tensor)
        if a > 0 and a + b > c:
            plain.set_inertial(plain.body(shank), rest, centre, *principal(tensor))
            break
        mass /= 2
    # A body without mass is no body to other simulators; what cannot be taken is too little to matter.
    inertia = np.full(3, 0.4 * mass * radius**2)
    plain.set_inertial(plain.body(foot), mass, np.zeros(3), inertia, np.array([1.0, 0, 0, 0]))


# What is left out, and the limits of the joints.


def _tell(source: Source, plan: Plan, plain: Plain, notes: Notes) -> None:
    """Say what of the file is not in the draft."""
    model = source.model
    warn, change = notes.warnings.append, notes.changed.append
    fused = [source.bodies[b] for b, name in plain.owner.items() if b and name != plan_names(source, plan)[b]]
    if fused:
        change(f"bodies without joints are fused to their parents: {listed(fused)}")
    chains = [source.bodies[b] for b in plain.owner if len(moving_joints(source, plan, b)) > 1]
    if chains:
        change(f"bodies with several joints become chains with a body for each: {listed(chains)}")
    if model.nu:
        change(
            f"{model.nu} actuators are left out: training and deployment add their own PD, which a second "
            "drive would double; their limits are kept"
        )
    loops = [
        e for e in range(model.neq) if int(model.eq_type[e]) in (mujoco.mjtEq.mjEQ_CONNECT, mujoco.mjtEq.mjEQ_WELD)
    ]
    if loops:
        warn(
            f"{len(loops)} closed loops (equality constraints) are left out: training cannot keep them, "
            "and what they held moves freely; lock or drive those joints, or remove them"
        )
    others = {"tendons": model.ntendon, "couplings of joints (equality constraints)": model.neq - len(loops)}
    for what, count in others.items():
        if count:
            warn(f"{count} {what} are left out: a coupled joint moves freely here; lock or remove it")
    springs = [j.get("name", "") for j in plain.root.iter("joint") if j.get("stiffness")]
    if springs:
        warn(f"joints have passive springs beside their motors: {listed(springs)}")
    if (model.body_gravcomp != 0).any():
        warn("the file lifts bodies against gravity (gravcomp); the draft does not")
    world = [g for g in range(model.ngeom) if model.geom_bodyid[g] == 0 and g not in plain.shapes]
    if world and plan.base:
        change(f"the world's own shapes ({len(world)}, the ground) are left out: the task brings its terrain")
    counts = {
        "sensors": model.nsensor, "sites": model.nsite, "cameras": model.ncam, "lights": model.nlight,
        "key frames": model.nkey, "contact pairs": model.npair, "contact exclusions": model.nexclude,
    }  # fmt: skip
    gone = [f"{count} {what}" for what, count in counts.items() if count]
    change(f"left out too: {', '.join([*gone, 'defaults, materials and textures (colours are kept)'])}")
    change(
        f"{len([1 for _, geom in plain.geoms() if geom.get('class') == 'collider'])} colliders meet the ground and not "
        "each other (contype 0, conaffinity 1), with priority 1 so that their friction counts"
    )
    fitted = sum("fitted to the mesh" in remark for remark in plain.comments.values())
    if fitted:
        warn(
            f"meshes that collide are replaced by boxes, capsules and spheres of their extent ({fitted}): look at them"
        )


def _limits(source: Source, plain: Plain, feet: Sequence[str], notes: Notes) -> None:
    model, actuators = source.model, servos(source)
    guess = _torque_guess(plain.compile(), feet)
    origins: dict[str, list[str]] = {}
    fast = {joint for joint, speed in source.velocity_limit.items() if speed >= _FASTEST}
    for joint in plain.root.iter("joint"):
        name = joint.get("name", "")
        index = source.joints.index(name)
        servo = actuators.get(name, Servo(None, None, None))
        remarks = []
        if not model.jnt_limited[index]:
            low, high = servo.angles or (-math.pi, math.pi)
            joint.set("range", numbers((low, high)))
            remarks.append("range read from its actuator" if servo.angles else "guess: range, for it had none")
            if not servo.angles:
                origins.setdefault("no range, so -pi to pi", []).append(name)
        low, high = model.jnt_actfrcrange[index]
        limit = min(-low, high)
        if not model.jnt_actfrclimited[index] or limit <= 0:
            limit = servo.force
            if limit:
                remarks.append("torque limit read from its actuator")
        elif not math.isclose(-low, high):
            remarks.append("torque limit: the smaller side of the file's range")
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
    if doubted := sorted(joint for joint in fast if source.velocity_limit[joint] > 40):
        speeds = f"{min(source.velocity_limit[j] for j in doubted):g} rad/s"
        notes.warnings.append(f"speed limits from {speeds} on are placeholders and not used: {listed(doubted)}")
        for joint in doubted:
            del source.velocity_limit[joint]
    notes.warnings += [f"{reason} is guessed for {listed(joints)}" for reason, joints in origins.items()]


def servos(source: Source) -> dict[str, Servo]:
    """Return what the actuator of each joint gives away, by joint."""
    model = source.model
    found = {}
    for i in range(model.nu):
        if int(model.actuator_trntype[i]) not in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            continue
        gear, gain = abs(float(model.actuator_gear[i, 0])), abs(float(model.actuator_gainprm[i, 0]))
        force, angles, gains = None, None, None
        # A motor's control is a torque; a position servo's is an angle, and its bias pulls back to it.
        servo = model.actuator_biastype[i] == mujoco.mjtBias.mjBIAS_AFFINE and model.actuator_biasprm[i, 1] != 0
        if model.actuator_forcelimited[i]:
            force = float(np.abs(model.actuator_forcerange[i]).min() * gear)
        elif model.actuator_ctrllimited[i] and not servo:
            force = float(np.abs(model.actuator_ctrlrange[i]).min() * gear * gain)
        if servo and gear > 0:
            gains = (-float(model.actuator_biasprm[i, 1]) * gear**2, -float(model.actuator_biasprm[i, 2]) * gear**2)
            if model.actuator_ctrllimited[i]:
                angles = (float(model.actuator_ctrlrange[i, 0] / gear), float(model.actuator_ctrlrange[i, 1] / gear))
        name = source.joints[model.actuator_trnid[i, 0]]
        # Some files give a joint a servo and a damper: each knows a part.
        before = found.get(name, Servo(None, None, None))
        found[name] = Servo(force or before.force, angles or before.angles, gains or before.gains)
    return found


def _torque_guess(model: mujoco.MjModel, feet: Sequence[str]) -> float:
    """Weight times leg length over the number of feet: 19 N m for the Go2, whose hips have 23.7."""
    lengths = []
    for foot in feet:
        body, length = model.body(foot).id, 0.0
        # The way to the hip is no part of the leg.
        while model.body_parentid[model.body_parentid[body]] != 0:
            length += float(np.linalg.norm(model.body_pos[body]))
            body = int(model.body_parentid[body])
        lengths.append(length)
    return float(f"{max(model.body_mass.sum() * 9.81 * max(lengths) / len(feet), 0.1):.2g}")


def _show_bare_bodies(plain: Plain) -> None:
    """Give bodies that only have colliders the same shapes to look at, for pictures leave colliders out.

    Where no body has anything else to look at, pictures show the colliders.
    """
    looks = {body.get("name") for body, geom in plain.geoms() if geom.get("class") == "visual"}
    for body, geom in plain.geoms() if looks else []:
        if body.get("name") not in looks:
            pos, quat = ([float(v) for v in geom.get(key, "").split()] for key in ("pos", "quat"))
            kind, words = geom.get("type", ""), {"rgba": "0.5 0.5 0.55 1", "density": "0"}
            plain.add_geom(body, False, kind, _size(geom), np.array(pos), np.array(quat), **words)
