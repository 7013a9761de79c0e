"""Several teachers, or a teacher and a reference, as one target."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from legged_cts.distillation.gaussians import DiagonalGaussian


def log_pool(first: DiagonalGaussian, second: DiagonalGaussian, weight: float | torch.Tensor) -> DiagonalGaussian:
    """Log-linear pool: the density proportional to first^(1 - w) second^w, again a Gaussian.

    Its precision and its precision-weighted mean are the weighted sums of those of the two. It minimises
    (1 - w) KL(S || first) + w KL(S || second) over S.

    Args:
        first: [..., d].
        second: [..., d].
        weight: w, a number or a tensor that broadcasts to [..., d]; outside [0, 1] as long as every dimension keeps a
            positive precision.

    Raises:
        ValueError: If a dimension's precision is not positive.
    """
    parts = [(1.0 - weight) / first.std.square(), weight / second.std.square()]
    precision = parts[0] + parts[1]
    bad = (precision <= 0.0).reshape(-1, precision.shape[-1]).any(0).nonzero().flatten().tolist()
    if bad:
        raise ValueError(f"log_pool: no Gaussian is left in the dimensions {bad}; bring the weight closer to [0, 1]")
    return DiagonalGaussian((parts[0] * first.mean + parts[1] * second.mean) / precision, precision.rsqrt())


def cliff(teacher: DiagonalGaussian, reference: DiagonalGaussian) -> torch.Tensor:
    """Largest extrapolation lam* [..., d] (exclusive): s_T^2 / (s_T^2 - s_R^2) where s_T > s_R, else infinite.

    Adapted from Extrapolation Cliff: past lam* the target of ``extrapolate`` has no positive precision.
    """
    teacher_variance, reference_variance = teacher.std.square(), reference.std.square()
    excess = teacher_variance - reference_variance
    return torch.where(excess > 0.0, teacher_variance / excess, torch.inf)


def extrapolate(
    teacher: DiagonalGaussian, reference: DiagonalGaussian, lam: float, clamp: float | None = 0.9
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

    Raises:
        ValueError: If lam is at least lam* in some dimension without ``clamp``.
    """
    if lam <= 1.0:
        return log_pool(reference, teacher, lam)
    limit = cliff(teacher, reference)
    if clamp is not None:
        return log_pool(reference, teacher, (clamp * limit).clamp(1.0, lam))
    if bool((limit <= lam).any()):
        raise ValueError(
            f"target.lam = {lam} is not below the cliff lam* = {limit.min().item():.4g}, where the teacher's std"
            " exceeds the reference's; lower target.lam or set target.clamp"
        )
    return log_pool(reference, teacher, lam)


def route(dists: Sequence[DiagonalGaussian], index: torch.Tensor) -> DiagonalGaussian:
    """Give every sample the teacher of its environment, terrain or robot.

    Args:
        dists: K teachers [B, d].
        index: Teacher of each sample, integers [B] in [0, K).
    """
    rows = torch.arange(len(index), device=index.device)
    means, stds = (torch.stack([getattr(dist, name) for dist in dists]) for name in ("mean", "std"))
    return DiagonalGaussian(means[index, rows], stds[index, rows])
