"""A vendor's model made fit for training: one free base, jointless feet, torque limits, our masks of contact."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import math
import re
from collections.abc import Sequence

import mujoco
import numpy as np

from legged_cts.robots.draft_source import DraftError, Notes, Source, unique
from legged_cts.robots.draft_stance import Array, Stance

# A tip this far from the joint that moves it, as a share of the robot's reach, is a shank's end and not a foot.
_SHANK = 0.25
# Two leaves whose lowest points differ by more than this share of the reach are not both feet.
_LEVEL = 0.15
# Lighter bodies are taken for massless.
_MASSLESS = 1e-6

Comments = dict[tuple[str, str], str]
"""What to remark above an element of the written MJCF, by its kind ('joint', 'body', 'geom') and name."""


def clean(source: Source, notes: Notes, comments: Comments) -> tuple[str, tuple[str, ...]]:
    """Change a vendor's model in place until it can be trained with.

    Returns:
        Names of the base and of the feet; the foot order is that of the file.

    Raises:
        DraftError: If the model has no hinges, joints of another kind, no shapes to touch the ground with, or no legs.
    """
    robot, model = source.mjspec, source.model
    base = _single_base(source, notes)
    _drop_scene(source, notes)
    _explicit_inertias(robot, model)
    _collision_masks(robot, notes)
    _fit_meshes(source, notes, comments)
    feet = _feet(source, notes, comments)
    _limits(source, feet, notes, comments)
    _show_bare_bodies(robot)
    for name in ("timestep", "iterations", "ls_iterations"):
        setattr(robot.option, name, {"timestep": 0.005}.get(name, 10))
    robot.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    robot.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    return base, feet


def _single_base(source: Source, notes: Notes) -> str:
    robot, model = source.mjspec, source.model
    hinges = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)
    if not len(hinges):
        raise DraftError(f"{source.path}: no hinge joints, so nothing to train")
    roots = model.body_rootid[model.jnt_bodyid[hinges]]
    root = int(np.bincount(roots).argmax())
    base = model.body(root).name
    for name in [body.name for body in robot.worldbody.bodies if body.parent.name == "world" and body.name != base]:
        robot.delete(robot.body(name))
        notes.changed.append(f"body {name!r} is left out: no part of the robot")
    joints = {joint.name: joint for joint in robot.joints}
    kinds = {name: mujoco.mjtJoint(joint.type) for name, joint in joints.items()}
    free = [name for name, kind in kinds.items() if kind == mujoco.mjtJoint.mjJNT_FREE]
    for name, kind in kinds.items():
        if kind not in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_HINGE):
            raise DraftError(
                f"{source.path}: joint {name!r} is a {kind.name[6:].lower()} joint; only hinges can be trained: make "
                "it one, or remove the joint to hold its body in place"
            )
    body = robot.body(base)
    own = [joint.name for joint in body.joints if joint.name not in free]
    if own:
        raise DraftError(
            f"{source.path}: joints {own} move the base {base!r} itself; remove them, a free joint is added"
        )
    if not free:
        body.add_freejoint(name=unique("root", joints))
        notes.changed.append(f"the base {base!r} had no free joint; one is added")
    # The height comes from the spec's pose.
    body.pos, body.quat, body.alt.type = (0, 0, 0), (1, 0, 0, 0), mujoco.mjtOrientation.mjORIENTATION_QUAT
    return base


def _drop_scene(source: Source, notes: Notes) -> None:
    """Leave out what is no part of the robot, or would stand in the way of the controller."""
    robot = source.mjspec
    if robot.actuators:
        notes.changed.append(
            f"{len(robot.actuators)} actuators are left out: training and deployment add their own PD, which a second "
            "drive would double; their limits are kept"
        )
    if robot.equalities or robot.tendons:
        notes.warnings.append(
            "the file has equality constraints or tendons: training's USD does not keep them; a closed loop "
            "must be opened, a coupled joint locked or removed"
        )
    ground = [geom for geom in robot.worldbody.geoms if geom.parent.name == "world"]
    if ground:
        notes.changed.append(
            f"the world's own shapes ({len(ground)}, the ground) are left out: the task brings its terrain"
        )
    lists = (robot.actuators, robot.sensors, robot.keys, robot.tuples, robot.pairs, robot.excludes, ground)
    lights = [light for light in robot.lights if light.parent.name == "world"]
    cameras = [camera for camera in robot.cameras if camera.parent.name == "world"]
    for elements in (*lists, lights, cameras):
        for element in list(elements):
            robot.delete(element)


def _explicit_inertias(robot: mujoco.MjSpec, model: mujoco.MjModel) -> None:
    """Write every mass down, because shapes are going to change and masses may be inferred from them."""
    compiler = robot.compiler
    compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO
    compiler.settotalmass = -1
    for body in robot.bodies:
        if body.name == "world" or model.body(body.name).mass[0] < _MASSLESS:
            continue
        compiled = model.body(body.name)
        _set_inertial(body, compiled.mass[0], compiled.ipos, compiled.iquat, compiled.inertia)


def _set_inertial(body: mujoco.MjsBody, mass: float, centre: Array, quat: Array, inertia: Array) -> None:
    body.explicitinertial, body.mass, body.ipos = True, mass, centre
    body.iquat, body.inertia = quat, inertia
    body.fullinertia, body.ialt.type = np.full(6, np.nan), mujoco.mjtOrientation.mjORIENTATION_QUAT


def _tensor(quat: Array, inertia: Array) -> Array:
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, quat)
    rotation = rotation.reshape(3, 3)
    return rotation @ np.diag(inertia) @ rotation.T


def _steiner(mass: float, offset: Array) -> Array:
    return mass * (offset @ offset * np.eye(3) - np.outer(offset, offset))


def _set_tensor(body: mujoco.MjsBody, mass: float, centre: Array, tensor: Array) -> None:
    inertia, axes = np.linalg.eigh(tensor)
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, axes.ravel())
    _set_inertial(body, mass, centre, quat, inertia)


# Limits of the joints.


def _limits(source: Source, feet: Sequence[str], notes: Notes, comments: Comments) -> None:
    robot, model = source.mjspec, source.model
    actuators = _actuator_limits(model)
    guess = _torque_guess(robot_model(robot), feet)
    origins: dict[str, list[str]] = {}
    for joint in robot.joints:
        if joint.type != mujoco.mjtJoint.mjJNT_HINGE:
            continue
        index = model.joint(joint.name).id
        force, angles = actuators.get(joint.name, (None, None))
        remarks = []
        if not model.jnt_limited[index]:
            known = angles is not None
            low, high = angles if angles is not None else (-math.pi, math.pi)
            scale = 180 / math.pi if joint.compiler.degree else 1.0
            joint.range, joint.limited = (low * scale, high * scale), mujoco.mjtLimited.mjLIMITED_TRUE
            remarks.append("range read from its actuator" if known else "guess: range, for it had none")
            if not known:
                origins.setdefault("no range, so -pi to pi", []).append(joint.name)
        low, high = model.jnt_actfrcrange[index]
        limit, remark = min(-low, high), ""
        if not model.jnt_actfrclimited[index] or limit <= 0:
            limit, remark = (force, "torque limit read from its actuator") if force else (guess, "")
            if not force:
                remark = f"guess: torque limit [N m], for the file has none: weight x leg length / feet is {guess:g}"
                origins.setdefault(f"no torque limit, so {guess:g} N m", []).append(joint.name)
        elif not math.isclose(-low, high):
            remark = "torque limit: the smaller side of the file's range"
        if remark:
            remarks.append(remark)
        joint.actfrcrange, joint.actfrclimited = (-limit, limit), mujoco.mjtLimited.mjLIMITED_TRUE
        if remarks:
            comments["joint", joint.name] = "; ".join(remarks)
    notes.warnings += [f"{reason} is guessed for {_names(joints)}" for reason, joints in origins.items()]


def _actuator_limits(model: mujoco.MjModel) -> dict[str, tuple[float | None, tuple[float, float] | None]]:
    """Return the torque limit [N m] and range of angles [rad] that the actuator of each joint gives away."""
    found = {}
    for i in range(model.nu):
        if model.actuator_trntype[i] != mujoco.mjtTrn.mjTRN_JOINT:
            continue
        gear, gain = abs(model.actuator_gear[i, 0]), abs(model.actuator_gainprm[i, 0])
        force, angles = None, None
        # A motor's control is a torque; a position servo's is an angle, and its bias pulls back to it.
        servo = model.actuator_biastype[i] == mujoco.mjtBias.mjBIAS_AFFINE and model.actuator_biasprm[i, 1] != 0
        if model.actuator_forcelimited[i]:
            force = float(np.abs(model.actuator_forcerange[i]).min() * gear)
        elif model.actuator_ctrllimited[i] and not servo:
            force = float(np.abs(model.actuator_ctrlrange[i]).min() * gear * gain)
        if model.actuator_ctrllimited[i] and servo and gear > 0:
            angles = (float(model.actuator_ctrlrange[i, 0] / gear), float(model.actuator_ctrlrange[i, 1] / gear))
        found[model.joint(model.actuator_trnid[i, 0]).name] = (force or None, angles)
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


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} others"


# Shapes.


def _collision_masks(robot: mujoco.MjSpec, notes: Notes) -> None:
    """Let the robot meet the ground and never itself, with a friction of its own.

    The ground's contype and conaffinity are 1. Priority 1 makes the robot's friction count, not the larger of the two,
    so that randomising it does what it says.
    """
    colliding = [geom for geom in robot.geoms if geom.contype or geom.conaffinity]
    if not colliding:
        raise DraftError("no shape of the robot can touch anything (all contype and conaffinity are 0): add colliders")
    names = {geom.name for geom in robot.geoms if geom.name}
    for geom in robot.geoms:
        solid = bool(geom.contype or geom.conaffinity)
        geom.contype, geom.conaffinity, geom.group = 0, int(solid), 3 if solid else 2
        if not solid:
            continue
        geom.priority, geom.condim = 1, 3
        if not geom.name:
            geom.name = unique(f"{geom.parent.name}_collision", names)
            names.add(geom.name)
    notes.changed.append(
        f"{len(colliding)} colliders meet the ground and not each other (contype 0, conaffinity 1), with priority 1 so "
        "that their friction counts"
    )


def _fit_meshes(source: Source, notes: Notes, comments: Comments) -> None:
    """Put a box, a capsule or a sphere in the place of each mesh that collides: MuJoCo collides hulls, slowly."""
    robot, model = source.mjspec, robot_model(source.mjspec)
    fitted = 0
    for geom, index in [(geom, geom.id) for geom in robot.geoms]:
        compiled = model.geom(index)
        if not geom.conaffinity or compiled.type[0] != mujoco.mjtGeom.mjGEOM_MESH:
            continue
        mesh = int(compiled.dataid[0])
        start = model.mesh_vertadr[mesh]
        vertices = model.mesh_vert[start : start + model.mesh_vertnum[mesh]]
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        half, offset, quat = (high - low) / 2, np.zeros(3), compiled.quat.copy()
        mujoco.mju_rotVecQuat(offset, (low + high) / 2, quat)
        kind, size, turn = _primitive(half)
        mujoco.mju_mulQuat(quat, compiled.quat, turn)
        name, parent, friction, rgba = geom.name, geom.parent, geom.friction.copy(), geom.rgba.copy()
        robot.delete(geom)
        parent.add_geom(
            name=name, type=kind, size=size, pos=compiled.pos + offset, quat=quat, contype=0, conaffinity=1, group=3,
            priority=1, condim=3, friction=friction, rgba=rgba,
        )  # fmt: skip
        comments["geom", name] = f"guess: fitted to the mesh {model.mesh(mesh).name}"
        fitted += 1
    if fitted:
        notes.warnings.append(
            f"meshes that collide are replaced by boxes, capsules and spheres of their extent ({fitted}): look at them"
        )


def _primitive(half: Array) -> tuple[mujoco.mjtGeom, list[float], Array]:
    """Return a shape for a box of half sizes [3]: type, size and the turn of its frame."""
    least, middle, most = np.sort(half)
    if most < 1.3 * least:
        return mujoco.mjtGeom.mjGEOM_SPHERE, [float(most), 0, 0], np.array([1.0, 0, 0, 0])
    if most < 2 * middle or middle > 1.6 * least:
        return mujoco.mjtGeom.mjGEOM_BOX, half.tolist(), np.array([1.0, 0, 0, 0])
    radius, turn, axis = (least + middle) / 2, np.zeros(4), np.eye(3)[int(np.argmax(half))]
    mujoco.mju_quatZ2Vec(turn, axis)
    return mujoco.mjtGeom.mjGEOM_CAPSULE, [float(radius), float(max(most - radius, 1e-3)), 0], turn


def _show_bare_bodies(robot: mujoco.MjSpec) -> None:
    """Give bodies that only have colliders the same shapes to look at, for pictures leave colliders out.

    Where no body has anything else to look at, pictures show the colliders.
    """
    model = robot_model(robot)
    looks = {geom.parent.name for geom in robot.geoms if not geom.conaffinity}
    bare = [(geom, geom.id) for geom in robot.geoms if geom.conaffinity and geom.parent.name not in looks]
    for geom, index in bare if looks else []:
        compiled = model.geom(index)
        geom.parent.add_geom(
            type=compiled.type[0], size=compiled.size, pos=compiled.pos, quat=compiled.quat, contype=0, conaffinity=0,
            group=2, density=0, rgba=(0.5, 0.5, 0.55, 1),
        )  # fmt: skip


def robot_model(robot: mujoco.MjSpec) -> mujoco.MjModel:
    """Compile a model that is being changed.

    Raises:
        DraftError: If it does not compile any more.
    """
    try:
        return robot.compile()
    except ValueError as error:
        raise DraftError(f"MuJoCo cannot compile the changed model: {error}") from error


# Feet.


def _feet(source: Source, notes: Notes, comments: Comments) -> tuple[str, ...]:
    robot = source.mjspec
    stance = Stance(robot_model(robot))
    stance.place(stance.pose_of(source.pose))
    tips, reach = stance.tips(), stance.reach()
    if not tips:
        raise DraftError("no leg has a collider at its end, so there are no feet: add shapes that touch the ground")
    ground = min(tip[2] for tip in tips.values())
    legs = [leaf for leaf, tip in tips.items() if tip[2] < ground + _LEVEL * reach]
    found: dict[str, str] = {}
    for leaf in legs:
        group = np.flatnonzero(stance.model.body_weldid == leaf).tolist()
        _, geom = stance.lowest(stance.colliders(group))
        body = int(stance.model.geom_bodyid[geom])
        if body != leaf and _is_foot(stance, body, reach):
            found[stance.model.body(leaf).name] = stance.model.body(body).name
    _fuse_static(robot, set(found.values()), notes)
    told: dict[str, list[str]] = {}
    for leaf in legs:
        name = stance.model.body(leaf).name
        anchor = stance.data.xanchor[stance.ids[stance.chain(leaf)[-1]]]
        if name in found:
            continue
        found[name] = name
        if np.linalg.norm(tips[leaf] - anchor) > _SHANK * reach:
            found[name], what = _split_foot(robot, name, reach, source, comments)
            told.setdefault(what, []).append(name)
    notes.warnings += [what.format(_names(shanks)) for what, shanks in told.items()]
    model = robot_model(robot)
    for leaf, foot in found.items():
        if foot != leaf and model.body(foot).mass[0] < _MASSLESS:
            _weigh_foot(robot, model, leaf, foot)
            comments["body", foot] = "guess: mass, taken out of its parent's"
    return tuple(model.body(i).name for i in range(model.nbody) if model.body(i).name in found.values())


def _is_foot(stance: Stance, body: int, reach: float) -> bool:
    geoms = stance.colliders([body])
    spans = [np.array([stance.extent(geom, axis) for geom in geoms]) for axis in range(3)]
    return float(np.ptp(spans[2])) < _SHANK * reach


def _fuse_static(robot: mujoco.MjSpec, feet: set[str], notes: Notes) -> None:
    """Make bodies without joints, but for the feet, part of their parents: each would cost a link and a fixed joint."""
    model = robot_model(robot)
    fused = []
    for i in range(model.nbody - 1, 0, -1):
        body = model.body(i)
        if body.jntnum[0] or body.name in feet:
            continue
        child = robot.body(body.name)
        parent = child.parent
        # MuJoCo would add the masses too, but leaves a tensor written in two ways.
        fitted = _sum(parent, child, body.pos, body.quat)
        child.to_frame()
        if fitted is not None:
            _set_tensor(parent, *fitted)
        fused.append(body.name)
    if fused:
        notes.changed.append(f"bodies without joints are fused to their parents: {_names(fused[::-1])}")


def _sum(parent: mujoco.MjsBody, child: mujoco.MjsBody, pos: Array, quat: Array) -> tuple[float, Array, Array] | None:
    """Return mass, centre [3] and tensor [3, 3] of a parent with its child, which stands at `pos` and `quat` in it.

    None if both are massless.
    """
    parts = []
    if parent.explicitinertial:
        parts.append((parent.mass, np.array(parent.ipos), _tensor(np.array(parent.iquat), np.array(parent.inertia))))
    if child.explicitinertial:
        centre, turned = np.zeros(3), np.zeros(4)
        mujoco.mju_rotVecQuat(centre, np.array(child.ipos), quat)
        mujoco.mju_mulQuat(turned, quat, np.array(child.iquat))
        parts.append((child.mass, pos + centre, _tensor(turned, np.array(child.inertia))))
    mass = sum(part[0] for part in parts)
    if mass < _MASSLESS:
        return None
    mean = sum(part[0] * part[1] for part in parts) / mass
    tensor = sum(part[2] + _steiner(part[0], part[1] - mean) for part in parts)
    return mass, np.asarray(mean), np.asarray(tensor)


def _split_foot(robot: mujoco.MjSpec, shank: str, reach: float, source: Source, comments: Comments) -> tuple[str, str]:
    """Give a shank's end a body of its own, so that a contact of the foot can be told from one of the shank.

    Returns:
        Name of the foot's body, which is the shank's where its shape leaves open what the foot is, and a warning with a
        gap for the names of shanks.
    """
    stance = Stance(robot_model(robot))
    stance.place(stance.pose_of(source.pose))
    model, body = stance.model, stance.model.body(shank).id
    height, index = stance.lowest(stance.colliders([body]))
    compiled, kinds = model.geom(index), mujoco.mjtGeom
    kind, size = mujoco.mjtGeom(int(compiled.type[0])), compiled.size
    spans = [np.ptp(stance.extent(index, axis)) for axis in range(3)]
    geom = next(geom for geom in robot.geoms if geom.id == index)
    friction = compiled.friction.copy()
    axis = np.zeros(3)
    mujoco.mju_rotVecQuat(axis, np.array([0.0, 0, 1]), compiled.quat)
    name = re.sub(r"(?i)calf|shank|shin|tibia|lower_?leg", "foot", shank)
    name = unique(name if name != shank else f"{shank}_foot", [model.body(i).name for i in range(model.nbody)])
    if np.linalg.norm(spans) < 2 * _SHANK * reach and len(stance.colliders([body])) > 1:
        # A shape of its own at the end: it moves, as it is.
        centre, quat = compiled.pos.copy(), compiled.quat.copy()
        shape, sizes = kind, size.copy()
        robot.delete(geom)
        how = "its lowest collider"
    elif kind in (kinds.mjGEOM_CAPSULE, kinds.mjGEOM_CYLINDER):
        # The end of a capsule is a sphere already; of a cylinder it nearly is.
        radius = float(size[0])
        world = stance.data.geom_xmat[index].reshape(3, 3)[:, 2]
        end = -np.sign(world[2]) or 1.0
        half = float(size[1])
        beyond = half if kind == kinds.mjGEOM_CAPSULE else half - radius
        centre, quat = compiled.pos + end * beyond * axis, np.array([1.0, 0, 0, 0])
        shape, sizes, old = kinds.mjGEOM_SPHERE, np.array([radius, 0, 0]), geom.name
        robot.delete(geom)
        # The shank's own shape ends where the foot begins.
        robot.body(shank).add_geom(
            name=old, type=kind, size=[radius, max(half - radius, 1e-3), 0], pos=compiled.pos - end * radius * axis,
            quat=compiled.quat, contype=0, conaffinity=1, group=3, priority=1, condim=3, friction=friction,
        )  # fmt: skip
        how = f"a sphere at the end of its {kind_name(kind)}"
    else:
        return shank, (
            f"{{}} hold foot and shank in one {kind_name(kind)}: a contact of the shank counts as a step. Give each "
            "foot a body of its own in the MJCF, with a sphere, and name that under feet"
        )
    foot = robot.body(shank).add_body(name=name, pos=centre)
    foot.add_geom(
        name=unique(f"{name}_collision", [g.name for g in robot.geoms]), type=shape, size=sizes, quat=quat, contype=0,
        conaffinity=1, group=3, priority=1, condim=3, friction=friction,
    )  # fmt: skip
    comments["body", name] = f"guess: a body of its own for the foot, made of {how}; mass taken out of {shank}'s"
    _weigh_foot(robot, robot_model(robot), shank, name)
    return name, f"{{}} held the foot too: a body without a joint is added for each foot, made of {how}"


def kind_name(kind: int) -> str:
    """Return what MuJoCo calls a type of geom, such as capsule."""
    return mujoco.mjtGeom(int(kind)).name[len("mjGEOM_") :].lower()


def _weigh_foot(robot: mujoco.MjSpec, model: mujoco.MjModel, shank: str, foot: str) -> None:
    """Take a foot's mass out of its shank's, so that both together stay what they were.

    The foot is a solid sphere of a tenth of the mass, or of less where the rest would be no possible body.
    """
    whole, tip = model.body(shank), model.body(foot)
    radius = float(model.geom_rbound[tip.geomadr[0]])
    place = tip.pos.copy()
    about_origin = _tensor(whole.iquat, whole.inertia) + _steiner(whole.mass[0], whole.ipos)
    mass = 0.1 * whole.mass[0]
    while mass > 1e-3 * whole.mass[0]:
        ball = 0.4 * mass * radius**2 * np.eye(3)
        rest = whole.mass[0] - mass
        centre = (whole.mass[0] * whole.ipos - mass * place) / rest
        tensor = about_origin - ball - _steiner(mass, place) - _steiner(rest, centre)
        a, b, c = np.linalg.eigvalsh(tensor)
        if a > 0 and a + b > c:
            _set_tensor(robot.body(shank), rest, centre, tensor)
            break
        mass /= 2
    # A body without mass is no body to other simulators; what cannot be taken is too little to matter.
    inertia = np.full(3, 0.4 * mass * radius**2)
    _set_inertial(robot.body(foot), mass, np.zeros(3), np.array([1.0, 0, 0, 0]), inertia)
