"""Masses and inertias that a rigid body can have, equal on both sides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np

from legged_cts.robots.doctor.report import Row, Status, judge, names, verdict
from legged_cts.robots.inertia import lumped, tensor_of
from legged_cts.robots.mjcf import robot_mjspec
from legged_cts.robots.mjcf_check import check_mjcf
from legged_cts.robots.posed import MIRROR, Posed
from legged_cts.robots.spec import RobotSpec, assets_dir
from legged_cts.robots.symmetry import joint_mirror
from legged_cts.trust.yaml_file import load_yaml

# A body whose radius of gyration is this share of the distance from its centre of mass to the end of its shapes is a
# point in its middle; legs measure 0.3, a ball 0.63, a shell 1.
_GYRATION = (0.12, 1.0)
# Water weighs 1000, steel 7800 kg/m^3; a leg with motors measures 600 to 3000 by its shapes.
_DENSITY = (100.0, 8000.0)
_UNITS = "the mass or the size of the shapes is off (units?)"
_OTHER = "the inertia belongs to another body or unit: compare with that of a box of the same mass and size"
_CENTRE = (0.005, 0.02)
_MASS = (0.01, 0.05)
_INERTIA = (0.1, 0.5)


def check(spec: RobotSpec, posed: Posed) -> Iterator[Row]:
    """Each body on its own, then left against right, then all together."""
    yield from _written(robot_mjspec(spec))
    shaped = list(_shaped(posed.model))
    for name, measure, right, text, limit, hint in (
        ("density", _density, _DENSITY, "{:.0f} kg/m^3", "{:.0f} to {:.0f} kg/m^3", _UNITS),
        ("radius of gyration", _gyration, _GYRATION, "{:.2f}", "{} to {:.0f} of its size", _OTHER),
    ):
        found = [(posed.body_name(body), measure(posed.model, body, geoms)) for body, geoms in shaped]
        strange = [f"{body} {text.format(value)}" for body, value in found if not right[0] <= value <= right[1]]
        status = Status.WARN if strange else Status.OK
        measured = names(strange, 2 if measure is _density else 3) or "all plausible for their shapes"
        yield Row(name, status, measured, limit.format(*right), hint)
    posed.rest()
    yield from _sides(spec, posed)
    offset = abs(float(posed.centre[1]))
    hint = "a `pos` of an inertial has a wrong y, or the masses of the sides differ"
    limit = f"<= {1000 * _CENTRE[0]:.0f} mm"
    yield Row("centre of mass, sideways", judge(offset, *_CENTRE), f"{1000 * offset:.1f} mm", limit, hint)


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
    total = f"{sum(body.mass for body in bodies):.3f} kg in {len(bodies)} bodies"
    measured = f"not so: {names(heavy)}" if heavy else total
    yield Row("masses positive", verdict(not heavy), measured, "> 0", "give each moving body its mass")
    wrong, least = [], math.inf
    for body in bodies:
        a, b, c = principal = np.linalg.eigvalsh(tensor_of(body))
        # The triangle inequality, as a share of the largest moment: 0 is a flat sheet.
        slack = float((a + b - c) / c) if c > 0 else -1.0
        # Files with six digits round a flat sheet to just below 0, as MuJoCo allows.
        if a <= 0 or slack < -1e-6:
            wrong.append(f"{body.name} ({', '.join(f'{value:.3g}' for value in principal)})")
        least = min(least, slack)
    hint = "no body has such principal moments: check signs and order of the products of inertia (xx yy zz xy xz yz)"
    measured = f"least (A + B - C) / C is {least:.3f}" if bodies else "all from shapes"
    yield Row("inertias possible", verdict(not wrong), names(wrong, 2) or measured, "A + B >= C, all > 0", hint)
    compiler = mjcf.compiler
    changes = ["balanceinertia"] if compiler.balanceinertia else []
    changes += [name for name in ("boundmass", "boundinertia", "settotalmass") if getattr(compiler, name) > 0]
    status = Status.WARN if changes else Status.OK
    measured = f"the compiler changes them: {', '.join(changes)}" if changes else "nothing changes them"
    hint = "take these attributes off <compiler> and mend the figures, so that all simulators get the same"
    yield Row("inertias as written", status, measured, "", hint)


def _density(model: mujoco.MjModel, body: int, geoms: np.ndarray) -> float:
    collides = (model.geom_contype[geoms] | model.geom_conaffinity[geoms]) != 0
    volumes = np.array([_volume(model, geom) for geom in geoms])
    # Shapes overlap, and visual ones repeat collision ones: the larger sum is nearest to the body's volume.
    volume = max(volumes[collides].sum(), volumes[~collides].sum())
    return model.body_mass[body] / volume if volume > 0 else math.inf


def _gyration(model: mujoco.MjModel, body: int, geoms: np.ndarray) -> float:
    reach = max(np.linalg.norm(model.geom_pos[geoms] - model.body_ipos[body], axis=1) + model.geom_rbound[geoms])
    return math.sqrt(model.body_inertia[body].max() / model.body_mass[body]) / reach


def _sides(spec: RobotSpec, posed: Posed) -> Iterator[Row]:
    """Compare what each joint carries rigidly with what its mirror partner carries, in the nominal pose."""
    model, partner = posed.model, joint_mirror(spec).index
    welds = [np.flatnonzero(model.body_weldid == weld) for weld in model.body_weldid[posed.bodies]]
    lumps = zip(*(lumped(model, posed.data, parts) for parts in welds), strict=True)
    mass, centre, tensor = (np.array(values) for values in lumps)
    flip, largest = np.outer(MIRROR, MIRROR), np.abs(tensor).max(axis=(1, 2))
    wrong = "one of the two is wrong, or the vendor's figures are: say so in PROVENANCE.md"
    place = "the sign of a y is wrong, or the pose is not symmetric"
    for name, off, limits, unit, hint in (
        ("mass, left = right", np.abs(mass - mass[partner]) / np.maximum(mass, mass[partner]), _MASS, "%", wrong),
        ("inertia, left = right", np.abs(tensor - flip * tensor[partner]).max((1, 2)) / largest, _INERTIA, "%", wrong),
        ("centre of mass, l. = r.", np.linalg.norm(centre - MIRROR * centre[partner], axis=1), _CENTRE, "mm", place),
    ):
        worst = int(off.argmax())
        pair = ", ".join(posed.body_name(body) for body in (posed.bodies[worst], posed.bodies[partner[worst]]))
        value, limit = f"{off[worst]:.1%}", f"{limits[0]:.0%}"
        if unit == "mm":
            value, limit = f"{1000 * off[worst]:.1f} mm", f"{1000 * limits[0]:.0f} mm"
        status = judge(float(off[worst]), *limits)
        yield Row(name, status, f"largest difference {value}", f"<= {limit}", f"{pair}: {hint}")


def _shaped(model: mujoco.MjModel) -> Iterator[tuple[int, np.ndarray]]:
    """Each body that has a mass and shapes, with its shapes."""
    for body in range(1, model.nbody):
        geoms = np.arange(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body])
        if len(geoms) and model.body_mass[body] != 0:
            yield body, geoms


def _volume(model: mujoco.MjModel, geom: int) -> float:
    kind, (a, b, c), shapes = model.geom_type[geom], model.geom_size[geom], mujoco.mjtGeom
    if kind == shapes.mjGEOM_SPHERE:
        return 4 / 3 * math.pi * a**3
    if kind == shapes.mjGEOM_CAPSULE:
        return math.pi * a**2 * (2 * b + 4 / 3 * a)
    if kind == shapes.mjGEOM_CYLINDER:
        return math.pi * a**2 * 2 * b
    # MuJoCo gives a mesh the size of the box around it.
    return (4 / 3 * math.pi if kind == shapes.mjGEOM_ELLIPSOID else 8) * a * b * c
