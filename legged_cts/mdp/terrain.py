"""Ground in Isaac Lab: a generator that lays our own grid of sub-terrains, and an importer that keeps its heights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import trimesh
from isaaclab.terrains import SubTerrainBaseCfg, TerrainGeneratorCfg, TerrainImporter, TerrainImporterCfg
from isaaclab.utils import configclass

from legged_cts.mdp.terrain_columns import column_names
from legged_cts.mdp.terrain_heights import TerrainHeights
from legged_cts.physics.ground_heights import author_heights
from legged_cts.terrain.grid import Entry, Ground, lay_ground
from legged_cts.terrain.risers import LEAN, leaning


@configclass
class KindCfg(SubTerrainBaseCfg):
    """An entry of ``terrain.kinds``."""

    function: Any = None
    """Not used: sub-terrains are heights, not meshes."""

    convert_to_heightfield: bool = True
    """Newton collides with heights, which MuJoCo takes; a mesh it would take for its convex hull."""

    kind: str = ""
    """Name of the kind."""

    values: dict = {}
    """Parameters that differ from the kind's defaults."""


class GridTerrainGenerator:
    """Lays the ground of :func:`legged_cts.terrain.grid.lay_ground` where Isaac Lab expects its own generator.

    Args:
        cfg: The generator's configuration, with a :class:`KindCfg` per kind.
        device: Not used.
    """

    def __init__(self, cfg: TerrainGeneratorCfg, device: str = "cpu") -> None:
        self.cfg = cfg
        kinds: dict[str, Any] = cfg.sub_terrains
        columns = [Entry(kinds[name].kind, kinds[name].values) for name in column_names(cfg)]
        ground = lay_ground(
            columns, cfg.num_rows, cfg.size[0], cfg.border_width, cfg.horizontal_scale, int(cfg.seed or 0)
        )
        self.terrain_origins = ground.origins
        self.flat_patches: dict[str, torch.Tensor] = {}
        # What Isaac Lab hands to the importer, which makes a mesh of it where one is needed.
        self.terrain_mesh = ground


@configclass
class GridTerrainCfg(TerrainImporterCfg):
    """The ground of a task."""

    class_type: type[TerrainImporter] | str = "legged_cts.mdp.terrain:GridTerrainImporter"

    largest_mesh: int = 10**9
    """Most triangles of a mesh: a generated ground becomes as many meshes as that takes. 0 lays none, and native MuJoCo
    needs none; a ray caster does."""


class GridTerrainImporter(TerrainImporter):
    """A terrain importer that also offers the ground's heights as a grid."""

    def __init__(self, cfg):
        self.heights = TerrainHeights(None)
        """Height look-up of the imported terrain."""
        self.risers: torch.Tensor | None = None
        """Height of a step on each sub-terrain [levels, columns] in m, 0 where there are none; None on a plane."""
        super().__init__(cfg)

    def import_mesh(self, name: str, mesh: Any):
        """Import a ground of :class:`GridTerrainGenerator` and keep its heights; see the base class."""
        ground: Ground = mesh
        grid = torch.from_numpy(ground.heights.astype(np.float32)).to(self.device)
        corner = [-0.5 * (points - 1) * ground.cell for points in grid.shape]
        self.heights = TerrainHeights(grid, corner, ground.cell)
        self.risers = torch.from_numpy(ground.risers.astype(np.float32)).to(self.device)
        if self.cfg.largest_mesh:
            for index, mesh in enumerate(meshes(ground, self.cfg.largest_mesh)):
                super().import_mesh(f"{name}_{index}" if index else name, mesh)
            return
        self.terrain_prim_paths.append(f"{self.cfg.prim_path}/{name}")
        author_heights(self.terrain_prim_paths[-1], ground.heights.T, ground.cell)


def meshes(ground: Ground, largest: int) -> Iterator[trimesh.Trimesh]:
    """Yield the ground, risers upright, in strips across x that share edges, of so many triangles at most, or a row."""
    rows, cols = ground.heights.shape
    x, y = ((np.arange(count) - (count - 1) / 2) * ground.cell for count in (rows, cols))
    points = np.stack((*np.meshgrid(x, y, indexing="ij"), ground.heights), axis=2)
    points[..., :2] += LEAN * ground.cell * leaning(ground.heights, ground.cell)
    strip = max(1, largest // (2 * (cols - 1)))
    for start in range(0, rows - 1, strip):
        yield _mesh(points[start : start + strip + 1])


def _mesh(points: np.ndarray) -> trimesh.Trimesh:
    """Two triangles per cell of [rows, cols, 3], split from the corner of low x and y, as Isaac Lab does."""
    rows, cols, _ = points.shape
    vertices = points.reshape(-1, 3)
    corner = (np.arange(rows - 1)[:, None] * cols + np.arange(cols - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack((corner, corner + cols + 1, corner + 1), axis=1),
            np.stack((corner, corner + cols, corner + cols + 1), axis=1),
        ]
    )
    return trimesh.Trimesh(vertices, faces, process=False)
