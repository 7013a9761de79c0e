"""A network: the student's encoder as a convolution over the frames of its history."""

from collections.abc import Sequence

import torch
from rsl_rl.modules import MLP
from torch import nn

from legged_cts.models.encoders import Encoder
from legged_cts.models.mirrored import Mirror, Ties, halves, joined, linear_ties, mlp_ties


class ConvolutionEncoder(Encoder):
    """The same filters on every few frames in succession, then an MLP."""

    def __init__(
        self,
        input_shape: Sequence[int],
        latent_dim: int,
        unit_latent: bool = True,
        hidden_dims: Sequence[int] = (256,),
        activation: str = "elu",
        channels: int = 32,
        width: int = 3,
    ) -> None:
        """Build the encoder of a history [H, n]: ``channels`` filters, each ``width`` <= H frames wide."""
        super().__init__(input_shape, unit_latent)
        frames, features = input_shape
        self.width, self.places = width, frames - width + 1
        self.filters = nn.Linear(width * features, channels)
        self.mlp = MLP(self.places * channels, latent_dim, list(hidden_dims), activation)

    def ties(self, x: Mirror, z: Mirror) -> Ties:
        """Yield how the parameters are mirrored, for ``symmetry=exact``: the channels come in two halves."""
        channels = halves(self.filters.out_features)
        yield from linear_ties(self.filters, joined([x] * self.width), channels)
        yield from mlp_ties(self.mlp, channels, z)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode histories [B, H, n] into latents [B, latent_dim]."""
        windows = torch.cat([x[:, i : i + self.places] for i in range(self.width)], dim=2)
        return self.project(self.mlp(torch.relu(self.filters(windows)).flatten(1)))
