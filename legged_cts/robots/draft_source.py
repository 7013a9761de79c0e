"""Reading a vendor's MJCF or URDF, whatever it leaves out, for a first robot spec."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np

from legged_cts.robots.inertia import mend_tensor, tensor_of
from legged_cts.robots.mjcf_check import MAX_ELEMENTS, count_elements

_MESHES = (".stl", ".obj", ".msh")
_POSES = ("home", "stand", "standing", "default", "init")
_LFS = b"version https://git-lfs.github.com/spec"
# Lighter bodies are taken for massless [kg].
MASSLESS = 1e-6
# What a URDF may hold beside links and joints; others' words, as a macro's, would be lost without a word.
_KNOWN = {"link", "joint", "material", "gazebo", "transmission", "sensor", "mujoco", "ros2_control", "group"}


class DraftError(ValueError):
    """No spec can be drafted from a file; the message says why and what to change."""


@dataclass
class Notes:
    """What happened on the way, for the summary: one line each."""

    read: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Source:
    """A robot file that MuJoCo has read."""

    path: Path
    model: mujoco.MjModel  # nothing changed but inertias that no body can have
    bodies: list[str]  # name of each for the draft, by index: letters, digits and underscores only
    joints: list[str]
    velocity_limit: dict[str, float]  # [rad/s] by joint, which a URDF has and an MJCF has not
    mimics: dict[str, float]  # joints that a URDF couples to others, and their angle [rad] at 0 of those
    pose: dict[str, float]  # angles [rad] by joint in the key frame that fits best, empty without one
    key: str | None  # name of that key frame


def read_source(path: Path, notes: Notes) -> Source:
    """Read an MJCF or a URDF.

    Raises:
        DraftError: If there is no such file, it is neither, or MuJoCo cannot read it.
    """
    if not path.is_file():
        raise DraftError(f"{path}: no such file")
    root = _parse(path)
    limits: tuple[dict[str, float], dict[str, float]] = {}, {}
    try:
        if root.tag == "robot":
            files: dict[str, Path] = {}
            limits = _prepare_urdf(root, path, files, notes)
            robot = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
            for mesh in robot.meshes:
                mesh.file = str(files[mesh.file])
            _weigh_links(root, robot, notes)
        elif root.tag == "mujoco":
            robot = _mjcf_spec(root, path, notes)
        else:
            raise DraftError(f"{path}: neither an MJCF nor a URDF: it begins with <{root.tag}>")
        _keep_colours(robot)
        _use_meshes(robot, path, notes)
        _mend_inertias(robot, path, notes)
        model = _compiled(robot, notes)
        _check_signs(model, path)
    except DraftError:
        raise
    except ValueError as error:
        raise DraftError(f"{path}: MuJoCo cannot load it: {' '.join(str(error).split())}") from error
    kind = "URDF" if root.tag == "robot" else "MJCF"
    notes.read.append(f"{kind} with {model.nbody - 1} bodies, {model.njnt} joints, {model.body_mass.sum():.4g} kg")
    bodies, joints = _names(model, notes)
    key, pose = _pose(model, joints)
    rename = {model.joint(i).name: joints[i] for i in range(model.njnt)}
    velocity, mimics = ({rename[joint]: x for joint, x in by.items() if joint in rename} for by in limits)
    return Source(path, model, bodies, joints, velocity, mimics, pose, key)


def unique(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken, numbered if need be, with letters, digits and underscores only."""
    taken = set(taken)
    # USD allows nothing else in the name of a body, and no digit at its front.
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    name = f"n{name}" if re.match(r"\d|$", name) else name
    return next(free for free in (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3))) if free not in taken)


def listed(names: Iterable[str], most: int = 4) -> str:
    """Return some names in a row, and how many are left out."""
    names = list(names)
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"


