"""Physics presets by name, from one set of solver settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from legged_cts.task.schema import Solver


def resolve_physics(name: str, device: str) -> str:
    """Return the concrete preset for ``name``: ``auto`` is ``mujoco_cpu`` on a CPU, ``newton_mjwarp`` on a GPU.

    Raises:
        ValueError: If the preset cannot run on the device.
    """
    on_cpu = device == "cpu"
    if name == "auto":
        return "mujoco_cpu" if on_cpu else "newton_mjwarp"
    if name == "mujoco_cpu" and not on_cpu:
        raise ValueError(f"physics='mujoco_cpu' runs on the CPU only, got device='{device}'; use physics=newton_mjwarp")
    return name


def physics_cfg(name: str, device: str, options: Mapping[str, Any] | None = None) -> Any:
    """Build the Isaac Lab physics configuration of a preset.

    Args:
        name: One of the task's ``PHYSICS``.
        device: ``"cpu"`` or ``"cuda:N"``.
        options: Fields of the task's ``solver``; PhysX ignores them. Both MuJoCo back ends share them, so that they
            solve the same problem; ``njmax`` and ``nconmax`` bound MJWarp's buffers per world, native MuJoCo sizes its
            own, and ``threads`` and ``longest_tick`` are native MuJoCo's.

    Raises:
        ValueError: If the preset cannot run on the device.
    """
    name = resolve_physics(name, device)
    solver = Solver.model_validate(options or {})
    if name == "physx":
        from legged_cts.physics.physx import ovphysx_cfg

        return ovphysx_cfg(device)
    if name == "isaacsim_physx":
        from isaaclab_physx.physics import PhysxCfg

        return PhysxCfg()
    from isaaclab_newton.physics import MJWarpSolverCfg, NewtonCfg, NewtonShapeCfg

    shared: dict[str, Any] = dict(
        iterations=solver.iterations,
        ls_iterations=solver.ls_iterations,
        tolerance=solver.tolerance,
        impratio=solver.impratio,
        njmax=solver.njmax,
        nconmax=solver.nconmax,
        cone=solver.cone,
        integrator="implicitfast",
        use_mujoco_contacts=True,
    )
    # MuJoCo's C code raises a height field by the gap, so a robot would stand that much above the ground.
    shape = NewtonShapeCfg(gap=0.0)
    if name == "newton_mjwarp":
        return NewtonCfg(solver_cfg=MJWarpSolverCfg(**shared), default_shape_cfg=shape)
    from legged_cts.physics.mujoco_native import NativeMujocoSolverCfg

    native = NativeMujocoSolverCfg(threads=solver.threads, longest_tick=solver.longest_tick, **shared)
    return NewtonCfg(solver_cfg=native, default_shape_cfg=shape)
