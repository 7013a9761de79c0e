"""Where distillation enters PPO: as a loss, in the return, or in the ratio."""

from __future__ import annotations

import math

import torch


def weighted_mean(
    values: torch.Tensor, weights: torch.Tensor | None = None, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of weighted ``values`` [B] over the samples of a bool ``mask`` [B]; scalar, zero without samples.

    The mean is over samples, not over weights: weights that shrink make the loss smaller.
    """
    if weights is not None:
        values = values * weights
    if mask is None:
        return values.mean()
    # where, not a product: a masked sample may be infinite
    return torch.where(mask, values, torch.zeros_like(values)).sum() / mask.sum().clamp(min=1)


def extrapolated_log_ratio(
    old_log_prob: torch.Tensor, teacher_log_prob: torch.Tensor, reference_log_prob: torch.Tensor, lam: float
) -> torch.Tensor:
    """G-OPD's reward of sampled actions: lam (ln T - ln R) - (ln old - ln R) [...].

    Up to a constant per state this is the log-ratio to the target of ``pools.extrapolate``; lam = 1 is ln T - ln old.
    """
    return lam * (teacher_log_prob - reference_log_prob) - (old_log_prob - reference_log_prob)


def ratio_surrogate(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    teacher_log_prob: torch.Tensor,
    advantages: torch.Tensor,
    clip: float,
    alpha: float,
    dual_clip: float | None = 3.0,
) -> torch.Tensor:
    """Negative clipped surrogate whose ratio is anchored: S / (old^alpha T^(1-alpha)) (RLAD / TRRD).

    Before any step the ratio is not one: with means g stds apart in d dimensions its logarithm is about
    (1 - alpha) g sqrt(d), so an alpha below 1 - ln(1 + clip) / (g sqrt(d)) leaves most samples outside the clip. Where
    A < 0 and the teacher dislikes the action too, PPO's clip does not bound the loss; the dual clip does.

    Args:
        log_prob: ln S(a) [B], with gradient.
        old_log_prob: ln old(a) [B].
        teacher_log_prob: ln T(a) [B].
        advantages: Advantages [B].
        clip: Half-width of the trust interval.
        alpha: Share of the old policy in the anchor, in [0, 1]; with 1 the loss is PPO's, bit by bit.
        dual_clip: Bound of the ratio where A < 0, greater than 1 + clip, past which the gradient is zero; None: none.

    Returns:
        Loss per sample [B].

    Raises:
        ValueError: If ``dual_clip`` is out of range.
    """
    if dual_clip is not None and dual_clip <= 1.0 + clip:
        raise ValueError(f"place.dual_clip must be greater than 1 + clip = {1.0 + clip}, got {dual_clip}")
    log_ratio = log_prob - old_log_prob
    if alpha < 1.0:
        log_ratio = log_ratio + (1.0 - alpha) * (old_log_prob - teacher_log_prob.detach())
        if dual_clip is not None:
            # Where A > 0 the trust interval has ended already. The logarithm, so that no ratio overflows.
            log_ratio = log_ratio.clamp(max=math.log(dual_clip))
    ratio = log_ratio.exp()
    return torch.max(-advantages * ratio, -advantages * ratio.clamp(1.0 - clip, 1.0 + clip))
