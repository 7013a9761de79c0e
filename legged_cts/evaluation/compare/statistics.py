"""What few seeds can say: means with bootstrap intervals, and exact tests of differences between paired runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
BOOTSTRAP_SEED = 0
"""Fixed, so that a report is the same whenever it is made."""


@dataclass(frozen=True)
class Estimate:
    """A statistic over seeds with its 95 % interval; NaN where there are too few values."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Sample:
    """One metric of one arm over its seeds."""

    n: int
    mean: Estimate
    iqm: Estimate


@dataclass(frozen=True)
class Difference:
    """A metric's difference between two arms over the seeds that both have."""

    n: int
    mean: Estimate
    p: float
    """Two-sided, of the exact sign-flip test."""


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without the ``floor(n / 4)`` smallest and largest values.

    As in Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", and
    ``scipy.stats.trim_mean(values, 0.25)``. With fewer than four values nothing is cut: it is the mean.
    """
    n = values.shape[-1]
    cut = n // 4
    return np.sort(values, axis=-1)[..., cut : n - cut].mean(axis=-1)


def mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis."""
    return values.mean(axis=-1)


def estimate(values: Sequence[float], statistic: Callable[[np.ndarray], np.ndarray] = mean) -> Estimate:
    """A statistic of values [n] with its 95 % percentile bootstrap interval.

    With three values the interval reaches from the smallest to the largest: a resample is thrice the smallest with
    probability 1 / 27 > 2.5 %.

    Args:
        values: One per seed, finite.
        statistic: Reduces the last axis.
    """
    data = np.asarray(values, dtype=np.float64)
    n = len(data)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan)
    value = float(statistic(data))
    if n == 1:
        return Estimate(value, math.nan, math.nan)
    picks = np.random.default_rng(BOOTSTRAP_SEED).integers(n, size=(RESAMPLES, n))
    low, high = np.percentile(statistic(data[picks]), [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def sample(values: Sequence[float]) -> Sample:
    """Mean and interquartile mean of the finite values, one per seed."""
    finite = [value for value in values if math.isfinite(value)]
    return Sample(len(finite), estimate(finite), estimate(finite, interquartile_mean))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of the exact sign-flip permutation test on paired differences [n], NaN if there are none.

    If neither arm is better, each difference could as well have the other sign. p is the share of all 2^n choices of
    signs whose mean is at least as far from zero as the observed one; it cannot be below 2 / 2^n.
    """
    data = np.asarray(differences, dtype=np.float64)
    if len(data) == 0:
        return math.nan
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(data))))
    sums = np.abs(signs @ data)
    # Sums of the same numbers in another order differ by rounding.
    return float((sums >= abs(data.sum()) - 1e-12 * np.abs(data).sum()).mean())


def difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """The difference a - b between runs paired by seed; pairs with a value that is not finite are left out.

    Raises:
        ValueError: If there are not equally many of both.
    """
    pairs = [x - y for x, y in zip(a, b, strict=True) if math.isfinite(x) and math.isfinite(y)]
    return Difference(len(pairs), estimate(pairs), sign_flip_p(pairs))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of p-values (1979, Scand. J. Statist. 6:65), in their order.

    NaN stays NaN but counts as a test, so that a partial result is not corrected too little.
    """
    order = sorted((index for index, p in enumerate(p_values) if not math.isnan(p)), key=lambda index: p_values[index])
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
