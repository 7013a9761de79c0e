"""A vendor's compiled model written anew as a plain MJCF: no defaults, no frames, no units but radians and metres.

What the vendor's defaults, compiler and options mean is in the compiled model already; written anew, none of it can
leak into what training and simulation add to the robot. Bodies without joints become part of their parents here.
"""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np

from legged_cts.robots.draft_source import MASSLESS, DraftError, Source, unique
from legged_cts.robots.inertia import Array, principal, quaternion, rotation, steiner

Element = ElementTree.Element
_SHAPES = {
    mujoco.mjtGeom.mjGEOM_SPHERE: ("sphere", 1),
    mujoco.mjtGeom.mjGEOM_CAPSULE: ("capsule", 2),
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: ("ellipsoid", 3),
    mujoco.mjtGeom.mjGEOM_CYLINDER: ("cylinder", 2),
    mujoco.mjtGeom.mjGEOM_BOX: ("box", 3),
}
# MuJoCo reads no larger STL.
_MOST_FACES = 200_000
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
    """How a model is to be written.

    Attributes:
        base: Index of the base's body, 0 where the trunk's shapes hang in the world itself.
        held: Angle [rad] or way [m] of each joint that is held for good, by its index.
        keep: Bodies without joints that stay bodies.
        solid: Geoms that touch the ground.
        rise: Height [m] of the new base frame above the file's.
        upright: Whether the base frame is turned to stand as the file places it.
    """

    base: int
    held: dict[int, float]
    keep: set[int]
    solid: set[int]
    rise: float = 0.0
    upright: bool = False


@dataclass
class Plain:
    """A plain MJCF under construction.

    Attributes:
        root: The <mujoco> element.
        comments: What to remark above a named element, by its kind ('joint', 'body', 'geom') and name.
        meshes: Name, vertices [n, 3] and faces [m, 3] of the meshes to write beside it, by their index in the source.
        shapes: Name of the geom that each of the source's became, where it is the same shape.
        owner: Name of the body that each of the source's became part of.
    """

    root: Element
    comments: dict[tuple[str, str], str] = field(default_factory=dict)
    meshes: dict[int, tuple[str, Array, Array]] = field(default_factory=dict)
    shapes: dict[int, str] = field(default_factory=dict)
    owner: dict[int, str] = field(default_factory=dict)

    def bare(self) -> str:
        """Return it as XML without the meshes to look at, which weigh and touch nothing, and take seconds to read."""
        bare = ElementTree.fromstring(ElementTree.tostring(self.root))
        for parent in list(bare.iter()):
            for child in [child for child in parent if child.get("mesh") or child.tag == "mesh"]:
                parent.remove(child)
        return ElementTree.tostring(bare, encoding="unicode")

    def compile(self) -> mujoco.MjModel:
        """Compile it, meshes to look at left out."""
        try:
            return mujoco.MjModel.from_xml_string(self.bare())
        except ValueError as error:
            raise DraftError(f"MuJoCo cannot compile the changed model: {error}") from error

    def body(self, name: str) -> Element:
        """Return a body's element."""
        return next(element for element in self.root.iter("body") if element.get("name") == name)

    def geoms(self) -> Iterator[tuple[Element, Element]]:
        """Yield each body with each of its geoms."""
        yield from [(body, geom) for body in self.root.iter("body") for geom in body.findall("geom")]

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
        _insert(body, geom)
        return name

    def set_inertial(self, body: Element, mass: float, centre: Array, moments: Array, quat: Array) -> None:
        """Replace a body's mass, centre [3] and principal moments [3], whose axes are turned by `quat` [4]."""
        for old in body.findall("inertial"):
            body.remove(old)
        words = {
            "pos": numbers(centre),
            "quat": numbers(quat),
            "mass": numbers([mass]),
            "diaginertia": numbers(moments),
        }
        body.insert(0, Element("inertial", words))

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
            self._compiler().set("meshdir", "meshes")
        tree = ElementTree.fromstring(ElementTree.tostring(self.root))
        for parent in list(tree.iter()):
            for child in list(parent):
                remark = self.comments.get((child.tag, child.get("name", "")))
                if remark:
                    comment = ElementTree.Comment(f" {remark.replace('--', '- -')} ")
                    parent.insert(list(parent).index(child), comment)
        ElementTree.indent(tree)
        return f"<!-- {header.replace('--', '- -')} -->\n{ElementTree.tostring(tree, encoding='unicode')}\n"

    def _compiler(self) -> Element:
        return next(self.root.iter("compiler"))


