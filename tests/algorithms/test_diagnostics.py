"""Diagnostics of CTS against values computed by hand."""

import math

import pytest
import torch
from builders import STEPS, make_cts, rollout
from hypothesis import given
from hypothesis import strategies as st

from legged_cts.algorithms.diagnostics import clipped, effective_dimension, explained_variance, latent_std, role_means
from legged_cts.algorithms.minibatches import role_batches


def test_explained_variance_by_hand():
    returns = torch.tensor([1.0, 2.0, 3.0, 4.0])  # variance 1.25
    assert explained_variance(returns + 7.0, returns).item() == 1.0
    assert explained_variance(torch.zeros(4), returns).item() == 0.0
    # returns - values = 2, 4, 6, 8: four times the variance.
    assert explained_variance(-returns, returns).item() == pytest.approx(1.0 - 4.0)
    assert math.isnan(explained_variance(returns, torch.ones(4)).item())


def test_effective_dimension_and_std_by_hand():
    cross = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 2, 0], [0, -2, 0]])
    # Covariance diag(0.5, 2, 0): (2.5)^2 / (0.25 + 4).
    assert effective_dimension(cross).item() == pytest.approx(6.25 / 4.25)
    assert latent_std(cross).item() == pytest.approx((math.sqrt(0.5) + math.sqrt(2.0)) / 3)
    line = torch.linspace(-1, 1, 9).unsqueeze(1) * torch.tensor([[3.0, -4.0]]) + 5.0
    assert effective_dimension(line).item() == pytest.approx(1.0, abs=1e-5)
    bad = torch.cat([cross, torch.full((1, 3), math.nan)])
    assert effective_dimension(bad).item() == pytest.approx(6.25 / 4.25)
    assert math.isnan(effective_dimension(torch.zeros(5, 3)).item())


@given(st.integers(1, 12), st.integers(0, 1000))
def test_effective_dimension_is_between_one_and_d_and_does_not_turn(d, seed):
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn(50, d, generator=random, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(d, d, generator=random, dtype=torch.float64)).Q
    got = effective_dimension(latents).item()
    assert 1.0 - 1e-9 <= got <= d + 1e-9
    assert effective_dimension(3.0 * latents @ rotation + 1.0).item() == pytest.approx(got)


def test_clipped_samples_and_means_of_roles_by_hand():
    ratios = torch.tensor([1.0, 1.3, 0.5, 1.19, 0.7])
    got = clipped(ratios.log(), torch.zeros(5), clip=0.2)
    assert got.tolist() == [0.0, 1.0, 1.0, 0.0, 1.0]
    means = {name: value.item() for name, value in role_means("x", got, teachers=2).items()}
    assert means == pytest.approx({"x_teacher": 0.5, "x_student": 2 / 3})
    assert set(role_means("x", got, 5)) == {"x_teacher"} and set(role_means("x", got, 0)) == {"x_student"}


def test_first_step_of_an_update_has_neither_divergence_nor_clipping():
    alg, env = make_cts(num_mini_batches=1, num_learning_epochs=1)
    rollout(alg, env)
    alg.update()
    got = alg.diagnostics.scalars
    for role in ("teacher", "student"):
        assert got[f"policy/kl_{role}"] == pytest.approx(0.0, abs=1e-5)
        assert got[f"policy/clip_fraction_{role}"] == 0.0
        assert got[f"policy/surrogate_gain_{role}"] == pytest.approx(0.0, abs=1e-5)
    alg, env = make_cts(num_mini_batches=4, num_learning_epochs=5, schedule="fixed", learning_rate=0.02)
    rollout(alg, env)
    alg.update()
    got = alg.diagnostics.scalars
    for role in ("teacher", "student"):
        assert got[f"policy/kl_{role}"] > 0.01 and 0.0 < got[f"policy/clip_fraction_{role}"] <= 1.0


def test_gain_is_what_the_surrogate_is_above_that_of_the_acting_policy():
    alg, env = make_cts()
    rollout(alg, env)
    for _ in range(3):
        batch = next(role_batches(alg.storage, alg.teacher_mask, 1, 1))
        alg.step(alg.losses(batch))
    losses = alg.losses(next(role_batches(alg.storage, alg.teacher_mask, 1, 1)))
    for role, loss, ids in (
        ("teacher", losses.report["surrogate_teacher"], alg.driver.teacher_ids),
        ("student", losses.report["surrogate_student"], alg.driver.student_ids),
    ):
        gain = losses.diagnostics[f"policy/surrogate_gain_{role}"].item()
        assert gain == pytest.approx(-loss.item() - alg.storage.advantages[:, ids].mean().item(), abs=1e-5)
        assert gain > 0.0


