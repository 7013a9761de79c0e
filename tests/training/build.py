"""A runner with small networks on the tiny environment."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from line_env import LineEnv
from task_files import algorithm_file

from legged_cts.algorithms.config import runner_cfg
from legged_cts.training.runner import Runner


class Silent:
    """A display that remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, dict[str, float]]] = []
        self.phases: list[str] = []
        self.stopped = False

    def start(self, iteration: int, total: int) -> None:
        """Note nothing."""

    def update(self, iteration: int, metrics: Any) -> None:
        """Remember."""
        self.shown.append((iteration, dict(metrics)))

    def phase(self, name: str, done: int = 0, total: int = 0) -> None:
        """Remember each once it begins."""
        if self.phases[-1:] != [name]:
            self.phases.append(name)

    def stage(self, text: str) -> None:
        """Note nothing."""

    def note(self, iteration: int, text: str) -> None:
        """Note nothing."""

    def stop(self) -> None:
        """Remember."""
        self.stopped = True


def make_runner(
    folder: Path | None,
    seed: int = 0,
    logger: str = "none",
    env: Callable[[], LineEnv] = LineEnv,
    algorithm: str = "cts",
    **options: Any,
) -> Runner:
    """Seed torch and build environment and runner."""
    torch.manual_seed(seed)
    cfg = algorithm_file(algorithm)
    for node in cfg["networks"].values():
        node["hidden_dims"] = [16]
    cfg["networks"]["actor"].update({"latent_dim": 4} if algorithm == "cts" else {})
    cfg["algorithm"] |= {key: 2 for key in ("num_learning_epochs", "reconstruction_epochs") if key in cfg["algorithm"]}
    cfg["runner"].update(num_steps_per_env=5, save_interval=options.pop("save_interval", 2))
    cfg["runner"]["obs_groups"].update(critic=["privileged"], teacher=["privileged"])
    cfg["runner"].update(options.pop("runner", {}))
    if options.pop("exact", False):
        cfg["algorithm"]["symmetry_cfg"] = {"exact": True}
    for name, node in options.pop("networks", {}).items():
        cfg["networks"][name].update(node)
    if "student" in options:
        cfg["networks"]["student_encoder"] = options.pop("student")
    train_cfg = runner_cfg(cfg["algorithm"], cfg["networks"], cfg["runner"])
    return Runner(
        env(), copy.deepcopy(train_cfg), str(folder) if folder else None, "cpu",
        config={"logger": logger, **cfg}, env_info={"robot": "line"}, display=Silent(), **options,
    )  # fmt: skip
