"""Reading a vendor's MJCF or URDF, whatever it leaves out, for a first robot spec."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np

from legged_cts.robots.draft_urdf import prepare_urdf
from legged_cts.robots.inertia import mend_tensor, tensor_of

_MESHES = (".stl", ".obj", ".msh")
_POSES = ("home", "stand", "standing", "default", "init")
_LFS = b"version https://git-lfs.github.com/spec"
# Lighter bodies are taken for massless [kg].
MASSLESS = 1e-6


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
    """A robot file that MuJoCo has read.

    Attributes:
        path: The file.
        model: The compiled model, nothing changed but inertias that no body can have.
        bodies: Name of each body for the draft, by index: letters, digits and underscores only.
        joints: Likewise of each joint.
        velocity_limit: Speed limits [rad/s] by joint, which a URDF has and an MJCF has not.
        mimics: Joints that a URDF couples to others, and the angle [rad] at which they belong to 0 of those.
        pose: Angles [rad] by joint in the key frame that fits best, empty without one.
        key: Name of that key frame, None without one.
    """

    path: Path
    model: mujoco.MjModel
    bodies: list[str]
    joints: list[str]
    velocity_limit: dict[str, float]
    mimics: dict[str, float]
    pose: dict[str, float]
    key: str | None


def read_source(path: Path, notes: Notes) -> Source:
    """Read an MJCF or a URDF.

    Raises:
        DraftError: If there is no such file, it is neither, or MuJoCo cannot read it.
    """
    if not path.is_file():
        raise DraftError(f"{path}: no such file")
    root = _parse(path)
    velocity: dict[str, float] = {}
    mimics: dict[str, float] = {}
    try:
        if root.tag == "robot":
            velocity, mimics = prepare_urdf(root, path, notes, _MESHES, DraftError)
            robot = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
        elif root.tag == "mujoco":
            robot = _mjcf_spec(root, path, notes)
        else:
            raise DraftError(f"{path}: neither an MJCF nor a URDF: it begins with <{root.tag}>")
        _keep_colours(robot)
        _use_meshes(robot, path, notes)
        _mend_inertias(robot, path, notes)
        model = _compiled(robot, notes)
    except DraftError:
        raise
    except ValueError as error:
        raise DraftError(f"{path}: MuJoCo cannot load it: {' '.join(str(error).split())}") from error
    kind = "URDF" if root.tag == "robot" else "MJCF"
    notes.read.append(f"{kind} with {model.nbody - 1} bodies, {model.njnt} joints, {model.body_mass.sum():.4g} kg")
    bodies, joints = _names(model, notes)
    key, pose = _pose(model, joints)
    rename = {model.joint(i).name: joints[i] for i in range(model.njnt)}
    velocity = {rename[joint]: limit for joint, limit in velocity.items() if joint in rename}
    mimics = {rename[joint]: angle for joint, angle in mimics.items() if joint in rename}
    return Source(path, model, bodies, joints, velocity, mimics, pose, key)


def unique(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken, numbered if need be, with letters, digits and underscores only."""
    taken = set(taken)
    # USD allows nothing else in the name of a body, and no digit at its front.
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    name = f"n{name}" if re.match(r"\d|$", name) else name
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def listed(names: Iterable[str], most: int = 4) -> str:
    """Return some names in a row, and how many are left out."""
    names = list(names)
    return (
        ", ".join(names) if len(names) <= most else f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"
    )


def _parse(path: Path) -> ElementTree.Element:
    content = path.read_bytes()
    if content.startswith(_LFS):
        raise DraftError(f"{path}: a Git LFS pointer, not the file itself: run `git lfs pull` in its repository")
    text = content.decode("utf-8", "replace")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        if "xacro:" in text:
            raise _xacro(path) from error
        raise DraftError(f"{path}: not XML: {error}") from error
    declared = path.suffix == ".xacro" and "xacro" in text
    elements = list(root.iter())
    macros = any("xacro" in str(element.tag) for element in elements)
    formulas = root.tag == "robot" and any(
        "${" in value or "$(" in value for e in elements for value in e.attrib.values()
    )
    if declared or macros or formulas:
        raise _xacro(path)
    return root


def _xacro(path: Path) -> DraftError:
    name = path.name if path.suffix == ".urdf" else path.stem.removesuffix(".urdf") + ".urdf"
    return DraftError(
        f"{path}: a xacro, not a URDF: expand it first: `xacro {path.name} > {'expanded_' * (name == path.name)}{name}`"
    )


def _mjcf_spec(root: ElementTree.Element, path: Path, notes: Notes) -> mujoco.MjSpec:
    """Read an MJCF, whatever its file's name ends in; plugins are left out, since MuJoCo would want their libraries."""
    plugins = [(parent, child) for parent in root.iter() for child in parent if child.tag in ("extension", "plugin")]
    if path.suffix == ".xml" and not plugins:
        robot = mujoco.MjSpec.from_file(str(path))
    else:
        _include(root, path.parent)
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


def _include(root: ElementTree.Element, folder: Path, depth: int = 0) -> None:
    for parent in list(root.iter()):
        for i, child in reversed(list(enumerate(parent))):
            if child.tag != "include":
                continue
            file = folder / child.get("file", "")
            if not file.is_file() or depth > 20:
                raise DraftError(f"{file}: no such file to include")
            inner = _parse(file)
            _include(inner, folder, depth + 1)
            parent[i : i + 1] = list(inner)


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
    for mesh in list(robot.meshes):
        if not mesh.file:
            continue
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
            raise DraftError(
                f"{path}: mesh {mesh.name!r} is a Git LFS pointer, not a mesh: run `git lfs pull` for {found}"
            )
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
    for body in robot.bodies:
        if body.name == "world" or not body.explicitinertial:
            continue
        name = body.name or "a nameless one"
        figures = (body.mass, *body.ipos, *(body.inertia if np.isnan(body.fullinertia[0]) else body.fullinertia))
        if not np.isfinite(figures).all():
            raise DraftError(f"{path}: body {name!r}: mass or inertia is not a finite number")
        if body.mass < 0:
            raise DraftError(f"{path}: body {name!r}: mass {body.mass:g} kg is negative")
        if body.mass < MASSLESS:
            body.explicitinertial, body.mass, body.fullinertia = False, 0.0, np.full(6, np.nan)
            body.inertia = (0, 0, 0)
            continue
        tensor = tensor_of(body)
        mended, kind = mend_tensor(tensor, body.mass)
        if kind is None:
            continue
        notes.warnings.append(f"inertia of {name!r} is impossible ({kind}): the nearest possible one is written")
        if np.isnan(body.fullinertia[0]):
            body.inertia = np.diag(mended)
        else:
            body.fullinertia = mended[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]


def _compiled(robot: mujoco.MjSpec, notes: Notes) -> mujoco.MjModel:
    """Compile; moving bodies without mass get a little, and key frames that do not fit are left out."""
    weightless = []
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
            elif "qpos size" in str(error) and robot.keys:
                notes.warnings.append("key frames do not fit the model and are left out")
                for key in list(robot.keys):
                    robot.delete(key)
            else:
                raise
            continue
        if weightless:
            notes.warnings.append(f"moving bodies without mass get 1 g: {listed(weightless)}: look their masses up")
        return model


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
    hinges = [i for i in range(model.njnt) if model.jnt_type[i] == mujoco.mjtJoint.mjJNT_HINGE]
    pose = {joints[i]: float(model.key_qpos[key, model.jnt_qposadr[i]]) for i in hinges}
    return names[key] or f"number {key}", pose
