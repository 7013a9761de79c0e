"""A vendor's compiled model written anew as a plain MJCF: no defaults, no frames, no units but radians and metres.

What the vendor's defaults, compiler and options mean is in the compiled model already; written anew, none of it can
leak into what training and simulation add to the robot. Bodies without joints become part of their parents here.
"""

from __future__ import annotations

import copy
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np

from legged_cts.robots.draft_source import MASSLESS, DraftError, Source, unique
from legged_cts.robots.inertia import Array, lumped, principal, quaternion, rotation, steiner
from legged_cts.robots.posed import add_ground

Element = ElementTree.Element
Frame = tuple[Array, Array]
"""Place [m] [3] and axes, as columns [3, 3]."""
HINGE, SLIDE, BALL, FREE = (
    int(getattr(mujoco.mjtJoint, f"mjJNT_{kind}")) for kind in ("HINGE", "SLIDE", "BALL", "FREE")
)
_SHAPES = {
    mujoco.mjtGeom.mjGEOM_SPHERE: ("sphere", 1),
    mujoco.mjtGeom.mjGEOM_CAPSULE: ("capsule", 2),
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: ("ellipsoid", 3),
    mujoco.mjtGeom.mjGEOM_CYLINDER: ("cylinder", 2),
    mujoco.mjtGeom.mjGEOM_BOX: ("box", 3),
}
_STILL = np.array([1.0, 0.0, 0.0, 0.0])
# MuJoCo reads no larger STL.
_MOST_FACES = 200_000
# How far a draft may be off [m, or the sine of an angle], and in how many poses that is looked at.
_TOLERANCE, _POSES = 1e-6, 5
_SKELETON = """<mujoco><compiler angle="radian" autolimits="true"/>
<option timestep="0.005" iterations="10" ls_iterations="10" integrator="implicitfast" cone="pyramidal"/>
<default>
<default class="collider"><geom contype="0" conaffinity="1" condim="3" priority="1" group="3" density="0"/></default>
<default class="visual"><geom contype="0" conaffinity="0" group="2" density="0"/></default>
</default>
<asset/><worldbody/></mujoco>"""


def numbers(values: Collection[float] | Array) -> str:
    """Return numbers as an attribute has them, to twelve digits."""
    return " ".join(f"{round(float(value), 14) + 0.0:.12g}" for value in np.atleast_1d(np.asarray(values, float)))


@dataclass
class Plan:
    """How a model is to be written; all indices are the source's."""

    base: int  # the base's body, 0 where the trunk's shapes hang in the world itself
    held: dict[int, float] = field(default_factory=dict)  # angle [rad] or way [m] of joints that are held for good
    keep: set[int] = field(default_factory=set)  # bodies without joints that stay bodies
    solid: set[int] = field(default_factory=set)  # geoms that touch the ground
    shift: tuple[float, float] = (0.0, 0.0)  # of the new base frame from the file's, to the left and upwards [m]
    upright: bool = False  # whether the base frame is turned to stand as the file places it


