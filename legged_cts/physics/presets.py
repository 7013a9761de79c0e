"""Physics presets by name, from one set of solver settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

PHYSICS = ("auto", "mujoco_cpu", "newton_mjwarp", "physx", "isaacsim_physx")


@dataclass(frozen=True)
class SolverOptions:
    """Settings that both MuJoCo back ends share, so that they solve the same problem.

    ``njmax`` and ``nconmax`` bound MJWarp's buffers per world; native MuJoCo sizes its own.
    """

    iterations: int = 10
    ls_iterations: int = 20
    tolerance: float = 1e-6
    impratio: float = 1.0
    njmax: int = 240
    nconmax: int = 60
    threads: int = 0
    """Threads of ``mujoco_cpu``; 0 takes every core."""


def resolve_physics(name: str, device: str) -> str:
    """Return the concrete preset for ``name``: ``auto`` is ``mujoco_cpu`` on a CPU, ``newton_mjwarp`` on a GPU.

    Raises:
        ValueError: If the name is unknown, or the preset cannot run on the device.
    """
    if name not in PHYSICS:
        close = difflib.get_close_matches(name, PHYSICS, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"physics='{name}' is unknown{hint or '.'} Allowed: {', '.join(PHYSICS)}")
    on_cpu = device == "cpu"
    if name == "auto":
        return "mujoco_cpu" if on_cpu else "newton_mjwarp"
    if name == "mujoco_cpu" and not on_cpu:
        raise ValueError(f"physics='mujoco_cpu' runs on the CPU only, got device='{device}'; use physics=newton_mjwarp")
    return name


def physics_cfg(name: str, device: str, options: Mapping[str, Any] | None = None) -> Any:
    """Build the Isaac Lab physics configuration of a preset.

    Args:
        name: One of :data:`PHYSICS`.
        device: ``"cpu"`` or ``"cuda:N"``.
        options: Overrides of :class:`SolverOptions`; PhysX ignores them.

    Raises:
        ValueError: If the preset, a field of ``options`` or their combination with the device is unknown.
    """
    name = resolve_physics(name, device)
    allowed = {field.name for field in fields(SolverOptions)}
    for key in options or {}:
        if key not in allowed:
            raise ValueError(f"unknown solver option '{key}'; allowed: {', '.join(sorted(allowed))}")
    solver = SolverOptions(**(options or {}))
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
        cone="pyramidal",
        integrator="implicitfast",
        use_mujoco_contacts=True,
    )
    # MuJoCo's C code raises a height field by the gap, so a robot would stand that much above the ground.
    shape = NewtonShapeCfg(gap=0.0)
    if name == "newton_mjwarp":
        return NewtonCfg(solver_cfg=MJWarpSolverCfg(**shared), default_shape_cfg=shape)
    from legged_cts.physics.mujoco_native import NativeMujocoSolverCfg

    return NewtonCfg(solver_cfg=NativeMujocoSolverCfg(threads=solver.threads, **shared), default_shape_cfg=shape)
