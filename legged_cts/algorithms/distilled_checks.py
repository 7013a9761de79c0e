"""What contradicts what in ``algorithm.distillation``, as far as only the trainer knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from legged_cts.algorithms.exposed import ExposedEncoder
from legged_cts.algorithms.teachers import REFERENCE
from legged_cts.distillation.config import DistillationConfig

if TYPE_CHECKING:
    from legged_cts.algorithms.distilled import Distillation


def check_plan(alg: Distillation) -> None:
    """Check the axes wherever they or the teachers change.

    Raises:
        ValueError: Naming the field and the fix.
    """
    copied = [teacher.options.at for teacher in alg.teachers.values()]
    for iteration in sorted({*alg.plan.extremes, *copied}):
        for message, wrong in _contradictions(alg, alg.plan.at(iteration), iteration):
            if wrong:
                raise ValueError(f"{message} (iteration {iteration})")


def _contradictions(alg: Distillation, cfg: DistillationConfig, iteration: int) -> Iterator[tuple[str, bool]]:
    """What must be so, and whether it is not."""
    teachers, target, place, learn = alg.teachers, cfg.target, cfg.place, cfg.learn
    for name in target.teachers:
        yield f"distillation.target names '{name}', which algorithm.teachers lacks", name not in teachers
        role = teachers[name].options.role
        yield f"algorithm.teachers.{name}.role must be teacher; only the reference may be a student", role != "teacher"
    if target.reference is not None:
        options = teachers[REFERENCE].options if REFERENCE in teachers else None
        given = options is not None and options.source == target.reference
        yield "distillation.target.reference needs algorithm.teachers.reference of that source, or null", not given
        yield (
            "algorithm.teachers.reference.role must be teacher where the student is recurrent",
            options is not None and options.role == "student" and alg.student_policy().is_recurrent,
        )
    entries = [teachers[name].options for name in target.teachers]
    fixed = any(one.source == "checkpoint" or (one.source == "frozen" and iteration >= one.at) for one in entries)
    yield (
        "distillation.match = latent: one teacher of source self or frozen",
        cfg.match == "latent" and (len(entries) != 1 or entries[0].source == "checkpoint"),
    )
    yield (
        "distillation.learn.gradient must be student: the target is a copy",
        fixed and cfg.coef > 0.0 and learn.gradient != "student",
    )
    yield (
        "distillation.learn.rl must be student or none where copies or files drive: PPO cannot train them",
        fixed and cfg.driver.share > 0.0 and learn.rl in ("teacher", "both"),
    )
    yield (
        "distillation.place.kind = return needs learn.rl student or both; set rl_coef to 0 to distil alone",
        place.kind == "return" and learn.rl not in ("student", "both"),
    )
    yield (
        "distillation.place.kind = return or ratio needs algorithm.normalize_advantage_per_mini_batch false",
        place.kind != "loss" and alg.normalize_advantage_per_mini_batch,
    )
    yield (
        "distillation.target.lam other than 1 needs learn.gradient student",
        target.lam != 1.0 and learn.gradient != "student",
    )
    yield (
        "distillation.exposure.mode = ratio needs networks.teacher_encoder.class_name"
        " legged_cts.algorithms.exposed:ExposedEncoder, and full another one",
        (cfg.exposure.mode == "full") == isinstance(alg._raw_actor.teacher_encoder, ExposedEncoder),
    )
