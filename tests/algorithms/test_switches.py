"""Each switch of CTS changes the terms it should in one and the same mini-batch, and no others."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch
from builders import make_cts, part, rollout

TERMS = ("total", "surrogate", "surrogate_teacher", "surrogate_student", "value", "entropy", "kl", "latent_pull")
SURROGATES = {"total", "surrogate", "surrogate_teacher", "surrogate_student"}


def terms(**options) -> dict[str, torch.Tensor | None]:
    """Loss terms of a mini-batch of the second rollout, after one PPO step, all with the same random numbers."""
    torch.manual_seed(0)
    alg, env = make_cts(schedule="fixed", **options)
    torch.manual_seed(1)
    rollout(alg, env)
    batches = alg.batches()
    alg.step(alg.losses(next(batches)))
    # Only the terms are compared, so both runs must look at the same networks.
    reference, same = make_cts(schedule="fixed")
    torch.manual_seed(1)
    rollout(reference, same)
    steps = reference.batches()
    reference.step(reference.losses(next(steps)))
    if options.get("critic_sees_latent", True):
        alg.critic.load_state_dict(reference.critic.state_dict())
    alg.actor.load_state_dict(reference.actor.state_dict())
    alg.student_policy().encoder.load_state_dict(reference.student_policy().encoder.state_dict())
    torch.manual_seed(2)
    losses = alg.losses(next(alg.batches()))
    return {name: part(losses, name) for name in TERMS}


@pytest.fixture(scope="module")
def default() -> dict[str, torch.Tensor | None]:
    return terms()


def differing(a: dict[str, torch.Tensor | None], b: dict[str, torch.Tensor | None]) -> set[str]:
    def same(x: torch.Tensor | None, y: torch.Tensor | None) -> bool:
        if x is None or y is None:
            return x is y
        return x.shape == y.shape and torch.allclose(x, y, rtol=1e-5, atol=1e-6)

    return {name for name in TERMS if not same(a[name], b[name])}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, set()),
        ({"surrogate": "pooled"}, {"total", "surrogate"}),
        ({"kl_samples": "teacher"}, {"kl"}),
        ({"kl_samples": "student"}, {"kl"}),
        ({"advantage_normalization": "per_group"}, SURROGATES),
        ({"normalize_advantage_per_mini_batch": True}, SURROGATES),
        ({"critic_sees_latent": False}, {*SURROGATES, "value"}),  # through advantages
        ({"student_encoder_gradient": "surrogate"}, set()),  # changes where gradients go, see test_routing
        ({"student_encoder_gradient": "reconstruction"}, set()),  # what auto is with teachers
        ({"reconstruction_envs": "all"}, set()),
        ({"reconstruction_epochs": 1, "reconstruction_mini_batches": 2, "student_learning_rate": 1.0}, set()),
        ({"latent_pull": 0.05}, {"total", "latent_pull"}),
        ({"latent_pull": 0.05, "latent_pull_start": 1}, set()),
        ({"entropy_coef": 0.5}, {"total"}),
        ({"value_loss_coef": 0.5}, {"total"}),
        ({"clip_param": 1e-4}, {*SURROGATES, "value"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_switch_changes_its_own_terms(options, changed, default):
    assert differing(terms(**options), default) == changed


@pytest.mark.parametrize(
    ("options", "samples"),
    [({}, "student"), ({"reconstruction_envs": "all"}, "all"), ({"teacher_fraction": 0.5}, "student")],
)
def test_the_regression_sees_the_environments_it_should(options, samples):
    alg, _ = make_cts(**options)
    expected = alg.driver.student_ids if samples == "student" else torch.arange(16)
    assert torch.equal(alg.history.ids, expected)


def test_counts_of_regression_steps():
    alg, env = make_cts(reconstruction_epochs=3, reconstruction_mini_batches=5)
    rollout(alg, env)
    means: dict[str, list[float]] = defaultdict(list)
    alg.regression.finish(means)
    assert len(means["reconstruction"]) == 15
    assert alg.student_optimizer.param_groups[0]["lr"] == 1e-3
