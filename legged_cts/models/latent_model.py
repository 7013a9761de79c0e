"""rsl_rl models whose input is an observation set plus a latent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from rsl_rl.models import MLPModel
from rsl_rl.modules import HiddenState
from tensordict import TensorDict
from torch import nn

from legged_cts.models.normalization import RunningNormalization
from legged_cts.trust.names import resolve_node

LATENT = "latent"
"""Key under which an observation TensorDict carries the latent z [N, latent_dim]."""

ENCODER_CLASS = "legged_cts.models.encoders:LatentEncoder"


class LatentModel(MLPModel):
    """MLP model that reads ``obs["latent"]`` beside its observation set; the latent itself is never normalised."""

    def __init__(
        self,
        obs: TensorDict,
        obs_groups: dict[str, list[str]],
        obs_set: str,
        output_dim: int,
        latent_dim: int = 0,
        hidden_dims: Sequence[int] = (512, 256, 128),
        activation: str = "elu",
        obs_normalization: bool = False,
        distribution_cfg: dict | None = None,
    ) -> None:
        """Build the model as ``MLPModel`` does, with ``latent_dim`` more inputs (0: the latent is not read)."""
        self.latent_dim = latent_dim  # read by _get_latent_dim, which the base constructor calls
        super().__init__(
            obs, obs_groups, obs_set, output_dim, list(hidden_dims), activation, obs_normalization, distribution_cfg
        )
        RunningNormalization.of(self.obs_normalizer)

    def get_latent(
        self, obs: TensorDict, masks: torch.Tensor | None = None, hidden_state: HiddenState = None
    ) -> torch.Tensor:
        """Concatenate the normalised observations and the latent: [N, obs_dim + latent_dim]."""
        x = super().get_latent(obs, masks, hidden_state)
        return torch.cat([x, obs[LATENT]], dim=-1) if self.latent_dim else x

    def _get_latent_dim(self) -> int:
        return self.obs_dim + self.latent_dim


class LatentActor(LatentModel):
    """The policy pi(a | o_t, z) that teachers and students share, together with the teacher encoder E^t.

    E^t lives here because the policy gradient trains both, in one optimizer and under one gradient norm.
    """

    def __init__(
        self,
        obs: TensorDict,
        obs_groups: dict[str, list[str]],
        obs_set: str,
        output_dim: int,
        latent_dim: int = 32,
        unit_latent: bool = True,
        teacher_encoder: dict[str, Any] | None = None,
        hidden_dims: Sequence[int] = (512, 256, 128),
        activation: str = "elu",
        obs_normalization: bool = False,
        distribution_cfg: dict | None = None,
    ) -> None:
        """Build policy and teacher encoder.

        Args:
            obs: Observations [N, ...] of the environment.
            obs_groups: Observation sets; ``obs_set`` feeds the policy, ``teacher`` feeds E^t.
            obs_set: Name of the policy's observation set.
            output_dim: Number of actions.
            latent_dim: Width of z, at least 1.
            unit_latent: Whether both encoders put z onto the unit sphere.
            teacher_encoder: Constructor arguments of E^t and, optionally, its ``class_name``.
            hidden_dims: Hidden widths of the policy.
            activation: Activation of the policy.
            obs_normalization: Normalise o_t; the same statistics serve every frame of the history.
            distribution_cfg: Action distribution; a Gaussian with a learned, state-independent std by default.

        Raises:
            ValueError: If ``latent_dim`` is not positive, a teacher group is not [N, features] or E^t is recurrent.
        """
        if latent_dim < 1:
            raise ValueError(f"networks.actor.latent_dim must be at least 1, got {latent_dim}")
        distribution_cfg = distribution_cfg or {"class_name": "GaussianDistribution", "init_std": 1.0}
        super().__init__(
            obs, obs_groups, obs_set, output_dim, latent_dim, hidden_dims, activation, obs_normalization,
            distribution_cfg,
        )  # fmt: skip
        self.unit_latent = unit_latent
        self.teacher_groups, self.teacher_dim = self._get_obs_dim(obs, obs_groups, "teacher")
        self.teacher_encoder = build_encoder(teacher_encoder or {}, (self.teacher_dim,), latent_dim, unit_latent)
        if getattr(self.teacher_encoder, "state_size", 0):
            raise ValueError("networks.teacher_encoder.class_name must be a feed-forward encoder: E^t reads a state")

    def teacher_input(self, obs: TensorDict) -> torch.Tensor:
        """Concatenate the groups that E^t sees: [N, m]."""
        return torch.cat([obs[group] for group in self.teacher_groups], dim=-1)

    def update_normalization(self, obs: TensorDict) -> None:
        """Add observations to the statistics of o_t and of the teacher encoder's input."""
        super().update_normalization(obs)
        self.teacher_encoder.update_normalization(self.teacher_input(obs))  # type: ignore[operator]


def build_encoder(cfg: dict[str, Any], input_shape: tuple[int, ...], latent_dim: int, unit_latent: bool) -> nn.Module:
    """Build the encoder that ``cfg["class_name"]`` names (``LatentEncoder`` when absent).

    Args:
        cfg: Arguments of its constructor.
        input_shape: Shape of one input without the batch dimension.
        latent_dim: Width of the latent.
        unit_latent: Whether the latent is on the unit sphere.
    """
    encoder_class, arguments = resolve_node({"class_name": ENCODER_CLASS, **cfg}, "encoder")
    return encoder_class(input_shape=input_shape, latent_dim=latent_dim, unit_latent=unit_latent, **arguments)