def _parse(path: Path) -> ElementTree.Element:
    content = path.read_bytes()
    if content.startswith(_LFS):
        raise DraftError(f"{path}: a Git LFS pointer, not the file itself: run `git lfs pull` in its repository")
    text = content.decode("utf-8", "replace")
    name = path.name if path.suffix == ".urdf" else path.stem.removesuffix(".urdf") + ".urdf"
    target = f"{'expanded_' * (name == path.name)}{name}"
    xacro = DraftError(f"{path}: a xacro, not a URDF: expand it first: `xacro {path.name} > {target}`")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        if "xacro:" in text:
            raise xacro from error
        raise DraftError(f"{path}: not XML: {error}") from error
    except (LookupError, ValueError) as error:
        mend = f"convert it to UTF-8: `iconv -f <its encoding> -t UTF-8 {path.name}`, and say so in its first line"
        raise DraftError(f"{path}: its encoding is not read ({error}): {mend}") from error
    elements = list(root.iter())
    declared = path.suffix == ".xacro" and "xacro" in text
    macros = any("xacro" in str(element.tag) for element in elements)
    values = [value for element in elements for value in element.attrib.values()] if root.tag == "robot" else []
    included = root.tag == "robot" and root.find("include") is not None
    if declared or macros or included or any("${" in value or "$(" in value for value in values):
        raise xacro
    for element in elements:
        element.tag = element.tag.rpartition("}")[2]  # Drake's files name a namespace, which says nothing more
    return root


# What an MJCF needs.


def _mjcf_spec(root: ElementTree.Element, path: Path, notes: Notes) -> mujoco.MjSpec:
    """Read an MJCF, whatever its file's name ends in; plugins are left out, since MuJoCo would want their libraries."""
    _include(root, path.parent, (path.resolve(),))
    if count_elements(root) > MAX_ELEMENTS:
        raise DraftError(f"{path}: it makes more than {MAX_ELEMENTS:,} elements, repetitions counted")
    plugins = any(child.tag in ("extension", "plugin") for child in root.iter())
    if path.suffix == ".xml" and not plugins:
        robot = mujoco.MjSpec.from_file(str(path))
    else:
        for parent in list(root.iter()):
            for child in [child for child in parent if child.tag in ("extension", "plugin")]:
                parent.remove(child)
        if plugins:
            notes.changed.append("plugins are left out")
        robot = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
        robot.modelfiledir = str(path.parent)
    # Bodies and shapes are looked up by name and index below, so that none may be merged or dropped.
    robot.compiler.fusestatic, robot.compiler.discardvisual = False, False
    return robot


def _include(root: ElementTree.Element, folder: Path, outer: tuple[Path, ...]) -> None:
    """Put what a file includes into its place; `outer` are the file itself and those that include it."""
    for parent in list(root.iter()):
        for i, child in reversed(list(enumerate(parent))):
            if child.tag != "include":
                continue
            file = folder / child.get("file", "")
            if not file.is_file():
                raise DraftError(f"{file}: no such file to include")
            if file.resolve() in outer:
                raise DraftError(f"{file}: includes itself")
            inner = _parse(file)
            _include(inner, folder, (*outer, file.resolve()))
            parent[i : i + 1] = list(inner)


# What a URDF needs: MuJoCo's reader knows neither packages nor floating joints.


def _prepare_urdf(
    root: ElementTree.Element, path: Path, files: dict[str, Path], notes: Notes
) -> tuple[dict[str, float], dict[str, float]]:
    """Set how MuJoCo reads a URDF and find its meshes; returns `Source.velocity_limit` and `Source.mimics`."""
    if unread := sorted({str(child.tag) for child in root} - _KNOWN):
        notes.warnings.append(f"not read, being no part of a URDF: {listed(f'<{tag}>' for tag in unread)}")
    compiler = root
    for tag in ("mujoco", "compiler"):
        found = compiler.find(tag)
        compiler = ElementTree.SubElement(compiler, tag) if found is None else found
    # Fixed links are fused later, but for the feet; visual shapes are kept to look at.
    compiler.attrib.update(fusestatic="false", discardvisual="false", strippath="false")
    compiler.attrib.pop("meshdir", None)
    _free_the_root(root, path, notes)
    _find_meshes(root, path, files, notes)
    velocity, mimics = {}, {}
    for joint in root.findall("joint"):
        name, limit, mimic = joint.get("name", ""), joint.find("limit"), joint.find("mimic")
        where = f"{path}: joint {name!r}"
        if limit is not None:
            speed = _number(limit.get("velocity", "0"), f"{where}: limit velocity")
            if 0 < speed < math.inf:
                velocity[name] = speed
            ends = [_number(limit.get(key, "0"), f"{where}: limit {key}") for key in ("lower", "upper", "effort")]
            endless = [math.isinf(end) for end in ends]
            if endless[0] != endless[1]:
                raise DraftError(f"{where}: limit lower and upper: both or neither may be infinite")
            if ends[0] > ends[1]:
                raise DraftError(f"{where}: limit lower {ends[0]:g} is above upper {ends[1]:g}")
            for key, gone in zip(("lower", "upper", "effort"), endless, strict=True):
                if gone:  # MuJoCo reads no infinity; without the word there is no limit
                    del limit.attrib[key]
        if mimic is not None:
            mimics[name] = _number(mimic.get("offset", "0"), f"{where}: mimic offset")
    return velocity, mimics


