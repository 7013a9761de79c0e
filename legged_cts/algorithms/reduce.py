"""What processes that train one policy compute together, so that they train as one would on all their samples.

Every function is a collective: all processes must call it, in the same order. Where ``torch.distributed`` is not
initialised they are the plain computation on this process's samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist


def processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def joint_sum(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of ``values`` over the processes, the same bits on all of them; ``values`` is not changed."""
    if processes() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total


def joint_mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of the values of all processes; NaN without any."""
    if processes() == 1:
        return values.mean()
    total, count = joint_sum(torch.stack([values.sum(), values.new_tensor(float(values.numel()))])).unbind()
    return total / count


def of_first(value: float, device: str | torch.device) -> float:
    """Return the value of the first process, the same on all."""
    mine = value if processes() == 1 or dist.get_rank() == 0 else 0.0
    return joint_sum(torch.tensor(mine, dtype=torch.float64, device=device)).item()


def all_agree(flag: bool, device: str | torch.device) -> bool:
    """Return whether ``flag`` is true on every process."""
    if processes() == 1:
        return flag
    return not bool(joint_sum(torch.tensor(int(not flag), device=device)))


def joint_moments(values: torch.Tensor) -> tuple[int, torch.Tensor, torch.Tensor]:
    """Return number, mean and unbiased standard deviation of the values of all processes; NaN where undefined.

    In two passes, for a sum of squares loses the digits of a spread that is small beside the mean.

    Args:
        values: Values of any shape; a process may have none.
    """
    if processes() == 1:
        return values.numel(), values.mean(), values.std() if values.numel() > 1 else values.new_tensor(torch.nan)
    exact = values.double()
    count, total = joint_sum(torch.stack([exact.new_tensor(float(exact.numel())), exact.sum()])).unbind()
    mean = total / count
    spread = joint_sum((exact - mean).square().sum())
    return int(count), mean.to(values.dtype), (spread / (count - 1.0)).sqrt().to(values.dtype)


def joint_shares(counts: Sequence[int], device: str | torch.device) -> torch.Tensor:
    """Return what to multiply this process's means by, so that their average over the processes is the joint mean.

    A process with n of N samples has the weight n / N in the joint mean, but 1 / processes in an average of gradients.
    The factor is therefore n * processes / N: one where all have equally many.

    Args:
        counts: Number of samples of this process behind each of its means.
        device: Device of the learner.

    Returns:
        Factors, in the order of ``counts``; 0 where no process has a sample.
    """
    if processes() == 1:
        return torch.ones(len(counts), device=device)
    local = torch.tensor(counts, dtype=torch.float64, device=device)
    total = joint_sum(local)
    shares = torch.where(total > 0.0, local * processes() / total.clamp(min=1.0), 0.0)
    return shares.to(torch.get_default_dtype())
