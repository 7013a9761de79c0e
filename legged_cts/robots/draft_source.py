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

_MESHES = (".stl", ".obj", ".msh")
_POSES = ("home", "stand", "standing", "default", "init")


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
        mjspec: What MuJoCo made of it, with a name for every body and joint.
        model: The same, compiled before anything was changed.
        velocity_limit: Speed limits [rad/s] by joint, which a URDF has and an MJCF has not.
        pose: Angles [rad] by joint in the key frame that fits best, empty without one.
        key: Name of that key frame, None without one.
        meshes: File of each mesh, by the name of the mesh.
    """

    path: Path
    mjspec: mujoco.MjSpec
    model: mujoco.MjModel
    velocity_limit: dict[str, float]
    pose: dict[str, float]
    key: str | None
    meshes: dict[str, Path]


def read_source(path: Path, notes: Notes) -> Source:
    """Read an MJCF or a URDF.

    Raises:
        DraftError: If there is no such file, it is neither, or MuJoCo cannot read it.
    """
    if not path.is_file():
        raise DraftError(f"{path}: no such file")
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise DraftError(f"{path}: not XML: {error}") from error
    velocity: dict[str, float] = {}
    try:
        if root.tag == "mujoco":
            mjspec = mujoco.MjSpec.from_file(str(path))
        elif root.tag == "robot":
            velocity = _prepare_urdf(root, path, notes)
            mjspec = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
        else:
            raise DraftError(f"{path}: neither an MJCF nor a URDF: it begins with <{root.tag}>")
        _name_all(mjspec)
        meshes = _mesh_files(mjspec, path)
        model = mjspec.compile()
    except DraftError:
        raise
    except ValueError as error:
        raise DraftError(f"{path}: MuJoCo cannot load it: {error}") from error
    kind = "URDF" if root.tag == "robot" else "MJCF"
    notes.read.append(f"{kind} with {model.nbody - 1} bodies, {model.njnt} joints, {model.body_mass.sum():.4g} kg")
    key, pose = _pose(model)
    return Source(path, mjspec, model, velocity, pose, key, meshes)


def unique(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken, numbered if need be, with letters, digits and underscores only."""
    taken = set(taken)
    # USD allows nothing else in the name of a body.
    name = re.sub(r"\W", "_", name)
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _prepare_urdf(root: ElementTree.Element, path: Path, notes: Notes) -> dict[str, float]:
    """Set how MuJoCo reads a URDF, find its meshes and return its speed limits."""
    extension = root.find("mujoco")
    if extension is None:
        extension = ElementTree.SubElement(root, "mujoco")
    compiler = extension.find("compiler")
    if compiler is None:
        compiler = ElementTree.SubElement(extension, "compiler")
    # Fixed links are fused later, but for the feet; visual shapes are kept to look at.
    compiler.attrib.update(fusestatic="false", discardvisual="false", strippath="false")
    compiler.attrib.pop("meshdir", None)
    left_out: dict[str, list[str]] = {"visual": [], "collision": []}
    for link in root.iter("link"):
        for kind in ("visual", "collision"):
            for shape in link.findall(kind):
                mesh = shape.find("geometry/mesh")
                if mesh is None:
                    continue
                file = _urdf_mesh(mesh.get("filename", ""), path.parent)
                if file is not None:
                    mesh.set("filename", str(file))
                    continue
                link.remove(shape)
                left_out[kind].append(mesh.get("filename", ""))
    for kind, files in left_out.items():
        if files:
            text = f"{kind} meshes are left out, which are not there or not {', '.join(_MESHES)}: {', '.join(files)}"
            (notes.warnings if kind == "collision" else notes.changed).append(text)
    velocity = {}
    for joint in root.iter("joint"):
        limit = joint.find("limit")
        if limit is not None and float(limit.get("velocity", 0)) > 0:
            velocity[joint.get("name", "")] = float(limit.get("velocity", 0))
        if joint.find("mimic") is not None:
            notes.warnings.append(f"joint {joint.get('name')!r} mimics another one in the URDF; here it moves freely")
    return velocity


def _urdf_mesh(filename: str, folder: Path) -> Path | None:
    """Find a mesh of a URDF; a `package://` path is looked for in the folders above the URDF."""
    relative = re.sub(r"^(package|file)://", "", filename)
    package, _, inside = relative.partition("/")
    candidates = [folder / relative, Path(relative)]
    for above in (folder, *folder.resolve().parents):
        candidates += [above / relative, above / inside]
        if above.name == package:
            break
    for candidate in candidates:
        if candidate.suffix.lower() in _MESHES and candidate.is_file():
            return candidate.resolve()
    return None


def _name_all(mjspec: mujoco.MjSpec) -> None:
    """Name what the file leaves nameless, because a spec names bodies and joints."""
    bodies = [body for body in mjspec.bodies if body.name != "world"]
    taken = {body.name for body in bodies if body.name}
    for number, body in enumerate(bodies, 1):
        if not body.name:
            body.name = unique(f"body_{number}", taken)
            taken.add(body.name)
    joints = {joint.name for joint in mjspec.joints if joint.name}
    for joint in mjspec.joints:
        if not joint.name:
            joint.name = unique(f"{joint.parent.name}_joint", joints)
            joints.add(joint.name)


def _mesh_files(mjspec: mujoco.MjSpec, path: Path) -> dict[str, Path]:
    """Find the file of each mesh, and name each mesh, since its file is going to be renamed perhaps."""
    files = {}
    for mesh in mjspec.meshes:
        if not mesh.file:
            continue
        if not mesh.name:
            mesh.name = Path(mesh.file).stem
        folder = Path(mjspec.modelfiledir or path.parent)
        candidates = [folder / mjspec.compiler.meshdir / mesh.file, folder / mesh.file, Path(mesh.file)]
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
        if found is None:
            raise DraftError(f"{path}: mesh {mesh.name!r}: no file {str(candidates[0])!r}")
        files[mesh.name] = found.resolve()
    return files


def _pose(model: mujoco.MjModel) -> tuple[str | None, dict[str, float]]:
    names = [model.key(i).name for i in range(model.nkey)]
    if not names:
        return None, {}
    key = next((names.index(name) for name in _POSES if name in names), 0)
    joints = [i for i in range(model.njnt) if model.jnt_type[i] == mujoco.mjtJoint.mjJNT_HINGE]
    pose = {model.joint(i).name: float(model.key_qpos[key, model.jnt_qposadr[i]]) for i in joints}
    return names[key] or f"number {key}", pose
