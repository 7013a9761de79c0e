"""What contradicts what in ``algorithm.distillation``, as far as only the trainer knows."""

from __future__ import annotations

from dataclasses import dataclass

from legged_cts.algorithms.teacher_pool import REFERENCE, TeacherPool
from legged_cts.distillation.config import DistillationConfig


@dataclass(frozen=True)
class Trainer:
    """What the axes must agree with."""

    teachers: TeacherPool
    match: str
    """``match`` of the first iteration."""
    recurrent_student: bool
    exposed: bool
    """Whether the teacher encoder can hide groups."""
    normalizes_per_mini_batch: bool


def check(cfg: DistillationConfig, iteration: int, trainer: Trainer) -> None:
    """Check the axes of an iteration.

    Raises:
        ValueError: Naming the field and the fix.
    """
    target, place, teachers = cfg.target, cfg.place, trainer.teachers
    named = [*target.teachers, *([target.anchor] if target.anchor else [])]
    for name in named:
        if name not in teachers:
            raise ValueError(f"distillation.target names '{name}', which algorithm.teachers lacks")
        if teachers[name].options.role != "teacher":
            raise ValueError(f"algorithm.teachers.{name}.role must be teacher; only the reference may be a student")
    if target.reference is not None:
        _check_reference(target.reference, trainer)
    entries = [teachers[name].options for name in named]
    fixed = any(
        entry.source in ("ema", "checkpoint") or (entry.source == "frozen" and iteration >= entry.at)
        for entry in entries
    )
    drives = cfg.driver.share > 0.0
    wrong = {
        "distillation.match must be the same in all iterations": cfg.match != trainer.match,
        "distillation.match = latent: one teacher of source self, frozen or ema": cfg.match == "latent"
        and (len(entries) != 1 or entries[0].source == "checkpoint"),
        "distillation.learn.gradient must be student: the target is a copy": fixed
        and cfg.coef > 0.0
        and cfg.learn.gradient != "student",
        "distillation.learn.rl must be student or none where copies or files drive: PPO cannot train them": fixed
        and drives
        and (cfg.learn.rl in ("teacher", "both")),
        "distillation.place.kind = return needs learn.rl student or both; set rl_coef to 0 to distil alone":
        place.kind == "return" and cfg.learn.rl not in ("student", "both"),
        "distillation.place.kind = return or ratio needs algorithm.normalize_advantage_per_mini_batch false":
        place.kind != "loss" and trainer.normalizes_per_mini_batch,
        "distillation.target.lam other than 1 needs learn.gradient student": target.lam != 1.0
        and cfg.learn.gradient != "student",
        "distillation.weights.top.entropy_power must be 0: the std is the same in all states": bool(
            cfg.weights.top and cfg.weights.top.entropy_power
        ),
        "distillation.exposure.mode = ratio or fixed needs networks.teacher_encoder.class_name"
        " legged_cts.algorithms.exposed:ExposedEncoder, and full another one": (cfg.exposure.mode == "full")
        == trainer.exposed,
    }  # fmt: skip
    for message, is_so in wrong.items():
        if is_so:
            raise ValueError(f"{message} (iteration {iteration})")


def _check_reference(source: str, trainer: Trainer) -> None:
    options = trainer.teachers[REFERENCE].options if REFERENCE in trainer.teachers else None
    if options is None or options.source != source:
        raise ValueError("distillation.target.reference needs algorithm.teachers.reference of that source, or null")
    if options.role == "student" and trainer.recurrent_student:
        raise ValueError("algorithm.teachers.reference.role must be teacher where the student is recurrent")
