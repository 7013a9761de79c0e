"""How far a student is from its target: one value per sample, differentiable in both.

``learn.stop_gradients`` decides which side learns; states are never differentiated through.
"""

from __future__ import annotations

import math

import torch

from legged_cts.distillation.gaussians import DiagonalGaussian, kl
from legged_cts.distillation.names import DIVERGENCES
from legged_cts.distillation.pools import log_pool


def reverse_kl(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """KL(S || T) [...]: the student's std is pulled to the teacher's, whatever the gap of the means."""
    return kl(student, teacher)


def forward_kl(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """KL(T || S) [...]: the student's std is pulled to sqrt(s_T^2 + gap^2), so it covers what it cannot follow."""
    return kl(teacher, student)


def mse(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """|mu_S - mu_T|^2 [...], summed over dimensions: 2 s^2 times either KL when both stds are s."""
    return (student.mean - teacher.mean).square().sum(-1)


def w2(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """Squared 2-Wasserstein distance |mu_S - mu_T|^2 + |s_S - s_T|^2 [...]."""
    return mse(student, teacher) + (student.std - teacher.std).square().sum(-1)


def nll(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """-ln S(mu_T) [...]: the forward KL to a teacher that is deterministic, without its infinite entropy (DAgger)."""
    return -student.log_prob(teacher.mean)


def jsd(
    student: DiagonalGaussian,
    teacher: DiagonalGaussian,
    beta: float = 0.5,
    samples: int = 16,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Generalised Jensen-Shannon divergence b KL(T || M) + (1 - b) KL(S || M), M = b T + (1 - b) S, by sampling.

    M has no Gaussian form and does not factor over dimensions, so joint log-probabilities of reparametrised samples
    are mixed. The convention of OPSD: divided by b it becomes the forward KL as b goes to 0, divided by 1 - b the
    reverse KL as b goes to 1. Bounded by the entropy of b (ln 2 at one half), hence its gradient dies when the means
    are more than about 6 stds apart.

    Args:
        student: S [..., d].
        teacher: T [..., d].
        beta: b in (0, 1).
        samples: Samples from each side; both share their noise, which makes b = 1/2 exactly symmetric.
        generator: Source of the noise.

    Returns:
        Estimate [...]; with few samples it can be slightly negative.

    Raises:
        ValueError: If ``beta`` is not inside (0, 1), where the divergence is zero for all pairs.
    """
    _check_beta(beta)
    shape, mean = (samples, *student.mean.shape), student.mean
    noise = torch.randn(shape, generator=generator, device=mean.device, dtype=mean.dtype)
    total = torch.zeros_like(mean[..., 0])
    for weight, source in ((beta, teacher), (1.0 - beta, student)):
        x = source.rsample(noise)
        log_student, log_teacher = student.log_prob(x), teacher.log_prob(x)
        log_mixture = torch.logaddexp(log_teacher + math.log(beta), log_student + math.log1p(-beta))
        log_source = log_teacher if source is teacher else log_student
        total = total + weight * (log_source - log_mixture).mean(0)
    return total


def geometric_jsd(student: DiagonalGaussian, teacher: DiagonalGaussian, beta: float = 0.5) -> torch.Tensor:
    """(1 - b) KL(S || G) + b KL(T || G) [...], G the log-linear pool of S (1 - b) and T (b): closed form, unbounded.

    The cheap stand-in for ``jsd`` (Nielsen's geometric Jensen-Shannon divergence, adapted).

    Raises:
        ValueError: If ``beta`` is not inside (0, 1).
    """
    _check_beta(beta)
    middle = log_pool([student, teacher], [1.0 - beta, beta])
    return (1.0 - beta) * kl(student, middle) + beta * kl(teacher, middle)


def divergence(
    name: str,
    student: DiagonalGaussian,
    teacher: DiagonalGaussian,
    beta: float = 0.5,
    samples: int = 16,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Divergence [...] by its name in ``DIVERGENCES``; the last three arguments are read by the Jensen-Shannon ones.

    Raises:
        ValueError: If the name is unknown.
    """
    plain = {"reverse_kl": reverse_kl, "forward_kl": forward_kl, "mse": mse, "w2": w2, "nll": nll}
    if name in plain:
        return plain[name](student, teacher)
    if name == "jsd":
        return jsd(student, teacher, beta, samples, generator)
    if name == "geometric_jsd":
        return geometric_jsd(student, teacher, beta)
    raise ValueError(f"unknown divergence '{name}'; allowed are: {', '.join(DIVERGENCES)}")


def squared_error(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error over the last dimension [...] of latents or privileged estimates [..., n].

    On latents of one shared actor it also pays for directions that the actor ignores, for which every divergence of
    the actions is zero.
    """
    return (student - target).square().mean(-1)


def _check_beta(beta: float) -> None:
    if not 0.0 < beta < 1.0:
        raise ValueError(f"divergence.beta must lie inside (0, 1), got {beta}; use forward_kl for 0, reverse_kl for 1")