def _number(text: str, where: str) -> float:
    try:
        if not math.isnan(value := float(text)):
            return value
    except ValueError:
        pass
    raise DraftError(f"{where}: {text!r} is not a number")


def _free_the_root(root: ElementTree.Element, path: Path, notes: Notes) -> None:
    """Drop the link that a floating base hangs in: the trunk is the root then, and gets its free joint later."""
    for joint in [joint for joint in root.findall("joint") if joint.get("type") in ("floating", "planar")]:
        parent, name, kind = joint.find("parent"), joint.get("name", ""), joint.get("type")
        above = None if parent is None else parent.get("link")
        others = [end for other in root.findall("joint") if other is not joint for end in other]
        if above in [end.get("link") for end in others if end.tag in ("parent", "child")]:
            mend = "only the base may float; delete that joint and what it moves, or make it fixed"
            raise DraftError(f"{path}: joint {name!r} is {kind} and {above!r} has other joints: {mend}")
        root.remove(joint)
        for link in [link for link in root.findall("link") if link.get("name") == above]:
            root.remove(link)
        notes.changed.append(f"link {above!r} and the {kind} joint {name!r} are left out: the base is free")


def _weigh_links(root: ElementTree.Element, robot: mujoco.MjSpec, notes: Notes) -> None:
    """Let no shape of a URDF weigh anything, but for links that move and have no mass: MuJoCo gives shapes 1000 kg/m^3.

    A URDF's link without <inertial> weighs nothing, as sensors and frames do.
    """
    fixed = {
        child.get("link") for joint in root.findall("joint") if joint.get("type") == "fixed"
        for child in joint.findall("child")
    }  # fmt: skip
    light, guessed = [], []
    for link in root.findall("link"):
        body = robot.body(link.get("name", ""))
        if body is None or link.find("inertial") is not None or not body.geoms:
            continue
        if link.get("name") in fixed:
            light.append(body.name)
            for geom in body.geoms:
                geom.density = 0.0
        elif any(geom.contype or geom.conaffinity for geom in body.geoms):
            guessed.append(body.name)
    if light:
        notes.changed.append(f"fixed links without <inertial> weigh nothing: {listed(light)}")
    if guessed:
        notes.warnings.append(f"links without <inertial> get 1000 kg/m^3 of their shapes: {listed(guessed)}")


def _find_meshes(root: ElementTree.Element, path: Path, files: dict[str, Path], notes: Notes) -> None:
    """Find the file of each mesh, written into `files` by a name of its own: MuJoCo's reader goes by the last part."""
    for kind, told in ("visual", notes.changed), ("collision", notes.warnings):
        left_out = []
        for link, shape in [(part, shape) for part in root.iter("link") for shape in part.findall(kind)]:
            # A material may name a texture; shapes are drawn in their colours.
            for material in shape.findall("material"):
                for texture in material.findall("texture"):
                    material.remove(texture)
            for mesh in shape.findall("geometry/mesh"):
                if file := _mesh(mesh.get("filename", ""), path.parent):
                    known = [name for name, other in files.items() if other == file]
                    name = known[0] if known else unique(file.stem, [Path(name).stem for name in files]) + file.suffix
                    files[name] = file
                    mesh.set("filename", name)
                else:
                    link.remove(shape)
                    left_out.append(mesh.get("filename", ""))
        if left_out:
            which = f"not {', '.join(_MESHES)}: {', '.join(left_out)}"
            told.append(f"{kind} meshes are left out, which are not there or {which}")


