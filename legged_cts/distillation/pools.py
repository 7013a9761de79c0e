"""Several teachers, or a teacher and a reference, as one target."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import torch

from legged_cts.distillation.gaussians import DiagonalGaussian

Weight = float | torch.Tensor
"""A number, or a tensor that broadcasts to [..., d]; per-sample weights are [..., 1]."""


def log_pool(dists: Sequence[DiagonalGaussian], weights: Sequence[Weight]) -> DiagonalGaussian:
    """Log-linear pool: the density proportional to prod p_i^w_i, again a Gaussian.

    Precision sum w_i / s_i^2, mean the precision-weighted mean. It minimises sum w_i KL(S || p_i) over S, so reverse KL
    to several teachers is reverse KL to this one target. Blind to how far the pooled means lie apart.

    Args:
        dists: K distributions of one shape [..., d].
        weights: K weights that sum to 1. Negative ones are allowed while every dimension keeps a positive precision.

    Raises:
        ValueError: If the weights do not sum to 1, or a dimension's precision is not positive.
    """
    _check_weights(dists, weights)
    precisions = [weight / dist.std.square() for dist, weight in zip(dists, weights, strict=True)]
    precision = reduce(add, precisions)
    if any(isinstance(weight, torch.Tensor) or weight < 0.0 for weight in weights):
        bad = _dimensions(precision <= 0.0)
        if bad:
            raise ValueError(
                f"log_pool: the negative weights outweigh the others in dimension {bad[0]} (all such: {bad}), where"
                " no Gaussian is left; bring the weights closer to [0, 1]"
            )
    weighted = reduce(add, [p * dist.mean for p, dist in zip(precisions, dists, strict=True)])
    return DiagonalGaussian(weighted / precision, precision.rsqrt())


def moment_pool(dists: Sequence[DiagonalGaussian], weights: Sequence[Weight]) -> DiagonalGaussian:
    """Gaussian with the mean and variance of the mixture sum w_i p_i (law of total variance).

    It minimises sum w_i KL(p_i || S) over S, so forward KL to several teachers is forward KL to this one target. Its
    variance grows with the disagreement of the means.

    Args:
        dists: K distributions of one shape [..., d].
        weights: K weights >= 0 that sum to 1.

    Raises:
        ValueError: If a weight is negative or the weights do not sum to 1.
    """
    _check_weights(dists, weights)
    for i, weight in enumerate(weights):
        if bool((weight < 0.0).any()) if isinstance(weight, torch.Tensor) else weight < 0.0:
            raise ValueError(f"moment_pool: weight {i} is negative, but a mixture has none; use log_pool")
    pairs = list(zip(dists, weights, strict=True))
    mean = reduce(add, [weight * dist.mean for dist, weight in pairs])
    # Centred on the pooled mean, because E[x^2] - E[x]^2 cancels digits.
    variance = reduce(add, [weight * (dist.std.square() + (dist.mean - mean).square()) for dist, weight in pairs])
    return DiagonalGaussian(mean, variance.sqrt())


def cliff(teacher: DiagonalGaussian, reference: DiagonalGaussian) -> torch.Tensor:
    """Largest extrapolation lam* [..., d] (exclusive): s_T^2 / (s_T^2 - s_R^2) where s_T > s_R, else infinite.

    Adapted from Extrapolation Cliff: past lam* the target of ``extrapolate`` has no positive precision.
    """
    teacher_variance, reference_variance = teacher.std.square(), reference.std.square()
    excess = teacher_variance - reference_variance
    return torch.where(excess > 0.0, teacher_variance / excess, torch.inf)


def extrapolate(
    teacher: DiagonalGaussian,
    reference: DiagonalGaussian,
    lam: float,
    clamp: float | None = 0.9,
    mean_limit: float | None = None,
) -> DiagonalGaussian:
    """Target past the teacher, away from a reference: the log-linear pool with weights lam and 1 - lam.

    Reverse KL to it is max E_S[lam ln(T/R)] - KL(S || R), the objective of G-OPD / ExOPD in closed form (adapted). 0
    gives R, 1 gives T; with equal stds the mean is mu_R + lam (mu_T - mu_R).

    Args:
        teacher: T [..., d].
        reference: R [..., d], such as the frozen initial student.
        lam: Extrapolation, at least 0.
        clamp: Where lam > 1, use min(lam, max(1, clamp lam*)) in each dimension, as lam = 1 is always safe. None:
            raise instead when a dimension cannot take ``lam``.
        mean_limit: Bound of |mean|, the largest action that makes sense; None for no bound.

    Raises:
        ValueError: If lam is negative, or at least lam* in some dimension without ``clamp``.
    """
    if lam < 0.0:
        raise ValueError(f"target.lam must not be negative, got {lam}")
    weight: Weight = lam
    if lam > 1.0:
        limit = cliff(teacher, reference)
        if clamp is None:
            bad = _dimensions(limit <= lam)
            if bad:
                largest = limit.reshape(-1, limit.shape[-1]).amin(0)[bad[0]].item()
                raise ValueError(
                    f"target.lam = {lam} is not below the cliff lam* = {largest:.4g} of dimension {bad[0]} (all such:"
                    f" {bad}), where the teacher's std exceeds the reference's; lower target.lam or set target.clamp"
                )
        else:
            weight = (clamp * limit).clamp(1.0, lam)
    target = log_pool([reference, teacher], [1.0 - weight, weight])
    if mean_limit is None:
        return target
    return DiagonalGaussian(target.mean.clamp(-mean_limit, mean_limit), target.std)


def route(dists: Sequence[DiagonalGaussian], index: torch.Tensor) -> DiagonalGaussian:
    """Give every sample the teacher of its environment, terrain or robot.

    Args:
        dists: K teachers [B, d].
        index: Teacher of each sample, integers [B] in [0, K).

    Raises:
        ValueError: If an index names no teacher.
    """
    if bool(((index < 0) | (index >= len(dists))).any()):
        raise ValueError(
            f"route: indices reach from {index.min()} to {index.max()}, but there are {len(dists)} teachers"
        )
    rows = torch.arange(len(index), device=index.device)
    means, stds = (torch.stack([getattr(dist, name) for dist in dists]) for name in ("mean", "std"))
    return DiagonalGaussian(means[index, rows], stds[index, rows])


def anchored(teacher: DiagonalGaussian, anchor: DiagonalGaussian, coefficient: float) -> DiagonalGaussian:
    """Target of KL(S || T) + c KL(S || anchor): log-linear pool, weights 1 and c over 1 + c (Flow-OPD, adapted).

    Args:
        teacher: T [..., d], such as the routed one.
        anchor: Task-agnostic teacher [..., d].
        coefficient: c, at least 0.

    Raises:
        ValueError: If the coefficient is negative.
    """
    if coefficient < 0.0:
        raise ValueError(f"target.anchor_coef must not be negative, got {coefficient}")
    return log_pool([teacher, anchor], [1.0 / (1.0 + coefficient), coefficient / (1.0 + coefficient)])


def most_plausible(student: DiagonalGaussian, dists: Sequence[DiagonalGaussian]) -> torch.Tensor:
    """Index [B] of the teacher whose mean action the student finds most likely, for ``route`` (AMPO, adapted)."""
    return torch.stack([student.log_prob(dist.mean) for dist in dists]).argmax(0)


def _check_weights(dists: Sequence[DiagonalGaussian], weights: Sequence[Weight]) -> None:
    if len(dists) != len(weights) or not dists:
        raise ValueError(f"a pool needs one weight per distribution, got {len(dists)} and {len(weights)}")
    total: Weight = 0.0
    for weight in weights:
        total = total + weight
    error = (total - 1.0).abs().max().item() if isinstance(total, torch.Tensor) else abs(total - 1.0)
    if error > 1e-5:
        raise ValueError("the weights of a pool must sum to 1")


def _dimensions(bad: torch.Tensor) -> list[int]:
    """Dimensions in which any sample of ``bad`` [..., d] is true."""
    return bad.reshape(-1, bad.shape[-1]).any(0).nonzero().flatten().tolist()
