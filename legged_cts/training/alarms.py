"""The known failures of concurrent teacher-student training, and of its machine, recognised in its metrics."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from legged_cts.roles import ROLES
from legged_cts.training.machine import SHORT, shortages

BLOCK = 100
"""Iterations that are averaged before two times are compared. Ours: with 64 students less is mostly noise."""
RISING_BLOCKS = 3
"""Blocks in a row over which a gap has to rise. Ours: two may do so by chance, three seldom do."""
GAP_SHARE = 0.2
"""Return gap as a share of the return from which on it matters. Ours: a healthy run on flat ground showed up to 0.15
for a while, in the noise of 64 students."""
ERROR_GROWTH = 1.5
"""Latent error over its lowest mean. Public notes on a wheel-legged robot whose teacher saw the terrain ahead have it
go from 0.004 to 0.009, 2.25 times, while the student learned odd half-steps at risers; the square root is early."""
RECENT = 50
"""Iterations over which a limit has to be broken on average."""
WARM_UP = 100
"""Iterations that a critic gets before it must be better than a constant. Ours."""
MIN_EXPLAINED_VARIANCE = 0.0
"""A constant explains 0. Below it the critic adds variance to the advantages instead of taking it away, and the policy
would do better with the mean latent than with the student encoder's."""
MIN_DIMENSION = 2.0
"""Participation ratio of the latents. One number cannot tell friction from slope. Ours."""
MAX_CLIP_FRACTION = 0.5
"""Share of clipped samples: PPO with its common settings clips 0.1 to 0.3; above one half most of a batch is spent on
samples that have left the trust interval. Ours."""
MAX_EXPERT_USE = 0.9
"""Mean gate weight of one expert: what is left for all others together is a tenth. Ours."""
MEMORY = 3000
"""Iterations that are remembered. In those notes the failure began after 1500 and went on until the end at 5000."""
CHECK_EVERY = 25
"""Iterations between two looks."""

EXPERT = "loss/expert_use_"
_BY_ROLE = ("value/explained_variance", "latent/dimension", "policy/clip_fraction")
_WATCHED = {
    "gap/return", "latent/error", "latent/explained_variance", "loss/reconstruction", "student/reward",
    "loss/reward_student", *SHORT,
    *(f"{role}/return" for role in ROLES), *(f"{n}_{role}" for n in _BY_ROLE for role in ROLES),
}  # fmt: skip

History = Sequence[Mapping[str, float]]


def warnings_of(history: History) -> list[str]:
    """Say in words which failures of CTS the last iterations show; nothing of a metric that is missing.

    Args:
        history: The metrics of one iteration after the other, oldest first.
    """
    return list(alarms_of(history).values())


def alarms_of(history: History) -> dict[str, str]:
    """Return what :func:`warnings_of` says, by a name of the failure that does not change with the numbers."""
    found = {"return_gap": _gap(history), "latent_error": _latent_error(history), "experts": _experts(history)}
    known = _recent(history, "latent/explained_variance")
    if len(history) >= WARM_UP and known < MIN_EXPLAINED_VARIANCE:
        found["latent_explained"] = (
            f"the student encoder is worse than a constant: it explains {known:.2f} of the teacher's latent"
        )
    for role in ROLES:
        explained = _recent(history, f"value/explained_variance_{role}")
        if len(history) >= WARM_UP and explained < MIN_EXPLAINED_VARIANCE:
            found[f"explained_variance_{role}"] = (
                f"the critic is worse than a constant on {role}s: explained variance {explained:.2f}"
            )
        dimension = _recent(history, f"latent/dimension_{role}")
        if dimension < MIN_DIMENSION:
            found[f"dimension_{role}"] = (
                f"the latent of the {role}s has collapsed: effective dimension {dimension:.1f}, below {MIN_DIMENSION:g}"
            )
        clipped = _recent(history, f"policy/clip_fraction_{role}")
        if clipped > MAX_CLIP_FRACTION:
            found[f"clip_fraction_{role}"] = (
                f"PPO clips {clipped:.0%} of the {role} samples: lower algorithm.learning_rate or algorithm.desired_kl"
            )
    short = shortages({key: _recent(history, key) for key in SHORT})
    found |= {f"short_of_{name}": f"short of {text}" for name, text in short.items()}
    return {name: text for name, text in found.items() if text is not None}


class Alarms:
    """Remembers a training's metrics and tells each failure once."""

    def __init__(self) -> None:
        self._history: deque[dict[str, float]] = deque(maxlen=MEMORY)
        self._told: set[str] = set()
        self._count = 0

    def new(self, metrics: Mapping[str, float]) -> list[str]:
        """Add the metrics of an iteration; return what has to be told now."""
        self._history.append({k: v for k, v in metrics.items() if k in _WATCHED or k.startswith(EXPERT)})
        self._count += 1
        if self._count % CHECK_EVERY:
            return []
        fresh = {name: text for name, text in alarms_of(self._history).items() if name not in self._told}
        self._told.update(fresh)
        return list(fresh.values())


def _gap(history: History) -> str | None:
    gap = _blocks(history, "gap/return")[-RISING_BLOCKS:]
    scale = max((abs(mean) for role in ROLES for mean in _blocks(history, f"{role}/return")[-1:]), default=math.nan)
    rising = len(gap) == RISING_BLOCKS and all(a < b for a, b in zip(gap, gap[1:], strict=False))
    if not rising or not gap[-1] > GAP_SHARE * scale:
        return None
    return (
        f"the students fall behind: the return gap rose from {gap[0]:.2f} to {gap[-1]:.2f} over "
        f"{RISING_BLOCKS * BLOCK} iterations; the policy may rely on what no history shows "
        "(try runner.obs_groups.teacher without height_scan)"
    )


def _latent_error(history: History) -> str | None:
    error = _blocks(history, "latent/error") or _blocks(history, "loss/reconstruction")
    reward = _blocks(history, "student/reward") or _blocks(history, "loss/reward_student")
    if len(error) < 2 or len(reward) < 2 or not error[-1] >= ERROR_GROWTH * min(error):
        return None
    if not reward[-1] <= max(reward[:-1]):
        return None
    return (
        f"the student loses the teacher's latent: its error is {error[-1] / min(error):.1f} times its lowest "
        "mean, while the student's reward stalls"
    )


def _experts(history: History) -> str | None:
    keys = [key for key in (history[-1] if history else ()) if key.startswith(EXPERT)]
    use = {key: _recent(history, key) for key in keys}
    if len(use) < 2 or not max(use.values()) > MAX_EXPERT_USE:
        return None
    key = max(use, key=lambda name: use[name])
    return f"expert {key.removeprefix(EXPERT)} does {use[key]:.0%} of the work: the mixture has collapsed"


def _recent(history: History, key: str) -> float:
    """Mean of the finite values of the last iterations, NaN while there are too few."""
    if len(history) < RECENT:
        return math.nan
    return _mean([history[i].get(key, math.nan) for i in range(len(history) - RECENT, len(history))])


def _blocks(history: History, key: str) -> list[float]:
    """Means of consecutive whole blocks up to the last iteration, oldest first; those without a value are left out."""
    values = [entry.get(key, math.nan) for entry in history]
    first = len(values) % BLOCK
    means = [_mean(values[start : start + BLOCK]) for start in range(first, len(values), BLOCK)]
    return [mean for mean in means if math.isfinite(mean)]


def _mean(values: list[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