def _mesh(filename: str, folder: Path) -> Path | None:
    """Find a mesh of a URDF; a `package://` path is looked for in the folders above the URDF."""
    relative = re.sub(r"^(package|file|model)://", "", filename)
    package, _, inside = relative.partition("/")
    candidates = [folder / relative, Path(relative)]
    for above in (folder, *folder.resolve().parents):
        candidates += [above / relative, above / inside]
        if above.name == package:
            break
    # A twin that MuJoCo reads is as good as the .dae itself.
    for candidate in candidates:
        for twin in (candidate, *(candidate.with_suffix(suffix) for suffix in _MESHES)):
            if twin.suffix.lower() in _MESHES and twin.name and twin.is_file():
                return twin.resolve()
    return None


# What both need.


def _keep_colours(robot: mujoco.MjSpec) -> None:
    """Give shapes the colours of their materials, and drop materials and textures: an image may lie anywhere."""
    colours = {material.name: np.array(material.rgba) for material in robot.materials}
    plain = np.array((0.5, 0.5, 0.5, 1.0), np.float32)
    for geom in robot.geoms:
        if geom.material in colours and np.array_equal(geom.rgba, plain):
            geom.rgba = colours[geom.material]
        geom.material = ""
    for other in (*robot.sites, *robot.skins, *robot.tendons, *robot.flexes):
        other.material = ""
    for element in (*robot.materials, *robot.textures):
        robot.delete(element)


def _use_meshes(robot: mujoco.MjSpec, path: Path, notes: Notes) -> None:
    """Check that each mesh is there; one that is only looked at may be missing."""
    folder = Path(robot.modelfiledir or path.parent)
    missing, pointers = [], []
    for mesh in [mesh for mesh in robot.meshes if mesh.file]:
        mesh.name = mesh.name or Path(mesh.file).stem
        candidates = [folder / robot.compiler.meshdir / mesh.file, folder / mesh.file, Path(mesh.file)]
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
        if found is not None and found.suffix.lower() in _MESHES:
            with found.open("rb") as file:
                if not file.read(len(_LFS)).startswith(_LFS):
                    continue
            pointers.append(mesh.name)
        users = [geom for geom in robot.geoms if geom.meshname == mesh.name]
        needed = [g for g in users if g.contype or g.conaffinity or not g.parent.explicitinertial]
        if needed and mesh.name in pointers:
            what = "is a Git LFS pointer, not a mesh"
            raise DraftError(f"{path}: mesh {mesh.name!r} {what}: run `git lfs pull` for {found}")
        if needed or not users:
            raise DraftError(f"{path}: mesh {mesh.name!r}: no file {str(candidates[0])!r}")
        missing.append(mesh.name)
        for element in (*users, mesh):
            robot.delete(element)
    if missing:
        why = ", being Git LFS pointers (`git lfs pull`)" if pointers else ", whose files are missing"
        notes.changed.append(f"meshes to look at{why}, are left out: {listed(missing)}")


def _mend_inertias(robot: mujoco.MjSpec, path: Path, notes: Notes) -> None:
    """Replace inertias that no body can have by the nearest possible ones, since one would stop the whole robot."""
    for body in [body for body in robot.bodies if body.name != "world" and body.explicitinertial]:
        name = body.name or "a nameless one"
        diagonal = np.isnan(body.fullinertia[0])
        if not np.isfinite((body.mass, *body.ipos, *(body.inertia if diagonal else body.fullinertia))).all():
            raise DraftError(f"{path}: body {name!r}: mass or inertia is not a finite number")
        if body.mass < 0:
            raise DraftError(f"{path}: body {name!r}: mass {body.mass:g} kg is negative")
        if body.mass < MASSLESS:
            body.explicitinertial, body.mass, body.fullinertia = False, 0.0, np.full(6, np.nan)
            body.inertia = (0, 0, 0)
            continue
        mended, kind = mend_tensor(tensor_of(body), body.mass)
        if kind is None:
            continue
        notes.warnings.append(f"inertia of {name!r} is impossible ({kind}): the nearest possible one is written")
        if diagonal:
            body.inertia = np.diag(mended)
        else:
            body.fullinertia = mended[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]


