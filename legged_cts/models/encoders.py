"""Encoders that turn privileged states or proprioceptive histories into a latent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from rsl_rl.modules import MLP, EmpiricalNormalization
from torch import nn


class LatentEncoder(nn.Module):
    """MLP encoder with an optional projection of its output onto the unit sphere.

    Any class with this constructor and ``forward`` can take its place through ``class_name`` in the configuration.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        latent_dim: int,
        unit_latent: bool = True,
        hidden_dims: Sequence[int] = (512, 256),
        activation: str = "elu",
        obs_normalization: bool = False,
    ) -> None:
        """Build the encoder.

        Args:
            input_shape: Shape of one input without the batch dimension: (m,) for a state, (H, n) for a history.
            latent_dim: Width of the latent.
            unit_latent: Divide the latent by its L2 norm.
            hidden_dims: Widths of the hidden layers.
            activation: Name of an rsl_rl activation.
            obs_normalization: Normalise each feature (last dimension) with its own running statistics.
        """
        super().__init__()
        self.unit_latent = unit_latent
        self.obs_normalization = obs_normalization
        self.normalizer = EmpiricalNormalization(input_shape[-1]) if obs_normalization else nn.Identity()
        self.mlp = MLP(math.prod(input_shape), latent_dim, list(hidden_dims), activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode inputs [B, *input_shape] into latents [B, latent_dim]."""
        latent = self.mlp(self.normalizer(x).flatten(1))
        if self.unit_latent:
            latent = nn.functional.normalize(latent, dim=-1)
        return latent

    @torch.jit.unused
    def update_normalization(self, x: torch.Tensor) -> None:
        """Add inputs [B, n] to the running statistics; a no-op without normalisation."""
        if self.obs_normalization:
            self.normalizer.update(x)  # type: ignore[operator]