def test_an_update_reports_the_rollout_of_each_group():
    alg, env = make_cts(num_envs=12)
    rollout(alg, env)
    storage = alg.storage
    expected = {}
    for role, ids in (("teacher", alg.driver.teacher_ids), ("student", alg.driver.student_ids)):
        values, returns = storage.values[:, ids].clone(), storage.returns[:, ids].clone()
        expected[f"value/explained_variance_{role}"] = (
            1 - ((returns - values).double().var(correction=0) / returns.double().var(correction=0)).item()
        )
        acted = storage.observations["latent"][:, ids].reshape(-1, 8).double()
        spread = torch.linalg.eigvalsh(acted.T.cov(correction=0))
        expected[f"latent/dimension_{role}"] = (spread.sum() ** 2 / spread.square().sum()).item()
        expected[f"latent/std_{role}"] = acted.std(dim=0, correction=0).mean().item()
    alg.update()
    got = alg.diagnostics.scalars
    assert {name: got[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert all(isinstance(value, float) and math.isfinite(value) for value in got.values())


@pytest.mark.parametrize("envs", ["student", "all"])
def test_latent_error_is_that_of_what_students_acted_on(envs):
    alg, env = make_cts(num_envs=12, teacher_fraction=0.5, reconstruction_envs=envs)
    rollout(alg, env)
    acted = alg.storage.observations["latent"][:, alg.driver.student_ids].clone()
    states = alg.storage.observations["privileged"][:, alg.driver.student_ids].clone()
    normalizer = alg.actor.teacher_encoder.normalizer
    before = {name: value.clone() for name, value in normalizer.state_dict().items()}
    alg.update()
    after = {name: value.clone() for name, value in normalizer.state_dict().items()}
    normalizer.load_state_dict(before)  # the statistics move only after the targets were computed
    targets = alg.teacher_policy().latent(states.flatten(0, 1)).detach().view_as(acted)
    normalizer.load_state_dict(after)
    error = (acted - targets).square().sum(-1).mean(0)
    torch.testing.assert_close(alg.diagnostics.latent_error, error)
    # On the unit sphere |a - b|^2 = 2 - 2 cos.
    torch.testing.assert_close(alg.diagnostics.latent_cosine, 1.0 - error / 2.0)
    got = alg.diagnostics.scalars
    assert got["latent/error"] == pytest.approx(error.mean().item())
    spread = targets.flatten(0, 1).var(dim=0, correction=0).sum().item()
    assert got["latent/explained_variance"] == pytest.approx(1.0 - error.mean().item() / spread, rel=1e-4)
    assert len(error) == 6


def test_gradient_norms_are_those_before_clipping():
    alg, env = make_cts(max_grad_norm=1e-3)
    rollout(alg, env)
    losses = alg.losses(next(role_batches(alg.storage, alg.teacher_mask, 2, 1)))
    alg.diagnostics.start(alg.storage, alg.teacher_mask)
    losses.total.backward(retain_graph=True)
    teacher = [p.grad.clone() for p in alg.actor.teacher_encoder.parameters()]
    own = {id(p) for p in alg.actor.teacher_encoder.parameters()}
    policy = [p.grad.clone() for p in alg.actor.parameters() if id(p) not in own and p.grad is not None]
    critic = [p.grad.clone() for p in alg.critic.parameters()]
    assert alg.step(losses)
    alg.diagnostics.finish()
    expected = {
        f"gradient/{name}": math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
        for name, gradients in (("policy", policy), ("teacher_encoder", teacher), ("critic", critic))
    }
    got = alg.diagnostics.scalars
    assert {name: got[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert "gradient/student_encoder" not in got


@pytest.mark.parametrize(("fraction", "absent"), [(0.0, "teacher"), (1.0, "student")])
def test_a_group_without_environments_is_left_out(fraction, absent):
    alg, env = make_cts(teacher_fraction=fraction)
    for _ in range(2):
        rollout(alg, env)
        alg.update()
    got = alg.diagnostics.scalars
    assert not any(name.endswith(f"_{absent}") for name in got) and "policy/kl_" + absent not in got
    assert "latent/error" not in got and alg.diagnostics.latent_error is None
    assert ("gradient/student_encoder" in got) == (fraction == 0.0)  # trained by the surrogate where nobody teaches


def test_a_skipped_update_has_no_means_but_the_rollout():
    alg, env = make_cts()
    rollout(alg, env)
    alg.storage.advantages = torch.full_like(alg.storage.advantages, math.nan)
    alg.update()
    got = alg.diagnostics.scalars
    assert not any(name.startswith(("policy/", "gradient/policy")) for name in got)
    assert math.isfinite(got["value/explained_variance_student"]) and math.isfinite(got["latent/error"])


def test_diagnostics_leave_the_training_as_it_is(monkeypatch):
    """The same weights to the last bit with and without them."""
    weights = []
    for silent in (False, True):
        alg, env = make_cts()
        if silent:
            for name in ("start", "compare_latents", "add", "finish"):
                monkeypatch.setattr(alg.diagnostics, name, lambda *_: None)
        for _ in range(2):
            rollout(alg, env)
            alg.update()
        weights.append(torch.cat([p.flatten() for p in alg.actor.parameters()]))
    assert torch.equal(*weights) and STEPS > 1
