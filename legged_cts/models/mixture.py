"""A mixture of experts as encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from rsl_rl.modules import MLP
from torch import nn

from legged_cts.models.encoders import Encoder
from legged_cts.models.mirrored import Mirror, Ties, mlp_ties, same


class MixtureEncoder(Encoder):
    """MLP experts whose latents a softmax gate averages; every expert sees every input.

    A penalty on uneven use keeps the gate from settling on a few experts: ``balance_weight * mean((u - 1/E)^2)`` with
    the mean gate weight u of each of the E experts over a mini-batch.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        latent_dim: int,
        unit_latent: bool = True,
        hidden_dims: Sequence[int] = (512, 256),
        activation: str = "elu",
        obs_normalization: bool = False,
        experts: int = 8,
        gate_hidden_dims: Sequence[int] = (64,),
        balance_weight: float = 0.01,
    ) -> None:
        """Build experts and gate.

        Args:
            input_shape: Shape of one input without the batch dimension: (m,) for a state, (H, n) for a history.
            latent_dim: Width of the latent.
            unit_latent: Divide the averaged latent by its L2 norm.
            hidden_dims: Widths of the hidden layers of each expert.
            activation: Name of an rsl_rl activation.
            obs_normalization: Normalise each feature (last dimension) with its own running statistics.
            experts: Number of experts E, at least 1.
            gate_hidden_dims: Widths of the gate's hidden layers.
            balance_weight: Weight of the penalty on uneven use, at least 0.

        Raises:
            ValueError: If a number is out of range.
        """
        if experts < 1:
            raise ValueError(f"networks.student_encoder.experts must be at least 1, got {experts}")
        if balance_weight < 0.0:
            raise ValueError(f"networks.student_encoder.balance_weight must not be negative, got {balance_weight}")
        super().__init__(input_shape, unit_latent, obs_normalization)
        self.balance_weight = balance_weight
        size = math.prod(input_shape)
        self.experts = nn.ModuleList(MLP(size, latent_dim, list(hidden_dims), activation) for _ in range(experts))
        self.gate = MLP(size, experts, list(gate_hidden_dims), activation)

    def ties(self, x: Mirror, z: Mirror) -> Ties:
        """Yield the ties of experts that commute with the mirror and of a gate that does not see it."""
        for expert in self.experts:
            yield from mlp_ties(expert, x, z)
        yield from mlp_ties(self.gate, x, same(len(self.experts)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode inputs [B, *input_shape] into latents [B, latent_dim]."""
        return self._encode(x)[0]

    @torch.jit.unused
    def training_latent(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, dict[str, torch.Tensor]]:
        """Encode for training; the penalty is that on uneven use, and the report the use of each expert."""
        latent, weights = self._encode(x)
        use = weights.mean(0)
        penalty = self.balance_weight * (use - 1.0 / len(use)).square().mean()
        return latent, penalty, {f"expert_use_{i}": share for i, share in enumerate(use.detach())}

    def _encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return latents [B, latent_dim] and gate weights [B, E]."""
        x = self.normalizer(x).flatten(1)
        weights = self.gate(x).softmax(-1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return self.project((weights.unsqueeze(-1) * outputs).sum(1)), weights
