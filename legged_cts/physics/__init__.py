"""Physics engines: Isaac Lab's presets and a native MuJoCo solver for the CPU."""

from legged_cts.physics.presets import physics_cfg, resolve_physics

__all__ = ["physics_cfg", "resolve_physics"]
