"""Distillation as loss, in the return and in the ratio."""

import math

import pytest
import torch
from gaussian_cases import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.algorithms.losses import clipped_surrogate
from legged_cts.distillation.gaussians import DiagonalGaussian
from legged_cts.distillation.placement import (
    extrapolated_log_ratio,
    ratio_surrogate,
    weighted_mean,
)
from legged_cts.distillation.pools import extrapolate

CLIP = 0.2


def _double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_mean_is_over_samples_not_over_weights():
    values, weights = torch.tensor([1.0, 2.0, 4.0, math.inf]), torch.tensor([0.5, 1.0, 0.25, 0.0])
    mask = torch.tensor([True, True, True, False])
    assert weighted_mean(values, weights, mask).item() == pytest.approx((0.5 + 2.0 + 1.0) / 3)
    assert weighted_mean(values[:3]).item() == pytest.approx(7 / 3)


def test_mean_without_samples_is_zero_and_has_a_gradient():
    values = torch.ones(3, requires_grad=True)
    loss = weighted_mean(values, mask=torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0 and values.grad is not None and values.grad.tolist() == [0.0] * 3


def test_extrapolated_log_ratio_is_the_pools_up_to_a_constant_of_the_state():
    teacher, reference, old = (gaussian(2, seed=seed) for seed in range(3))
    actions = gaussian(50, 2, seed=4).mean
    found = extrapolated_log_ratio(old.log_prob(actions), teacher.log_prob(actions), reference.log_prob(actions), 1.1)
    exact = extrapolate(teacher, reference, 1.1, clamp=None).log_prob(actions) - old.log_prob(actions)
    assert (found - exact).std().item() < 1e-12


@given(seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_ratio_with_alpha_one_is_ppo_bit_by_bit(seed):
    """Loss and gradient, also where the dual clip would bite and the teacher gives the action no density at all."""
    generator = torch.Generator().manual_seed(seed)
    log_prob, old, teacher, advantages = 2 * torch.randn(4, 200, generator=generator)
    teacher[0] = -math.inf
    found, expected = log_prob.clone().requires_grad_(), log_prob.clone().requires_grad_()
    a = ratio_surrogate(found, old, teacher, advantages, CLIP, alpha=1.0)
    b = clipped_surrogate(expected, old, advantages, CLIP)
    assert torch.equal(a, b)
    a.mean().backward()
    b.mean().backward()
    assert torch.equal(found.grad, expected.grad)


@pytest.mark.parametrize("advantage", [1.5, -1.5])
@pytest.mark.parametrize("teacher_gap", [1.0, -1.0])
def test_before_any_step_only_agreement_has_a_gradient(advantage, teacher_gap):
    """The teacher's opinion ln T - ln old against the sign of A; ln r = (1 - alpha)(ln old - ln T)."""
    old = _double(-2.0)
    log_prob = old.clone().requires_grad_()
    loss = ratio_surrogate(log_prob, old, old + teacher_gap, _double(advantage), CLIP, alpha=0.5)
    (gradient,) = torch.autograd.grad(loss, log_prob)
    ratio = math.exp(-0.5 * teacher_gap)
    agree = (advantage > 0) == (teacher_gap > 0)
    assert gradient.item() == (pytest.approx(-advantage * ratio) if agree else 0.0)


def _ratios_before_any_step(dimensions: int, gap: float, alpha: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    one = torch.ones(dimensions, dtype=torch.float64)
    old, teacher = DiagonalGaussian(0 * one, one), DiagonalGaussian(gap * one, one)
    actions = torch.randn(50_000, dimensions, generator=generator, dtype=torch.float64)
    log_old = old.log_prob(actions)
    # With A = -1 and no bounds the loss is the ratio.
    return ratio_surrogate(
        log_old, log_old, teacher.log_prob(actions), -torch.ones_like(log_old), 1e9, alpha, None
    ).log()


@pytest.mark.parametrize(
    "dimensions, gap, alpha, expected",
    [(12, 1.0, 0.5, 0.98), (12, 1.0, 0.9, 0.89), (12, 1.0, 0.97, 0.49), (29, 1.0, 0.97, 0.94), (12, 0.3, 0.9, 0.11),
     (29, 0.3, 0.9, 0.39)],
)  # fmt: skip
def test_saturation_grows_with_the_number_of_actions(dimensions, gap, alpha, expected):
    ratio = _ratios_before_any_step(dimensions, gap, alpha).exp()
    found = ((ratio - 1.0).abs() > CLIP).double().mean().item()
    assert found == pytest.approx(expected, abs=0.015)


def test_dual_clip_bounds_what_ppo_does_not():
    """At alpha = 0.5 with 29 actions the median ratio is about 1400 before any step."""
    log_ratio = _ratios_before_any_step(29, 1.0, 0.5)
    assert 1000 < log_ratio.exp().median().item() < 2000
    log_prob = log_ratio.clone().requires_grad_()
    zero, advantages = torch.zeros_like(log_ratio), torch.full_like(log_ratio, -2.0)
    unbounded = ratio_surrogate(log_prob, zero, zero, advantages, CLIP, alpha=0.5, dual_clip=None)
    assert unbounded.max().item() > 1e6
    bounded = ratio_surrogate(log_prob, zero, zero, advantages, CLIP, alpha=0.5, dual_clip=3.0)
    assert bounded.max().item() == pytest.approx(6.0)
    (gradient,) = torch.autograd.grad(bounded.sum(), log_prob)
    assert gradient.abs().max().item() <= 6.0 + 1e-9
    assert gradient[log_ratio.exp() > 3.0].abs().max().item() == 0.0
    # where A > 0 it does nothing
    positive = [ratio_surrogate(log_prob, zero, zero, -advantages, CLIP, 0.5, dual) for dual in (None, 3.0)]
    assert torch.equal(*positive)


@pytest.mark.parametrize("advantage, expected", [(-1.0, 3.0), (1.0, -1.2)])
def test_dual_clip_survives_an_overflowing_ratio(advantage, expected):
    log_prob = _double(1000.0).requires_grad_()
    loss = ratio_surrogate(log_prob, _double(0.0), _double(-1.0), _double(advantage), CLIP, alpha=0.5)
    (gradient,) = torch.autograd.grad(loss, log_prob)
    assert loss.item() == pytest.approx(expected) and gradient.item() == 0.0


def test_a_dual_clip_within_the_trust_interval_is_refused():
    zero = torch.zeros(1)
    with pytest.raises(ValueError, match=r"place\.dual_clip"):
        ratio_surrogate(zero, zero, zero, zero, CLIP, alpha=0.9, dual_clip=1.1)