def _insert(body: Element, child: Element) -> None:
    place = next((i for i, other in enumerate(body) if other.tag == "body"), len(body))
    body.insert(place, child)


def placed(source: Source, held: Mapping[int, float], angles: Mapping[int, float] | None = None) -> mujoco.MjData:
    """Return a model's kinematics with its hinges at some angles, else 0, and its free joints as the file has them."""
    model = source.model
    data = mujoco.MjData(model)
    for joint in range(model.njnt):
        if int(model.jnt_type[joint]) in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            angle = held.get(joint, (angles or {}).get(joint, 0.0))
            data.qpos[model.jnt_qposadr[joint]] = angle
    mujoco.mj_kinematics(model, data)
    return data


def base_frame(source: Source, plan: Plan, data: mujoco.MjData) -> tuple[Array, Array]:
    """Return place [3] and axes [3, 3] of the new base frame in the world of the source's data."""
    axes = np.eye(3)
    if plan.base:
        axes = data.xmat[plan.base].reshape(3, 3)
        if plan.upright:
            # The turn that makes the file's own placing upright moves with the trunk.
            axes = axes @ rotation(source.model.body_quat[plan.base]).T
    return data.xpos[plan.base] + axes @ np.array([0.0, 0.0, plan.rise]), axes


def moving_joints(source: Source, plan: Plan, body: int) -> list[int]:
    """Return the hinges of a body that are not held; the base has none but the free one."""
    model = source.model
    first = int(model.body_jntadr[body])
    own = range(first, first + int(model.body_jntnum[body])) if body != plan.base else range(0)
    return [i for i in own if i not in plan.held]


def build(source: Source, plan: Plan) -> Plain:
    """Write a compiled model as a plain MJCF, with the fixed bodies fused and a shape for each mesh that collides."""
    plain = Plain(ElementTree.fromstring(_SKELETON))
    model, data = source.model, placed(source, plan.held)
    name = "trunk" if plan.base == 0 else source.bodies[plan.base]
    members, frames = _members(source, plan, data)
    elements: dict[int, Element] = {}
    for body, parts in members.items():
        words = {"name": name if body == plan.base else source.bodies[body]}
        if body == plan.base:
            parent: Element = next(plain.root.iter("worldbody"))
        else:
            above = next(b for b in _above(model, body) if b in members or b == plan.base)
            parent = elements[above]
            place, axes = frames[above]
            words["pos"] = numbers(axes.T @ (frames[body][0] - place))
            words["quat"] = numbers(quaternion(axes.T @ frames[body][1]))
        element = ElementTree.SubElement(parent, "body", words)
        if body == plan.base:
            ElementTree.SubElement(element, "freejoint", {"name": unique("root", source.joints)})
        elements[body] = _joints(plain, source, plan, body, element)
        _inertial(plain, source, data, elements[body], parts, frames[body])
        for part in parts:
            plain.owner[part] = words["name"]
            _shapes(plain, source, plan, data, elements[body], part, frames[body])
    _share_masses(plain)
    if plan.base == 0:
        _weigh_trunk(plain)
    return plain


def _above(model: mujoco.MjModel, body: int) -> Iterator[int]:
    while body:
        body = int(model.body_parentid[body])
        yield body


