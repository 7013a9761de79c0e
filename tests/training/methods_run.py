"""Trains and exports every algorithm of the task tree on one real environment."""

from __future__ import annotations

import traceback
from pathlib import Path

from legged_cts.algorithms.config import runner_cfg
from legged_cts.envs.launch import make_env
from legged_cts.export.checkpoint import export_checkpoint
from legged_cts.train import resolve_task
from legged_cts.training.compose import TASKS, compose_task
from legged_cts.training.env_info import env_info
from legged_cts.training.runner import Runner

SMALL = ("device=cpu", "physics=mujoco_cpu", "env.scene.num_envs=16", "logger=none", "solver.threads=1")
ITERATIONS = 3
NAMES = sorted(path.stem for path in (TASKS / "algorithm").glob("*.yaml"))


def teachers(name: str, file: str) -> list[str]:
    """Overrides that name the checkpoints which a method needs."""
    if name == "tiny_student":
        return [f"algorithm.teachers.teacher.checkpoint={file}"]
    if name != "multi_teacher":
        return []
    entries = [f"algorithm.teachers.{entry}.checkpoint={file}" for entry in ("first", "second")]
    return [*entries, "algorithm.teachers.first.terrain=[flat]", "algorithm.teachers.second.terrain=[stairs]"]


def train_all(folder: Path) -> None:
    """Build the environment once, then train each algorithm on it and leave its checkpoint, policy or error."""
    # The one whose checkpoint others learn from comes first.
    names = sorted(NAMES, key=lambda name: name != "cts")
    with make_env(resolve_task(compose_task(SMALL), [])) as env:
        for name in names:
            run = folder / name
            try:
                words = [*SMALL, f"algorithm={name}", f"max_iterations={ITERATIONS}"]
                file = str(folder / "cts" / f"model_{ITERATIONS}.pt")
                config = resolve_task(compose_task([*words, *teachers(name, file)]), [])
                cfg = runner_cfg(config["algorithm"], config["networks"], config["runner"])
                runner = Runner(env, cfg, str(run), "cpu", config=config, env_info=env_info(config, env))
                runner.learn(ITERATIONS)
                if name != "teacher":
                    export_checkpoint(run / f"model_{ITERATIONS}.pt", run / "policy.onnx")
            except Exception:
                run.mkdir(parents=True, exist_ok=True)
                (run / "error.txt").write_text(traceback.format_exc())
