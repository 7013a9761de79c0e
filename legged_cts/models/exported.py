"""Stand-alone copies of a policy for TorchScript and ONNX."""

from __future__ import annotations

import copy

import torch
from torch import nn


class ScriptPolicy(nn.Module):
    """Policy on plain tensors, with its own copy of the weights and of the normalisation."""

    def __init__(
        self, normalizer: nn.Module, context_normalizer: nn.Module, encoder: nn.Module, mlp: nn.Module, head: nn.Module
    ) -> None:
        """Copy the parts of a policy."""
        super().__init__()
        self.normalizer = copy.deepcopy(normalizer)
        self.context_normalizer = copy.deepcopy(context_normalizer)
        self.encoder = copy.deepcopy(encoder)
        self.mlp = copy.deepcopy(mlp)
        self.head = head

    def forward(self, proprioception: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return action means [B, d] for proprioception [B, n] and the raw encoder input [B, ...]."""
        return self.act(proprioception, self.encoder(self.context_normalizer(context)))

    def act(self, proprioception: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Return action means [B, d] for proprioception [B, n] and latents [B, latent_dim]."""
        return self.head(self.mlp(torch.cat([self.normalizer(proprioception), latent], dim=-1)))

    @torch.jit.export
    def reset(self) -> None:
        """Reset internal state; there is none, a recurrent policy's caller keeps it."""


class RecurrentScriptPolicy(ScriptPolicy):
    """``ScriptPolicy`` with a recurrent encoder, whose hidden state is an input and an output."""

    def forward(  # type: ignore[override]
        self, proprioception: torch.Tensor, history: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return action means [B, d] and the next state [B, S]; the state [B, S] is zero when an episode starts."""
        latent, next_state = self.encoder(self.context_normalizer(history), state)
        return self.act(proprioception, latent), next_state


class OnnxPolicy(nn.Module):
    """``ScriptPolicy`` with the names and shapes that rsl_rl's ONNX export asks for."""

    def __init__(self, policy: ScriptPolicy, input_shapes: dict[str, tuple[int, ...]], output_names: list[str]) -> None:
        """Wrap a policy.

        Args:
            policy: What to export.
            input_shapes: Names of its inputs, in order, and their shapes without the batch dimension.
            output_names: Names of its outputs, in order.
        """
        super().__init__()
        self.policy = policy
        self.input_shapes = input_shapes
        self.output_names = output_names
        self.is_recurrent = isinstance(policy, RecurrentScriptPolicy)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return action means [B, d], and of a recurrent policy the next state [B, S]."""
        return self.policy(*inputs)

    @property
    def input_names(self) -> list[str]:
        """Names of the ONNX inputs, in order."""
        return list(self.input_shapes)

    def get_dummy_inputs(self) -> tuple[torch.Tensor, ...]:
        """Zeros [1, ...] for tracing."""
        return tuple(torch.zeros(1, *shape) for shape in self.input_shapes.values())
