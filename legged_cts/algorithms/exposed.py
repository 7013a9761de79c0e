"""A teacher encoder that is shown a part of its input."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from rsl_rl.modules import MLP

from legged_cts.distillation.exposure import Exposure
from legged_cts.models.encoders import Encoder
from legged_cts.models.mirrored import Mirror, Ties, joined, mlp_ties, same


class ExposedEncoder(Encoder):
    """MLP on a normalised state of which blocks of neighbouring columns are hidden, with one bit per block.

    All inputs see the same blocks until ``show`` is called again: by default all, and of a ratio the first
    round(ratio blocks) of a random order; ``expose`` chooses something else.
    """

    reads_groups = True
    """Whether the constructor takes ``groups``."""
    ratio: torch.Tensor
    seen: torch.Tensor
    """Blocks that are shown, bool [G]; in checkpoints, so that a policy sees later what it saw when it was saved."""
    block: torch.Tensor
    """Number of each column's block [m]."""

    def __init__(
        self,
        input_shape: Sequence[int],
        latent_dim: int,
        unit_latent: bool = True,
        hidden_dims: Sequence[int] = (512, 256),
        activation: str = "elu",
        obs_normalization: bool = False,
        blocks: int | None = 8,
        groups: Mapping[str, int] | None = None,
    ) -> None:
        """Build the encoder.

        Args:
            input_shape: (m,).
            latent_dim: Width of the latent.
            unit_latent: Divide the latent by its L2 norm.
            hidden_dims: Widths of the hidden layers.
            activation: Name of an rsl_rl activation.
            obs_normalization: Normalise each column with its own running statistics.
            blocks: Blocks of nearly equal width, at most m; None: one block per observation group.
            groups: Name and number of columns of each observation group, in the order of the columns.

        Raises:
            ValueError: If there are more blocks than columns, or none, or no groups to make blocks of.
        """
        super().__init__(input_shape, unit_latent, obs_normalization)
        width = math.prod(input_shape)
        if blocks is None:
            if groups is None:
                raise ValueError("networks.teacher_encoder.blocks must be a number: no observation groups are known")
            self._blocks = dict(groups)
        elif not 1 <= blocks <= width:
            raise ValueError(f"networks.teacher_encoder.blocks must lie in [1, {width}], got {blocks}")
        else:
            sizes = [len(part) for part in torch.arange(width).tensor_split(blocks)]
            self._blocks = {f"block{i:03d}": size for i, size in enumerate(sizes)}
        self._by_group = blocks is None
        self.register_buffer("ratio", torch.ones(()))
        self.register_buffer("seen", torch.ones(len(self._blocks), dtype=torch.bool))
        block = torch.arange(len(self._blocks)).repeat_interleave(torch.tensor(list(self._blocks.values())))
        self.register_buffer("block", block)
        self.expose("ratio")
        self.mlp = MLP(self.exposure.output_dim, latent_dim, list(hidden_dims), activation)

    def expose(self, mode: str, hidden: Iterable[str] = (), order: str = "fixed", seed: int = 0) -> None:
        """Choose what is shown, see ``Exposure``; with the same weights, for blocks and bits stay the same.

        Args:
            mode: ``ratio``, or ``fixed`` for all groups but the ``hidden`` ones.
            hidden: Observation groups that are never shown.
            order: How ``ratio`` chooses blocks, ``fixed`` or ``bernoulli``.
            seed: Of that choice.

        Raises:
            ValueError: If ``fixed`` shall hide groups but the blocks are not those, or no group has such a name.
        """
        if mode == "fixed" and not self._by_group:
            raise ValueError(
                "distillation.exposure.mode = fixed hides observation groups; set networks.teacher_encoder.blocks to"
                " null, so that each of them is one block"
            )
        self.exposure = Exposure(self._blocks, mode, hidden, order, seed)
        self.show(1.0)

    def show(self, ratio: float, draw: int = 0) -> None:
        """Show this share of the blocks from now on; ``draw`` numbers the toss of ``bernoulli``."""
        self.ratio.fill_(ratio)
        self.seen.copy_(self.exposure.mask(1, ratio, draw)[0])

    def ties(self, x: Mirror, z: Mirror) -> Ties:
        """Yield the ties of the MLP, whose bits are those of a mirrored robot, too.

        Columns that change places with each other are put into one block, or it might hide one side of the robot alone.
        """
        if (self.block[x.index] != self.block).any():
            _, pair = torch.minimum(torch.arange(len(x)), x.index).unique(return_inverse=True)
            self.block.copy_(pair * len(self._blocks) // (int(pair.max()) + 1))
        return mlp_ties(self.mlp, joined((x, same(len(self._blocks)))), z)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        state_dict.setdefault(f"{prefix}block", self.block)  # checkpoints of before there was a choice
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode states [B, m] into latents [B, latent_dim]."""
        x = self.exposure.apply(self.normalizer(x), self.seen.expand(len(x), -1), self.block)
        return self.project(self.mlp(x))
