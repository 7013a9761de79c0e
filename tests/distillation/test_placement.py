"""Distillation as loss, in the return and in the ratio."""

import math

import pytest
import torch
from gaussian_cases import expand, gaussian, gradients, normal, within_standard_errors
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.algorithms.losses import clipped_surrogate
from legged_cts.distillation.gaussians import DiagonalGaussian, kl
from legged_cts.distillation.placement import (
    anchored_log_ratio,
    extrapolated_log_ratio,
    least_alpha,
    log_anchor_constant,
    ratio_surrogate,
    return_advantages,
    saturation,
    weighted_mean,
)
from legged_cts.distillation.pools import extrapolate, log_pool

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


def test_return_without_discount_is_the_log_ratio_and_the_baseline_adds_the_kl():
    """The gradient of both is that of the closed form, see also the estimators."""
    teacher, start = normal([0.0, 0.2], [0.8, 0.7]), normal([0.5, -0.3], [0.6, 0.9])
    student = expand(start, 100_000)
    noise = torch.randn(student.mean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    actions = student.rsample(noise).detach()
    log_prob = student.log_prob(actions)
    log_ratio = (teacher.log_prob(actions) - log_prob).unsqueeze(0)  # one step of many environments
    dones = torch.zeros_like(log_ratio)
    plain = return_advantages(log_ratio, dones)
    torch.testing.assert_close(plain, log_ratio.detach())
    reduced = return_advantages(log_ratio, dones, divergence=kl(student, teacher).unsqueeze(0))
    torch.testing.assert_close(reduced, (log_ratio + kl(start, teacher)).detach())
    assert not plain.requires_grad and not reduced.requires_grad
    exact = normal([0.5, -0.3], [0.6, 0.9], grad=True)
    expected = gradients(kl(exact, teacher), exact)
    for advantages in (plain, reduced):
        for samples, value in zip(gradients(-advantages[0] * log_prob, student), expected, strict=True):
            within_standard_errors(samples, value)


@pytest.mark.parametrize("gamma", [1.0, 0.7])
def test_discounted_return_has_the_gradient_of_the_trajectory_kl(gamma):
    """S' = s + a + w over two steps, student a ~ N(th s, s_a^2), teacher with gain -0.5."""
    s0, std, noise_std, gain, teacher_gain = 1.5, 0.6, 0.3, -0.1, -0.5
    theta = torch.tensor(gain, dtype=torch.float64, requires_grad=True)
    # KL of a step in state s is (th - k)^2 s^2 / (2 std^2); E[s_1^2] depends on th, too.
    step = (theta - teacher_gain) ** 2 / (2 * std**2)
    exact = step * s0**2 + gamma * step * (((1 + theta) * s0) ** 2 + std**2 + noise_std**2)
    (expected,) = torch.autograd.grad(exact, theta)

    count, generator = 400_000, torch.Generator().manual_seed(0)
    noise = torch.randn(3, count, generator=generator, dtype=torch.float64)
    states = [torch.full((count,), s0, dtype=torch.float64)]
    actions = [gain * states[0] + std * noise[0]]
    states.append(states[0] + actions[0] + noise_std * noise[1])
    actions.append(gain * states[1] + std * noise[2])
    states, actions = torch.stack(states), torch.stack(actions)

    def policy(slope: float) -> DiagonalGaussian:
        mean = (slope * states).unsqueeze(-1)
        return DiagonalGaussian(mean, torch.full_like(mean, std))

    log_ratio = policy(teacher_gain).log_prob(actions.unsqueeze(-1)) - policy(gain).log_prob(actions.unsqueeze(-1))
    score = (actions - gain * states) * states / std**2
    dones = torch.tensor([[0.0], [1.0]]).expand(2, count)
    advantages = return_advantages(log_ratio, dones, gamma)
    # The last step's advantage is discounted from the start, as the objective is.
    discount = torch.tensor([[1.0], [gamma]], dtype=torch.float64)
    within_standard_errors(-(discount * advantages * score).sum(0), expected.detach())
    # Without the discount a step does not answer for the states that it leads to, and the gradient is another one.
    myopic = -(discount * return_advantages(log_ratio, dones) * score).sum(0)
    assert (myopic.mean() - expected).abs().item() > 20 * myopic.std().item() / count**0.5


def test_value_head_replaces_the_baseline():
    log_ratio, dones = torch.randn(4, 3), torch.zeros(4, 3)
    values, last = torch.randn(4, 3), torch.randn(3)
    found = return_advantages(log_ratio, dones, 0.9, values=values, last_values=last, lam=0.0)
    following = torch.cat([values[1:], last.unsqueeze(0)])
    torch.testing.assert_close(found, log_ratio + 0.9 * following - values)
    with pytest.raises(ValueError, match="values and last_values"):
        return_advantages(log_ratio, dones, values=values)
    with pytest.raises(ValueError, match=r"place\.baseline"):
        return_advantages(log_ratio, dones, values=values, last_values=last, divergence=log_ratio)


def test_a_return_with_values_by_hand():
    """The second step runs into the time limit, and before the fourth another policy takes over."""
    log_ratio = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    values, last = torch.tensor([[0.1], [0.2], [0.3], [0.4]]), torch.tensor([0.5])
    ends = torch.tensor([[False], [True], [False], [False]])
    acting = torch.tensor([[False], [False], [False], [True]])
    found = return_advantages(
        log_ratio, ends, 0.5, values=values, last_values=last, lam=0.8, acting=acting, time_outs=ends
    )
    second = 2.0 + 0.5 * 0.2 - 0.2  # the value of its own state stands for what the episode would have gone on to earn
    first = 1.0 + 0.5 * 0.2 - 0.1 + 0.5 * 0.8 * second
    third = 3.0 + 0.5 * 0.4 - 0.3
    torch.testing.assert_close(found.squeeze(1), torch.tensor([first, second, third, 4.0 + 0.5 * 0.5 - 0.4]))
    fell = return_advantages(log_ratio, ends, 0.5, values=values, last_values=last, lam=0.8, acting=acting)
    assert fell[1].item() == pytest.approx(2.0 - 0.2)


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


def test_anchored_log_ratio_by_definition():
    log_prob, old, teacher = _double(-1.0), _double(-2.0), _double(-3.5)
    assert anchored_log_ratio(log_prob, old, teacher, 0.75).item() == pytest.approx(-1.0 + 0.75 * 2.0 + 0.25 * 3.5)


def test_anchor_constant_normalises_the_anchor():
    """Ln Z is the logarithm of the anchor's integral, and ln r + ln Z that of a ratio of densities."""
    old, teacher, alpha = normal([0.3], [0.6]), normal([-0.5], [0.9]), 0.7
    x = torch.linspace(-12, 12, 200_001, dtype=torch.float64).unsqueeze(-1)
    anchor = (alpha * old.log_prob(x) + (1 - alpha) * teacher.log_prob(x)).exp()
    constant = log_anchor_constant(old, teacher, alpha)
    assert constant.item() == pytest.approx(torch.trapezoid(anchor, x.squeeze(-1)).log().item(), abs=1e-9)
    assert constant.item() < 0
    student = normal([0.1], [0.5])
    found = anchored_log_ratio(student.log_prob(x), old.log_prob(x), teacher.log_prob(x), alpha) + constant
    pool = log_pool([old, teacher], [alpha, 1 - alpha])
    torch.testing.assert_close(found, student.log_prob(x) - pool.log_prob(x))
    # the surrogate adds it
    zero = _double(-1.0)
    plain = ratio_surrogate(zero, zero, zero, _double(1.0), CLIP, alpha)
    scaled = ratio_surrogate(zero, zero, zero, _double(1.0), CLIP, alpha, log_constant=_double(-0.1))
    assert scaled.item() == pytest.approx(plain.item() * math.exp(-0.1))


def _ratios_before_any_step(dimensions: int, gap: float, alpha: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    one = torch.ones(dimensions, dtype=torch.float64)
    old, teacher = DiagonalGaussian(0 * one, one), DiagonalGaussian(gap * one, one)
    actions = torch.randn(50_000, dimensions, generator=generator, dtype=torch.float64)
    log_old = old.log_prob(actions)
    return anchored_log_ratio(log_old, log_old, teacher.log_prob(actions), alpha)


@pytest.mark.parametrize(
    "dimensions, gap, alpha, expected",
    [(12, 1.0, 0.5, 0.98), (12, 1.0, 0.9, 0.89), (12, 1.0, 0.97, 0.49), (29, 1.0, 0.97, 0.94), (12, 0.3, 0.9, 0.11),
     (29, 0.3, 0.9, 0.39)],
)  # fmt: skip
def test_saturation_grows_with_the_number_of_actions(dimensions, gap, alpha, expected):
    found = saturation(_ratios_before_any_step(dimensions, gap, alpha), CLIP).item()
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


@pytest.mark.parametrize("name, options", [("alpha", {"alpha": 1.1}), ("dual_clip", {"alpha": 0.9, "dual_clip": 1.1})])
def test_ratio_options_are_checked(name, options):
    zero = torch.zeros(1)
    with pytest.raises(ValueError, match=rf"place\.{name}"):
        ratio_surrogate(zero, zero, zero, zero, CLIP, **options)


def test_least_alpha():
    assert least_alpha(1.0, 12) == pytest.approx(1 - 0.1823 / 12**0.5, abs=1e-4)
    assert least_alpha(0.0, 12) == 0.0 and least_alpha(0.01, 1) == 0.0
