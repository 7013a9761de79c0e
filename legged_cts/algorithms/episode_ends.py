"""How episodes end, as environments tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def time_outs(extras: Mapping[str, Any], dones: torch.Tensor) -> torch.Tensor:
    """Environments that a time limit cut off in this step, bool [N] on the device of ``dones``.

    Args:
        extras: What the environment returned; without ``time_outs`` every end of an episode is a fall.
        dones: Ends of episodes [N].
    """
    cut = extras.get("time_outs")
    return torch.zeros_like(dones, dtype=torch.bool) if cut is None else cut.to(dones.device).bool()
