"""The loss terms of concurrent teacher-student PPO, as functions of tensors."""

from __future__ import annotations

import torch

from legged_cts.algorithms.reduce import joint_moments


def clipped_surrogate(
    log_prob: torch.Tensor, old_log_prob: torch.Tensor, advantages: torch.Tensor, clip: float
) -> torch.Tensor:
    """Negative clipped surrogate of every sample (Schulman et al. 2017, eq. 7).

    Args:
        log_prob: Log-probabilities [B] under the current policy.
        old_log_prob: Log-probabilities [B] when the actions were taken.
        advantages: Advantages [B].
        clip: Half-width of the trust interval of the ratio.

    Returns:
        Loss per sample [B].
    """
    ratio = torch.exp(log_prob - old_log_prob)
    return torch.max(-advantages * ratio, -advantages * ratio.clamp(1.0 - clip, 1.0 + clip))


def combine_surrogates(
    per_sample: torch.Tensor, teachers: int, mode: str, shares: torch.Tensor | None = None
) -> torch.Tensor:
    """Join the surrogates of both groups; the first ``teachers`` samples are the teachers'.

    Args:
        per_sample: Loss per sample [B], B at least 1.
        teachers: Number of teacher samples in [0, B].
        mode: ``sum_of_means`` (each group's mean counts once, so the smaller group weighs more per sample) or
            ``pooled`` (one mean over all samples).
        shares: Factors [3] of the means over teachers, students and all, see ``reduce.joint_shares``; None for 1.

    Returns:
        Scalar loss. A group without samples contributes nothing.
    """
    shares = per_sample.new_ones(3) if shares is None else shares
    if mode == "pooled":
        return per_sample.mean() * shares[2]
    groups = zip((per_sample[:teachers], per_sample[teachers:]), shares[:2], strict=True)
    return torch.stack([group.mean() * share for group, share in groups if len(group)]).sum()


def value_loss(
    values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, clip: float | None
) -> torch.Tensor:
    """Mean squared value error over all samples, optionally with the clipped variant as a lower bound.

    Args:
        values: Current values [B, 1].
        old_values: Values [B, 1] of the rollout.
        returns: Targets [B, 1].
        clip: Largest change of a value that is rewarded, or None for the plain error.
    """
    error = (values - returns).square()
    if clip is None:
        return error.mean()
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    return torch.max(error, (clipped - returns).square()).mean()


def latent_distance(latents: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over samples of the squared Euclidean distance between latents [B, L] and targets [B, L]."""
    return (latents - targets).square().sum(-1).mean()


def ramp(iteration: int, start: int, length: int) -> float:
    """Share in [0, 1]: 0 before ``start``, then 1/length, 2/length, ... up to 1."""
    return min(1.0, max(0.0, (iteration - start + 1) / length))


def normalize_advantages(advantages: torch.Tensor, teachers: torch.Tensor | None = None) -> torch.Tensor:
    """Shift and scale advantages to zero mean and unit (unbiased) standard deviation over all processes.

    Args:
        advantages: Advantages of any shape.
        teachers: Bool mask that broadcasts to ``advantages``; when given, each group is normalised on its own.

    Returns:
        Tensor of the same shape. A group of a single sample only loses its mean.
    """
    if teachers is not None:
        result = torch.empty_like(advantages)
        mask = teachers.expand_as(advantages)
        for group in (mask, ~mask):
            result[group] = normalize_advantages(advantages[group])
        return result
    count, mean, std = joint_moments(advantages)
    return (advantages - mean) / (std + 1e-8) if count > 1 else advantages - mean
