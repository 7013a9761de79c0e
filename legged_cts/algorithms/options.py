"""The options of CTS that are words or counts, and their check."""

from __future__ import annotations

from collections.abc import Mapping
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


def check_options(options: Mapping[str, Any], teachers: int, students: int) -> None:
    """Check those of the options that are given, for themselves and against the sizes of the groups.

    Raises:
        ValueError: If an option is unknown or out of range, or needs a group that has no environment.
    """
    for key, allowed in CHOICES.items():
        if key in options and options[key] not in allowed:
            raise ValueError(f"algorithm.{key} must be one of {', '.join(allowed)}; got {show(options[key])}")
    for key, least in AT_LEAST.items():
        if key in options and not options[key] >= least:
            raise ValueError(f"algorithm.{key} must be at least {least}, got {options[key]}")
    sizes = {"teacher": teachers, "student": students}
    empty = [group for group, size in sizes.items() if not size]
    steering = options.get("kl_samples")
    if steering in empty:
        raise ValueError(
            f"algorithm.kl_samples is '{steering}', but with this algorithm.teacher_fraction there is no {steering}"
            " environment; use kl_samples 'all'"
        )
    if options.get("latent_pull") and empty:
        raise ValueError(
            "algorithm.latent_pull draws the latent of teachers to that of students, but with this"
            f" algorithm.teacher_fraction there is no {empty[0]} environment; set latent_pull to 0"
        )
