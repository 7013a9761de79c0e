"""A recurrent encoder of the newest frame of a history; its caller keeps the hidden state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rsl_rl.modules import MLP
from torch import nn

from legged_cts.models.encoders import Encoder
from legged_cts.models.mirrored import Mirror, Ties, halves, mlp_ties, recurrent_ties

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentEncoder(Encoder):
    """GRU or LSTM whose hidden state is one flat tensor [B, S], so that all cells are called alike.

    S is layers * hidden_size for a GRU and twice that for an LSTM (h of all layers, then c of all layers). The state
    starts at zero with every episode.
    """

    __constants__ = ["is_lstm", "layers", "hidden_size"]  # TorchScript leaves out the branch of the other cell

    def __init__(
        self,
        input_shape: Sequence[int],
        latent_dim: int,
        unit_latent: bool = True,
        cell: str = "gru",
        hidden_size: int = 256,
        layers: int = 1,
        hidden_dims: Sequence[int] = (),
        activation: str = "elu",
    ) -> None:
        """Build the encoder.

        Args:
            input_shape: (H, n) of a history; frames [n] are read one at a time.
            latent_dim: Width of the latent.
            unit_latent: Divide the latent by its L2 norm.
            cell: ``gru`` or ``lstm``.
            hidden_size: Width of each recurrent layer.
            layers: Number of recurrent layers.
            hidden_dims: Widths of hidden layers between the recurrent output and the latent.
            activation: Name of an rsl_rl activation for these.

        Raises:
            ValueError: If the cell is unknown or a number is out of range.
        """
        if cell not in CELLS:
            raise ValueError(f"networks.student_encoder.cell must be one of {', '.join(CELLS)}; got '{cell}'")
        for name, value in (("hidden_size", hidden_size), ("layers", layers)):
            if value < 1:
                raise ValueError(f"networks.student_encoder.{name} must be at least 1, got {value}")
        super().__init__(input_shape, unit_latent)
        self.is_lstm = cell == "lstm"
        self.layers = layers
        self.hidden_size = hidden_size
        self.state_size = layers * hidden_size * (2 if self.is_lstm else 1)
        self.rnn = CELLS[cell](input_shape[-1], hidden_size, layers)
        widths = list(hidden_dims)
        self.head = MLP(hidden_size, latent_dim, widths, activation) if widths else nn.Linear(hidden_size, latent_dim)

    def ties(self, x: Mirror, z: Mirror) -> Ties:
        """Yield the ties of cell and head; of each layer's state the halves change places."""
        yield from recurrent_ties(self.rnn, x)
        yield from mlp_ties(self.head, halves(self.hidden_size), z)

    def forward(self, history: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in the newest frame.

        Args:
            history: [B, H, n], newest frame last; the older ones are not read.
            state: Hidden state [B, S] after the frame before, zeros at the start of an episode.

        Returns:
            Latents [B, latent_dim] and the next hidden state [B, S].
        """
        output, state = self._advance(history[:, -1].unsqueeze(0), state)
        return self.project(self.head(output.squeeze(0))), state

    def unroll(self, frames: torch.Tensor, state: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Encode whole sequences, with gradient through time.

        Args:
            frames: [T, B, n].
            state: Hidden state [B, S] before the first frame.
            starts: Whether an episode starts with the frame, bool [T, B]; its state is zero then.

        Returns:
            Latents [T, B, latent_dim].
        """
        # Frames between two resets of any environment go through the cell in one call.
        cuts = [0, *(starts[1:].any(1).nonzero().flatten() + 1).tolist(), len(frames)]
        outputs = []
        for first, last in zip(cuts[:-1], cuts[1:], strict=True):
            output, state = self._advance(frames[first:last], state.masked_fill(starts[first].unsqueeze(1), 0.0))
            outputs.append(output)
        return self.project(self.head(torch.cat(outputs)))

    def _advance(self, frames: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Feed frames [T, B, n]; return outputs [T, B, hidden_size] and the state [B, S] after them."""
        if self.is_lstm:
            parts = state.reshape(-1, 2, self.layers, self.hidden_size).permute(1, 2, 0, 3).contiguous()
            output, (h, c) = self.rnn(frames, (parts[0], parts[1]))
            return output, torch.stack([h, c]).permute(2, 0, 1, 3).flatten(1)
        h = state.reshape(-1, self.layers, self.hidden_size).transpose(0, 1).contiguous()
        output, h = self.rnn(frames, h)
        return output, h.transpose(0, 1).flatten(1)
