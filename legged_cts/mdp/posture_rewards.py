"""Reward terms about how a robot holds itself. Each returns one value per environment [N]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnv


def alive(env: LeggedEnv) -> torch.Tensor:
    """1 as long as the episode lasts, so that its end costs something."""
    return env.constant((1.0,)).expand(env.num_envs)


def posture(env: LeggedEnv, weights: Sequence[float], sigma: float | None = None) -> torch.Tensor:
    """Squared deviations [rad^2] from the nominal pose, summed with a weight per joint [d].

    With ``sigma`` [rad^2] it is a reward instead, exp(-sum / sigma).
    """
    state = env.state.current()
    error = (state.joint_pos - state.default_joint_pos).square() @ env.constant(weights)
    return error if sigma is None else torch.exp(-error / sigma)


POSTURE_TERMS = (alive, posture)
