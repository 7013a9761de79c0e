"""A ground of heights for native MuJoCo, from Isaac Lab's stage to the model, without a mesh in between.

Isaac Lab makes triangles of a ground and rays of the triangles, Newton triangles of the heights again, which nothing on
native MuJoCo reads: two minutes and 4 GiB for 24 columns of 10 levels in cells of 5 cm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
import warp as wp
from isaaclab.sim.utils.stage import get_current_stage
from newton import Heightfield, Model
from pxr import Sdf, Usd, UsdGeom, Vt

_HEIGHTS, _COLUMNS, _CELL = "legged_cts:heights", "legged_cts:columns", "legged_cts:cell"


class FineHeightfield(Heightfield):
    """Heights of which Newton sees the extent alone, as four points, because it would build a mesh of them all.

    Args:
        heights: Height [m] at each point [rows, cols]; rows run along y, columns along x; centred on the origin.
        cell: Distance between neighbouring points [m].
    """

    def __init__(self, heights: np.ndarray, cell: float) -> None:
        rows, cols = heights.shape
        low, high = float(heights.min()), float(heights.max())
        half_x, half_y = (cols - 1) * cell / 2, (rows - 1) * cell / 2
        super().__init__(data=np.array([[low, high]] * 2), nrow=2, ncol=2, hx=half_x, hy=half_y, min_z=low, max_z=high)
        self.heights = heights


def author_heights(prim_path: str, heights: np.ndarray, cell: float) -> None:
    """Put a ground on the stage: float32 heights [rows, cols] as those of :class:`FineHeightfield`."""
    prim = UsdGeom.Xform.Define(get_current_stage(), prim_path).GetPrim()
    values = Vt.FloatArray.FromNumpy(np.ascontiguousarray(heights, dtype=np.float32).ravel())
    prim.CreateAttribute(_HEIGHTS, Sdf.ValueTypeNames.FloatArray).Set(values)
    prim.CreateAttribute(_COLUMNS, Sdf.ValueTypeNames.Int).Set(heights.shape[1])
    prim.CreateAttribute(_CELL, Sdf.ValueTypeNames.Double).Set(cell)


def inject_heights(stage: Usd.Stage, builder: Any, root_paths: Sequence[str]) -> list[str]:
    """Give Newton's builder every ground that :func:`author_heights` put below some paths; return their own paths."""
    found = []
    for prim in (prim for path in root_paths for prim in Usd.PrimRange(stage.GetPrimAtPath(path))):
        if prim.HasAttribute(_HEIGHTS):
            values = np.array(prim.GetAttribute(_HEIGHTS).Get()).reshape(-1, prim.GetAttribute(_COLUMNS).Get())
            field = FineHeightfield(values, prim.GetAttribute(_CELL).Get())
            builder.add_shape_heightfield(heightfield=field, xform=wp.transform())
            found.append(prim.GetPath().pathString)
    return found


def restore_heights(model: Model, spec: mujoco.MjSpec) -> None:
    """Give the spec that Newton made of a model all points of its :class:`FineHeightfield`, if it has one."""
    for source in model.shape_source:
        if isinstance(source, FineHeightfield):
            (field,) = spec.hfields
            field.nrow, field.ncol = source.heights.shape
            span = max(source.max_z - source.min_z, 1e-9)
            field.userdata = ((source.heights - source.min_z) / span).ravel()
