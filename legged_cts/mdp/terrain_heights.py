"""Height of the ground by bilinear look-up in a grid, instead of casting rays."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


class TerrainHeights:
    """Ground height over the horizontal plane of the world.

    Between grid points the height is interpolated bilinearly; outside the grid the nearest edge holds. A physics engine
    that splits each cell into two triangles agrees at grid points and along cell edges. Risers are upright there
    (:mod:`legged_cts.terrain.risers`) and ramps here: within half a cell of one, heights lie between the two treads.

    Args:
        grid: Heights [m] at the grid points [rows along x, columns along y]; None for flat ground at height 0.
        origin: World x and y [m] of ``grid[0, 0]``.
        spacing: Distance [m] between neighbouring grid points.

    Raises:
        ValueError: If the grid has fewer than two rows or columns, or the spacing is not positive.
    """

    def __init__(self, grid: torch.Tensor | None, origin: Sequence[float] = (0.0, 0.0), spacing: float = 1.0):
        self.grid = None
        self.origin = (float(origin[0]), float(origin[1]))
        self.spacing = float(spacing)
        if grid is None:
            return
        if grid.ndim != 2 or min(grid.shape) < 2:
            raise ValueError(f"grid must be 2-D with at least 2x2 points, got shape {tuple(grid.shape)}")
        if not spacing > 0.0:
            raise ValueError(f"spacing must be positive, got {spacing}")
        self.grid = grid.float()
        rows, cols = grid.shape
        # grid_sample takes coordinates in [-1, 1], first the one of the last axis (y).
        self._center = torch.tensor(
            [self.origin[1] + 0.5 * (cols - 1) * spacing, self.origin[0] + 0.5 * (rows - 1) * spacing],
            device=grid.device,
        )
        self._scale = torch.tensor([2.0 / ((cols - 1) * spacing), 2.0 / ((rows - 1) * spacing)], device=grid.device)

    @property
    def is_flat(self) -> bool:
        """Whether the ground is the plane z = 0."""
        return self.grid is None

    @property
    def extent(self) -> tuple[float, float, float, float] | None:
        """World (x_min, y_min, x_max, y_max) [m] of the grid; None for the endless plane."""
        if self.grid is None:
            return None
        x, y = self.origin
        return x, y, x + (self.grid.shape[0] - 1) * self.spacing, y + (self.grid.shape[1] - 1) * self.spacing

    def sample(self, xy: torch.Tensor) -> torch.Tensor:
        """Return the ground height [m] under world points.

        Args:
            xy: World positions [..., 2] in m.

        Returns:
            Heights [...] in m.
        """
        if self.grid is None:
            return torch.zeros(xy.shape[:-1], device=xy.device)
        points = ((xy.flip(-1) - self._center) * self._scale).reshape(1, 1, -1, 2).to(self.grid.dtype)
        heights = F.grid_sample(
            self.grid[None, None], points, mode="bilinear", padding_mode="border", align_corners=True
        )
        return heights.reshape(xy.shape[:-1])
