"""The panels show what a training logs."""

import math

from build import make_runner

from legged_cts.training.panels import PAGES, Series

ROBOT = {
    "tracking",
    "reward/",
    "Episode_Reward",
    "stage",
    "lin_error",
    "yaw_error",
    "terrain_level",
    "level_",
    "climb",
    "steps/",
    "passed",
    "expert_use",
    "error/(?!",
    "gpu",
}
"""Parts of names that only a legged robot's environment, terrain with levels, stages, a mixture or a GPU has."""


def test_every_panel_finds_its_metrics_in_a_training(tmp_path):
    runner = make_runner(tmp_path)
    runner.learn(10)
    _, logged = runner.display.shown[-1]
    # What only distillation logs is in tests/algorithms/test_distilled_diagnostics.py.
    pages = [panels for page, panels in PAGES.items() if page != "Distillation"]
    patterns = [series.pattern for panels in pages for panel in panels for series in panel.series]
    missing = [pattern for pattern in patterns if not Series(pattern).names(logged)]
    assert all(any(part in pattern for part in ROBOT) for pattern in missing), missing
    assert len(missing) < len(patterns) / 3
    shown = {name for pattern in patterns for name in Series(pattern).names(logged)}
    assert all(math.isfinite(logged[name]) for name in shown)


def test_levels_and_experts_are_in_the_order_of_their_numbers():
    names = [f"latent/error/level_{i}" for i in (10, 2, 0)] + ["latent/error", "latent/error/slopes"]
    assert Series(r"latent/error/level_\d+").names(names) == [f"latent/error/level_{i}" for i in (0, 2, 10)]