@dataclass
class Plain:
    """A plain MJCF under construction: its <mujoco> element, and what to remark above an element of a kind and name."""

    root: Element
    comments: dict[tuple[str, str], str] = field(default_factory=dict)
    # By index in the source: meshes to write beside it (name, vertices [n, 3], faces [m, 3]); the geom that a geom
    # became, where it is the same shape; the body that a body became part of.
    meshes: dict[int, tuple[str, Array, Array]] = field(default_factory=dict)
    shapes: dict[int, str] = field(default_factory=dict)
    owner: dict[int, str] = field(default_factory=dict)

    def bare(self) -> str:
        """Return it as XML without the meshes to look at, which weigh and touch nothing, and take seconds to read."""
        bare = copy.deepcopy(self.root)
        for parent in list(bare.iter()):
            for child in [child for child in parent if child.get("mesh") or child.tag == "mesh"]:
                parent.remove(child)
        return ElementTree.tostring(bare, encoding="unicode")

    def compile(self, ground: bool = False) -> mujoco.MjModel:
        """Compile it, meshes to look at left out, with a ground to stand on if asked."""
        try:
            robot = mujoco.MjSpec.from_string(self.bare())
            if ground:
                add_ground(robot)
            return robot.compile()
        except ValueError as error:
            raise DraftError(f"MuJoCo cannot compile the changed model: {error}") from error

    def joints(self) -> dict[str, Element]:
        """Return the elements of the hinges, by name."""
        return {joint.get("name", ""): joint for joint in self.root.iter("joint")}

    def body(self, name: str) -> Element:
        """Return a body's element."""
        return next(element for element in self.root.iter("body") if element.get("name") == name)

    def geoms(self) -> list[tuple[Element, Element]]:
        """Return each body with each of its geoms."""
        return [(body, geom) for body in self.root.iter("body") for geom in body.findall("geom")]

    def add_geom(
        self, body: Element, solid: bool, kind: str, size: Array, pos: Array, quat: Array, **words: str
    ) -> str:
        """Add a shape to a body, before the bodies that it carries; its name says what it is for."""
        taken = [element.get("name", "") for element in self.root.iter() if element.tag in ("geom", "joint", "body")]
        name = unique(words.pop("name", f"{body.get('name')}_{'collision' if solid else 'visual'}"), taken)
        words = {"name": name, "class": "collider" if solid else "visual", "type": kind, **words}
        if kind != "mesh":
            words["size"] = numbers(size)
        geom = Element("geom", words | {"pos": numbers(pos), "quat": numbers(quat)})
        body.insert(next((i for i, other in enumerate(body) if other.tag == "body"), len(body)), geom)
        return name

    def set_inertial(self, body: Element, mass: float, centre: Array, moments: Array, quat: Array = _STILL) -> None:
        """Replace a body's mass, centre [3] and principal moments [3], whose axes are turned by `quat` [4]."""
        for old in body.findall("inertial"):
            body.remove(old)
        values = {"pos": centre, "quat": quat, "mass": [mass], "diaginertia": moments}
        body.insert(0, Element("inertial", {key: numbers(value) for key, value in values.items()}))

    def write_meshes(self, folder: Path) -> None:
        """Write the meshes as STL."""
        for name, vertices, faces in self.meshes.values():
            folder.mkdir(exist_ok=True)
            corners = vertices[faces].astype("<f4").reshape(-1, 9)
            record = np.zeros(len(corners), np.dtype([("normal", "<f4", 3), ("corners", "<f4", 9), ("more", "<u2")]))
            record["corners"] = corners
            (folder / f"{name}.stl").write_bytes(bytes(80) + struct.pack("<I", len(corners)) + record.tobytes())

    def text(self, name: str, header: str) -> str:
        """Return the MJCF with its remarks."""
        self.root.set("model", name)
        if self.meshes:
            next(self.root.iter("compiler")).set("meshdir", "meshes")
        tree = copy.deepcopy(self.root)
        for parent in list(tree.iter()):
            for child in list(parent):
                if remark := self.comments.get((child.tag, child.get("name", ""))):
                    comment = ElementTree.Comment(f" {remark.replace('--', '- -')} ")
                    parent.insert(list(parent).index(child), comment)
        ElementTree.indent(tree)
        return f"<!-- {header.replace('--', '- -')} -->\n{ElementTree.tostring(tree, encoding='unicode')}\n"


def placed(source: Source, held: Mapping[int, float], angles: Mapping[int, float] | None = None) -> mujoco.MjData:
    """Return a model's kinematics with its hinges at some angles, else 0, and its free joints as the file has them."""
    model, data = source.model, mujoco.MjData(source.model)
    for joint in range(model.njnt):
        if model.jnt_type[joint] in (HINGE, SLIDE):
            data.qpos[model.jnt_qposadr[joint]] = held.get(joint, (angles or {}).get(joint, 0.0))
    mujoco.mj_kinematics(model, data)
    return data


def base_frame(source: Source, plan: Plan, data: mujoco.MjData) -> Frame:
    """Return place and axes of the new base frame in the world of the source's data."""
    axes = np.eye(3)
    if plan.base:
        axes = data.xmat[plan.base].reshape(3, 3)
        if plan.upright:
            # The turn that makes the file's own placing upright moves with the trunk.
            axes = axes @ rotation(source.model.body_quat[plan.base]).T
    return data.xpos[plan.base] + axes @ np.array([0.0, *plan.shift]), axes


def draft_name(source: Source, plan: Plan, body: int) -> str:
    """Return the name in the draft of a body of the source."""
    return "trunk" if body == plan.base == 0 else source.bodies[body]


def above(model: mujoco.MjModel, body: int) -> list[int]:
    """Return the bodies that carry a body, up to the world."""
    found = []
    while body:
        body = int(model.body_parentid[body])
        found.append(body)
    return found


def moving_joints(source: Source, plan: Plan, body: int) -> list[int]:
    """Return the hinges of a body that are not held; the base has none but the free one."""
    first, count = int(source.model.body_jntadr[body]), int(source.model.body_jntnum[body])
    return [i for i in range(first, first + count) if body != plan.base and i not in plan.held]


