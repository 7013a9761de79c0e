"""A small network that learns beside the policy, which does not notice it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import torch
from rsl_rl.modules import MLP
from torch import nn

MAX_GRAD_NORM = 1.0


class SideNetwork(nn.Module):
    """MLP with one output and an Adam of its own.

    Neither its weights nor its steps draw from the global random numbers, so the policy is the same with it and without
    it, bit by bit, as long as nothing reads what it says.
    """

    def __init__(self, width: int, hidden_dims: Iterable[int], learning_rate: float, device: str) -> None:
        """Build the network.

        Args:
            width: Width of the input.
            hidden_dims: Widths of the hidden layers.
            learning_rate: Of Adam.
            device: Device of the learner.
        """
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.mlp = MLP(width, 1, list(hidden_dims), "elu")
        self.to(device)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=learning_rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Numbers [...] for inputs [..., width]."""
        return self.mlp(x).squeeze(-1)

    def _step(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        # An observation that is not finite must not end the network.
        if bool(nn.utils.clip_grad_norm_(self.parameters(), MAX_GRAD_NORM).isfinite()):
            self.optimizer.step()


def check_keys(path: str, node: Mapping[str, Any], known: Iterable[str]) -> None:
    """Check that ``node`` has no other keys than the ``known`` ones.

    Raises:
        ValueError: Naming the key by its ``path`` and those that are allowed.
    """
    known = list(known)
    for key in node:
        if key not in known:
            raise ValueError(f"unknown key {path}.{key}; allowed are: {', '.join(known)}")


def network_options(
    path: str, node: Mapping[str, Any], hidden_dims: tuple[int, ...], learning_rate: float
) -> tuple[tuple[int, ...], float]:
    """Return the checked ``hidden_dims`` and ``learning_rate`` of a node, by default the given ones.

    Raises:
        ValueError: Naming the field by its ``path`` and what it may be.
    """
    widths = node.get("hidden_dims", hidden_dims)
    if not isinstance(widths, list | tuple) or not widths or not all(is_count(width) for width in widths):
        raise ValueError(f"{path}.hidden_dims must be a list of widths such as {list(hidden_dims)}, got {widths!r}")
    rate = node.get("learning_rate", learning_rate)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0.0:
        raise ValueError(f"{path}.learning_rate must be a positive number, got {rate!r}")
    return tuple(widths), float(rate)


def is_count(value: Any) -> TypeGuard[int]:
    """Whether ``value`` is an integer of at least one."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
