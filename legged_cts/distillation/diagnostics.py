"""Numbers that show whether distillation does what its axes say; none of them changes the training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from legged_cts.distillation.gaussians import DiagonalGaussian


@torch.no_grad()
def by_driver(
    divergence: torch.Tensor,
    student: DiagonalGaussian,
    teacher: DiagonalGaussian,
    teacher_acts: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Divergence and calibration on the states that the student and that the teacher visits.

    Behaviour cloning shows a small divergence on the teacher's states and a large one on the student's.

    Args:
        divergence: D of each state [B].
        student: S [B, d].
        teacher: The target [B, d].
        teacher_acts: Who drove, bool [B].

    Returns:
        ``distillation/divergence_<role>``, the mean, and ``distillation/calibration_<role>``, the mean over dimensions,
        as scalars; ``<role>`` is who drove, and one without states is left out.
    """
    result: dict[str, torch.Tensor] = {}
    for role, rows in (("student", ~teacher_acts), ("teacher", teacher_acts)):
        if bool(rows.any()):
            result[f"distillation/divergence_{role}"] = divergence[rows].mean()
            result[f"distillation/calibration_{role}"] = calibration(
                *(DiagonalGaussian(policy.mean[rows], policy.std[rows]) for policy in (student, teacher))
            ).mean()
    return result


def calibration(student: DiagonalGaussian, teacher: DiagonalGaussian) -> torch.Tensor:
    """Student's std over the residual std of the teacher's actions around the student's mean, per dimension [d].

    The residual variance is E[s_T^2 + (mu_S - mu_T)^2] over the batch. One is calibrated, as under forward KL; reverse
    KL gives less wherever the student cannot follow.
    """
    residual = teacher.std.square() + (student.mean - teacher.mean).square()
    flat = [x.detach().reshape(-1, x.shape[-1]).mean(0) for x in (student.std.square(), residual)]
    return (flat[0] / flat[1]).sqrt()


def gradient_cosines(
    distillation: torch.Tensor,
    surrogate: torch.Tensor,
    advantages: torch.Tensor,
    parameters: Sequence[torch.nn.Parameter],
) -> dict[str, torch.Tensor]:
    """Cosine between the gradients of distillation and of PPO, over all samples and by the sign of the advantage.

    Args:
        distillation: Distillation loss of each sample [B].
        surrogate: PPO's surrogate loss of each sample [B].
        advantages: Advantages [B].
        parameters: Shared parameters to compare on; the graph is kept, and their ``grad`` is not touched.

    Returns:
        ``distillation/cosine_all``, ``_negative`` and ``_positive`` as scalars; a set without samples is left out. A
        zero gradient has cosine 0.
    """
    masks = {
        "all": torch.ones_like(advantages, dtype=torch.bool),
        "negative": advantages < 0.0,
        "positive": advantages > 0.0,
    }
    result: dict[str, torch.Tensor] = {}
    for name, mask in masks.items():
        if bool(mask.any()):
            a, b = (_gradient(loss[mask].mean(), parameters) for loss in (distillation, surrogate))
            result[f"distillation/cosine_{name}"] = torch.nn.functional.cosine_similarity(a, b, dim=0)
    return result


def _gradient(loss: torch.Tensor, parameters: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])
