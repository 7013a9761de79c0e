"""Triangle meshes of MuJoCo's shapes and of the ground."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import trimesh

from legged_cts.deploy.robot import Array

_GEOM = mujoco.mjtGeom
GROUND_TYPES = (_GEOM.mjGEOM_PLANE, _GEOM.mjGEOM_HFIELD)
CHECKER = 0.5
"""Edge of the squares on the ground [m]."""


@dataclass(frozen=True)
class Mesh:
    """Triangles.

    Attributes:
        vertices: positions [V, 3] [m].
        faces: indices of vertices, counter-clockwise seen from outside [F, 3].
        smooth: whether light shall vary smoothly over the edges.
    """

    vertices: Array
    faces: Array
    smooth: bool = False


def geom_mesh(model: mujoco.MjModel, geom: int) -> Mesh:
    """The mesh of a geom in the geom's own frame.

    Args:
        model: the model.
        geom: index of a geom which is no plane and no heightfield.

    Raises:
        ValueError: if there is no mesh for the geom's type.
    """
    kind, size = model.geom_type[geom], model.geom_size[geom]
    if kind == _GEOM.mjGEOM_BOX:
        return _of(trimesh.creation.box(extents=2 * size))
    if kind == _GEOM.mjGEOM_SPHERE:
        return _of(trimesh.creation.icosphere(subdivisions=2, radius=size[0]), smooth=True)
    if kind == _GEOM.mjGEOM_CAPSULE:
        return _of(trimesh.creation.capsule(height=2 * size[1], radius=size[0], count=(16, 16)), smooth=True)
    if kind == _GEOM.mjGEOM_CYLINDER:
        return _of(trimesh.creation.cylinder(radius=size[0], height=2 * size[1], sections=32))
    if kind == _GEOM.mjGEOM_ELLIPSOID:
        sphere = _of(trimesh.creation.icosphere(subdivisions=2), smooth=True)
        return Mesh(sphere.vertices * size, sphere.faces, smooth=True)
    if kind == _GEOM.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        vertices, faces = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh]
        return Mesh(
            model.mesh_vert[vertices : vertices + model.mesh_vertnum[mesh]].copy(),
            model.mesh_face[faces : faces + model.mesh_facenum[mesh]].copy(),
        )
    raise ValueError(f"geom '{model.geom(geom).name}': shapes of type {_GEOM(int(kind)).name} cannot be drawn")


def _of(mesh: trimesh.Trimesh, smooth: bool = False) -> Mesh:
    return Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), smooth)


def ground_geom(model: mujoco.MjModel) -> int | None:
    """The first plane or heightfield of the model; None if there is neither."""
    found = np.flatnonzero(np.isin(model.geom_type, GROUND_TYPES))
    return int(found[0]) if len(found) else None


def ground_patch(model: mujoco.MjModel, geom: int, centre: Array, half: float) -> tuple[Mesh, Mesh]:
    """The ground around a point as the dark and the light squares of a checkerboard.

    Args:
        model: the model.
        geom: an upright plane or heightfield of the world.
        centre: (x, y) of the patch's middle [m].
        half: half the edge of the patch [m].

    Returns:
        Two meshes in the world's frame; they share their vertices. Without any faces where the heightfield ends.
    """
    if model.geom_type[geom] == _GEOM.mjGEOM_PLANE:
        low = np.floor((np.asarray(centre) - half) / CHECKER).astype(int)
        count = round(2 * half / CHECKER) + 1
        x, y = (CHECKER * (start + np.arange(count)) for start in low)
        return _checkered(x, y, np.full((count, count), model.geom_pos[geom, 2]))
    x, y, heights = _heightfield(model, geom)
    near_x, near_y = (np.abs(axis - middle) <= half for axis, middle in zip((x, y), centre, strict=True))
    return _checkered(x[near_x], y[near_y], heights[np.ix_(near_y, near_x)])


def ground_height(model: mujoco.MjModel, geom: int, point: Array) -> float:
    """Height [m] of the ground at a point (x, y) [m]: of a heightfield, that of the nearest of its points."""
    if model.geom_type[geom] == _GEOM.mjGEOM_PLANE:
        return float(model.geom_pos[geom, 2])
    x, y, heights = _heightfield(model, geom)
    row, col = (int(np.abs(axis - place).argmin()) for axis, place in ((y, point[1]), (x, point[0])))
    return float(heights[row, col])


def _heightfield(model: mujoco.MjModel, geom: int) -> tuple[Array, Array, Array]:
    """The grid of a heightfield in the world: x [cols], y [rows] and heights [rows, cols] in m."""
    field, position = model.geom_dataid[geom], model.geom_pos[geom]
    rows, cols = int(model.hfield_nrow[field]), int(model.hfield_ncol[field])
    start = model.hfield_adr[field]
    half_x, half_y, span, _ = model.hfield_size[field]
    heights = position[2] + span * model.hfield_data[start : start + rows * cols].reshape(rows, cols)
    return position[0] + np.linspace(-half_x, half_x, cols), position[1] + np.linspace(-half_y, half_y, rows), heights


def _checkered(x: Array, y: Array, heights: Array) -> tuple[Mesh, Mesh]:
    """Meshes over the grid x [cols], y [rows] with heights [rows, cols]."""
    rows, cols = heights.shape
    if rows < 2 or cols < 2:
        nothing = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=int))
        return nothing, nothing
    grid_x, grid_y = np.meshgrid(x, y)
    vertices = np.stack((grid_x, grid_y, heights), axis=-1).reshape(-1, 3)
    index = np.arange(rows * cols).reshape(rows, cols)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    # Both triangles of a cell take its colour; the diagonal is the one along which MuJoCo splits a heightfield's cell.
    faces = np.stack((np.stack((a, b, c), axis=-1), np.stack((a, c, d), axis=-1)), axis=2)
    square_x = np.floor((x[:-1] + x[1:]) / 2 / CHECKER).astype(int)
    square_y = np.floor((y[:-1] + y[1:]) / 2 / CHECKER).astype(int)
    light = (square_x[None, :] + square_y[:, None]) % 2 == 1
    return Mesh(vertices, faces[~light].reshape(-1, 3)), Mesh(vertices, faces[light].reshape(-1, 3))
