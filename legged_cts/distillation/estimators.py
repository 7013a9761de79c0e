"""Reverse KL from sampled actions, for the cases in which the closed form cannot be used as a loss."""

from __future__ import annotations

import torch

ESTIMATORS = ("k1", "k2")


def sampled_reverse_kl_loss(
    estimator: str,
    student_log_prob: torch.Tensor,
    teacher_log_prob: torch.Tensor,
    baseline: torch.Tensor | None = None,
) -> torch.Tensor:
    """Loss per sample whose mean gradient is that of KL(S || T), for actions drawn from S.

    With l = ln T(a) - ln S(a), ``k1`` is the policy-gradient form -sg(l + baseline) ln S(a) and ``k2`` is l^2 / 2.
    ``k3`` (e^l - l - 1) is a good estimate of the value, but as a loss it has the gradient of the forward KL, with
    heavy-tailed weights.

    Args:
        estimator: ``k1`` or ``k2``.
        student_log_prob: ln S(a) [...], with gradient.
        teacher_log_prob: ln T(a) [...]; taken as constant.
        baseline: Added to l, a function of the state alone [...]. KL(S || T) removes the KL^2 / s^2 from the variance
            of each component of the gradient that l's mean causes (vOPD). ``k1`` only.

    Raises:
        ValueError: If the estimator is unknown, is ``k3``, or does not take a baseline.
    """
    if estimator == "k3":
        raise ValueError(
            "k3 as a loss has the gradient of the forward KL, with heavy-tailed weights; use k1 or k2, or the closed"
            " form forward_kl if that gradient is wanted"
        )
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator '{estimator}'; allowed are: {', '.join(ESTIMATORS)}")
    log_ratio = teacher_log_prob.detach() - student_log_prob
    if estimator == "k1":
        advantage = log_ratio if baseline is None else log_ratio + baseline
        return -advantage.detach() * student_log_prob
    if baseline is not None:
        raise ValueError("k2 takes no baseline; use k1")
    return 0.5 * log_ratio.square()
