"""What belongs on one screen: the panels of a CTS training, for TensorBoard, the pictures and the page alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from legged_cts.training.alarms import MAX_CLIP_FRACTION, MAX_EXPERT_USE, MIN_DIMENSION, MIN_EXPLAINED_VARIANCE
from legged_cts.training.machine import GPU_MEMORY, MAX_WAITING, MEMORY, MIN_MEMORY, WAITING

ROLE_COLORS = {"student": "tab:blue", "teacher": "tab:orange"}
"""The same in every panel of every picture."""


@dataclass(frozen=True)
class Series:
    """Metrics that become lines of a panel.

    ``pattern`` is a regular expression for whole names. With ``color`` None each metric that matches has a colour of
    its own, and its label is the last part of its name.
    """

    pattern: str
    label: str = ""
    color: str | None = None

    def names(self, metrics: Iterable[str]) -> list[str]:
        """Return the metrics that match, levels and experts in the order of their numbers."""
        return sorted((name for name in metrics if re.fullmatch(self.pattern, name)), key=_natural)

    def label_of(self, metric: str) -> str:
        """Return what the line of one of them is called."""
        return self.label or metric.rsplit("/", 1)[-1].replace("_", " ")


@dataclass(frozen=True)
class Panel:
    """One diagram.

    ``below`` and ``above`` bound what raises an alarm; ``limits`` what can be seen of the values. ``stacked`` values
    are parts of a sum: of one run they are drawn on top of each other, what is lost below zero.
    """

    title: str
    unit: str
    series: tuple[Series, ...]
    below: float | None = None
    above: float | None = None
    limits: tuple[float | None, float | None] = (None, None)
    log: bool = False
    stacked: bool = False

    def names(self, metrics: Iterable[str]) -> list[str]:
        """Return the metrics that the panel shows."""
        metrics = list(metrics)
        return [name for series in self.series for name in series.names(metrics)]


def _roles(pattern: str) -> tuple[Series, ...]:
    return tuple(Series(pattern.format(role), role, color) for role, color in ROLE_COLORS.items())


def _one(name: str, label: str = "", color: str = "tab:blue") -> tuple[Series, ...]:
    return (Series(name, label, color),)


def _each(pattern: str) -> tuple[Series, ...]:
    return (Series(pattern),)


PAGES: dict[str, tuple[Panel, ...]] = {
    "Overview": (
        Panel("episode return", "return", _roles("{}/return")),
        Panel("linear error", "m/s", _roles("{}/lin_error"), limits=(0.0, None)),
        Panel("yaw error", "rad/s", _roles("{}/yaw_error"), limits=(0.0, None)),
        Panel("falls", "share of episodes", _roles("{}/falls"), limits=(0.0, None)),
        Panel("tracking reward", "share of the possible", _roles("{}/tracking"), limits=(0.0, None)),
        Panel("episode length", "s", _roles("{}/episode_length_s"), limits=(0.0, None)),
        Panel("students' reward by term", "per step", _each("student/reward/.+"), stacked=True),
        Panel("teachers' reward by term", "per step", _each("teacher/reward/.+"), stacked=True),
        Panel("students' terrain level", "level", (
            Series("student/terrain_level", "all", "black"), Series("student/terrain_level/.+"),
        ), limits=(0.0, None)),
    ),
    "CTS: how it fails": (
        Panel("return gap, teacher - student", "return", _one("gap/return", "gap", "black")),
        Panel("reward gap, teacher - student", "reward per step", _one("gap/reward", "gap", "black")),
        Panel("latent error of students", "|z_s - z_t|^2", _one("latent/error", "student"), limits=(0.0, None)),
        Panel("latent error by terrain level", "|z_s - z_t|^2", _each(r"latent/error/level_\d+"), limits=(0.0, None)),
        Panel("latent error by kind of terrain", "|z_s - z_t|^2", _each(r"latent/error/(?!level_).+"),
              limits=(0.0, None)),
        Panel("latent explained by students", "share of z_t's variance",
              _one("latent/explained_variance", "student"), below=MIN_EXPLAINED_VARIANCE, limits=(-1.0, 1.0)),
        Panel("value bias", "mean(V - return)", _roles("loss/value_bias_{}")),
        Panel(
            "explained variance of the returns", "share", _roles("value/explained_variance_{}"),
            below=MIN_EXPLAINED_VARIANCE, limits=(-1.0, 1.0),
        ),
        Panel("effective latent dimension", "participation ratio", _roles("latent/dimension_{}"),
              below=MIN_DIMENSION, limits=(0.0, None)),
        Panel("clipped samples", "share", _roles("policy/clip_fraction_{}"), above=MAX_CLIP_FRACTION,
              limits=(0.0, 1.0)),
    ),
    "Learning": (
        Panel("learning rate", "", _one("learning_rate", "PPO"), log=True),
        Panel("KL(old || new)", "nat", _roles("policy/kl_{}"), limits=(0.0, None)),
        Panel("entropy of the actions", "nat", _one("loss/entropy")),
        Panel("action std over joints", "action", (
            Series("action_std", "mean", "tab:blue"), Series("action_std_min", "smallest", "tab:cyan"),
            Series("action_std_max", "largest", "tab:purple"),
        ), limits=(0.0, None)),
        Panel("gain of the surrogate", "normalised advantage", _roles("policy/surrogate_gain_{}")),
        Panel("gradient norm before clipping", "L2", (
            Series("gradient/policy", "policy", "tab:green"),
            Series("gradient/teacher_encoder", "teacher encoder", ROLE_COLORS["teacher"]),
            Series("gradient/critic", "critic", "tab:red"),
            Series("gradient/student_encoder", "student encoder", ROLE_COLORS["student"]),
        ), log=True),
        Panel("latent std over samples", "mean over components", _roles("latent/std_{}"), limits=(0.0, None)),
        Panel("latent cosine of students", "cos(z_s, z_t)", _one("latent/cosine", "student"), limits=(None, 1.0)),
        Panel("reconstruction loss", "mean square", _one("loss/reconstruction"), log=True),
        Panel("expert use", "mean gate weight", _each(r"loss/expert_use_\d+"), above=MAX_EXPERT_USE, limits=(0.0, 1.0)),
        Panel("students' climbs", "m per episode", (
            Series("student/climb", "all", "black"), Series("student/climb/.+"),
        ), limits=(0.0, None)),
        Panel("students' steps of stairs", "per episode", _each(r"student/steps/(?!level_).+"), limits=(0.0, None)),
        Panel("students promoted", "share", (Series("student/passed", "all", "black"), Series("student/passed/.+")),
              limits=(0.0, 1.0)),
        Panel("reward by term in episodes that ended, both roles", "per second", _each("env/Episode_Reward/.+"),
              stacked=True),
    ),
    "Speed and faults": (
        Panel("environment steps", "1/s", _one("perf/env_steps_per_s"), limits=(0.0, None)),
        Panel("time of an iteration", "s", (
            Series("perf/collect_s", "collect", "tab:green"), Series("perf/learn_s", "learn", "tab:purple"),
        ), limits=(0.0, None), stacked=True),
        Panel("score of the student", "tracking x (1 - falls) x (1 + level)", (
            Series("score", "now", "tab:blue"), Series("best_score", "best", "black"),
        )),
        Panel("stages reached", "count", _one("stage", color="black"), limits=(0.0, None)),
        Panel("skipped updates", "mini-batches", _one("loss/skipped_updates"), limits=(0.0, None)),
        Panel("faults since the start", "count", _each("faults/.+"), limits=(0.0, None)),
        Panel("waiting for a core", "share of the time", _one(WAITING), above=MAX_WAITING, limits=(0.0, None)),
        Panel("memory left", "share", (
            Series(MEMORY, "memory", "tab:blue"), Series(GPU_MEMORY, "GPU", "tab:green"),
        ), below=MIN_MEMORY, limits=(0.0, 1.0)),
    ),
    "Distillation": (
        Panel("distance to the target", "divergence", _one("loss/distillation", "all", "black")),
        Panel("divergence by who drove", "divergence", _roles("distillation/divergence_{}")),
        Panel("calibration by who drove", "student's std / residual", _roles("distillation/calibration_{}"),
              limits=(0.0, None)),
        Panel("distillation against PPO", "cosine of the gradients", (
            Series("distillation/cosine_all", "all", "black"),
            Series("distillation/cosine_negative", "A < 0", "tab:red"),
            Series("distillation/cosine_positive", "A > 0", "tab:green"),
        ), limits=(-1.0, 1.0)),
        Panel("estimate of the privileged state", "R^2", _each("estimate/r2/.+"), limits=(-1.0, 1.0)),
    ),
}  # fmt: skip
"""Panels by page; the first page, which is also ``learning.png``, is the one to look at first."""


def tensorboard_layout() -> dict[str, dict[str, list]]:
    """Return the pages as ``SummaryWriter.add_custom_scalars`` takes them."""
    # TensorBoard matches from the start of a tag only, so a pattern has to say where it ends.
    return {
        page: {
            f"{panel.title} [{panel.unit}]" if panel.unit else panel.title: [
                "Multiline", [f"{series.pattern}$" for series in panel.series],
            ]
            for panel in panels
        }
        for page, panels in PAGES.items()
    }  # fmt: skip


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]
