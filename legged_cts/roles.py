"""Which environments are teachers and which are students."""

from __future__ import annotations

import torch

ROLES = ("student", "teacher")
"""Names of the roles, as they stand in metrics."""


def teacher_mask(num_envs: int, fraction: float, device: str | torch.device = "cpu") -> torch.Tensor:
    """Interleave teacher and student environments as evenly as integers allow.

    Neighbouring environments share a terrain type, so interleaving gives every terrain column both roles at any
    fraction and any number of environments.

    Args:
        num_envs: Number of environments, at least 1.
        fraction: Share of teachers in [0, 1].
        device: Device of the result.

    Returns:
        Bool tensor [num_envs] with exactly ``round(num_envs * fraction)`` teachers.

    Raises:
        ValueError: If an argument is out of range.
    """
    if num_envs < 1:
        raise ValueError(f"num_envs must be at least 1, got {num_envs}")
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"teacher_fraction must lie in [0, 1], got {fraction}")
    teachers = round(num_envs * fraction)
    index = torch.arange(num_envs + 1, device=device)
    # The number of teachers among the first i environments is floor(i * teachers / num_envs), in exact integers.
    counts = (index * teachers) // num_envs
    return counts[1:] > counts[:-1]
