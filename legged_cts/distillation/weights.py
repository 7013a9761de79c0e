"""Weights of single steps. All are without gradient, multiply, and are not renormalised to mean one."""

from __future__ import annotations

import torch


def rel_div(
    divergence: torch.Tensor, delta: float = 0.5, reference: torch.Tensor | None = None, epsilon: float = 1e-6
) -> torch.Tensor:
    """Trust the teacher less where it is far away: min((d_ref + e) / (d + e), 1 + delta) [B] (SOD).

    SOD's product of the ratios of neighbouring segments telescopes to this. Its d_ref is the first segment's
    divergence; rollouts that start mid-episode have none, so the default is the mean over the batch (adapted).

    Args:
        divergence: Non-negative d of each sample or segment [B].
        delta: How far a weight may exceed one, at least 0.
        reference: d_ref, scalar; None: mean of ``divergence``.
        epsilon: e, against division by zero.
    """
    divergence = divergence.detach()
    reference = divergence.mean() if reference is None else reference.detach()
    return ((reference + epsilon) / (divergence + epsilon)).clamp(max=1.0 + delta)


def segment_means(values: torch.Tensor, length: int) -> torch.Tensor:
    """Replace each value [T, N] by the mean of its segment of ``length`` steps; the last segment may be shorter."""
    return torch.cat([part.mean(0, keepdim=True).expand_as(part) for part in values.split(length)])


def clip(divergence: torch.Tensor, limit: float) -> torch.Tensor:
    """Keep single samples from dominating: the weight [B] that gives w D the gradient of min(D, limit) (OPSD)."""
    return (divergence.detach() <= limit).to(divergence.dtype)


def window(since_handover: torch.Tensor, length: int) -> torch.Tensor:
    """Distil only the first ``length`` steps [B] after a reset or after the student took over (TCOD, adapted)."""
    return (since_handover < length).to(torch.get_default_dtype())


def product(*weights: torch.Tensor) -> torch.Tensor | None:
    """Product of weights [B]; None without any, which ``placement.weighted_mean`` reads as one."""
    result: torch.Tensor | None = None
    for weight in weights:
        result = weight.detach() if result is None else result * weight.detach()
    return result
