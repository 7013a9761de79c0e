"""Encoders that turn privileged states or proprioceptive histories into a latent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from rsl_rl.modules import MLP
from torch import nn

from legged_cts.models.mirrored import Mirror, Ties, mlp_ties
from legged_cts.models.normalization import RunningNormalization


class Encoder(nn.Module):
    """What all encoders have in common.

    A class of one's own may take an encoder's place through ``class_name`` in the configuration, with the word
    ``trust=<its module>`` on the command line of every script that builds it. Its constructor takes ``input_shape``,
    ``latent_dim`` and ``unit_latent`` and what the configuration gives. A feed-forward one has
    ``state_size`` 0 and ``forward(x [B, *input_shape]) -> latent [B, latent_dim]``; a recurrent one has the interface
    of ``legged_cts.models.recurrent.RecurrentEncoder``. For ``symmetry=exact`` either has ``ties(x, z)``, which yields
    how all its parameters are mirrored, given the mirrors of the input's last axis and of the latent.
    """

    state_size = 0
    """Width S of the hidden state that the caller keeps; 0 for feed-forward encoders."""

    def __init__(self, input_shape: Sequence[int], unit_latent: bool = True, obs_normalization: bool = False) -> None:
        """Build the normaliser.

        Args:
            input_shape: Shape of one input without the batch dimension: (m,) for a state, (H, n) for a history.
            unit_latent: Divide the latent by its L2 norm.
            obs_normalization: Normalise each feature (last dimension) with its own running statistics.
        """
        super().__init__()
        self.unit_latent = unit_latent
        self.obs_normalization = obs_normalization
        self.normalizer = RunningNormalization(input_shape[-1]) if obs_normalization else nn.Identity()

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Put latents [B, latent_dim] onto the unit sphere, if that was asked for."""
        return nn.functional.normalize(latent, dim=-1) if self.unit_latent else latent

    @torch.jit.unused
    def training_latent(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, dict[str, torch.Tensor]]:
        """Encode for training.

        Returns:
            Latents [B, latent_dim], a scalar to add to the loss that trains the encoder or None, and scalars to report.
        """
        return self(x), None, {}

    @torch.jit.unused
    def update_normalization(self, x: torch.Tensor) -> None:
        """Add inputs [B, n] to the running statistics; a no-op without normalisation."""
        if self.obs_normalization:
            self.normalizer.update(x)  # type: ignore[operator]


class LatentEncoder(Encoder):
    """MLP on the flattened input."""

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
        super().__init__(input_shape, unit_latent, obs_normalization)
        self.mlp = MLP(math.prod(input_shape), latent_dim, list(hidden_dims), activation)

    def ties(self, x: Mirror, z: Mirror) -> Ties:
        """Yield the ties of the MLP."""
        return mlp_ties(self.mlp, x, z)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode inputs [B, *input_shape] into latents [B, latent_dim]."""
        return self.project(self.mlp(self.normalizer(x).flatten(1)))