def _members(source: Source, plan: Plan, data: mujoco.MjData) -> tuple[dict[int, list[int]], dict[int, tuple]]:
    """Return the bodies that each body of the draft is made of, and its frame: place [3] and axes [3, 3]."""
    model = source.model
    members: dict[int, list[int]] = {plan.base: [plan.base]}
    frames = {plan.base: base_frame(source, plan, data)}
    for body in range(1, model.nbody):
        above = list(_above(model, body))
        if body == plan.base or plan.base not in above or (plan.base == 0 and not _carries(source, plan, body)):
            continue
        if moving_joints(source, plan, body) or body in plan.keep:
            members[body] = [body]
            frames[body] = data.xpos[body].copy(), data.xmat[body].reshape(3, 3).copy()
        else:
            members[next(b for b in above if b in members)].append(body)
    return members, frames


def _carries(source: Source, plan: Plan, body: int) -> bool:
    """Whether a tree of the world is one of the robot's legs, where the trunk is the world itself."""
    tree = np.flatnonzero(source.model.body_rootid == source.model.body_rootid[body])
    free = source.model.jnt_type[np.isin(source.model.jnt_bodyid, tree)] == mujoco.mjtJoint.mjJNT_FREE
    return not free.any() and any(moving_joints(source, plan, int(part)) for part in tree)


def _joints(plain: Plain, source: Source, plan: Plan, body: int, element: Element) -> Element:
    """Give a body its hinges; Isaac Lab wants a body for each, so a body with several becomes a chain.

    Returns:
        The element of the body itself, the last of its chain.
    """
    model = source.model
    hinges = moving_joints(source, plan, body)
    for i, joint in enumerate(hinges):
        if i < len(hinges) - 1:
            own, taken = element.get("name", ""), [*source.bodies, *source.joints]
            element.set("name", unique(f"{own}_{source.joints[joint]}", taken))
        words = {"name": source.joints[joint], "type": "hinge", "pos": numbers(model.jnt_pos[joint])}
        words["axis"] = numbers(model.jnt_axis[joint])
        if model.jnt_limited[joint]:
            words["range"] = numbers(model.jnt_range[joint])
        dof = model.jnt_dofadr[joint]
        for key, value in (
            ("armature", model.dof_armature[dof]),
            ("damping", np.atleast_1d(model.dof_damping[dof])[0]),
            ("frictionloss", model.dof_frictionloss[dof]),
            ("stiffness", np.atleast_1d(model.jnt_stiffness[joint])[0]),
        ):
            if value > 0:
                words[key] = numbers([value])
        if "stiffness" in words:
            words["springref"] = numbers([model.qpos_spring[model.jnt_qposadr[joint]]])
        ElementTree.SubElement(element, "joint", words)
        if i < len(hinges) - 1:
            element = ElementTree.SubElement(element, "body", {"name": own})
    return element


def _inertial(plain: Plain, source: Source, data: mujoco.MjData, element: Element, parts: list[int], frame) -> None:
    """Sum what a body is made of. A body of no mass gets none; the world, as a trunk, weighs what its shapes do."""
    model, (place, axes) = source.model, frame
    heavy = [part for part in parts if part and model.body_mass[part] >= MASSLESS]
    if not heavy:
        return
    mass = float(model.body_mass[heavy].sum())
    centre = model.body_mass[heavy] @ data.xipos[heavy] / mass
    if len(heavy) == 1:
        turned = axes.T @ data.ximat[heavy[0]].reshape(3, 3)
        plain.set_inertial(element, mass, axes.T @ (centre - place), model.body_inertia[heavy[0]], quaternion(turned))
        return
    tensor = np.zeros((3, 3))
    for part in heavy:
        own = axes.T @ data.ximat[part].reshape(3, 3)
        tensor += own @ np.diag(model.body_inertia[part]) @ own.T
        tensor += steiner(model.body_mass[part], axes.T @ (data.xipos[part] - centre))
    plain.set_inertial(element, mass, axes.T @ (centre - place), *principal(tensor))


