"""Ground: the terrain importer that keeps its height grid, and the sub-terrains of the rough task."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh
from isaaclab.terrains import HfPyramidSlopedTerrainCfg, TerrainGenerator, TerrainImporter
from isaaclab.terrains.height_field.hf_terrains import pyramid_sloped_terrain
from isaaclab.terrains.height_field.utils import height_field_to_mesh
from isaaclab.utils import configclass

from legged_cts.mdp.terrain_heights import TerrainHeights


class GridTerrainGenerator(TerrainGenerator):
    """A terrain generator whose lowest point is at height 0.

    Newton 1.6.1 forgets the offset of a height field's lowest point when it copies shape poses to MuJoCo Warp, so that
    robots on a field that reaches below 0 spawn inside it.
    """

    def __init__(self, cfg, device: str = "cpu"):
        super().__init__(cfg, device)
        # The border comes with vertices below the ground that no face uses.
        self.terrain_mesh.remove_unreferenced_vertices()
        lift = -float(self.terrain_mesh.bounds[0, 2])
        self.terrain_mesh.apply_translation((0.0, 0.0, lift))
        self.terrain_origins[:, :, 2] += lift


class GridTerrainImporter(TerrainImporter):
    """A terrain importer that also offers the ground's heights as a grid."""

    def __init__(self, cfg):
        self.heights = TerrainHeights(None)
        """Height look-up of the imported terrain."""
        super().__init__(cfg)

    def import_mesh(self, name: str, mesh: trimesh.Trimesh):
        """Import the mesh and keep its heights; see the base class."""
        generator = self.cfg.terrain_generator
        assert generator is not None
        border = 2.0 * generator.border_width
        size = (generator.num_rows * generator.size[0] + border, generator.num_cols * generator.size[1] + border)
        self.heights = TerrainHeights.from_vertices(
            np.asarray(mesh.vertices), size, generator.horizontal_scale, self.device
        )
        super().import_mesh(name, mesh)


@height_field_to_mesh
def rough_sloped_terrain(difficulty: float, cfg: RoughSlopedTerrainCfg) -> tuple[np.ndarray, np.ndarray]:
    """Generate a truncated pyramid with uniform noise on it, except on the platform.

    Returns:
        Heights [width, length] in units of the vertical scale, and the origin [3] in m.
    """
    heights, origin = pyramid_sloped_terrain.__wrapped__(difficulty, cfg)
    low, high = (round(bound / cfg.vertical_scale) for bound in cfg.noise_range)
    noise = np.random.randint(low, high + 1, heights.shape)
    half = int(cfg.platform_width / cfg.horizontal_scale / 2)
    center = [length // 2 for length in heights.shape]
    noise[center[0] - half : center[0] + half + 1, center[1] - half : center[1] + half + 1] = 0
    return (heights + noise).astype(np.int16), origin


@configclass
class RoughSlopedTerrainCfg(HfPyramidSlopedTerrainCfg):
    """A slope with a rough surface."""

    function: Any = rough_sloped_terrain

    noise_range: tuple[float, float] = (-0.05, 0.05)
    """Lowest and highest noise [m]."""
