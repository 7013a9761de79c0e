"""Masses and inertias that a rigid body can have, equal on both sides."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np

from legged_cts.robots.doctor.report import Row, Status, judge, names
from legged_cts.robots.doctor.subject import MIRROR, Subject
from legged_cts.robots.mjcf import robot_mjspec
from legged_cts.robots.mjcf_check import check_mjcf
from legged_cts.robots.spec import assets_dir
from legged_cts.trust.yaml_file import load_yaml

# A body whose radius of gyration is this share of the distance from its centre of mass to the end of its shapes is a
# point in its middle; legs measure 0.3, a ball 0.63, a shell 1.
_GYRATION = (0.12, 1.0)
# Water weighs 1000, steel 7800 kg/m^3; a leg with motors measures 600 to 3000 by its shapes.
_DENSITY = (100.0, 8000.0)
_CENTRE = (0.005, 0.02)
_MASS = (0.01, 0.05)
_INERTIA = (0.1, 0.5)


def check(subject: Subject) -> Iterator[Row]:
    """Each body on its own, then left against right, then all together."""
    yield from _written(robot_mjspec(subject.spec))
    yield _density(subject)
    yield _gyration(subject)
    subject.place(subject.pose)
    yield from _sides(subject)
    offset = abs(float(subject.data.subtree_com[subject.base][1]))
    status = judge(offset, *_CENTRE)
    hint = "a `pos` of an inertial has a wrong y, or the masses of the sides differ" if status is not Status.OK else ""
    yield Row("centre of mass, sideways", status, f"{1000 * offset:.1f} mm", f"<= {1000 * _CENTRE[0]:.0f} mm", hint)


def of_unloaded(robot: str | Path) -> list[Row]:
    """What can be said of the inertias of a robot whose spec does not load, perhaps because of them."""
    path = Path(robot).expanduser()
    if isinstance(robot, str) and not path.exists():
        path = assets_dir() / "robots" / robot
    path = path / "robot.yaml" if path.is_dir() else path
    try:
        mjcf = path.parent / load_yaml(path)["mjcf"]
        check_mjcf(mjcf)
        return list(_written(mujoco.MjSpec.from_file(str(mjcf))))
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _written(mjcf: mujoco.MjSpec) -> Iterator[Row]:
    """The figures as the file gives them: MuJoCo can be told to change the impossible ones silently."""
    bodies = [body for body in mjcf.bodies if body.name != "world" and body.explicitinertial]
    heavy = [body.name for body in bodies if not body.mass > 0]
    yield Row(
        "masses positive",
        Status.FAIL if heavy else Status.OK,
        f"not so: {names(heavy)}" if heavy else f"{sum(body.mass for body in bodies):.3f} kg in {len(bodies)} bodies",
        "> 0",
        "give each moving body its mass" if heavy else "",
    )
    wrong, least = [], math.inf
    for body in bodies:
        principal = np.sort(_principal(body))
        # The triangle inequality, as a share of the largest moment: 0 is a flat sheet.
        slack = float((principal[0] + principal[1] - principal[2]) / principal[2]) if principal[2] > 0 else -1.0
        # Files with six digits round a flat sheet to just below 0, as MuJoCo allows.
        if principal[0] <= 0 or slack < -1e-6:
            wrong.append(f"{body.name} ({', '.join(f'{value:.3g}' for value in principal)})")
        least = min(least, slack)
    hint = "no body has such principal moments: check signs and order of the products of inertia (xx yy zz xy xz yz)"
    yield Row(
        "inertias possible",
        Status.FAIL if wrong else Status.OK,
        names(wrong, 2) if wrong else f"least (A + B - C) / C is {least:.3f}" if bodies else "all from shapes",
        "A + B >= C, all > 0",
        hint if wrong else "",
    )
    changes = [
        name
        for name, value in (
            ("balanceinertia", mjcf.compiler.balanceinertia),
            ("boundmass", mjcf.compiler.boundmass > 0),
            ("boundinertia", mjcf.compiler.boundinertia > 0),
            ("settotalmass", mjcf.compiler.settotalmass > 0),
        )
        if value
    ]
    yield Row(
        "inertias as written",
        Status.WARN if changes else Status.OK,
        f"the compiler changes them: {', '.join(changes)}" if changes else "nothing changes them",
        "",
        "take these attributes off <compiler> and mend the figures, so that all simulators get the same"
        if changes
        else "",
    )


def _principal(body) -> np.ndarray:
    full = np.array(body.fullinertia)
    if np.isnan(full[0]):
        return np.array(body.inertia)
    xx, yy, zz, xy, xz, yz = full
    return np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _density(subject: Subject) -> Row:
    model = subject.model
    strange = []
    for body, geoms in _shaped(model):
        collides = (model.geom_contype[geoms] | model.geom_conaffinity[geoms]) != 0
        volumes = np.array([_volume(model, geom) for geom in geoms])
        # Shapes overlap, and visual ones repeat collision ones: the larger sum is nearest to the body's volume.
        volume = max(volumes[collides].sum(), volumes[~collides].sum())
        density = model.body_mass[body] / volume if volume > 0 else math.inf
        if not _DENSITY[0] <= density <= _DENSITY[1]:
            strange.append(f"{subject.body_name(body)} {density:.0f} kg/m^3")
    limit = f"{_DENSITY[0]:.0f} to {_DENSITY[1]:.0f} kg/m^3"
    if strange:
        return Row(
            "density", Status.WARN, names(strange, 2), limit, "the mass or the size of the shapes is off (units?)"
        )
    return Row("density", Status.OK, "all plausible for their shapes", limit)


def _gyration(subject: Subject) -> Row:
    model = subject.model
    strange = []
    for body, geoms in _shaped(model):
        reach = max(np.linalg.norm(model.geom_pos[geoms] - model.body_ipos[body], axis=1) + model.geom_rbound[geoms])
        share = math.sqrt(model.body_inertia[body].max() / model.body_mass[body]) / reach
        if not _GYRATION[0] <= share <= _GYRATION[1]:
            strange.append(f"{subject.body_name(body)} {share:.2f}")
    limit = f"{_GYRATION[0]} to {_GYRATION[1]:.0f} of its size"
    if strange:
        hint = "the inertia belongs to another body or unit: compare with that of a box of the same mass and size"
        return Row("radius of gyration", Status.WARN, names(strange, 3), limit, hint)
    return Row("radius of gyration", Status.OK, "all plausible for their shapes", limit)


def _sides(subject: Subject) -> Iterator[Row]:
    """Compare what each joint carries rigidly with what its mirror partner carries, in the nominal pose."""
    spec = subject.spec
    body_of = dict(zip(spec.joints, subject.bodies, strict=True))
    worst_of = {"mass": (0.0, ""), "centre": (0.0, ""), "inertia": (0.0, "")}
    for joint, partner in spec.mirror_swap.items():
        mass, centre, tensor = _lump(subject, body_of[joint])
        other_mass, other_centre, other_tensor = _lump(subject, body_of[partner])
        flip = np.outer(MIRROR, MIRROR)
        found = {
            "mass": abs(mass - other_mass) / max(mass, other_mass),
            "centre": float(np.linalg.norm(centre - MIRROR * other_centre)),
            "inertia": float(np.abs(tensor - flip * other_tensor).max() / np.abs(tensor).max()),
        }
        pair = f"{subject.body_name(body_of[joint])}, {subject.body_name(body_of[partner])}"
        for key, value in found.items():
            worst_of[key] = max(worst_of[key], (value, pair), key=lambda entry: entry[0])
    for key, limits, name in (("mass", _MASS, "mass"), ("inertia", _INERTIA, "inertia")):
        value, pair = worst_of[key]
        status = judge(value, *limits)
        hint = f"{pair}: one of the two is wrong, or the vendor's figures are: say so in PROVENANCE.md"
        yield Row(
            f"{name}, left = right",
            status,
            f"largest difference {value:.1%}",
            f"<= {limits[0]:.0%}",
            hint if status is not Status.OK else "",
        )
    value, pair = worst_of["centre"]
    status = judge(value, *_CENTRE)
    yield Row(
        "centre of mass, l. = r.",
        status,
        f"largest difference {1000 * value:.1f} mm",
        f"<= {1000 * _CENTRE[0]:.0f} mm",
        f"{pair}: the sign of a y is wrong, or the pose is not symmetric" if status is not Status.OK else "",
    )


def _lump(subject: Subject, body: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre and inertia about it, in the world's axes, of a body and all that is welded to it."""
    model, data = subject.model, subject.data
    parts = np.flatnonzero(model.body_weldid == model.body_weldid[body])
    mass = model.body_mass[parts].sum()
    centre = model.body_mass[parts] @ data.xipos[parts] / mass
    tensor = np.zeros((3, 3))
    for part in parts:
        axes = data.ximat[part].reshape(3, 3)
        arm = data.xipos[part] - centre
        tensor += axes @ np.diag(model.body_inertia[part]) @ axes.T
        tensor += model.body_mass[part] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return float(mass), centre, tensor


def _shaped(model: mujoco.MjModel) -> Iterator[tuple[int, np.ndarray]]:
    """Each body that has a mass and shapes, with its shapes."""
    for body in range(1, model.nbody):
        geoms = np.arange(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body])
        if len(geoms) and model.body_mass[body] != 0:
            yield body, geoms


def _volume(model: mujoco.MjModel, geom: int) -> float:
    kind, (a, b, c) = model.geom_type[geom], model.geom_size[geom]
    shapes = mujoco.mjtGeom
    if kind == shapes.mjGEOM_SPHERE:
        return 4 / 3 * math.pi * a**3
    if kind == shapes.mjGEOM_CAPSULE:
        return math.pi * a**2 * (2 * b + 4 / 3 * a)
    if kind == shapes.mjGEOM_CYLINDER:
        return math.pi * a**2 * 2 * b
    if kind == shapes.mjGEOM_ELLIPSOID:
        return 4 / 3 * math.pi * a * b * c
    # MuJoCo gives a mesh the size of the box around it.
    return 8 * a * b * c
