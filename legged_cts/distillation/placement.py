"""Where distillation enters PPO: as a loss, in the return, or in the ratio."""

from __future__ import annotations

import math

import torch

from legged_cts.distillation.gae import gae
from legged_cts.distillation.gaussians import DiagonalGaussian, kl
from legged_cts.distillation.pools import log_pool


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


def return_advantages(
    log_ratio: torch.Tensor,
    dones: torch.Tensor,
    gamma: float = 0.0,
    divergence: torch.Tensor | None = None,
    values: torch.Tensor | None = None,
    last_values: torch.Tensor | None = None,
    lam: float = 1.0,
    acting: torch.Tensor | None = None,
    time_outs: torch.Tensor | None = None,
) -> torch.Tensor:
    """Advantage of distillation, to be scaled and added to PPO's: the (discounted) log-ratio of the sampled actions.

    With gamma = 0 each step answers for its own divergence (G-OPD); with gamma > 0 the return is the KL of whole
    trajectories. The reward must be the sampled log-ratio: the closed form has a gradient of its own, which an
    advantage would lose.

    Args:
        log_ratio: ln T(a) - ln old(a) [T, N] of the rollout's actions.
        dones: Ends of episodes [T, N].
        gamma: Discount of the distillation rewards in [0, 1].
        divergence: KL(old || T) [T, N], the closed-form baseline of vOPD: the mean gradient stays, the noise shrinks.
        values: Values [T, N] of a value head of its own for these rewards, for gamma > 0; None: no bootstrap.
        last_values: That head's values [N] after the last step.
        lam: GAE's weight, for use with ``values``.
        acting: Who took each step [T, N], see ``gae``.
        time_outs: Ends of episodes by a time limit, bool [T, N]: with ``values``, that of the last state stands for
            what the episode would have gone on to earn, as in rsl_rl's PPO.

    Returns:
        Advantages [T, N] without gradient.

    Raises:
        ValueError: If only one of ``values`` and ``last_values`` is given, or two baselines.
    """
    if (values is None) != (last_values is None):
        raise ValueError("values and last_values go together")
    if values is not None and divergence is not None:
        raise ValueError("place.baseline: a value head and the closed form are two baselines; choose one")
    if values is None or last_values is None:
        values, last_values = torch.zeros_like(log_ratio), torch.zeros_like(log_ratio[0])
    rewards, values = log_ratio.detach(), values.detach()
    if time_outs is not None:
        rewards = rewards + gamma * values * time_outs
    _, advantages = gae(rewards, values, dones, last_values.detach(), gamma, lam, acting)
    return advantages if divergence is None else advantages + divergence.detach()


def anchored_log_ratio(
    log_prob: torch.Tensor, old_log_prob: torch.Tensor, teacher_log_prob: torch.Tensor, alpha: float
) -> torch.Tensor:
    """TRRD's log-ratio ln S - alpha ln old - (1 - alpha) ln T [...] of the same actions; alpha = 1 is PPO's."""
    return (log_prob - old_log_prob) + (1.0 - alpha) * (old_log_prob - teacher_log_prob)


def log_anchor_constant(old: DiagonalGaussian, teacher: DiagonalGaussian, alpha: float) -> torch.Tensor:
    """ln Z [...] of the anchor old^alpha T^(1-alpha) = Z G, where G is the log-linear pool.

    It is at most zero. Adding it to TRRD's log-ratio gives ln S - ln G, a ratio of two densities (adapted).
    """
    anchor = log_pool([old, teacher], [alpha, 1.0 - alpha])
    return -(alpha * kl(anchor, old) + (1.0 - alpha) * kl(anchor, teacher))


def ratio_surrogate(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    teacher_log_prob: torch.Tensor,
    advantages: torch.Tensor,
    clip: float,
    alpha: float,
    dual_clip: float | None = 3.0,
    log_constant: torch.Tensor | None = None,
) -> torch.Tensor:
    """Negative clipped surrogate whose ratio is anchored to old^alpha T^(1-alpha) (RLAD / TRRD).

    Before any step the ratio is not one: with means g stds apart in d dimensions its logarithm is about
    (1 - alpha) g sqrt(d), so a small alpha leaves most samples outside the clip, see ``least_alpha``. Where A < 0 and
    the teacher dislikes the action too, PPO's clip does not bound the loss; the dual clip does.

    Args:
        log_prob: ln S(a) [B], with gradient.
        old_log_prob: ln old(a) [B].
        teacher_log_prob: ln T(a) [B].
        advantages: Advantages [B].
        clip: Half-width of the trust interval.
        alpha: Share of the old policy in the anchor, in [0, 1]; with 1 the loss is PPO's, bit by bit, and neither
            ``dual_clip`` nor ``log_constant`` applies.
        dual_clip: Bound of the ratio where A < 0, greater than 1 + clip, past which the gradient is zero; None: none.
        log_constant: ``log_anchor_constant`` [B] for the normalised anchor; None: not normalised, as in the paper.

    Returns:
        Loss per sample [B].

    Raises:
        ValueError: If ``alpha`` or ``dual_clip`` is out of range.
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"place.alpha must lie in [0, 1], got {alpha}")
    if dual_clip is not None and dual_clip <= 1.0 + clip:
        raise ValueError(f"place.dual_clip must be greater than 1 + clip = {1.0 + clip}, got {dual_clip}")
    log_ratio = log_prob - old_log_prob
    if alpha < 1.0:
        log_ratio = anchored_log_ratio(log_prob, old_log_prob, teacher_log_prob.detach(), alpha)
        if log_constant is not None:
            log_ratio = log_ratio + log_constant.detach()
        if dual_clip is not None:
            # Where A > 0 the trust interval has ended already. The logarithm, so that no ratio overflows.
            log_ratio = log_ratio.clamp(max=math.log(dual_clip))
    ratio = log_ratio.exp()
    return torch.max(-advantages * ratio, -advantages * ratio.clamp(1.0 - clip, 1.0 + clip))


def saturation(log_ratio: torch.Tensor, clip: float) -> torch.Tensor:
    """Share of samples whose ratio lies outside the trust interval; scalar."""
    ratio = log_ratio.exp()
    return ((ratio < 1.0 - clip) | (ratio > 1.0 + clip)).float().mean()


def least_alpha(gap: float, dimensions: int, clip: float = 0.2) -> float:
    """Smallest alpha at which a typical ratio is still inside the clip before any step: 1 - ln(1 + clip) / (g sqrt(d)).

    Args:
        gap: Distance g of student's and teacher's mean per dimension, in stds.
        dimensions: Number of actions.
        clip: Half-width of the trust interval.
    """
    return max(0.0, 1.0 - math.log1p(clip) / (gap * math.sqrt(dimensions))) if gap > 0.0 else 0.0
