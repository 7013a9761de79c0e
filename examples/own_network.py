"""A network: the student's encoder as a convolution over the frames of its history."""

from collections.abc import Sequence

import torch
from rsl_rl.modules import MLP
from torch import nn

from legged_cts.models.encoders import Encoder


class ConvolutionEncoder(Encoder):
    """One convolution over time, then an MLP."""

    def __init__(
        self,
        input_shape: Sequence[int],
        latent_dim: int,
        unit_latent: bool = True,
        hidden_dims: Sequence[int] = (256,),
        activation: str = "elu",
        channels: int = 32,
    ) -> None:
        """Build the encoder of a history [H, n]; ``hidden_dims`` and ``activation`` are the MLP's."""
        super().__init__(input_shape, unit_latent)
        frames, features = input_shape
        self.convolution = nn.Conv1d(features, channels, kernel_size=min(3, frames))
        self.mlp = MLP(channels * (frames - min(3, frames) + 1), latent_dim, list(hidden_dims), activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode histories [B, H, n] into latents [B, latent_dim]."""
        seen = torch.relu(self.convolution(x.transpose(1, 2)))
        return self.project(self.mlp(seen.flatten(1)))
