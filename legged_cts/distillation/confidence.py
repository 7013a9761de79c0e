"""A head that tells how likely the student is to stay on its feet, trained on the student's own outcomes.

A distilled student copies the confidence of a teacher that sees more (CaOPD, adapted); so the targets come from steps
that the student drives, never from the teacher's.
"""

from __future__ import annotations

import torch
from torch import nn


def survival_targets(
    falls: torch.Tensor,
    time_outs: torch.Tensor,
    horizon: int,
    teacher_acts: torch.Tensor | None = None,
    steps_left: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether the student survives the next ``horizon`` steps, as far as the rollout tells.

    A step is judged only if the rollout could have shown all of its horizon. Were late steps that fell kept and late
    steps that are still walking dropped, the head would be too pessimistic; ``steps_left`` does the same for ends of
    episodes that are known ahead.

    Args:
        falls: Episodes that ended by a fall in this step, bool [T, N].
        time_outs: Episodes that were cut off in this step without a fall, bool [T, N].
        horizon: H in steps, from 1 to T.
        teacher_acts: Who acted, bool [T, N]; horizons in which the teacher acts before a fall are not judged.
        steps_left: Steps until the episode's time limit or the teacher's take-over, counting the current one [T, N].

    Returns:
        Targets, 1 for survival and 0 for a fall, and a bool mask of judged steps, both [T, N].

    Raises:
        ValueError: If the horizon does not fit into the rollout.
    """
    steps = len(falls)
    if not 1 <= horizon <= steps:
        raise ValueError(f"the confidence horizon must lie in [1, {steps}], the steps of a rollout, got {horizon}")
    falls, time_outs = falls.bool(), time_outs.bool()
    driven = torch.zeros_like(falls) if teacher_acts is None else teacher_acts.bool()
    fell = torch.zeros_like(falls)
    known = torch.zeros_like(falls)
    count = steps - horizon + 1
    open_ = torch.ones_like(falls[:count])  # windows without a fall, a time-out or the teacher so far
    for offset in range(horizon):
        later = slice(offset, offset + count)
        open_ = open_ & ~driven[later]
        fell[:count] |= open_ & falls[later]
        open_ = open_ & ~falls[later] & ~time_outs[later]
    known[:count] = open_ | fell[:count]
    if steps_left is not None:
        known &= steps_left >= horizon
    return 1.0 - fell.float(), known


def steps_to_teacher(teacher_acts: torch.Tensor) -> torch.Tensor:
    """Steps until the teacher next acts, whatever episode that is in, counting the current one; integers [T, N].

    For ``survival_targets`` where every step has a coin of its own: such a coin does not know of falls, so horizons in
    which it gives the teacher a step can be left out whether they fell or not. Zero where the teacher acts; steps after
    which it acts no more get at least T.

    Args:
        teacher_acts: Who acted, bool [T, N].
    """
    steps = torch.zeros(teacher_acts.shape, dtype=torch.long, device=teacher_acts.device)
    left = torch.full_like(steps[0], len(steps))
    for step in reversed(range(len(steps))):
        left = torch.where(teacher_acts[step], 0, left + 1)
        steps[step] = left
    return steps


def confidence_loss(logits: torch.Tensor, targets: torch.Tensor, judged: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of logits over the judged steps, all of one shape; scalar, zero without any."""
    loss = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (loss * judged).sum() / judged.sum().clamp(min=1)
