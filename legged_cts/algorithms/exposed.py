"""A teacher encoder that is shown a share of its input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from rsl_rl.modules import MLP

from legged_cts.distillation.exposure import Exposure
from legged_cts.models.encoders import Encoder


class ExposedEncoder(Encoder):
    """MLP on a normalised state of which blocks of neighbouring columns are hidden, with one bit per block.

    All inputs see the same blocks, the first round(ratio blocks) of an order that follows from ``seed``; whoever trains
    the encoder sets ``ratio``.
    """

    ratio: torch.Tensor

    def __init__(
        self,
        input_shape: Sequence[int],
        latent_dim: int,
        unit_latent: bool = True,
        hidden_dims: Sequence[int] = (512, 256),
        activation: str = "elu",
        obs_normalization: bool = False,
        blocks: int = 8,
        seed: int = 0,
    ) -> None:
        """Build the encoder.

        Args:
            input_shape: (m,).
            latent_dim: Width of the latent.
            unit_latent: Divide the latent by its L2 norm.
            hidden_dims: Widths of the hidden layers.
            activation: Name of an rsl_rl activation.
            obs_normalization: Normalise each column with its own running statistics.
            blocks: Blocks of nearly equal width, at most m.
            seed: Of the order in which blocks are shown.

        Raises:
            ValueError: If there are more blocks than columns, or none.
        """
        super().__init__(input_shape, unit_latent, obs_normalization)
        width = math.prod(input_shape)
        if not 1 <= blocks <= width:
            raise ValueError(f"networks.teacher_encoder.blocks must lie in [1, {width}], got {blocks}")
        sizes = [len(part) for part in torch.arange(width).tensor_split(blocks)]
        self._blocks = {f"block{i:03d}": size for i, size in enumerate(sizes)}
        self._seed = seed
        self.exposure = Exposure(self._blocks, "ratio", seed=seed)
        self.register_buffer("ratio", torch.ones(()))
        self.mlp = MLP(self.exposure.output_dim, latent_dim, list(hidden_dims), activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode states [B, m] into latents [B, latent_dim]."""
        x = self.normalizer(x)
        if self.exposure.sizes.device != x.device:
            self.exposure = Exposure(self._blocks, "ratio", seed=self._seed, device=x.device)
        x = self.exposure.apply(x, self.exposure.mask(len(x), float(self.ratio)))
        return self.project(self.mlp(x))