def build(source: Source, plan: Plan) -> Plain:
    """Write a compiled model as a plain MJCF, with the fixed bodies fused and a shape for each mesh that collides."""
    plain = Plain(ElementTree.fromstring(_SKELETON))
    model, data = source.model, placed(source, plan.held)
    members, frames = _members(source, plan, data)
    elements: dict[int, Element] = {}
    for body, parts in members.items():
        words = {"name": draft_name(source, plan, body)}
        if body == plan.base:
            element = ElementTree.SubElement(next(plain.root.iter("worldbody")), "body", words)
            ElementTree.SubElement(element, "freejoint", {"name": unique("root", source.joints)})
        else:
            parent = next(b for b in above(model, body) if b in members)
            place, axes = frames[parent]
            words["pos"] = numbers(axes.T @ (frames[body][0] - place))
            words["quat"] = numbers(quaternion(axes.T @ frames[body][1]))
            element = ElementTree.SubElement(elements[parent], "body", words)
        elements[body] = _joints(source, plan, body, element)
        _inertial(plain, source, data, elements[body], parts, frames[body])
        for part in parts:
            plain.owner[part] = words["name"]
            _shapes(plain, source, plan, data, elements[body], part, frames[body])
            if part == 0:
                _weigh_trunk(plain)
    _share_masses(plain)
    return plain


def _members(source: Source, plan: Plan, data: mujoco.MjData) -> tuple[dict[int, list[int]], dict[int, Frame]]:
    """Return the bodies that each body of the draft is made of, and its frame."""
    model = source.model
    members, frames = {plan.base: [plan.base]}, {plan.base: base_frame(source, plan, data)}
    for body in range(1, model.nbody):
        over = above(model, body)
        if body == plan.base or plan.base not in over or (plan.base == 0 and not _carries(source, plan, body)):
            continue
        if moving_joints(source, plan, body) or body in plan.keep:
            members[body] = [body]
            frames[body] = data.xpos[body].copy(), data.xmat[body].reshape(3, 3).copy()
        else:
            members[next(b for b in over if b in members)].append(body)
    return members, frames


def _carries(source: Source, plan: Plan, body: int) -> bool:
    """Whether a tree of the world is one of the robot's legs or stands still, where the trunk is the world itself."""
    model = source.model
    tree = np.flatnonzero(model.body_rootid == model.body_rootid[body])
    own = np.isin(model.jnt_bodyid, tree)
    free = (model.jnt_type[own] == FREE).any()
    return not own.any() or (not free and any(moving_joints(source, plan, int(part)) for part in tree))


def _joints(source: Source, plan: Plan, body: int, element: Element) -> Element:
    """Give a body its hinges; Isaac Lab wants a body for each, so a body with several becomes a chain.

    Returns:
        The element of the body itself, the last of its chain.
    """
    model = source.model
    for i, joint in enumerate(hinges := moving_joints(source, plan, body)):
        own, last = element.get("name", ""), i == len(hinges) - 1
        if not last:
            element.set("name", unique(f"{own}_{source.joints[joint]}", [*source.bodies, *source.joints]))
        words = {"name": source.joints[joint], "type": "hinge", "pos": numbers(model.jnt_pos[joint])}
        words["axis"] = numbers(model.jnt_axis[joint])
        if model.jnt_limited[joint]:
            words["range"] = numbers(model.jnt_range[joint])
        dof = model.jnt_dofadr[joint]
        passive = {name: getattr(model, f"dof_{name}")[dof] for name in ("armature", "damping", "frictionloss")}
        for key, values in (passive | {"stiffness": model.jnt_stiffness[joint]}).items():
            if (value := np.atleast_1d(values)[0]) > 0:
                words[key] = numbers([value])
        if "stiffness" in words:
            words["springref"] = numbers([model.qpos_spring[model.jnt_qposadr[joint]]])
        ElementTree.SubElement(element, "joint", words)
        element = element if last else ElementTree.SubElement(element, "body", {"name": own})
    return element


def _inertial(
    plain: Plain, source: Source, data: mujoco.MjData, element: Element, parts: list[int], frame: Frame
) -> None:
    """Sum what a body is made of. A body of no mass gets none; the world's own shapes are weighed later."""
    model, (place, axes) = source.model, frame
    heavy = [part for part in parts if part and model.body_mass[part] >= MASSLESS]
    if not heavy:
        return
    mass, centre, tensor = lumped(model, data, heavy, axes)
    moments, quat = principal(tensor)
    if len(heavy) == 1:
        moments, quat = model.body_inertia[heavy[0]], quaternion(axes.T @ data.ximat[heavy[0]].reshape(3, 3))
    plain.set_inertial(element, mass, axes.T @ (centre - place), moments, quat)


