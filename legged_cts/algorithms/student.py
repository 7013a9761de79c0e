"""E^s over a rollout: what it has read, its hidden state, and its latents for acting and for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from legged_cts.algorithms.history_buffer import HistoryBuffer
from legged_cts.models.policies import StudentPolicy


@dataclass
class TrainingLatents:
    """Latents with gradient to E^s."""

    latents: torch.Tensor
    """[B, latent_dim]"""
    penalty: torch.Tensor | None = None
    """Scalar that the encoder adds to the loss that trains it."""
    report: dict[str, torch.Tensor] = field(default_factory=dict)
    """Scalars to report, such as the use of each expert."""


class StudentRollout:
    """Runs E^s while a rollout is collected, and again, with gradient, on what was collected.

    A feed-forward E^s runs on the environments that act on its latent. A recurrent one runs on every environment whose
    history is stored, for its hidden state must follow all that it will be trained on.
    """

    def __init__(self, policy: StudentPolicy, history: HistoryBuffer, acting: torch.Tensor, latent_dim: int) -> None:
        """Start all hidden states at zero.

        Args:
            policy: E^s and its normaliser.
            history: Storage of K environments.
            acting: Indices of the environments that act on E^s's latent, all of them stored in ``history``.
            latent_dim: Width of the latent.
        """
        self.policy = policy
        self.history = history
        self.acting = acting
        everyone = len(acting) == history.num_envs
        self.latents = torch.zeros(history.steps, len(acting) if everyone else 0, latent_dim, device=acting.device)
        """z^s in each step of the rollout [T, N, latent_dim], if all environments act on it, else empty."""
        self._rows = history.columns(acting)
        self._state = torch.zeros(len(history.ids), policy.state_size, device=history.ids.device)
        self._first_state = torch.zeros_like(self._state)
        self._last_state = torch.zeros_like(self._state)

    @property
    def is_recurrent(self) -> bool:
        """Whether training needs whole sequences."""
        return self.policy.is_recurrent

    @torch.no_grad()
    def act(self, step: int, histories: torch.Tensor) -> torch.Tensor:
        """Record histories [N, H, n] of ``step`` and return the latents of the acting environments."""
        self.history.record(step, histories)
        if step == 0:
            self._first_state.copy_(self._state)
        latents, state = self._run(histories)
        self._last_state.copy_(self._state)
        self._state.copy_(state)
        if self.latents.numel():
            self.latents[step] = latents
        return latents

    def rewind(self, began: torch.Tensor) -> None:
        """Take back the last ``act``; episodes of the environments with non-zero ``began`` [N] begin with that step."""
        self._state.copy_(self._last_state)
        self.restart(began)

    @torch.no_grad()
    def peek(self, histories: torch.Tensor) -> torch.Tensor:
        """Return the latents of the acting environments as ``act`` would, and change nothing."""
        return self._run(histories)[0]

    def restart(self, dones: torch.Tensor) -> None:
        """Begin new episodes where ``dones`` [N] is not zero."""
        self.history.restart(dones)
        self._state.masked_fill_(dones[self.history.ids].bool().view(-1, 1), 0.0)

    def reset(self) -> None:
        """Zero all hidden states."""
        self._state.zero_()

    def encode(
        self, index: torch.Tensor, images: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> TrainingLatents:
        """Encode flat rollout positions ``step * num_envs + environment`` [B] with gradient.

        With a recurrent E^s they must be whole sequences, [T, B / T] flattened, with one environment per column.

        Args:
            index: The positions.
            images: Adds to histories [B, H, n] those of their images, [copies * B, H, n], which are then encoded too;
                not for a recurrent E^s.
        """
        if not self.is_recurrent:
            windows = self.history.at(index)
            return TrainingLatents(*self.policy.training_latent(windows if images is None else images(windows)))
        environments = index[: len(index) // self.history.steps]  # positions of step 0
        frames, starts = self.history.sequences(environments)
        state = self._first_state[self.history.columns(environments)]
        return TrainingLatents(self.policy.unroll(frames, state, starts).flatten(0, 1))

    def _run(self, histories: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_recurrent:
            return self.policy.latent(histories[self.acting]), self._state
        latents, state = self.policy.advance(histories[self.history.ids], self._state)
        return latents[self._rows], state
