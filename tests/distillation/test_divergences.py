"""Divergences against torch.distributions, closed forms and each other."""

import math

import pytest
import torch
from gaussian_cases import expand, gaussian, gradients, normal, within_standard_errors
from torch.distributions import Independent, Normal, kl_divergence

from legged_cts.distillation.divergences import (
    DIVERGENCES,
    divergence,
    forward_kl,
    jsd,
    mse,
    reverse_kl,
    squared_error,
)
from legged_cts.distillation.gaussians import DiagonalGaussian


def _torch(dist: DiagonalGaussian) -> Independent:
    return Independent(Normal(dist.mean, dist.std), 1)


def test_densities_against_torch():
    p, x = gaussian(7, 3, seed=0), gaussian(7, 3, seed=1).mean
    torch.testing.assert_close(p.log_prob(x), _torch(p).log_prob(x))
    torch.testing.assert_close(p.entropy(), _torch(p).entropy())


def test_mean_and_std_share_a_shape():
    with pytest.raises(ValueError, match="expand the std"):
        DiagonalGaussian(torch.zeros(4, 3), torch.ones(3))


def test_kl_against_torch():
    student, teacher = gaussian(7, 3, seed=0), gaussian(7, 3, seed=1)
    torch.testing.assert_close(reverse_kl(student, teacher), kl_divergence(_torch(student), _torch(teacher)))
    torch.testing.assert_close(forward_kl(student, teacher), kl_divergence(_torch(teacher), _torch(student)))


def test_kl_gradients_in_closed_form():
    student, teacher = gaussian(7, 3, seed=0, grad=True), gaussian(7, 3, seed=1)
    gap, s, t = student.mean - teacher.mean, student.std, teacher.std
    mean, std = gradients(reverse_kl(student, teacher), student)
    torch.testing.assert_close(mean, gap / t**2)
    torch.testing.assert_close(std * s, s**2 / t**2 - 1)  # d / d ln s = s d / ds
    mean, std = gradients(forward_kl(student, teacher), student)
    torch.testing.assert_close(mean, gap / s**2)
    torch.testing.assert_close(std * s, 1 - (t**2 + gap**2) / s**2)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_zero_with_zero_gradient_where_student_and_teacher_agree(name):
    student = gaussian(5, 3, seed=0, grad=True)
    # The sampled estimate of the Jensen-Shannon divergence is exactly zero, its gradient only in the mean.
    torch.manual_seed(0)
    value = divergence(name, student, student.detach(), samples=20_000)
    torch.testing.assert_close(value, torch.zeros_like(value), atol=1e-12, rtol=0)
    tolerance = 0.02 if name == "jsd" else 1e-12
    for gradient in gradients(value, student):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=tolerance, rtol=0)


def test_mean_matching_is_kl_at_one_std():
    student, teacher = gaussian(7, 3, seed=0), gaussian(7, 3, seed=1)
    std = torch.full_like(student.std, 0.7)
    a, b = DiagonalGaussian(student.mean, std), DiagonalGaussian(teacher.mean, std)
    torch.testing.assert_close(mse(a, b), 2 * 0.7**2 * reverse_kl(a, b))
    torch.testing.assert_close(mse(a, b), 2 * 0.7**2 * forward_kl(a, b))


def test_jsd_is_symmetric_at_one_half_and_bounded():
    student, teacher = gaussian(50, 3, seed=0), gaussian(50, 3, seed=1)

    def value(a, b, beta):
        return jsd(a, b, beta, 4000, torch.Generator().manual_seed(0))

    torch.testing.assert_close(value(student, teacher, 0.5), value(teacher, student, 0.5))
    for beta in (0.1, 0.5, 0.9):
        bound = -beta * math.log(beta) - (1 - beta) * math.log(1 - beta)
        assert bool((value(student, teacher, beta) < bound).all()) and bool((value(student, teacher, beta) > 0).all())


@pytest.mark.parametrize("beta, limit", [(1e-5, forward_kl), (1 - 1e-5, reverse_kl)])
def test_jsd_tends_to_both_kls(beta, limit):
    student, teacher = normal([0.3, -0.2], [0.8, 0.6]), normal([0.0, 0.1], [0.7, 0.7])
    noise = torch.Generator().manual_seed(0)
    value = jsd(student, teacher, beta, 400_000, noise).item() / min(beta, 1 - beta)
    assert value == pytest.approx(limit(student, teacher).item(), rel=0.02)


@pytest.mark.parametrize("sigmas, expected", [(3.0, 0.526), (10.0, 0.6931)])
def test_jsd_against_known_values(sigmas, expected):
    value = jsd(normal([sigmas], [1.0]), normal([0.0], [1.0]), 0.5, 200_000, torch.Generator().manual_seed(0))
    assert value.item() == pytest.approx(expected, abs=2e-3)


def test_jsd_far_apart_is_ln_2_and_flat():
    student = normal([30.0], [1.0], grad=True)
    value = jsd(student, normal([0.0], [1.0]), 0.5, 1000, torch.Generator().manual_seed(0))
    assert value.item() == pytest.approx(math.log(2), abs=1e-9)
    assert all(gradient.abs().item() < 1e-6 for gradient in gradients(value, student))