def _weigh_trunk(plain: Plain) -> None:
    """Guess the mass of a trunk that was the world, which weighs nothing, from the volume of its own shapes.

    What stands still in the world beside it, and has a mass, is part of the trunk with that.
    """
    trunk = plain.body("trunk")
    given = [plain.compile().body("trunk")] if trunk.find("inertial") is not None else []
    for old in trunk.findall("inertial"):
        trunk.remove(old)
    for geom in trunk.findall("geom"):
        geom.set("density", "1000" if geom.get("class") == "collider" else "0")
    guess = plain.compile().body("trunk")
    for geom in trunk.findall("geom"):
        del geom.attrib["density"]
    parts = [part for part in (guess, *given) if part.mass[0] > 0]
    mass = float(sum(part.mass[0] for part in parts))
    centre = sum((part.mass[0] * part.ipos for part in parts), np.zeros(3)) / max(mass, MASSLESS)
    tensor = np.zeros((3, 3))
    for part in parts:
        turn = rotation(part.iquat)
        tensor += turn @ np.diag(part.inertia) @ turn.T + steiner(float(part.mass[0]), part.ipos - centre)
    plain.set_inertial(trunk, mass, centre, *principal(tensor))
    plain.comments["body", "trunk"] = f"guess: mass, of which {guess.mass[0]:.3g} kg are 1000 kg/m^3 of its shapes"


def _share_masses(plain: Plain, share: float = 0.05) -> None:
    """Give the first links of a chain that was one body a share of its mass: no link may weigh nothing.

    A link's share lies on the axis of the next one's joint, and the last link's centre gives way by as much: the whole
    stays where it was, however the joints turn.
    """
    for body in plain.root.iter("body"):
        child, links = body.find("body"), [body]
        if body.find("joint") is None or child is None or child.get("pos"):
            continue
        while links[-1].find("inertial") is None and (inner := links[-1].find("body")) is not None:
            links.append(inner)
        last = links[-1].find("inertial")
        if last is None or len(links) == 1:
            continue
        mass, moments = float(last.get("mass", 0)), np.array(last.get("diaginertia", "0 0 0").split(), float)
        kept = 1 - share * (len(links) - 1)
        centre = np.array(last.get("pos", "0 0 0").split(), float)
        words = {"mass": numbers([mass * share]), "diaginertia": numbers(moments * share)}
        for link, after in zip(links[:-1], links[1:], strict=True):
            axis = next(after.iter("joint")).get("pos", "0 0 0")
            link.insert(0, Element("inertial", last.attrib | words | {"pos": axis}))
            centre = centre - share * np.array(axis.split(), float)
        words = {"mass": numbers([mass * kept]), "diaginertia": numbers(moments * kept)}
        last.attrib |= words | {"pos": numbers(centre / kept)}


def _shapes(
    plain: Plain, source: Source, plan: Plan, data: mujoco.MjData, element: Element, part: int, frame: Frame
) -> None:
    model, (place, axes) = source.model, frame
    first = int(model.body_geomadr[part])
    for geom in range(first, first + int(model.body_geomnum[part])):
        kind, solid = mujoco.mjtGeom(int(model.geom_type[geom])), geom in plan.solid
        pos, turned = axes.T @ (data.geom_xpos[geom] - place), axes.T @ data.geom_xmat[geom].reshape(3, 3)
        words = {"rgba": numbers(np.round(model.geom_rgba[geom], 3))}
        if solid and not np.array_equal(model.geom_friction[geom], (1.0, 0.005, 0.0001)):
            words["friction"] = numbers(model.geom_friction[geom])
        if solid and model.geom(geom).name:
            words["name"] = model.geom(geom).name
        if kind in _SHAPES:
            shape, count = _SHAPES[kind]
            size, quat = model.geom_size[geom, :count], quaternion(turned)
            plain.shapes[geom] = plain.add_geom(element, solid, shape, size, pos, quat, **words)
        elif kind == mujoco.mjtGeom.mjGEOM_MESH:
            (_fit if solid else _look)(plain, model, element, geom, pos, quaternion(turned), words)


def _mesh(model: mujoco.MjModel, geom: int) -> tuple[str, Array, Array]:
    mesh = int(model.geom_dataid[geom])
    start, face = int(model.mesh_vertadr[mesh]), int(model.mesh_faceadr[mesh])
    vertices = model.mesh_vert[start : start + int(model.mesh_vertnum[mesh])]
    return model.mesh(mesh).name, vertices, model.mesh_face[face : face + int(model.mesh_facenum[mesh])]


