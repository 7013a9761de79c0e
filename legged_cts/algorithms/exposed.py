"""A teacher encoder that is shown a part of its input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from rsl_rl.modules import MLP

from legged_cts.algorithms.reduce import joint_sum, of_first
from legged_cts.algorithms.terms import Term
from legged_cts.distillation.beta_controller import BetaController
from legged_cts.models.encoders import Encoder
from legged_cts.models.mirrored import Mirror, Ties, joined, mlp_ties, same

if TYPE_CHECKING:
    from legged_cts.algorithms.distilled import Distillation

FEATURES = 4
"""What the controller looks at: divergence, the student's reward, its change, and one."""


class ExposedEncoder(Encoder):
    """MLP on a normalised state of which blocks of neighbouring columns are hidden, with one bit per block.

    A share rho of the blocks is seen, the first round(rho blocks) of a fixed random order (ATESD, adapted). Blocks are
    hidden after the normaliser, where zero is the mean of a feature; the bits tell a hidden feature from one at its
    mean. A teacher that is masked must be trained under the masks, else its targets are out of its distribution. All
    inputs see the same blocks until ``show`` is called again.
    """

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
        blocks: int = 8,
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

        Raises:
            ValueError: If there are more blocks than columns, or none.
        """
        super().__init__(input_shape, unit_latent, obs_normalization)
        width = math.prod(input_shape)
        if not 1 <= blocks <= width:
            raise ValueError(f"networks.teacher_encoder.blocks must lie in [1, {width}], got {blocks}")
        parts = torch.arange(width).tensor_split(blocks)
        self._ranks = torch.randperm(blocks, generator=torch.Generator().manual_seed(0)).argsort()
        self.register_buffer("ratio", torch.ones(()))
        self.register_buffer("seen", torch.ones(blocks, dtype=torch.bool))
        self.register_buffer("block", torch.cat([torch.full_like(part, i) for i, part in enumerate(parts)]))
        self.mlp = MLP(width + blocks, latent_dim, list(hidden_dims), activation)

    def show(self, ratio: float) -> None:
        """Show this share of the blocks, in [0, 1], from now on."""
        self.ratio.fill_(ratio)
        self.seen.copy_(self._ranks < round(ratio * len(self._ranks)))

    def ties(self, x: Mirror, z: Mirror) -> Ties:
        """Yield the ties of the MLP, whose bits are those of a mirrored robot, too.

        Columns that change places with each other are put into one block, or it might hide one side of the robot alone.
        """
        blocks = len(self.seen)
        if (self.block[x.index] != self.block).any():
            _, pair = torch.minimum(torch.arange(len(x)), x.index).unique(return_inverse=True)
            self.block.copy_(pair * blocks // (int(pair.max()) + 1))
        return mlp_ties(self.mlp, joined((x, same(blocks))), z)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        state_dict.setdefault(f"{prefix}block", self.block)  # checkpoints of before there was a choice
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode states [B, m] into latents [B, latent_dim]."""
        x = self.normalizer(x)
        # where, not a product: a hidden value may be infinite
        shown = torch.where(self.seen[self.block], x, torch.zeros_like(x))
        bits = self.seen.to(x.dtype).expand(len(x), -1)
        return self.project(self.mlp(torch.cat([shown, bits], dim=-1)))


class Exposure(Term):
    """Shows the teacher encoder the ratio of the schedule, or one that a controller learns from the student's progress.

    It changes no loss.
    """

    alg: Distillation

    def __init__(self, alg: Distillation) -> None:
        """Build the controller, if there is to be one; that of the first process decides for all."""
        super().__init__(alg)
        self._progress = [0.0, 0.0, 0.0]  # student's reward per step, that of the iteration before, divergence
        self.controller: BetaController | None = None
        node = alg.cfg.exposure.controller
        if node is not None:
            seed = int(of_first(torch.initial_seed() % 2**31, alg.device))
            self.controller = BetaController(
                FEATURES, node.hold, node.delay, node.gamma, node.learning_rate, node.momentum, node.entropy_coef, seed,
            )  # fmt: skip

    @property
    def encoder(self) -> ExposedEncoder:
        """The teacher encoder."""
        encoder = self.alg._raw_actor.teacher_encoder
        assert isinstance(encoder, ExposedEncoder)
        return encoder

    def begin(self) -> None:
        """Choose what is shown in this iteration."""
        ratio = self.alg.cfg.exposure.ratio
        if self.controller is not None:
            reward, before, distance = self._progress
            ratio = self.controller.step(reward, [math.log1p(max(0.0, distance)), reward, reward - before, 1.0])
        self.encoder.show(ratio)

    def finish(self, means: dict[str, list[float]]) -> int:
        """Remember the student's progress and report ``exposure``, the ratio."""
        found = means.get("distillation", [])
        given = [self.alg.statistics.get("reward_student"), sum(found) / len(found) if found else None]
        known = [0.0 if one is None or not math.isfinite(one) else one for one in given]
        counts = [float(one is not None and math.isfinite(one)) for one in given]
        local = torch.tensor(known + counts, dtype=torch.float64, device=self.alg.device)
        reward, distance, rewards, distances = joint_sum(local).tolist()
        if rewards:
            self._progress = [reward / rewards, self._progress[0], self._progress[2]]
        if distances:
            self._progress[2] = distance / distances
        means["exposure"].append(float(self.encoder.ratio))
        return 0

    def state_dict(self) -> dict[str, Any]:
        """Return progress and controller."""
        own = {} if self.controller is None else {"controller": self.controller.state_dict()}
        return {"progress": list(self._progress), **own}

    def load_state_dict(self, loaded: Mapping[str, Any], load_cfg: Mapping[str, Any] | None, strict: bool) -> None:
        """Load them where the iteration is taken over."""
        if load_cfg is None or load_cfg.get("iteration"):
            self._progress = list(loaded["progress"])
            if self.controller is not None:
                self.controller.load_state_dict(loaded["controller"])