def test_jsd_mixes_joint_densities():
    """A mixture of two-dimensional Gaussians does not factor, so dimensions do not add up."""
    student, teacher = normal([2.0, 2.0], [1.0, 1.0]), normal([0.0, 0.0], [1.0, 1.0])
    one = jsd(normal([2.0], [1.0]), normal([0.0], [1.0]), 0.5, 200_000, torch.Generator().manual_seed(0)).item()
    joint = jsd(student, teacher, 0.5, 200_000, torch.Generator().manual_seed(0)).item()
    diagonal = jsd(normal([8**0.5], [1.0]), normal([0.0], [1.0]), 0.5, 200_000, torch.Generator().manual_seed(0)).item()
    assert joint == pytest.approx(diagonal, abs=5e-3)  # only the distance of the means counts
    assert joint < 2 * one - 0.1


def test_latent_and_action_matching_disagree_on_directions_that_the_actor_ignores():
    generator = torch.Generator().manual_seed(0)
    actor = torch.randn(3, 5, generator=generator, dtype=torch.float64)  # J, a = J z
    std = 0.3 + torch.rand(3, generator=generator, dtype=torch.float64)
    z = torch.randn(5, generator=generator, dtype=torch.float64)
    step = torch.randn(5, generator=generator, dtype=torch.float64)
    null = torch.linalg.svd(actor).Vh[-1]

    def policy(latent):
        return DiagonalGaussian(actor @ latent, std)

    metric = actor.T @ torch.diag(std**-2) @ actor
    torch.testing.assert_close(reverse_kl(policy(z + step), policy(z)), 0.5 * step @ metric @ step)
    torch.testing.assert_close(forward_kl(policy(z + step), policy(z)), 0.5 * step @ metric @ step)
    assert reverse_kl(policy(z + null), policy(z)).item() < 1e-24
    assert squared_error(z + null, z).item() == pytest.approx(1 / 5)


def k1(log_student: torch.Tensor, log_teacher: torch.Tensor, baseline: torch.Tensor | float = 0.0) -> torch.Tensor:
    """The policy-gradient form of the reverse KL on sampled actions, which `place: return` makes of it."""
    return -(log_teacher - log_student + baseline).detach() * log_student


def test_sampled_gradients_have_the_closed_form_as_mean():
    start, teacher = normal([0.5, -0.3], [0.6, 0.9]), normal([0.0, 0.2], [0.8, 0.7])
    student = expand(start, 100_000)
    generator = torch.Generator().manual_seed(1)
    actions = student.rsample(torch.randn(student.mean.shape, generator=generator, dtype=torch.float64)).detach()
    loss = k1(student.log_prob(actions), teacher.log_prob(actions))
    exact = normal([0.5, -0.3], [0.6, 0.9], grad=True)
    expected = gradients(reverse_kl(exact, teacher), exact)
    for samples, value in zip(gradients(loss, student), expected, strict=True):
        within_standard_errors(samples, value)


def test_k3_as_a_loss_has_another_gradient():
    """With stds close enough for finite weights."""
    start, teacher = normal([0.4], [1.0]), normal([0.0], [0.8])
    student = expand(start, 200_000)
    noise = torch.randn(student.mean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    actions = student.rsample(noise).detach()
    log_ratio = teacher.log_prob(actions) - student.log_prob(actions)
    mean, _ = gradients(log_ratio.exp() - log_ratio - 1, student)
    exact = normal([0.4], [1.0], grad=True)
    within_standard_errors(mean, gradients(forward_kl(exact, teacher), exact)[0])
    wrong = gradients(reverse_kl(exact, teacher), exact)[0]
    assert (mean.mean(0) - wrong).abs().item() > 0.1


def test_closed_form_baseline_keeps_the_mean_and_removes_its_part_of_the_variance():
    std = [0.7, 0.7]
    start, teacher = normal([0.5, -1.0], std), normal([0.0, 0.2], std)
    student = expand(start, 400_000)
    noise = torch.randn(student.mean.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    actions = student.rsample(noise).detach()
    log_student, log_teacher = student.log_prob(actions), teacher.log_prob(actions)
    exact = normal([0.5, -1.0], std, grad=True)
    value = reverse_kl(exact, teacher)
    plain, _ = gradients(k1(log_student, log_teacher), student)
    reduced, _ = gradients(k1(log_student, log_teacher, value.detach()), student)
    within_standard_errors(reduced, gradients(value, exact)[0])
    delta = (teacher.mean - start.mean) / 0.7
    expected = (delta.square().sum() + delta.square()) / 0.7**2
    torch.testing.assert_close(reduced.var(0), expected, rtol=0.02, atol=0)
    torch.testing.assert_close(plain.var(0) - reduced.var(0), (value**2 / 0.7**2).detach().expand(2), rtol=0.03, atol=0)


def test_closed_form_baseline_is_the_optimal_one_in_one_dimension():
    """E[l score^2] / E[score^2] = -KL by Gauss-Hermite quadrature, exact for these polynomials."""
    student, teacher = normal([0.5], [0.7]), normal([-0.3], [0.7])
    nodes, weights = _hermite(20)
    actions = student.rsample(nodes.unsqueeze(-1))
    score = (actions - student.mean).squeeze(-1) / student.std.square()
    log_ratio = teacher.log_prob(actions) - student.log_prob(actions)
    optimum = (weights * log_ratio * score**2).sum() / (weights * score**2).sum()
    assert optimum.item() == pytest.approx(-reverse_kl(student, teacher).item(), rel=1e-10)


def _hermite(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of the standard normal: eigenvalues of the Jacobi matrix (Golub and Welsch)."""
    off = torch.arange(1, count, dtype=torch.float64).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return nodes, vectors[0].square()
