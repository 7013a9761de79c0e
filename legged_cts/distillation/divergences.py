"""How far a student is from its target: one value per sample, differentiable in both.

States are never differentiated through.
"""

from __future__ import annotations

import math
from functools import partial

import torch

from legged_cts.distillation.gaussians import DiagonalGaussian, kl

DIVERGENCES = ("reverse_kl", "forward_kl", "mse", "jsd")


def reverse_kl(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """KL(S || T) [...]: the student's std is pulled to the teacher's, whatever the gap of the means."""
    return kl(student, teacher)


def forward_kl(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """KL(T || S) [...]: the student's std is pulled to sqrt(s_T^2 + gap^2), so it covers what it cannot follow."""
    return kl(teacher, student)


def mse(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """|mu_S - mu_T|^2 [...], summed over dimensions: 2 s^2 times either KL when both stds are s."""
    return (student.mean - teacher.mean).square().sum(-1)


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
    """
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


def divergence(
    name: str, student: DiagonalGaussian, teacher: DiagonalGaussian, beta: float = 0.5, samples: int = 16
) -> torch.Tensor:
    """Divergence [...] by its name in ``DIVERGENCES``; the last two arguments are read by ``jsd``."""
    by_name = {"reverse_kl": reverse_kl, "forward_kl": forward_kl, "mse": mse}
    return by_name.get(name, partial(jsd, beta=beta, samples=samples))(student, teacher)


def squared_error(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error over the last dimension [...] of latents or privileged estimates [..., n].

    On latents of one shared actor it also pays for directions that the actor ignores, for which every divergence of
    the actions is zero.
    """
    return (student - target).square().mean(-1)
