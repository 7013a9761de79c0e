"""How fast the whole environment steps in each engine, and where the time goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ENGINES = ("newton_mjwarp", "mujoco_cpu")
ACTION_SCALE = 0.5
"""Standard deviation of the random actions: legs that move and a base that stumbles, as early in training."""


def measure(engine: str, terrain: str, num_envs: int, steps: int) -> dict[str, Any]:
    """Time the whole environment in this process.

    Args:
        engine: Name of a physics preset.
        terrain: Name of a terrain.
        num_envs: Number of environments.
        steps: Control steps to time, after a tenth as many to warm up (at least 10).

    Returns:
        Environment steps per second as ``env``; milliseconds per control step of the environment (``total``), the
        engine's solver (``solver``), the conversion of states around it (``conversion``) and everything else, mainly
        MDP terms (``mdp``). For ``mujoco_cpu`` also ``bare``: steps per second of ``mujoco.rollout`` alone on the
        states, models, ticks and threads of the run, and ``bare_shared``: the same with one model for all worlds.
    """
    import torch
    from hydra import compose, initialize_config_dir

    from legged_cts.envs.builder import tasks_dir
    from legged_cts.envs.launch import make_env
    from legged_cts.physics.mujoco_native import NativeMujocoSolver
    from legged_cts.robots.usd import cache_dir

    with initialize_config_dir(str(tasks_dir()), version_base="1.3"):
        overrides = [f"terrain={terrain}", f"physics={engine}", f"env.scene.num_envs={num_envs}", "device=cpu"]
        cfg = compose("train", overrides)
    with make_env(cfg, log=cache_dir() / "setup.log") as env:
        from isaaclab_newton.physics import NewtonManager

        solver = NewtonManager._solver
        inner = _Stopwatch(solver, "_roll" if engine == "mujoco_cpu" else "_mujoco_warp_step")
        outer = _Stopwatch(env.unwrapped.sim, "step")
        generator = torch.Generator().manual_seed(0)
        shape = (num_envs, env.num_actions)

        def run(count: int) -> float:
            start = time.perf_counter()
            for _ in range(count):
                env.step(ACTION_SCALE * torch.randn(shape, generator=generator))
            return time.perf_counter() - start

        run(max(10, steps // 10))
        inner.seconds = outer.seconds = 0.0
        total = run(steps)
        result = {
            "engine": engine,
            "terrain": terrain,
            "num_envs": num_envs,
            "env": num_envs * steps / total,
            "total": 1e3 * total / steps,
            "solver": 1e3 * inner.seconds / steps,
            "conversion": 1e3 * (outer.seconds - inner.seconds) / steps,
            "mdp": 1e3 * (total - outer.seconds) / steps,
        }
        if isinstance(solver, NativeMujocoSolver):
            result |= {"bare": solver.bare_speed(), "bare_shared": solver.bare_speed(shared=True)}
    return result


class _Stopwatch:
    """Adds up the time spent in one method of an object."""

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = 0.0
        method = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        setattr(owner, name, timed)


def compare(terrains: Iterable[str], sizes: Iterable[int], steps: int) -> list[dict[str, Any]]:
    """Measure every engine, each in a process of its own, and print a table as the figures come.

    Args:
        terrains: Names of terrains.
        sizes: Numbers of environments.
        steps: Control steps per measurement.
    """
    rows = []
    print(f"{os.cpu_count()} cores; ms are per control step of all environments")
    header = f"{'terrain':8}{'envs':>6}  {'engine':14}{'env-steps/s':>12}{'ms':>8}{'solver':>8}{'convert':>9}{'mdp':>7}"
    print(header + f"{'bare/s':>9}{'of bare':>9}{'ratio':>7}")
    for terrain in terrains:
        for size in sizes:
            slow = None
            for engine in ENGINES:
                row = _in_subprocess(engine, terrain, size, steps)
                rows.append(row)
                slow = slow or row["env"]
                line = f"{terrain:8}{size:6d}  {engine:14}{row['env']:12.0f}{row['total']:8.1f}{row['solver']:8.1f}"
                line += f"{row['conversion']:9.1f}{row['mdp']:7.1f}"
                if "bare" in row:
                    line += f"{row['bare']:9.0f}{row['env'] / row['bare']:9.0%}{row['env'] / slow:7.1f}"
                print(line, flush=True)
    return rows


def _in_subprocess(engine: str, terrain: str, num_envs: int, steps: int) -> dict[str, Any]:
    # Isaac Lab holds one simulation per process.
    code = "from legged_cts.benchmarks.physics import measure; import json; print('RESULT' + json.dumps(measure("
    code += f"{engine!r}, {terrain!r}, {num_envs}, {steps})))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            return json.loads(line.removeprefix("RESULT"))
    raise RuntimeError(f"the measurement of {engine} on {terrain} failed:\n{done.stderr[-2000:]}")
