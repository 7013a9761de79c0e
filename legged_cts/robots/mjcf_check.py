"""An MJCF of a stranger, looked at before MuJoCo compiles it: the files it reads, its size, its numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np

from legged_cts.trust.plain import read_bounded, show

MAX_XML = 20 * 2**20
MAX_ASSET = 64 * 2**20
MAX_FILES = 500
MAX_ELEMENTS = 50_000
LARGEST = 1.0e10
"""No number of a model is larger; MuJoCo warns of states beyond it."""
NOT_NEGATIVE = ("mass", "armature", "damping", "frictionloss", "density", "diaginertia", "friction")
BOUNDS = {
    "nrow": 2048, "ncol": 2048, "width": 8192, "height": 8192, "iterations": 1000, "ls_iterations": 1000,
    "noslip_iterations": 1000, "ccd_iterations": 1000, "sdf_iterations": 1000, "octree_maxdepth": 8,
}  # fmt: skip
"""Attributes that decide over memory or time, with their largest value."""
TEXTS = ("name", "class", "childclass", "file", "joint", "body", "material", "mesh", "site", "geom", "model", "target")
MODEL_ARRAYS = (
    "body_mass", "body_inertia", "body_pos", "body_quat", "body_ipos", "body_iquat", "dof_armature", "dof_damping",
    "dof_frictionloss", "jnt_range", "jnt_axis", "jnt_pos", "jnt_stiffness", "jnt_actfrcrange", "geom_pos", "geom_size",
    "geom_friction", "geom_margin", "geom_gap", "geom_solref", "geom_solimp", "mesh_vert", "hfield_data", "qpos0",
)  # fmt: skip
MODEL_NOT_NEGATIVE = ("body_mass", "body_inertia", "dof_armature", "dof_damping", "dof_frictionloss")


def check_mjcf(path: Path) -> None:
    """Check an MJCF and all that it includes, without MuJoCo.

    Raises:
        ValueError: Naming the element and the attribute that is wrong, or the file that may not be read.
        OSError: If a file cannot be read.
    """
    root = path.resolve().parent.parent
    todo, seen, elements = [path], set(), 0
    while todo:
        file = todo.pop()
        if file.resolve() in seen:
            continue
        seen.add(file.resolve())
        if len(seen) > MAX_FILES:
            raise ValueError(f"it includes more than {MAX_FILES} files")
        tree = _parse(file)
        elements += count_elements(tree)
        if elements > MAX_ELEMENTS:
            raise ValueError(f"it makes more than {MAX_ELEMENTS:,} elements, repetitions counted")
        folders = [path.parent, file.parent, *_folders(tree, path.parent)]
        for element in tree.iter():
            _check_element(element)
            for name in [name for key, name in element.attrib.items() if key.startswith("file") and name]:
                found = list(_files(root, folders, name, element.tag))
                todo += found if element.tag in ("include", "model") else []


def check_model(model: mujoco.MjModel) -> None:
    """Refuse a compiled model with a number that is not finite, or negative where it may not be, by a `ValueError`."""
    for name in MODEL_ARRAYS:
        values = getattr(model, name)
        if not np.all(np.abs(values) <= LARGEST):  # a NaN is not
            raise ValueError(f"{name}: holds a number that is not finite or above {LARGEST:g}")
        if name in MODEL_NOT_NEGATIVE and np.any(values < 0):
            raise ValueError(f"{name}: holds a negative number")
    if not 1e-5 <= model.opt.timestep <= 0.1:
        raise ValueError(f"timestep: must lie in [1e-05, 0.1] s, got {model.opt.timestep}")


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse what may define entities, which multiply and read other files."""
        raise ValueError("an MJCF with a DOCTYPE is not read")


def _parse(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(read_bounded(file, MAX_XML), ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise ValueError(f"{file.name}: {error}") from error


def count_elements(tree: ElementTree.Element) -> int:
    """Return the number of elements, those of a repeated part as often as it is repeated."""
    total, todo = 0, [(tree, 1, 0)]
    while todo:
        element, times, depth = todo.pop()
        if depth > 200:
            raise ValueError("more than 200 elements within each other")
        if element.tag in ("replicate", "composite", "flexcomp"):
            for count in element.get("count", "1").split():
                times *= max(1, int(_number(element, "count", count)))
        total += times
        if total > MAX_ELEMENTS:
            break
        todo += [(child, times, depth + 1) for child in element]
    return total


def _folders(tree: ElementTree.Element, base: Path) -> Iterator[Path]:
    for compiler in tree.iter("compiler"):
        for key in ("meshdir", "texturedir", "assetdir"):
            if name := compiler.get(key):
                yield base / name


def _files(root: Path, folders: list[Path], name: str, tag: str) -> Iterator[Path]:
    """The files that a name may mean; where none is there, MuJoCo will say so."""
    if "\0" in name:
        raise ValueError(f"<{tag}> file: {show(name)} is no name of a file")
    for folder in dict.fromkeys(folders):
        file = folder / name
        if not file.exists():
            continue
        if not file.resolve().is_relative_to(root):
            raise ValueError(f"<{tag}> file: {show(name)} lies outside {root}; copy it to the robot's folder")
        if not file.is_file() or file.stat().st_size > MAX_ASSET:
            raise ValueError(f"<{tag}> file: {show(name)} is no regular file of at most {MAX_ASSET:,} bytes")
        yield file


def _check_element(element: ElementTree.Element) -> None:
    for key, text in element.attrib.items():
        if key in TEXTS or key.startswith("file"):
            continue
        if element.tag == "size" and key == "memory":
            if not re.fullmatch(r"-1|\d{1,9}|\d{1,6}K|\d{1,3}M|[1-4]G", text, re.IGNORECASE):
                raise ValueError(f"<size> memory: must be at most 4G, got {show(text)}")
            continue
        for token in text.split():
            try:
                float(token)
            except ValueError:
                break  # a word
            value = _number(element, key, token)
            if value < 0 and key in NOT_NEGATIVE:
                raise ValueError(f"{_label(element)} {key}: must not be negative, got {token}")
            most = BOUNDS.get(key, LARGEST)
            if abs(value) > most or (element.tag == "size" and abs(value) > 1e6):
                raise ValueError(f"{_label(element)} {key}: must be at most {most:g}, got {token[:40]}")


def _number(element: ElementTree.Element, key: str, token: str) -> float:
    try:
        if math.isfinite(value := float(token)):
            return value
    except ValueError:
        pass
    raise ValueError(f"{_label(element)} {key}: must be a finite number, got {show(token)}")


def _label(element: ElementTree.Element) -> str:
    name = element.get("name") or element.get("class")
    return f"<{element.tag}> {show(name)}" if name else f"<{element.tag}>"
