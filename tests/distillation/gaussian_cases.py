"""Random Gaussians in double precision, and gradients of their parameters."""

from __future__ import annotations

import torch

from legged_cts.distillation.gaussians import DiagonalGaussian


def gaussian(*shape: int, seed: int, grad: bool = False) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(*shape, generator=generator, dtype=torch.float64)
    std = 0.3 + torch.rand(*shape, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(mean.requires_grad_(grad), std.requires_grad_(grad))


def normal(mean: list[float], std: list[float], grad: bool = False) -> DiagonalGaussian:
    """One Gaussian [d]."""
    return DiagonalGaussian(
        torch.tensor(mean, dtype=torch.float64, requires_grad=grad),
        torch.tensor(std, dtype=torch.float64, requires_grad=grad),
    )


def expand(dist: DiagonalGaussian, count: int) -> DiagonalGaussian:
    """Repeat a Gaussian [d] as a batch [count, d], so that the gradient of each sample can be asked for."""
    mean, std = (p.detach().expand(count, -1).clone().requires_grad_() for p in (dist.mean, dist.std))
    return DiagonalGaussian(mean, std)


def gradients(value: torch.Tensor, dist: DiagonalGaussian) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the sum of ``value`` by mean and std."""
    mean, std = torch.autograd.grad(
        value.sum(), (dist.mean, dist.std), retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return mean, std


def within_standard_errors(samples: torch.Tensor, expected: torch.Tensor, count: float = 4.0) -> None:
    """Assert that the mean of samples [B, ...] is the expected one, up to ``count`` standard errors."""
    error = samples.std(0) / len(samples) ** 0.5
    deviation = (samples.mean(0) - expected).abs()
    assert bool((deviation <= count * error + 1e-12).all()), (samples.mean(0), expected, error)
