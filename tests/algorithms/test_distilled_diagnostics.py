"""What distillation reports of itself, and that reporting changes nothing."""

import pytest
import torch
from builders import rollout, snapshot
from distilled_builders import with_axes
from torch.nn.functional import cosine_similarity

from legged_cts.algorithms import distilled_terms
from legged_cts.distillation.gaussians import DiagonalGaussian, kl
from legged_cts.training.panels import PAGES

COPY = {"a": {"source": "frozen"}}
FROM_COPY = {"target": {"teachers": ["a"]}, "learn": {"rl": "student"}}
BY_DRIVER = {f"distillation/{name}_{role}" for name in ("divergence", "calibration") for role in ("student", "teacher")}
COSINES = {f"distillation/cosine_{name}" for name in ("all", "negative", "positive")}
METHODS = {
    "self": ({"coef": 0.5, "divergence": "mse", "driver": 0.5, "learn": "both"}, {}),
    "sampled": ({"coef": 0.5, "divergence": "jsd", "driver": {"unit": "step", "share": 0.3}, **FROM_COPY}, COPY),
    "weighted": ({"coef": 0.5, "weights": {"window": {"length": 5}, "clip": {"limit": 0.1}}, **FROM_COPY}, COPY),
    "return": ({"coef": 0.5, "place": "return", "driver": {"unit": "step", "share": 0.3}, **FROM_COPY}, COPY),
    "ratio": ({"place": {"kind": "ratio", "alpha": 0.9}, **FROM_COPY}, COPY),
    "importance": ({"coef": 0.5, "driver": 0.5, "learn": {"importance": True}}, {}),
}


def trained(name, iterations=2, **options):
    axes, teachers = METHODS[name]
    alg, env = with_axes(axes, **({"teachers": teachers} if teachers else {}), **options)
    for _ in range(iterations):
        rollout(alg, env)
        alg.update()
    return alg, env


def reported(alg):
    return {name for name in alg.diagnostics.scalars if name.startswith("distillation/")}


@pytest.mark.parametrize("name", METHODS)
def test_reporting_changes_no_bit(name, monkeypatch):
    alg, _ = trained(name)
    noise = torch.rand(3)
    monkeypatch.setattr(distilled_terms, "by_driver", lambda *_: {})
    monkeypatch.setattr(distilled_terms, "gradient_cosines", lambda *_: {})
    silent, _ = trained(name)
    assert reported(alg) and not reported(silent)
    assert torch.equal(noise, torch.rand(3))
    mine, theirs = snapshot(alg), snapshot(silent)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert alg.learning_rate == silent.learning_rate
    for ours, other in ((alg.optimizer, silent.optimizer), (alg.student_optimizer, silent.student_optimizer)):
        for a, b in zip(ours.state.values(), other.state.values(), strict=True):
            assert torch.equal(a["exp_avg"], b["exp_avg"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("self", BY_DRIVER | COSINES),
        ("sampled", BY_DRIVER | COSINES),
        ("weighted", {key for key in BY_DRIVER if key.endswith("student")} | COSINES),
        ("return", BY_DRIVER),
        ("ratio", {key for key in BY_DRIVER if key.endswith("student")}),
    ],
)
def test_what_is_reported_where(name, expected):
    alg, _ = trained(name)
    assert reported(alg) == expected
    assert all(-1.0 <= alg.diagnostics.scalars[key] <= 1.0 for key in COSINES & expected)


def test_without_a_target_of_actions_or_without_ppo_nothing_is_compared():
    for axes in ({}, {"coef": 1.0, "match": "latent", "driver": 0.5}):
        alg, env = with_axes(axes)
        rollout(alg, env)
        alg.update()
        assert not reported(alg)
    alg, env = with_axes({"coef": 1.0, "learn": {"rl": "none"}})
    rollout(alg, env)
    alg.update()
    assert not reported(alg) & COSINES


@pytest.mark.parametrize("name", ["return", "ratio"])
def test_the_divergence_of_the_rollout_by_hand(name):
    alg, env = trained(name, 1)
    rollout(alg, env)
    alg.match.prepare()
    student, acts = alg.match.old_student(alg.storage.observations.flatten(0, 1)), alg.driver.acted.flatten()
    with torch.no_grad():
        teacher = alg.teachers["a"].distribution(alg.storage.observations.flatten(0, 1))
    expected = kl(student, teacher)[~acts].mean().item()
    residual = (teacher.std.square() + (teacher.mean - student.mean).square())[~acts].mean(0)
    covered = (student.std.square()[~acts].mean(0) / residual).sqrt().mean().item()
    alg.update()
    assert alg.diagnostics.scalars["distillation/divergence_student"] == pytest.approx(expected, rel=1e-5)
    assert alg.diagnostics.scalars["distillation/calibration_student"] == pytest.approx(covered, rel=1e-5)


@pytest.mark.parametrize("per_mini_batch", [False, True])
def test_cosines_are_those_of_both_losses_on_the_students_steps(per_mini_batch):
    alg, env = with_axes(
        {"coef": 0.5, "divergence": "mse", "driver": 0.5}, normalize_advantage_per_mini_batch=per_mini_batch,
        num_mini_batches=1, num_learning_epochs=1,
    )  # fmt: skip
    rollout(alg, env)
    alg.match.prepare()
    alg.match.cosines_due = True
    batch = next(alg.batches())
    losses = alg.losses(batch)
    advantages = losses.batch.advantages.squeeze(1)
    found = {name: value.item() for name, value in losses.diagnostics.items() if name in COSINES}
    n = batch.teachers
    obs = batch.observations[n:]
    obs["latent"] = alg.student_rollout.encode(batch.index[n:]).latents.detach()
    alg.actor(obs, stochastic_output=True)
    student = DiagonalGaussian(*alg.actor.output_distribution_params)
    with torch.no_grad():
        teacher = alg.teachers["teacher"].distribution(batch.observations[n:])
    # Nothing has been trained yet, so no ratio is clipped.
    ratio = (student.log_prob(batch.actions[n:]) - batch.old_log_prob[n:]).exp()
    parts = [(student.mean - teacher.mean).square().sum(-1), -ratio * advantages[n:]]
    shared = [p for name, p in alg.actor.named_parameters() if not name.startswith("teacher_encoder.")]
    signs = {"all": torch.ones_like(ratio) > 0, "negative": advantages[n:] < 0, "positive": advantages[n:] > 0}
    assert signs["negative"].sum() + signs["positive"].sum() == len(ratio)
    for name, rows in signs.items():
        a, b = (
            torch.cat([
                torch.zeros(p.numel()) if g is None else g.flatten()
                for p, g in zip(
                    shared, torch.autograd.grad(part[rows].mean(), shared, retain_graph=True, allow_unused=True),
                    strict=True,
                )
            ])
            for part in parts
        )  # fmt: skip
        assert found[f"distillation/cosine_{name}"] == pytest.approx(cosine_similarity(a, b, dim=0).item(), abs=1e-4)
    assert not alg.match.cosines_due and not COSINES & alg.losses(batch).diagnostics.keys()
    assert all(parameter.grad is None for parameter in shared)


def test_every_panel_of_distillation_finds_its_metrics():
    known = set()
    for axes in (METHODS["self"][0], {"coef": 1.0, "match": "privileged"}):
        alg, env = with_axes(axes)
        rollout(alg, env)
        known |= {f"loss/{name}" for name in alg.update()} | alg.diagnostics.scalars.keys()
    missing = [series.pattern for panel in PAGES["Distillation"] for series in panel.series if not series.names(known)]
    assert missing == []
