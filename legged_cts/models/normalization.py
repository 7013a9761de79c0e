"""Running statistics of observations, as rsl_rl keeps them, at a tenth of the time."""

from __future__ import annotations

import torch
from rsl_rl.modules import EmpiricalNormalization
from torch import distributed as dist
from torch import nn


class RunningNormalization(EmpiricalNormalization):
    """rsl_rl's statistics; on a CPU `torch.var` over rows takes ten times as long as the mean of squares.

    At 512 environments that was 80 of the 1,000 ms of an iteration.
    """

    @classmethod
    def of(cls, normalizer: nn.Module) -> None:
        """Turn a normaliser of rsl_rl into one, in its place; a no-op for one that does nothing."""
        if isinstance(normalizer, EmpiricalNormalization):
            normalizer.__class__ = cls

    @torch.jit.unused
    def update(self, x: torch.Tensor) -> None:
        """Add inputs [B, n]; those of all processes where there are several."""
        if not self.training or (self.until is not None and self.count >= self.until):
            return
        count = torch.tensor(float(len(x)), device=x.device)
        mean = x.mean(dim=0, keepdim=True)
        var = (x - mean).square().mean(dim=0, keepdim=True)
        if dist.is_initialized():
            count, mean, var = _joint(count, mean, var)
        self.count += count.to(self.count)
        rate, change = count / self.count, mean - self._mean
        self._mean += rate * change
        self._var += rate * (var - self._var + change * (mean - self._mean))
        self._std = torch.sqrt(self._var)


def _joint(count: torch.Tensor, mean: torch.Tensor, var: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Count, mean and variance [1, n] of the samples of all processes, by one message."""
    # In double precision, because a variance is what is left of the square of the mean.
    wide = mean.double()
    sums = torch.cat((count.double().view(1, 1), count * wide, count * (var.double() + wide.square())), dim=1)
    dist.all_reduce(sums)
    total, means = sums[0, 0], sums[:, 1:] / sums[0, 0]
    mean, square = means.chunk(2, dim=1)
    return total.to(count), mean.to(var), (square - mean.square()).clamp_min(0.0).to(var)
