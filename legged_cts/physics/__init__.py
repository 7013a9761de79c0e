"""Physics engines: Isaac Lab's presets and a native MuJoCo solver for the CPU."""

from legged_cts.physics.presets import PHYSICS, physics_cfg, resolve_physics

__all__ = ["PHYSICS", "physics_cfg", "resolve_physics"]
