"""Making a URDF fit for MuJoCo's reader, which knows neither packages nor floating joints."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legged_cts.robots.draft_source import Notes


def prepare_urdf(
    root: ElementTree.Element, path: Path, notes: Notes, suffixes: Sequence[str], failure: type[ValueError]
) -> tuple[dict[str, float], dict[str, float]]:
    """Set how MuJoCo reads a URDF and find its meshes.

    Returns:
        Speed limits [rad/s] by joint, and the joints that mimic others with their offsets [rad].
    """
    extension = root.find("mujoco")
    if extension is None:
        extension = ElementTree.SubElement(root, "mujoco")
    compiler = extension.find("compiler")
    if compiler is None:
        compiler = ElementTree.SubElement(extension, "compiler")
    # Fixed links are fused later, but for the feet; visual shapes are kept to look at.
    compiler.attrib.update(fusestatic="false", discardvisual="false", strippath="false")
    compiler.attrib.pop("meshdir", None)
    _free_the_root(root, path, notes, failure)
    _find_meshes(root, path, notes, suffixes)
    velocity, mimics = {}, {}
    for joint in root.findall("joint"):
        name, limit, mimic = joint.get("name", ""), joint.find("limit"), joint.find("mimic")
        if limit is not None:
            speed = _number(limit.get("velocity", "0"), f"{path}: joint {name!r}: limit velocity", failure)
            if 0 < speed < math.inf:
                velocity[name] = speed
            for key in ("lower", "upper", "effort"):
                if key in limit.attrib:
                    _number(limit.attrib[key], f"{path}: joint {name!r}: limit {key}", failure)
        if mimic is not None:
            mimics[name] = _number(mimic.get("offset", "0"), f"{path}: joint {name!r}: mimic offset", failure)
    return velocity, mimics


def _number(text: str, where: str, failure: type[ValueError]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise failure(f"{where}: {text!r} is not a number")
    return value


def _free_the_root(root: ElementTree.Element, path: Path, notes: Notes, failure: type[ValueError]) -> None:
    """Drop the link that a floating base hangs in: the trunk is the root then, and gets its free joint later."""
    for joint in [joint for joint in root.findall("joint") if joint.get("type") in ("floating", "planar")]:
        parent, name = joint.find("parent"), joint.get("name", "")
        above = None if parent is None else parent.get("link")
        others = [j for j in root.findall("joint") if j is not joint]
        used = [j for j in others if above in [e.get("link") for tag in ("parent", "child") for e in j.findall(tag)]]
        if used:
            raise failure(
                f"{path}: joint {name!r} is {joint.get('type')} and {above!r} has other joints: only the "
                "base may float; delete that joint and what it moves, or make it fixed"
            )
        root.remove(joint)
        for link in [link for link in root.findall("link") if link.get("name") == above]:
            root.remove(link)
        notes.changed.append(
            f"link {above!r} and the {joint.get('type')} joint {name!r} are left out: the base is free"
        )


def _find_meshes(root: ElementTree.Element, path: Path, notes: Notes, suffixes: Sequence[str]) -> None:
    left_out: dict[str, list[str]] = {"visual": [], "collision": []}
    for link in root.iter("link"):
        for kind in ("visual", "collision"):
            for shape in link.findall(kind):
                # A material may name a texture; shapes are drawn in their colours.
                for texture in [(m, t) for m in shape.findall("material") for t in m.findall("texture")]:
                    texture[0].remove(texture[1])
                mesh = shape.find("geometry/mesh")
                if mesh is None:
                    continue
                file = _mesh(mesh.get("filename", ""), path.parent, suffixes)
                if file is not None:
                    mesh.set("filename", str(file))
                    continue
                link.remove(shape)
                left_out[kind].append(mesh.get("filename", ""))
    for kind, files in left_out.items():
        if files:
            text = f"{kind} meshes are left out, which are not there or not {', '.join(suffixes)}: {', '.join(files)}"
            (notes.warnings if kind == "collision" else notes.changed).append(text)


def _mesh(filename: str, folder: Path, suffixes: Sequence[str]) -> Path | None:
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
        for twin in (candidate, *(candidate.with_suffix(suffix) for suffix in suffixes)):
            if twin.suffix.lower() in suffixes and twin.name and twin.is_file():
                return twin.resolve()
    return None
