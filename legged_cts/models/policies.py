"""Policies for inference: encoder and actor as one module, sharing the weights that are being trained."""

from __future__ import annotations

import torch
from rsl_rl.modules.distribution import Distribution
from tensordict import TensorDict
from torch import nn

from legged_cts.models.exported import OnnxPolicy, ScriptPolicy
from legged_cts.models.latent_model import LatentActor


class LatentPolicy(nn.Module):
    """Encoder, normalisers and policy head as one module; subclasses say what the encoder reads."""

    is_recurrent = False
    context_name = "context"

    def __init__(
        self,
        actor: LatentActor,
        encoder: nn.Module,
        context_normalizer: nn.Module,
        context_groups: list[str],
        context_shape: tuple[int, ...],
    ) -> None:
        """Refer to the parts of ``actor`` and ``encoder``; nothing is copied."""
        super().__init__()
        self.normalizer = actor.obs_normalizer
        self.context_normalizer = context_normalizer
        self.encoder = encoder
        self.mlp = actor.mlp
        assert actor.distribution is not None  # LatentActor always has one
        self.distribution: Distribution = actor.distribution
        self.proprioception_groups = actor.obs_groups
        self.context_groups = context_groups
        self.context_shape = context_shape
        self.proprioception_dim = actor.obs_dim

    def latent(self, context: torch.Tensor) -> torch.Tensor:
        """Encode raw encoder inputs [B, ...] into latents [B, latent_dim]."""
        return self.encoder(self.context_normalizer(context))

    def context(self, obs: TensorDict) -> torch.Tensor:
        """Take the encoder's raw input from an observation TensorDict."""
        return torch.cat([obs[group] for group in self.context_groups], dim=-1)

    def reset(self, dones: torch.Tensor | None = None) -> None:
        """Reset the internal state of finished environments; these policies have none."""

    @property
    def output_std(self) -> torch.Tensor:
        """Standard deviation of the action distribution that was evaluated last."""
        return self.distribution.std

    def as_jit(self) -> ScriptPolicy:
        """Return a copy that ``torch.jit.script`` accepts."""
        head = self.distribution.as_deterministic_output_module()
        return ScriptPolicy(self.normalizer, self.context_normalizer, self.encoder, self.mlp, head)

    def as_onnx(self, verbose: bool = False) -> OnnxPolicy:
        """Return a copy for ONNX export; it names its inputs and makes its own dummy inputs."""
        shapes = {"proprioception": (self.proprioception_dim,), self.context_name: self.context_shape}
        return OnnxPolicy(self.as_jit(), shapes)

    def _act(self, proprioception: torch.Tensor | TensorDict, context: torch.Tensor | None) -> torch.Tensor:
        if context is None:
            if isinstance(proprioception, torch.Tensor):
                raise ValueError(f"{type(self).__name__} needs `{self.context_name}` beside a proprioception tensor")
            obs = proprioception
            proprioception = torch.cat([obs[group] for group in self.proprioception_groups], dim=-1)
            context = self.context(obs)
        x = torch.cat([self.normalizer(proprioception), self.latent(context)], dim=-1)
        return self.distribution.deterministic_output(self.mlp(x))


class StudentPolicy(LatentPolicy):
    """What runs on the robot: E^s and the shared policy. History frames use the statistics of o_t."""

    context_name = "history"

    def __init__(
        self, actor: LatentActor, encoder: nn.Module, history_group: str, history_shape: tuple[int, ...]
    ) -> None:
        """Join ``actor`` and the student encoder; ``history_shape`` is (H, n)."""
        super().__init__(actor, encoder, actor.obs_normalizer, [history_group], history_shape)

    def forward(self, proprioception: torch.Tensor | TensorDict, history: torch.Tensor | None = None) -> torch.Tensor:
        """Return action means [B, d] for proprioception [B, n] and history [B, H, n], or for one TensorDict."""
        return self._act(proprioception, history)


class TeacherPolicy(LatentPolicy):
    """E^t and the shared policy: an upper bound in simulation, not deployable."""

    context_name = "privileged"

    def __init__(self, actor: LatentActor) -> None:
        """Join ``actor`` with its own teacher encoder, which normalises the privileged state itself."""
        super().__init__(actor, actor.teacher_encoder, nn.Identity(), actor.teacher_groups, (actor.teacher_dim,))

    def forward(
        self, proprioception: torch.Tensor | TensorDict, privileged: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return action means [B, d] for proprioception [B, n] and privileged state [B, m], or for one TensorDict."""
        return self._act(proprioception, privileged)