def _fit(plain: Plain, model: mujoco.MjModel, element: Element, geom: int, pos: Array, quat: Array, words) -> None:
    """Put a box, a capsule or a sphere in the place of a mesh that collides: MuJoCo collides hulls, slowly."""
    name, vertices, _ = _mesh(model, geom)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    kind, size, turn = _primitive((high - low) / 2)
    turned = rotation(quat)
    pos, quat = pos + turned @ ((low + high) / 2), quaternion(turned @ rotation(turn))
    made = plain.add_geom(element, True, kind, size, pos, quat, **words)
    plain.comments["geom", made] = f"guess: fitted to the mesh {name}"


def _primitive(half: Array) -> tuple[str, Array, Array]:
    """Return a shape for a box of half sizes [3]: type, size and the turn of its frame."""
    least, middle, most = np.sort(half)
    if most < 1.3 * least:
        return "sphere", np.array([most]), _STILL
    if most < 2 * middle or middle > 1.6 * least:
        return "box", np.maximum(half, 1e-3), _STILL
    radius, turn, axis = (least + middle) / 2, np.zeros(4), np.eye(3)[int(np.argmax(half))]
    mujoco.mju_quatZ2Vec(turn, axis)
    return "capsule", np.array([radius, max(most - radius, 1e-3)]), turn


def _look(plain: Plain, model: mujoco.MjModel, element: Element, geom: int, pos: Array, quat: Array, words) -> None:
    index = int(model.geom_dataid[geom])
    name, vertices, faces = _mesh(model, geom)
    if not 0 < len(faces) <= _MOST_FACES:
        return
    if index not in plain.meshes:
        name = unique(name, [known for known, _, _ in plain.meshes.values()])
        plain.meshes[index] = name, vertices.copy(), faces.copy()
        # A shell may be flat.
        words_of_mesh = {"name": name, "file": f"{name}.stl", "inertia": "shell"}
        ElementTree.SubElement(next(plain.root.iter("asset")), "mesh", words_of_mesh)
    plain.add_geom(element, False, "mesh", np.zeros(3), pos, quat, mesh=plain.meshes[index][0], **words)


def check_kinematics(source: Source, plan: Plan, plain: Plain) -> None:
    """Compare a draft with its source: it must be the same robot, at random joint angles.

    Raises:
        DraftError: If a body, a joint's axis, a shape or the centre of mass is more than 1e-6 (metres, or the sine of
            an angle) from where the source has it.
    """
    model, rng = plain.compile(), np.random.default_rng(0)
    data = mujoco.MjData(model)
    joints = {source.joints.index(model.joint(i).name): i for i in np.flatnonzero(model.jnt_type == HINGE)}
    same = [b for b, name in plain.owner.items() if b not in (0, plan.base) and source.bodies[b] == name]
    bodies = {body: model.body(source.bodies[body]).id for body in same}
    own = [body for body in plain.owner if body]
    mass = source.model.body_mass[own]
    for _ in range(_POSES):
        angles = {joint: float(rng.uniform(-1, 1)) for joint in joints}
        there = placed(source, plan.held, angles)
        place, axes = base_frame(source, plan, there)
        data.qpos[:7] = (0, 0, 0, 1, 0, 0, 0)
        data.qpos[[model.jnt_qposadr[joint] for joint in joints.values()]] = list(angles.values())
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        pairs = []
        for b, i in bodies.items():
            pairs.append(("place", source.bodies[b], data.xpos[i], there.xpos[b]))
            pairs.append(("frame", source.bodies[b], data.xmat[i], there.xmat[b]))
        for j, i in joints.items():
            pairs.append(("place", source.joints[j], data.xanchor[i], there.xanchor[j]))
            pairs.append(("axis", source.joints[j], data.xaxis[i], there.xaxis[j]))
        for g, name in plain.shapes.items():
            pairs.append(("place", name, data.geom(name).xpos, there.geom_xpos[g]))
            pairs.append(("frame", name, data.geom(name).xmat, there.geom_xmat[g]))
        if 0 not in plain.owner and mass.sum() > 0:
            pairs.append(("place", "the centre of mass", data.subtree_com[0], mass @ there.xipos[own] / mass.sum()))
        for kind, name, here, right in pairs:
            turned = axes.T @ (right - place if kind == "place" else right.reshape(3, -1))
            error = float(np.abs(turned.ravel() - here).max())
            if not error <= _TOLERANCE:
                off = f"the draft does not keep the {kind} of {name!r} (off by {error:.2g})"
                raise DraftError(f"{source.path}: {off}: please report this file")
