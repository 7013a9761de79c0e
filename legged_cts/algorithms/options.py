"""The options of CTS that are words or counts, and their check."""

from __future__ import annotations

from typing import Any

from legged_cts.trust.plain import show

HISTORY_RESETS = ("backfill", "zero")
"""What an environment puts before the first frame of an episode: copies of that frame, or zeros."""
CHOICES = {
    "surrogate": ("sum_of_means", "pooled"),
    "kl_samples": ("all", "teacher", "student"),
    "advantage_normalization": ("all", "per_group"),
    "student_encoder_gradient": ("auto", "reconstruction", "surrogate"),
    "reconstruction_envs": ("student", "all"),
    "history_reset": HISTORY_RESETS,
}
AT_LEAST = {
    "num_learning_epochs": 1,
    "num_mini_batches": 1,
    "reconstruction_epochs": 1,
    "reconstruction_mini_batches": 1,
    "latent_pull": 0,
    "latent_pull_start": 0,
    "latent_pull_ramp": 1,
}


def check_options(algorithm: Any, teachers: int, students: int) -> None:
    """Check the options, which are attributes of ``algorithm``, for themselves and against the sizes of the groups.

    Raises:
        ValueError: If an option is unknown or out of range, or needs a group that has no environment.
    """
    for key, allowed in CHOICES.items():
        if getattr(algorithm, key) not in allowed:
            got = show(getattr(algorithm, key))
            raise ValueError(f"algorithm.{key} must be one of {', '.join(allowed)}; got {got}")
    for key, least in AT_LEAST.items():
        if not getattr(algorithm, key) >= least:
            raise ValueError(f"algorithm.{key} must be at least {least}, got {getattr(algorithm, key)}")
    sizes = {"teacher": teachers, "student": students}
    empty = [group for group, size in sizes.items() if not size]
    if algorithm.kl_samples in empty:
        raise ValueError(
            f"algorithm.kl_samples is '{algorithm.kl_samples}', but with this algorithm.teacher_fraction there is no"
            f" {algorithm.kl_samples} environment; use kl_samples 'all'"
        )
    if algorithm.latent_pull and empty:
        raise ValueError(
            "algorithm.latent_pull draws the latent of teachers to that of students, but with this"
            f" algorithm.teacher_fraction there is no {empty[0]} environment; set latent_pull to 0"
        )
