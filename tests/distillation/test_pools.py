"""Pools of Gaussians: closed forms against optimisation, and the cliff of extrapolation."""

import pytest
import torch
from gaussian_cases import expand, gaussian, gradients, normal, within_standard_errors
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.distillation.gaussians import DiagonalGaussian, kl
from legged_cts.distillation.pools import (
    anchored,
    cliff,
    extrapolate,
    log_pool,
    moment_pool,
    most_plausible,
    route,
)


def _same(a: DiagonalGaussian, b: DiagonalGaussian, **tolerance: float) -> None:
    torch.testing.assert_close(a.mean, b.mean, **tolerance)
    torch.testing.assert_close(a.std, b.std, **tolerance)


def test_log_pool_by_hand():
    # precisions 1 and 1/4 at weights 1/2: 5/8 in sum, mean (1/2 * 2 + 1/8 * -4) / (5/8)
    pool = log_pool([normal([2.0], [1.0]), normal([-4.0], [2.0])], [0.5, 0.5])
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
    teachers = [gaussian(3, seed=seed) for seed in range(3)]
    weights = [0.8, 0.4, -0.2]
    pool = log_pool(teachers, weights)
    constants = []
    for seed in (10, 11):
        student = gaussian(3, seed=seed)
        total = sum(w * kl(student, teacher) for w, teacher in zip(weights, teachers, strict=True))
        constants.append(total - kl(student, pool))
    torch.testing.assert_close(constants[0], constants[1])


def test_moment_pool_is_the_law_of_total_variance():
    pool = moment_pool([normal([1.0], [1.0]), normal([-3.0], [2.0])], [0.25, 0.75])
    assert pool.mean.item() == pytest.approx(-2.0)
    assert pool.std.item() ** 2 == pytest.approx(0.25 * (1 + 9) + 0.75 * (4 + 1))  # s^2 and squared distance to -2


@pytest.mark.parametrize("pool, forward", [(moment_pool, True), (log_pool, False)])
def test_gradient_descent_over_several_teachers_ends_at_the_pool(pool, forward):
    teachers, weights = [gaussian(2, seed=seed) for seed in range(3)], [0.5, 0.3, 0.2]
    mean = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    log_std = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    for _ in range(1000):
        student = DiagonalGaussian(mean, log_std.exp())
        pairs = [(teacher, student) if forward else (student, teacher) for teacher in teachers]
        loss = torch.stack([w * kl(*pair) for w, pair in zip(weights, pairs, strict=True)]).sum()
        steps = torch.autograd.grad(loss, (mean, log_std))
        with torch.no_grad():
            mean -= 0.1 * steps[0]
            log_std -= 0.1 * steps[1]
    _same(DiagonalGaussian(mean.detach(), log_std.detach().exp()), pool(teachers, weights), rtol=1e-5, atol=1e-5)


@given(gap=st.floats(0.1, 5.0), weight=st.floats(0.1, 0.9))
@settings(max_examples=50, deadline=None)
def test_only_the_moment_pool_sees_that_teachers_disagree(gap, weight):
    """An unresolved disagreement of the teachers widens the forward target strictly, the reverse one never."""
    teachers, weights = [normal([0.0], [0.5]), normal([gap], [0.5])], [weight, 1 - weight]
    assert moment_pool(teachers, weights).std.item() > log_pool(teachers, weights).std.item() + 1e-6
    assert log_pool(teachers, weights).std.item() == pytest.approx(0.5)


def test_a_mixture_has_no_negative_weight():
    with pytest.raises(ValueError, match="weight 0 is negative.*log_pool"):
        moment_pool([normal([0.0], [1.0]), normal([1.0], [1.0])], [-0.5, 1.5])
    with pytest.raises(ValueError, match="weight 1 is negative"):
        moment_pool([normal([0.0], [1.0]), normal([1.0], [1.0])], [torch.tensor([1.5]), torch.tensor([-0.5])])


@pytest.mark.parametrize("pool", [log_pool, moment_pool])
def test_weights_sum_to_one_and_match(pool):
    dists = [normal([0.0], [1.0]), normal([1.0], [1.0])]
    with pytest.raises(ValueError, match="sum to 1"):
        pool(dists, [0.5, 0.6])
    with pytest.raises(ValueError, match="sum to 1"):
        pool(dists, [torch.tensor([0.5]), torch.tensor([0.6])])
    with pytest.raises(ValueError, match="one weight per distribution"):
        pool(dists, [1.0])


def test_log_pool_names_the_dimension_without_a_precision():
    wide, narrow = normal([0.0, 0.0], [1.0, 1.0]), normal([0.0, 0.0], [2.0, 0.5])
    with pytest.raises(ValueError, match=r"dimension 1 \(all such: \[1\]\)"):
        log_pool([wide, narrow], [1.5, -0.5])


def test_cliff_of_extrapolation():
    teacher, reference = normal([0.0, 0.0, 0.0], [0.3, 0.5, 0.4]), normal([0.0, 0.0, 0.0], [0.4, 0.4, 0.4])
    limit = cliff(teacher, reference)
    assert limit[1].item() == pytest.approx(2.7778, abs=1e-4)
    assert limit[0].isinf() and limit[2].isinf()
    assert bool((extrapolate(teacher, reference, 2.77, clamp=None).std > 0).all())
    with pytest.raises(ValueError, match=r"target\.lam = 2\.83 .* lam\* = 2\.778 of dimension 1 .*target\.clamp"):
        extrapolate(teacher, reference, 2.83, clamp=None)
    with pytest.raises(ValueError, match=r"target\.lam must not be negative"):
        extrapolate(teacher, reference, -0.1)


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


def test_extrapolated_mean_keeps_its_limit():
    target = extrapolate(normal([2.0, 0.1], [0.4, 0.4]), normal([0.0, 0.0], [0.4, 0.4]), 2.0, mean_limit=3.0)
    torch.testing.assert_close(target.mean, torch.tensor([3.0, 0.2], dtype=torch.float64))


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
    with pytest.raises(ValueError, match="indices reach from 0 to 3, but there are 3 teachers"):
        route(teachers, torch.tensor([0, 3, 0, 0, 0]))


def test_anchored_target_stands_for_both_kls():
    teacher, anchor = gaussian(3, seed=0), gaussian(3, seed=1)
    target = anchored(teacher, anchor, 0.5)
    values = []
    for seed in (10, 11):
        student = gaussian(3, seed=seed)
        values.append(kl(student, teacher) + 0.5 * kl(student, anchor) - 1.5 * kl(student, target))
    torch.testing.assert_close(values[0], values[1])
    _same(anchored(teacher, anchor, 0.0), teacher)
    with pytest.raises(ValueError, match="anchor_coef"):
        anchored(teacher, anchor, -0.1)


def test_most_plausible_teacher_counts_the_students_own_std():
    # at distance 3 with std 3 the action is as plausible as at distance 1 with std 1; here it is closer than that
    student = DiagonalGaussian(torch.zeros(2, 2), torch.tensor([[3.0, 1.0], [1.0, 3.0]]))
    first = DiagonalGaussian(torch.tensor([[2.0, 0.0]] * 2), torch.ones(2, 2))
    second = DiagonalGaussian(torch.tensor([[0.0, 2.0]] * 2), torch.ones(2, 2))
    assert most_plausible(student, [first, second]).tolist() == [0, 1]
