"""The ground of a task, from its configuration node."""

from __future__ import annotations

from typing import Any

import isaaclab.sim as sim_utils
from isaaclab.terrains import (
    HfDiscreteObstaclesTerrainCfg,
    HfInvertedPyramidStairsTerrainCfg,
    HfPyramidSlopedTerrainCfg,
    HfPyramidStairsTerrainCfg,
    HfRandomUniformTerrainCfg,
    HfWaveTerrainCfg,
    TerrainGeneratorCfg,
    TerrainImporterCfg,
)

from legged_cts.envs.checks import check_keys, pair
from legged_cts.mdp.terrain import GridTerrainGenerator, GridTerrainImporter, RoughSlopedTerrainCfg
from legged_cts.robots.spec import assets_dir


def _slopes(node: dict[str, Any], path: str) -> Any:
    return HfPyramidSlopedTerrainCfg(slope_range=pair(f"{path}.slope", node["slope"]), platform_width=2.0)


def _rough_slopes(node: dict[str, Any], path: str) -> Any:
    noise = float(node["noise"])
    return RoughSlopedTerrainCfg(
        slope_range=pair(f"{path}.slope", node["slope"]), platform_width=2.0, noise_range=(-noise, noise)
    )


def _stairs_up(node: dict[str, Any], path: str) -> Any:
    # The robot starts at the bottom of a pit and climbs out.
    return HfInvertedPyramidStairsTerrainCfg(
        step_height_range=pair(f"{path}.step_height", node["step_height"]),
        step_width=float(node["step_width"]),
        platform_width=2.0,
    )


def _stairs_down(node: dict[str, Any], path: str) -> Any:
    return HfPyramidStairsTerrainCfg(
        step_height_range=pair(f"{path}.step_height", node["step_height"]),
        step_width=float(node["step_width"]),
        platform_width=2.0,
    )


def _obstacles(node: dict[str, Any], path: str) -> Any:
    return HfDiscreteObstaclesTerrainCfg(
        obstacle_height_range=pair(f"{path}.height", node["height"]),
        obstacle_width_range=pair(f"{path}.width", node["width"]),
        num_obstacles=int(node["count"]),
        platform_width=2.0,
    )


def _waves(node: dict[str, Any], path: str) -> Any:
    return HfWaveTerrainCfg(amplitude_range=pair(f"{path}.amplitude", node["amplitude"]), num_waves=int(node["waves"]))


def _flat(node: dict[str, Any], path: str) -> Any:
    return HfRandomUniformTerrainCfg(noise_range=(0.0, 0.0), noise_step=0.005)


_KINDS = {
    "slopes": (_slopes, ("slope",)),
    "rough_slopes": (_rough_slopes, ("slope", "noise")),
    "stairs_up": (_stairs_up, ("step_height", "step_width")),
    "stairs_down": (_stairs_down, ("step_height", "step_width")),
    "obstacles": (_obstacles, ("height", "width", "count")),
    "waves": (_waves, ("amplitude", "waves")),
    "flat": (_flat, ()),
}
_PLANE_KEYS = ("name", "type")
_GRID_KEYS = (*_PLANE_KEYS, "levels", "columns", "size", "border", "resolution", "initial_level", "seed", "kinds")


def terrain_cfg(node: dict[str, Any]) -> TerrainImporterCfg:
    """Build the terrain's configuration: a plane, or a grid of sub-terrains that becomes one height field.

    Raises:
        ValueError: If a key or a kind of terrain is unknown, or a value is out of range.
    """
    if node.get("type") == "plane":
        check_keys("terrain", node, _PLANE_KEYS)
        # The stock ground plane lives on a cloud store; this one comes with the project.
        return TerrainImporterCfg(
            class_type=GridTerrainImporter,
            prim_path="/World/ground",
            terrain_type="usd",
            usd_path=str(assets_dir() / "terrain" / "plane.usda"),
        )
    if node.get("type") != "grid":
        raise ValueError(f"terrain.type must be 'plane' or 'grid', got {node.get('type')!r}")
    check_keys("terrain", node, _GRID_KEYS)
    kinds = {name: kind for name, kind in node["kinds"].items() if kind and kind["proportion"] > 0.0}
    check_keys("terrain.kinds", kinds, _KINDS)
    if not kinds:
        raise ValueError("terrain.kinds: every proportion is zero")
    sub_terrains = {}
    for name, kind in kinds.items():
        build, keys = _KINDS[name]
        check_keys(f"terrain.kinds.{name}", kind, ("proportion", *keys))
        sub_terrains[name] = build(kind, f"terrain.kinds.{name}")
        sub_terrains[name].proportion = float(kind["proportion"])
    for key in ("levels", "columns"):
        if int(node[key]) < 1:
            raise ValueError(f"terrain.{key} must be at least 1, got {node[key]}")
    size = float(node["size"])
    return TerrainImporterCfg(
        class_type=GridTerrainImporter,
        prim_path="/World/ground",
        terrain_type="generator",
        terrain_generator=TerrainGeneratorCfg(
            class_type=GridTerrainGenerator,
            seed=node["seed"],
            curriculum=True,
            size=(size, size),
            border_width=float(node["border"]),
            num_rows=int(node["levels"]),
            num_cols=int(node["columns"]),
            horizontal_scale=float(node["resolution"]),
            vertical_scale=0.005,
            # Moved vertices would leave the grid, and a height field cannot have vertical walls.
            slope_threshold=None,
            sub_terrains=sub_terrains,
        ),
        max_init_terrain_level=int(node["initial_level"]),
        visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.35, 0.35, 0.35)),
        physics_material=sim_utils.RigidBodyMaterialCfg(
            friction_combine_mode="multiply",
            restitution_combine_mode="multiply",
            static_friction=1.0,
            dynamic_friction=1.0,
        ),
    )
