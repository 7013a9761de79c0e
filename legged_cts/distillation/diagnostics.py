"""Numbers that show whether distillation does what its axes say."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from legged_cts.distillation.gaussians import DiagonalGaussian


def divergence_by_driver(divergence: torch.Tensor, teacher_acts: torch.Tensor) -> dict[str, float]:
    """Mean divergence [...] on states that the student and that the teacher visits; a driver without steps is left out.

    Behaviour cloning shows a small one on teacher states and a large one on student states.
    """
    masks = {"student_states": ~teacher_acts, "teacher_states": teacher_acts}
    return {name: divergence[mask].mean().item() for name, mask in masks.items() if bool(mask.any())}


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
) -> dict[str, float]:
    """Cosine between the gradients of distillation and of PPO, over all samples and by the sign of the advantage.

    Args:
        distillation: Distillation loss of each sample [B].
        surrogate: PPO's surrogate loss of each sample [B].
        advantages: Advantages [B].
        parameters: Shared parameters to compare on; the graph is kept.

    Returns:
        ``all``, ``negative`` and ``positive``; a set without samples is left out. A zero gradient has cosine 0.
    """
    masks = {
        "all": torch.ones_like(advantages, dtype=torch.bool),
        "negative": advantages < 0.0,
        "positive": advantages > 0.0,
    }
    result: dict[str, float] = {}
    for name, mask in masks.items():
        if bool(mask.any()):
            a, b = (_gradient(loss[mask].mean(), parameters) for loss in (distillation, surrogate))
            result[name] = torch.nn.functional.cosine_similarity(a, b, dim=0).item()
    return result


def _gradient(loss: torch.Tensor, parameters: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])