def _weigh_trunk(plain: Plain) -> None:
    """Guess the mass of a trunk that was the world, which weighs nothing, from the volume of its shapes."""
    trunk = plain.body("trunk")
    for geom in trunk.findall("geom"):
        geom.set("density", "1000" if geom.get("class") == "collider" else "0")
    body = plain.compile().body("trunk")
    plain.set_inertial(trunk, float(body.mass[0]), body.ipos, body.inertia, body.iquat)
    plain.comments["body", "trunk"] = "guess: mass, 1000 kg/m^3 of its shapes"
    for geom in trunk.findall("geom"):
        del geom.attrib["density"]


def _share_masses(plain: Plain) -> None:
    """Give the first links of a chain that was one body a share of its mass: no link may weigh nothing."""
    for body in plain.root.iter("body"):
        child = body.find("body")
        chained = body.find("joint") is not None and body.find("inertial") is None and child is not None
        if not chained or child is None or child.get("pos"):
            continue
        links = [body]
        while links[-1].find("inertial") is None and (inner := links[-1].find("body")) is not None:
            links.append(inner)
        last = links[-1].find("inertial")
        if last is None:
            continue
        mass, moments = float(last.get("mass", 0)), np.array(last.get("diaginertia", "0 0 0").split(), float)
        share = 0.05
        last.set("mass", numbers([mass * (1 - share * (len(links) - 1))]))
        last.set("diaginertia", numbers(moments * (1 - share * (len(links) - 1))))
        for link in links[:-1]:
            words = {"mass": numbers([mass * share]), "diaginertia": numbers(moments * share)}
            link.insert(0, Element("inertial", last.attrib | words))


def _shapes(plain: Plain, source: Source, plan: Plan, data: mujoco.MjData, element: Element, part: int, frame) -> None:
    model, (place, axes) = source.model, frame
    first = int(model.body_geomadr[part])
    for geom in range(first, first + int(model.body_geomnum[part])):
        kind, solid = mujoco.mjtGeom(int(model.geom_type[geom])), geom in plan.solid
        turned = axes.T @ data.geom_xmat[geom].reshape(3, 3)
        pos, quat = axes.T @ (data.geom_xpos[geom] - place), quaternion(turned)
        words = {"rgba": numbers(np.round(model.geom_rgba[geom], 3))}
        if solid and not np.array_equal(model.geom_friction[geom], (1.0, 0.005, 0.0001)):
            words["friction"] = numbers(model.geom_friction[geom])
        if solid and model.geom(geom).name:
            words["name"] = model.geom(geom).name
        if kind in _SHAPES:
            shape, count = _SHAPES[kind]
            plain.shapes[geom] = plain.add_geom(
                element, solid, shape, model.geom_size[geom, :count], pos, quat, **words
            )
        elif kind == mujoco.mjtGeom.mjGEOM_MESH and solid:
            _fit(plain, model, element, geom, pos, quat, words)
        elif kind == mujoco.mjtGeom.mjGEOM_MESH:
            _look(plain, model, element, geom, pos, quat, words)


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
    made = plain.add_geom(
        element, True, kind, size, pos + turned @ ((low + high) / 2), quaternion(turned @ rotation(turn)), **words
    )
    plain.comments["geom", made] = f"guess: fitted to the mesh {name}"


def _primitive(half: Array) -> tuple[str, Array, Array]:
    """Return a shape for a box of half sizes [3]: type, size and the turn of its frame."""
    least, middle, most = np.sort(half)
    if most < 1.3 * least:
        return "sphere", np.array([most]), np.array([1.0, 0, 0, 0])
    if most < 2 * middle or middle > 1.6 * least:
        return "box", np.maximum(half, 1e-3), np.array([1.0, 0, 0, 0])
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
