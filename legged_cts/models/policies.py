"""Policies for inference: encoder and actor as one module, sharing the weights that are being trained."""

from __future__ import annotations

import torch
from rsl_rl.modules.distribution import Distribution
from tensordict import TensorDict
from torch import nn

from legged_cts.models.encoders import Encoder
from legged_cts.models.exported import OnnxPolicy, RecurrentScriptPolicy, ScriptPolicy
from legged_cts.models.latent_model import LatentActor


class LatentPolicy(nn.Module):
    """Encoder, normalisers and policy head as one module; subclasses say what the encoder reads."""

    is_recurrent = False
    state_size = 0
    """Width S of the encoder's hidden state; 0 for a feed-forward one."""
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
        return OnnxPolicy(self.as_jit(), shapes, ["actions"])

    def _inputs(
        self, proprioception: torch.Tensor | TensorDict, context: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take both inputs from one TensorDict, or return those that were given."""
        if isinstance(proprioception, torch.Tensor):
            if context is None:
                raise ValueError(f"{type(self).__name__} needs `{self.context_name}` beside a proprioception tensor")
            return proprioception, context
        obs = proprioception
        return torch.cat([obs[group] for group in self.proprioception_groups], dim=-1), self.context(obs)

    def action_distribution(
        self, observations: TensorDict, context: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and std [B, d] of the actions; a feed-forward encoder's raw input is ``context`` where given."""
        proprioception = torch.cat([observations[group] for group in self.proprioception_groups], dim=-1)
        latent = self.latent(self.context(observations) if context is None else context)
        self.distribution.update(self.mlp(torch.cat([self.normalizer(proprioception), latent], dim=-1)))
        return self.distribution.mean, self.distribution.std

    def _act(self, proprioception: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.normalizer(proprioception), latent], dim=-1)
        return self.distribution.deterministic_output(self.mlp(x))


class StudentPolicy(LatentPolicy):
    """What runs on the robot: E^s and the shared policy. History frames use the statistics of o_t.

    With a recurrent E^s the hidden state [B, S] is an input and an output. Called with one TensorDict, the policy keeps
    the state from call to call; ``reset`` must then be told which episodes ended.
    """

    context_name = "history"

    def __init__(
        self, actor: LatentActor, encoder: nn.Module, history_group: str, history_shape: tuple[int, ...]
    ) -> None:
        """Join ``actor`` and the student encoder; ``history_shape`` is (H, n)."""
        super().__init__(actor, encoder, actor.obs_normalizer, [history_group], history_shape)
        self.state_size = int(getattr(encoder, "state_size", 0))
        self.is_recurrent = self.state_size > 0
        self._state: torch.Tensor | None = None

    def forward(
        self,
        proprioception: torch.Tensor | TensorDict,
        history: torch.Tensor | None = None,
        state: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return action means.

        Args:
            proprioception: [B, n], or one TensorDict with everything.
            history: [B, H, n].
            state: Hidden state [B, S] of a recurrent E^s, zeros at the start of an episode.

        Returns:
            Action means [B, d]; with a recurrent E^s and a given state also the next state [B, S].

        Raises:
            ValueError: If ``history``, or ``state`` with a recurrent E^s, is missing beside a proprioception tensor.
        """
        keeps_state = not isinstance(proprioception, torch.Tensor)
        proprioception, history = self._inputs(proprioception, history)
        if not self.is_recurrent:
            return self._act(proprioception, self.latent(history))
        if keeps_state:
            state = self._kept_state(history)
        elif state is None:
            raise ValueError(f"StudentPolicy needs `state` [B, {self.state_size}] beside a proprioception tensor")
        latent, state = self.advance(history, state)
        actions = self._act(proprioception, latent)
        if not keeps_state:
            return actions, state
        self._state = state.detach()
        return actions

    def advance(self, history: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take raw histories [B, H, n] into a recurrent E^s; return latents [B, latent_dim] and the state [B, S]."""
        return self.encoder(self.context_normalizer(history[:, -1:]), state)

    def unroll(self, frames: torch.Tensor, state: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Run a recurrent E^s over raw frames [T, B, n]; return latents [T, B, latent_dim].

        The state [B, S] is that before the first frame; it is zeroed before frames where ``starts`` [T, B] is True.
        """
        return self.encoder.unroll(self.context_normalizer(frames), state, starts)  # type: ignore[operator]

    def training_latent(
        self, history: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, dict[str, torch.Tensor]]:
        """Encode raw histories [B, H, n] with a feed-forward E^s for its training, see ``Encoder.training_latent``."""
        if isinstance(self.encoder, Encoder):
            return self.encoder.training_latent(self.context_normalizer(history))
        return self.latent(history), None, {}

    def reset(self, dones: torch.Tensor | None = None) -> None:
        """Zero the kept state of environments with non-zero ``dones`` [B], or of all."""
        if dones is None:
            self._state = None
        elif self._state is not None:
            # Not in place: the state may have been made in inference mode.
            self._state = self._state.masked_fill(dones.to(self._state.device).bool().view(-1, 1), 0.0)

    def as_jit(self) -> ScriptPolicy:
        """Return a copy that ``torch.jit.script`` accepts; with a recurrent E^s the state is an input and an output."""
        head = self.distribution.as_deterministic_output_module()
        kind = RecurrentScriptPolicy if self.is_recurrent else ScriptPolicy
        return kind(self.normalizer, self.context_normalizer, self.encoder, self.mlp, head)

    def as_onnx(self, verbose: bool = False) -> OnnxPolicy:
        """Return a copy for ONNX export; with a recurrent E^s ``state`` goes in and ``next_state`` comes out."""
        if not self.is_recurrent:
            return super().as_onnx(verbose)
        shapes = {
            "proprioception": (self.proprioception_dim,),
            self.context_name: self.context_shape,
            "state": (self.state_size,),
        }
        return OnnxPolicy(self.as_jit(), shapes, ["actions", "next_state"])

    def _kept_state(self, history: torch.Tensor) -> torch.Tensor:
        state = self._state
        if state is None or len(state) != len(history) or state.device != history.device:
            return history.new_zeros(len(history), self.state_size)
        return state.clone()  # usable with gradient even if it was made in inference mode


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
        proprioception, privileged = self._inputs(proprioception, privileged)
        return self._act(proprioception, self.latent(privileged))
