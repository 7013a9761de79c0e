"""Batches of diagonal Gaussian policies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, diag(std^2)) for every element of a batch; mean and std have one shape [..., d], std > 0."""

    mean: torch.Tensor
    std: torch.Tensor

    def __post_init__(self) -> None:
        if self.mean.shape != self.std.shape:
            raise ValueError(
                f"mean {tuple(self.mean.shape)} and std {tuple(self.std.shape)} differ in shape; expand the std"
            )

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Joint log-density [...] of x [..., d], which may have leading dimensions of its own."""
        return (-0.5 * ((x - self.mean) / self.std).square() - self.std.log() - _HALF_LOG_2PI).sum(-1)

    def entropy(self) -> torch.Tensor:
        """Differential entropy [...] in nats; it can be negative."""
        return (self.std.log() + _HALF_LOG_2PI + 0.5).sum(-1)

    def rsample(self, noise: torch.Tensor) -> torch.Tensor:
        """Reparametrised samples of standard normal ``noise`` [..., d]: gradients reach mean and std."""
        return self.mean + self.std * noise

    def detach(self) -> DiagonalGaussian:
        """Return the same distribution without gradient."""
        return DiagonalGaussian(self.mean.detach(), self.std.detach())


def kl(p: DiagonalGaussian, q: DiagonalGaussian) -> torch.Tensor:
    """KL(p || q) [...] in nats, closed form."""
    variance = 2.0 * q.std.square()
    return ((q.std / p.std).log() + (p.std.square() + (p.mean - q.mean).square()) / variance - 0.5).sum(-1)
