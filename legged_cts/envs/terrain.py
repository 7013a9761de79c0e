"""The ground of a task, from its configuration node."""

from __future__ import annotations

from typing import Any, cast

import isaaclab.sim as sim_utils
from isaaclab.terrains import TerrainGeneratorCfg

from legged_cts.mdp.terrain import GridTerrainCfg, GridTerrainGenerator, KindCfg
from legged_cts.robots.spec import assets_dir
from legged_cts.terrain.grid import Entry

# PhysX refuses meshes of some ten million triangles, and lets robots fall through: 224 sub-terrains with cells of 5 cm.
_LARGEST_MESH = {"mujoco_cpu": 0, "physx": 10**6, "isaacsim_physx": 10**6}


def terrain_cfg(node: dict[str, Any], physics: str) -> GridTerrainCfg:
    """Build the terrain's configuration: a plane, or a grid of sub-terrains that becomes one height field.

    Args:
        node: ``terrain`` of a task.
        physics: The engine, one of :func:`legged_cts.physics.resolve_physics`.
    """
    if node["type"] == "plane":
        # The stock ground plane lives on a cloud store; this one comes with the project.
        return GridTerrainCfg(
            prim_path="/World/ground",
            terrain_type="usd",
            usd_path=str(assets_dir() / "terrain" / "plane.usda"),
        )
    sub_terrains = {}
    for name, kind in node["kinds"].items():
        if kind and kind["proportion"] > 0.0:
            entry, share = Entry.checked(name, kind), float(kind["proportion"])
            sub_terrains[name] = KindCfg(kind=entry.kind, values=dict(entry.values), proportion=share)
    size = float(node["size"])
    return GridTerrainCfg(
        prim_path="/World/ground",
        terrain_type="generator",
        largest_mesh=_LARGEST_MESH.get(physics, 10**9),
        terrain_generator=TerrainGeneratorCfg(
            class_type=cast(Any, GridTerrainGenerator),
            seed=node["seed"],
            curriculum=True,
            size=(size, size),
            border_width=float(node["border"]),
            num_rows=int(node["levels"]),
            num_cols=int(node["columns"]),
            horizontal_scale=float(node["resolution"]),
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
