"""The runs of a comparison: what each is made with, how far it is and what it needs next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from legged_cts.evaluation.compare.comparison import Comparison, ComparisonError
from legged_cts.training.checkpoint import (
    BEST,
    latest_checkpoint,
    load_checkpoint,
    numbered_checkpoints,
    trained_steps,
)
from legged_cts.training.compose import compose_task, plain
from legged_cts.training.revision import git_revision
from legged_cts.trust.yaml_file import load_yaml

RECORD = "run.yaml"
"""What a run was made with, in its folder."""
EVALUATION = "evaluation.csv"
UNFINISHED = "unfinished_evaluation"
"""Folder that an evaluation writes to; its table is moved when it is whole."""


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    Attributes:
        arm: Name of the arm.
        seed: Seed.
        folder: The run's folder.
        overrides: Hydra overrides, of the comparison and of the arm.
        evaluation: Overrides of the evaluation.
        episodes: Episodes per role of the evaluation.
        duration: Length of an episode of the evaluation [s].
        iterations: Iterations of the training.
        planned_steps: Environment steps that it will have cost, with those of the checkpoints that it starts from.
        checkpoint_steps: Environment steps of the checkpoints that it starts from.
    """

    arm: str
    seed: int
    folder: Path
    overrides: tuple[str, ...]
    evaluation: tuple[str, ...]
    episodes: int
    duration: float
    iterations: int
    planned_steps: int
    checkpoint_steps: int

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"{self.arm} seed {self.seed}"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint at the end of the training.

        It is what is evaluated, not ``best_student.pt``: all arms at equal steps, and arms without student environments
        have no best student.
        """
        return self.folder / f"model_{self.iterations}.pt"

    @property
    def trained(self) -> bool:
        """Whether the training is over."""
        return self.checkpoint.is_file()

    @property
    def finished(self) -> bool:
        """Whether the run is trained and evaluated."""
        return self.trained and (self.folder / EVALUATION).is_file()

    @property
    def started(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return bool(numbered_checkpoints(self.folder)) or (self.folder / BEST).is_file()

    def record(self) -> dict[str, Any]:
        """What the run is made with, as it is kept in its folder."""
        return {
            "arm": self.arm,
            "seed": self.seed,
            "overrides": list(self.overrides),
            "evaluation": list(self.evaluation),
            "checkpoint_steps": self.checkpoint_steps,
        }


def plan(comparison: Comparison, folder: Path) -> list[Run]:
    """Return all runs, all arms of one seed before the next seed, so that a part of them is balanced.

    Every configuration is composed, so that a wrong override shows before hours of training.

    Raises:
        ComparisonError: Naming the arm whose overrides or checkpoint are wrong.
    """
    return [_run(comparison, arm, seed, folder) for seed in comparison.seeds for arm in comparison.arms]


def check_record(run: Run) -> bool:
    """Check that what is in a run's folder was made with what the comparison says now.

    Returns:
        Whether there is a record.

    Raises:
        ComparisonError: Naming the run and what differs.
    """
    path = run.folder / RECORD
    if not path.is_file():
        if numbered_checkpoints(run.folder) or (run.folder / EVALUATION).is_file():
            raise ComparisonError(f"{run.folder} holds a run that no comparison made; give another output=")
        return False
    record = _record(path)
    for field in ("overrides", "evaluation"):
        then, now = by_key(record.get(field) or []), by_key(getattr(run, field))
        for key in {**then, **now}:
            if then.get(key) != now.get(key):
                raise ComparisonError(
                    f"{run.folder} ({run.name}) was made with {key}={then.get(key, '(default)')}, but {field} of the "
                    f"comparison say {key}={now.get(key, '(default)')}; give another output=, or remove the run's"
                )
    return True


def write_record(run: Run) -> None:
    """Keep what a run is made with, and by which revision of the code; a resumed run may have several."""
    run.folder.mkdir(parents=True, exist_ok=True)
    known = revisions(run)
    record = {**run.record(), "revisions": list(dict.fromkeys([*known, git_revision()]))}
    (run.folder / RECORD).write_text(yaml.safe_dump(record, sort_keys=False))


def revisions(run: Run) -> list[str]:
    """Return the revisions of the code that a run was made by, oldest first."""
    path = run.folder / RECORD
    return _record(path).get("revisions") or [] if path.is_file() else []


def _record(path: Path) -> dict[str, list[str]]:
    """Read what a run was made with: lists of texts, beside the arm and its seed."""
    try:
        record = load_yaml(path)
    except ValueError as error:
        raise ComparisonError(f"{path}: {error}") from error
    if not isinstance(record, dict):
        raise ComparisonError(f"{path}: is no record of a run")
    for field in ("overrides", "evaluation", "revisions"):
        words = record.get(field) or []
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ComparisonError(f"{path}: {field} is no list of texts")
    return record


def by_key(overrides: Sequence[str]) -> dict[str, str]:
    """Overrides by key; a later one replaces an earlier one."""
    split = [word.partition("=") for word in overrides]
    return {key: value for key, _, value in split}


def checkpoints(config: Mapping[str, Any]) -> list[str]:
    """All values of keys called ``checkpoint`` or ``..._checkpoint`` in a configuration."""
    found: list[str] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            found += checkpoints(value)
        elif isinstance(value, str) and value and (key == "checkpoint" or key.endswith("_checkpoint")):
            found.append(value)
    return found


def _run(comparison: Comparison, arm: str, seed: int, folder: Path) -> Run:
    # An arm's word takes the place of a common one; Hydra refuses the same group twice.
    overrides = {word.partition("=")[0].lstrip("+"): word for word in (*comparison.common, *comparison.arms[arm])}
    words = tuple(overrides.values())
    try:
        config = plain(compose_task([*words, f"seed={seed}"]))
        source = sum(trained_steps(load_checkpoint(latest_checkpoint(path))) for path in checkpoints(config))
        return Run(
            arm=arm,
            seed=seed,
            folder=folder / arm / str(seed),
            overrides=words,
            evaluation=comparison.evaluation,
            episodes=config["evaluation"]["episodes"],
            duration=config["evaluation"]["duration"],
            iterations=config["max_iterations"],
            planned_steps=source + _steps(config),
            checkpoint_steps=source,
        )
    except (ValueError, TypeError) as error:
        raise ComparisonError(f"arms.{arm}: {error}") from error


def _steps(config: Mapping[str, Any]) -> int:
    num_envs = config["env"]["scene"]["num_envs"]
    if num_envs == "auto":
        from legged_cts.envs.builder import resolve_device, resolve_num_envs

        num_envs = resolve_num_envs(num_envs, resolve_device(config["device"]))
    return config["max_iterations"] * config["runner"]["num_steps_per_env"] * num_envs
