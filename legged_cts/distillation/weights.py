"""Weights of single steps. All are without gradient, multiply, and are not renormalised to mean one."""

from __future__ import annotations

import torch


def adv_gate(advantages: torch.Tensor, tau: float) -> torch.Tensor:
    """Distil where the student did badly: sigmoid(-A / tau) [B] (from Unmasking OPD, adapted).

    Args:
        advantages: Advantages [B].
        tau: Width of the gate; 0 is the hard mask 1[A < 0] (KDRL's reward-guided masking).

    Raises:
        ValueError: If ``tau`` is negative.
    """
    if tau < 0.0:
        raise ValueError(f"weights.adv_gate.tau must not be negative, got {tau}")
    advantages = advantages.detach()
    return torch.sigmoid(-advantages / tau) if tau > 0.0 else (advantages < 0.0).to(advantages.dtype)


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

    Raises:
        ValueError: If ``delta`` is negative.
    """
    if delta < 0.0:
        raise ValueError(f"weights.rel_div.delta must not be negative, got {delta}")
    divergence = divergence.detach()
    reference = divergence.mean() if reference is None else reference.detach()
    return ((reference + epsilon) / (divergence + epsilon)).clamp(max=1.0 + delta)


def segment_means(values: torch.Tensor, length: int) -> torch.Tensor:
    """Replace each value [T, N] by the mean of its segment of ``length`` steps; the last segment may be shorter."""
    if length < 1:
        raise ValueError(f"weights.rel_div.segment must be at least 1, got {length}")
    return torch.cat([part.mean(0, keepdim=True).expand_as(part) for part in values.split(length)])


def top(
    divergence: torch.Tensor,
    share: float,
    power: float,
    entropy: torch.Tensor | None = None,
    entropy_power: float = 0.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Keep round(share B) samples, drawn without replacement with probability prop. to H^a D^g (TIP, adapted).

    With the usual std that does not depend on the state, all entropies are equal and their factor does nothing.

    Args:
        divergence: Non-negative D [B].
        share: Share of samples to keep, in (0, 1].
        power: g; 0 draws uniformly.
        entropy: H of the student [B], scaled to [0, 1] over the batch; None: not used.
        entropy_power: a.
        generator: Source of randomness.

    Returns:
        Zeros and ones [B].

    Raises:
        ValueError: If ``share`` is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"weights.top.share must lie in (0, 1], got {share}")
    divergence = divergence.detach()
    tiny = torch.finfo(divergence.dtype).tiny
    log_weight = power * divergence.clamp(min=tiny).log()
    if entropy is not None:
        log_weight = log_weight + entropy_power * _unit(entropy.detach()).clamp(min=tiny).log()
    uniform = torch.rand(divergence.shape, generator=generator, device=divergence.device, dtype=divergence.dtype).clamp(
        min=tiny
    )
    # The largest keys log w + Gumbel noise are a draw without replacement.
    keys = log_weight - (-uniform.log()).log()
    kept = keys.topk(round(share * len(keys))).indices
    return torch.zeros_like(divergence).index_fill_(0, kept, 1.0)


def clip(divergence: torch.Tensor, limit: float, soft: bool = False) -> torch.Tensor:
    """Keep single samples from dominating: the weight [B] that gives w D the gradient of min(D, limit) (OPSD).

    Args:
        divergence: Non-negative D [B].
        limit: Largest value that counts, greater than 0.
        soft: False: samples above the limit are dropped, which is the gradient of the minimum. True: they are scaled
            down to the limit, min(1, limit / D), so that they still pull (adapted).

    Raises:
        ValueError: If ``limit`` is not positive.
    """
    if limit <= 0.0:
        raise ValueError(f"weights.clip.limit must be positive, got {limit}")
    divergence = divergence.detach()
    if soft:
        return limit / divergence.clamp(min=limit)
    return (divergence <= limit).to(divergence.dtype)


def window(step: torch.Tensor, handover: torch.Tensor, length: int) -> torch.Tensor:
    """Distil only the first steps after a reset or after the student took over: 1[t - t_handover < W] (TCOD, adapted).

    Args:
        step: Episode step t of each sample, integers [B].
        handover: Episode step of the reset (0) or of the last take-over [B], see ``drivers.Driver``.
        length: W in control steps, at least 1.

    Raises:
        ValueError: If ``length`` is less than 1.
    """
    if length < 1:
        raise ValueError(f"weights.window.length must be at least 1, got {length}")
    return (step - handover < length).to(torch.get_default_dtype())


def product(*weights: torch.Tensor) -> torch.Tensor | None:
    """Product of weights [B]; None without any, which ``placement.weighted_mean`` reads as one."""
    result: torch.Tensor | None = None
    for weight in weights:
        result = weight.detach() if result is None else result * weight.detach()
    return result


def _unit(values: torch.Tensor) -> torch.Tensor:
    """Scale to [0, 1]; equal values become one."""
    low, high = values.min(), values.max()
    spread = high - low
    # Rounding must not turn a constant into a random ranking.
    constant = spread <= 1e-6 * torch.maximum(low.abs(), high.abs()).clamp(min=1.0)
    return torch.where(constant, torch.ones_like(values), (values - low) / spread.clamp(min=1e-12))
