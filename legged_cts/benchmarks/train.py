"""How fast a whole training is, where its time goes, and against another state of this repository.

What is timed runs in a process of its own, on whatever package its path leads to: this file, as a script, asks of it
only what a training needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("physics", "convert", "mdp", "reset", "infer", "other", "learn")
"""Seconds of an iteration: the engine, the conversions around it, rewards and observations and actions, resets of
environments, the policy's actions, the rest of the collection, and the update."""


def compare(words: Sequence[str], sizes: Sequence[str], iterations: int, rounds: int, against: str | None) -> None:
    """Measure and print a table, the other state first in every round.

    Args:
        words: Overrides of the task tree.
        sizes: Numbers of environments, ``default`` for what each state of the repository takes.
        iterations: Iterations to time, after two to warm up.
        rounds: How often each measurement is made; the median counts.
        against: A revision of this repository, or the folder of a checkout; None for no comparison.

    Raises:
        ValueError: If there is no such revision.
        RuntimeError: If a training failed.
    """
    print(f"{os.cpu_count()} cores; {iterations} iterations, median of {rounds}; ms per iteration of all environments")
    print(f"{'state':10}{'envs':>6}{'steps/s':>9}{'':3}" + "".join(f"{part:>9}" for part in PARTS) + f"{'of bare':>9}")
    with _checkout(against) as other:
        for size in sizes:
            rows: dict[str, list[dict[str, Any]]] = {}
            given = [] if size == "default" else [f"env.scene.num_envs={size}"]
            for _ in range(rounds):
                for name, tree in (*([(against, other)] if against and other else []), ("here", ROOT)):
                    rows.setdefault(name, []).append(_apart(tree, [*words, *given], iterations))
            speeds = {name: _print(name, found) for name, found in rows.items()}
            if against in speeds:
                print(f"{'':10}{'ratio':>6}{speeds['here'] / speeds[against]:9.2f}", flush=True)


def _print(name: str, rows: list[dict[str, Any]]) -> float:
    row = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    line = f"{name[:9]:10}{row['num_envs']:6.0f}{row['steps_per_s']:9.0f}{'':3}"
    line += "".join(f"{1e3 * row[part]:9.0f}" for part in PARTS)
    print(line + (f"{row['steps_per_s'] / row['bare']:9.0%}" if row["bare"] else ""), flush=True)
    return row["steps_per_s"]


@contextlib.contextmanager
def _checkout(against: str | None) -> Iterator[Path | None]:
    """Give the folder that ``against`` names, for a revision one that is gone afterwards."""
    if against is None or Path(against).is_dir():
        yield None if against is None else Path(against).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        made = subprocess.run([*git, "add", "--detach", str(tree), against], capture_output=True, text=True)
        if made.returncode:
            raise ValueError(f"against={against} is no folder and no revision: {made.stderr.strip().splitlines()[-1]}")
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _apart(tree: Path, words: Sequence[str], iterations: int) -> dict[str, Any]:
    # -P: the folder of this file holds modules whose names are others' too.
    command = [sys.executable, "-P", __file__, str(iterations), *words]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tree)})
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            return json.loads(line.removeprefix("RESULT"))
    raise RuntimeError(f"the training in {tree} failed:\n{done.stderr[-2000:]}")


class _Clock:
    """Adds up the seconds spent in methods; what a timed method spends in other timed ones is theirs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []

    def time(self, part: str, owner: Any, name: str) -> None:
        """Time ``owner.name`` as ``part``."""
        method = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(0.0)
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                self.seconds[part] = self.seconds.get(part, 0.0) + spent - self._inside.pop()
                if self._inside:
                    self._inside[-1] += spent

        setattr(owner, name, timed)


def measure(words: Sequence[str], iterations: int) -> dict[str, float]:
    """Train in this process.

    Args:
        words: Overrides of the task tree.
        iterations: Iterations to time, after two to warm up.

    Returns:
        ``num_envs``, ``steps_per_s``, the seconds per iteration of each of ``PARTS``, and ``bare``: control steps per
        second of ``mujoco.rollout`` alone on the last states with the run's models, ticks and threads, 0 for others.
    """
    from legged_cts.algorithms.config import runner_cfg
    from legged_cts.envs.launch import make_env
    from legged_cts.training.compose import compose_task
    from legged_cts.training.display import NoDisplay
    from legged_cts.training.env_info import env_info
    from legged_cts.training.runner import Runner

    try:
        from legged_cts.train import resolve_task
    except ImportError:  # trees of before 2026-11-29
        from legged_cts.training.app import resolve_task  # type: ignore[import-not-found]

    words = [*words, f"max_iterations={iterations + 2}", "logger=none", "evaluation.enabled=false"]
    config = resolve_task(compose_task(words), words)
    train_cfg = runner_cfg(config["algorithm"], config["networks"], config["runner"])
    with tempfile.TemporaryDirectory() as folder, make_env(config, log=Path(folder) / "setup.log") as env:
        from isaaclab_newton.physics import NewtonManager

        device = str(env.device)
        runner = Runner(
            env, train_cfg, None, device, config=config, env_info=env_info(config, env), display=NoDisplay()
        )
        solver: Any = NewtonManager._solver
        clock, native = _Clock(), hasattr(solver, "bare_speed")
        if native:
            clock.time("physics", solver, "_roll")
        clock.time("convert" if native else "physics", env.unwrapped.sim, "step")
        clock.time("reset", env.unwrapped, "_reset_idx")
        clock.time("mdp", env.unwrapped, "step")
        clock.time("infer", runner.alg, "act")
        clock.time("learn", runner.alg, "update")
        runner.learn(2, init_at_random_ep_len=True)
        clock.seconds.clear()
        start = time.perf_counter()
        runner.learn(iterations)
        total = time.perf_counter() - start
        parts = {part: clock.seconds.get(part, 0.0) / iterations for part in PARTS}
        parts["other"] = total / iterations - sum(parts.values())
        steps = env.num_envs * config["runner"]["num_steps_per_env"] * iterations
        bare = solver.bare_speed() if native else 0.0
        return {"num_envs": env.num_envs, "steps_per_s": steps / total, "bare": bare, **parts}


if __name__ == "__main__":
    print("RESULT" + json.dumps(measure(sys.argv[2:], int(sys.argv[1]))))