def _check_signs(model: mujoco.MjModel, path: Path) -> None:
    """Refuse a joint with a negative coefficient, which would drive itself."""
    for joint in range(model.njnt):
        dof = int(model.jnt_dofadr[joint])
        figures = {word: getattr(model, f"dof_{word}")[dof] for word in ("armature", "damping", "frictionloss")}
        for word, values in (figures | {"stiffness": model.jnt_stiffness[joint]}).items():
            if (least := float(np.min(values))) < 0:
                raise DraftError(f"{path}: joint {model.joint(joint).name!r}: {word} {least:g} is negative")


def _compiled(robot: mujoco.MjSpec, notes: Notes) -> mujoco.MjModel:
    """Compile.

    Moving bodies without mass get a little; key frames that do not fit and meshes to look at that are no solids are
    left out.
    """
    weightless, flat = [], []
    for number, body in enumerate([body for body in robot.bodies if body.name != "world"], 1):
        body.name = body.name or unique(f"body_{number}", [other.name for other in robot.bodies])
    while True:
        try:
            model = robot.compile()
        except ValueError as error:
            name = re.search(r"moving bodies must be larger.*Element name '([^']+)'", str(error), re.DOTALL)
            if name and name[1] not in weightless and robot.body(name[1]).mass <= MASSLESS:
                body = robot.body(name[1])
                body.explicitinertial, body.mass, body.inertia = True, 0.001, np.full(3, 1e-6)
                weightless.append(name[1])
            elif mesh := _only_to_look_at(robot, str(error)):
                flat.append(mesh.name)
                for element in (*(geom for geom in robot.geoms if geom.meshname == mesh.name), mesh):
                    robot.delete(element)
            elif "qpos size" in str(error) and robot.keys:
                notes.warnings.append("key frames do not fit the model and are left out")
                for key in list(robot.keys):
                    robot.delete(key)
            else:
                raise
            continue
        if flat:
            notes.changed.append(f"meshes to look at, of which MuJoCo makes no body, are left out: {listed(flat)}")
        if weightless:
            notes.warnings.append(f"moving bodies without mass get 1 g: {listed(weightless)}: look their masses up")
        return model


def _only_to_look_at(robot: mujoco.MjSpec, error: str) -> mujoco.MjsMesh | None:
    """Return the mesh that a compilation's error is about, if nothing but looks depends on it."""
    name = re.search(r"[Ee]lement name '([^']+)'", error) or re.search(r"mesh '([^']+)'", error)
    for mesh in robot.meshes if name else ():
        if name and mesh.name == name[1]:
            users = [geom for geom in robot.geoms if geom.meshname == mesh.name]
            if not any(g.contype or g.conaffinity or not g.parent.explicitinertial for g in users):
                return mesh
    return None


def _names(model: mujoco.MjModel, notes: Notes) -> tuple[list[str], list[str]]:
    """Name bodies and joints so that each prim that USD makes of them keeps its name."""
    bodies, joints, renamed = ["world"], [], []
    for i in range(1, model.nbody):
        old = model.body(i).name
        bodies.append(unique(old, bodies))
        renamed += [f"{old} is {bodies[i]}"] if bodies[i] != old else []
    for i in range(model.njnt):
        old = model.joint(i).name
        joints.append(unique(old or f"{bodies[model.jnt_bodyid[i]]}_joint", joints))
        renamed += [f"{old} is {joints[i]}"] if old not in ("", joints[i]) else []
    # In USD, a joint and the bodies that its own body carries lie in one folder.
    for i in range(model.njnt):
        carried = np.flatnonzero(model.body_parentid == model.jnt_bodyid[i])
        for body in [int(b) for b in carried if bodies[b] == joints[i]]:
            bodies[body] = unique(f"{bodies[body]}_link", bodies)
            renamed.append(f"body {joints[i]}, beside the joint of that name, is {bodies[body]}")
    if renamed:
        notes.changed.append(f"renamed for USD: {listed(renamed)}")
    return bodies, joints


def _pose(model: mujoco.MjModel, joints: list[str]) -> tuple[str | None, dict[str, float]]:
    names = [model.key(i).name for i in range(model.nkey)]
    if not names:
        return None, {}
    key = next((names.index(name) for name in _POSES if name in names), 0)
    hinges = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)
    return names[key] or f"number {key}", {joints[i]: float(model.key_qpos[key, model.jnt_qposadr[i]]) for i in hinges}
