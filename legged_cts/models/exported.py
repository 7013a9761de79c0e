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
        latent = self.encoder(self.context_normalizer(context))
        return self.head(self.mlp(torch.cat([self.normalizer(proprioception), latent], dim=-1)))

    @torch.jit.export
    def reset(self) -> None:
        """Reset internal state; there is none."""


class OnnxPolicy(nn.Module):
    """``ScriptPolicy`` with the names and shapes that rsl_rl's ONNX export asks for."""

    is_recurrent = False
    output_names = ["actions"]

    def __init__(self, policy: ScriptPolicy, input_shapes: dict[str, tuple[int, ...]]) -> None:
        """Wrap ``policy``; ``input_shapes`` maps input names, in order, to shapes without the batch dimension."""
        super().__init__()
        self.policy = policy
        self.input_shapes = input_shapes

    def forward(self, proprioception: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return action means [B, d]."""
        return self.policy(proprioception, context)

    @property
    def input_names(self) -> list[str]:
        """Names of the ONNX inputs, in order."""
        return list(self.input_shapes)

    def get_dummy_inputs(self) -> tuple[torch.Tensor, ...]:
        """Zeros [1, ...] for tracing."""
        return tuple(torch.zeros(1, *shape) for shape in self.input_shapes.values())
