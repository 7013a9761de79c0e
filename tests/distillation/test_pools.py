"""Pools of Gaussians: closed forms against optimisation, and the cliff of extrapolation."""

import pytest
import torch
from gaussian_cases import expand, gaussian, gradients, normal, within_standard_errors
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.distillation.gaussians import DiagonalGaussian, kl
from legged_cts.distillation.pools import (
    cliff,
    extrapolate,
    log_pool,
    route,
)


def _same(a: DiagonalGaussian, b: DiagonalGaussian, **tolerance: float) -> None:
    torch.testing.assert_close(a.mean, b.mean, **tolerance)
    torch.testing.assert_close(a.std, b.std, **tolerance)


def test_log_pool_by_hand():
    # precisions 1 and 1/4 at weights 1/2: 5/8 in sum, mean (1/2 * 2 + 1/8 * -4) / (5/8)
    pool = log_pool(normal([2.0], [1.0]), normal([-4.0], [2.0]), 0.5)
    assert pool.mean.item() == pytest.approx(0.8)
    assert pool.std.item() == pytest.approx((8 / 5) ** 0.5)


def test_extrapolation_has_its_ends_at_reference_and_teacher():
    teacher, reference = gaussian(4, 3, seed=0), gaussian(4, 3, seed=1)
    _same(extrapolate(teacher, reference, 0.0), reference)
    _same(extrapolate(teacher, reference, 1.0), teacher)


@given(lam=st.floats(0.0, 5.0), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_extrapolation_with_equal_stds_is_linear_in_the_means(lam, seed):
    teacher, reference = gaussian(2, 3, seed=seed), gaussian(2, 3, seed=seed + 5000)
    std = torch.full_like(teacher.std, 0.4)
    a, b = DiagonalGaussian(teacher.mean, std), DiagonalGaussian(reference.mean, std)
    expected = DiagonalGaussian(b.mean + lam * (a.mean - b.mean), std)
    _same(extrapolate(a, b, lam, clamp=None), expected, rtol=1e-9, atol=1e-9)


def test_one_target_stands_for_several_reverse_kls():
    """Sum w KL(S || T_k) and KL(S || pool) differ by a constant in S, also with a negative weight."""
    teachers = [gaussian(3, seed=seed) for seed in range(2)]
    weights = [1.05, -0.05]
    pool = log_pool(*teachers, weights[1])
    constants = []
    for seed in (10, 11):
        student = gaussian(3, seed=seed)
        total = sum(w * kl(student, teacher) for w, teacher in zip(weights, teachers, strict=True))
        constants.append(total - kl(student, pool))
    torch.testing.assert_close(constants[0], constants[1])


def test_log_pool_names_the_dimensions_without_a_precision():
    wide, narrow = normal([0.0, 0.0], [1.0, 1.0]), normal([0.0, 0.0], [2.0, 0.5])
    with pytest.raises(ValueError, match=r"dimensions \[1\]"):
        log_pool(wide, narrow, -0.5)


def test_cliff_of_extrapolation():
    teacher, reference = normal([0.0, 0.0, 0.0], [0.3, 0.5, 0.4]), normal([0.0, 0.0, 0.0], [0.4, 0.4, 0.4])
    limit = cliff(teacher, reference)
    assert limit[1].item() == pytest.approx(2.7778, abs=1e-4)
    assert limit[0].isinf() and limit[2].isinf()
    assert bool((extrapolate(teacher, reference, 2.77, clamp=None).std > 0).all())
    with pytest.raises(ValueError, match=r"target\.lam = 2\.83 .* lam\* = 2\.778.*target\.clamp"):
        extrapolate(teacher, reference, 2.83, clamp=None)


def test_clamped_extrapolation_stops_before_the_cliff_in_that_dimension_alone():
    teacher, reference = normal([1.0, 1.0, 1.0], [0.3, 0.5, 4.0]), normal([0.0, 0.0, 0.0], [0.4, 0.4, 0.4])
    target = extrapolate(teacher, reference, 5.0, clamp=0.9)
    inside = extrapolate(normal([1.0], [0.5]), normal([0.0], [0.4]), 0.9 * 0.25 / 0.09, clamp=None)
    assert target.mean[1].item() == pytest.approx(inside.mean.item())
    assert target.std[1].item() == pytest.approx(inside.std.item())
    assert (target.mean[2].item(), target.std[2].item()) == pytest.approx(
        (1.0, 4.0)
    )  # 0.9 lam* < 1: the teacher itself
    assert target.std[0].item() == pytest.approx((-4 / 0.4**2 + 5 / 0.3**2) ** -0.5)


def test_extrapolated_target_maximises_the_objective():
    """J(S) = E_S[lam ln(T/R)] - KL(S || R) in closed form, against random perturbations of the optimum."""
    teacher, reference = normal([0.5, -0.4], [0.5, 0.3]), normal([0.0, 0.0], [0.4, 0.4])
    lam = 1.25

    def objective(student):
        # E_S[ln T - ln R] = KL(S || R) - KL(S || T)
        return lam * (kl(student, reference) - kl(student, teacher)) - kl(student, reference)

    best = extrapolate(teacher, reference, lam, clamp=None)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 2000, 2, generator=generator, dtype=torch.float64)
    scale = torch.logspace(-3, 0, 2000, dtype=torch.float64).unsqueeze(-1)
    others = DiagonalGaussian(best.mean + scale * noise[0], best.std * (scale * noise[1]).exp())
    assert bool((objective(others) < objective(best)).all())


def test_sampled_advantage_of_extrapolation_has_the_gradient_of_the_closed_form():
    """A = lam (ln T - ln R) - (ln old - ln R) of actions drawn from old."""
    teacher, reference, lam = normal([0.5, -0.4], [0.5, 0.3]), normal([0.0, 0.0], [0.4, 0.4]), 1.25
    student = expand(normal([0.2, 0.1], [0.35, 0.45]), 200_000)
    noise = torch.randn(student.mean.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    actions = student.rsample(noise).detach()
    log_prob, log_reference = student.log_prob(actions), reference.log_prob(actions)
    advantage = lam * (teacher.log_prob(actions) - log_reference) - (log_prob.detach() - log_reference)
    exact = normal([0.2, 0.1], [0.35, 0.45], grad=True)
    expected = gradients(-kl(exact, extrapolate(teacher, reference, lam)), exact)
    for samples, value in zip(gradients(advantage * log_prob, student), expected, strict=True):
        within_standard_errors(samples, value)


def test_route_gives_every_sample_its_teacher():
    teachers = [gaussian(5, 2, seed=seed) for seed in range(3)]
    index = torch.tensor([2, 0, 1, 1, 0])
    target = route(teachers, index)
    for row, k in enumerate(index.tolist()):
        assert torch.equal(target.mean[row], teachers[k].mean[row])
        assert torch.equal(target.std[row], teachers[k].std[row])
