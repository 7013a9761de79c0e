"""Networks that commute with the left-right mirror exactly, because their weights are tied and learn as one.

A linear layer W takes mirrored inputs to mirrored outputs if W = M_y W M_x, with the mirrors M_x and M_y of its input
and output. Hidden units and latents come in two halves that change places. The weights of ordinary layers are made so
once, and what would undo it is taken out of each gradient G: they learn by (G + M_y G M_x) / 2, the gradient within the
tied weights, and what an optimizer does elementwise keeps them tied. So the networks stay ordinary ones, for inference,
checkpoints and ONNX alike, and cost what they did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from rsl_rl.modules import EmpiricalNormalization
from torch import nn

from legged_cts.models.normalization import RunningNormalization

TOLERANCE = 1e-4
"""Relative difference of a weight from its mirror image that is still rounding."""


@dataclass(frozen=True)
class Mirror:
    """A mirror of vectors [n]: ``mirrored[..., i] = sign[i] * x[..., index[i]]``, as robots have them in numpy."""

    index: torch.Tensor
    sign: torch.Tensor

    @classmethod
    def of(cls, mirror: Any) -> Mirror:
        """Return the tensors of anything with such an ``index`` and ``sign``."""
        return cls(torch.tensor(list(mirror.index), dtype=torch.long), torch.tensor(list(mirror.sign)).float())

    def __len__(self) -> int:
        """Return n."""
        return len(self.index)


Ties = Iterator[tuple[torch.Tensor, Mirror, Mirror | None]]
"""Parameters with the mirrors of their rows, and of their columns where they have some."""


def joined(mirrors: Iterable[Any]) -> Mirror:
    """Return the mirror of the concatenation of what ``mirrors`` mirror."""
    index: list[int] = []
    sign: list[float] = []
    for mirror in map(Mirror.of, mirrors):
        index += (mirror.index + len(index)).tolist()
        sign += mirror.sign.tolist()
    return Mirror(torch.tensor(index, dtype=torch.long), torch.tensor(sign))


def halves(size: int) -> Mirror:
    """Return the mirror of hidden units [size]: their halves change places, an odd one stays."""
    half, index = size // 2, torch.arange(size)
    return Mirror(torch.cat([index[half : 2 * half], index[:half], index[2 * half :]]), torch.ones(size))


def unsigned(mirror: Any) -> Mirror:
    """Return the mirror of sizes such as standard deviations, which only change places."""
    return Mirror(Mirror.of(mirror).index, torch.ones(len(mirror)))


def same(size: int) -> Mirror:
    """Return the mirror of numbers [size] that a mirrored robot has, too."""
    return Mirror(torch.arange(size), torch.ones(size))


def linear_ties(layer: nn.Linear, x: Mirror, y: Mirror) -> Ties:
    """Yield the ties of a layer from ``x`` to ``y``."""
    yield layer.weight, y, x
    if layer.bias is not None:
        yield layer.bias, y, None


def mlp_ties(mlp: nn.Module, x: Mirror, y: Mirror) -> Ties:
    """Yield the ties of linear layers with pointwise functions between them; ``x`` may repeat, as frames [H * n] do."""
    layers = [layer for layer in mlp.modules() if isinstance(layer, nn.Linear)]
    sides = [joined([x] * (layers[0].in_features // len(x))), *(halves(layer.out_features) for layer in layers[:-1]), y]
    for layer, before, after in zip(layers, sides[:-1], sides[1:], strict=True):
        yield from linear_ties(layer, before, after)


def recurrent_ties(rnn: nn.RNNBase, x: Mirror) -> Ties:
    """Yield the ties of a GRU or LSTM whose states come in halves."""
    state = halves(rnn.hidden_size)
    for name, parameter in rnn.named_parameters():
        rows = joined([state] * (len(parameter) // rnn.hidden_size))  # one block per gate
        first = name.endswith("ih_l0")
        yield parameter, rows, None if parameter.ndim == 1 else x if first else state


class MirroredNormalization(RunningNormalization):
    """Running statistics of samples together with their mirror images, for half the work."""

    @classmethod
    def mirroring(cls, normalizer: nn.Module | None, mirror: Any) -> None:
        """Turn a normaliser into one, in its place; a no-op for one that does nothing."""
        if not isinstance(normalizer, EmpiricalNormalization):
            return
        mirror, device = Mirror.of(mirror), normalizer.count.device  # type: ignore[union-attr]
        normalizer.__class__ = cls
        normalizer.register_buffer("_index", mirror.index.to(device), persistent=False)
        normalizer.register_buffer("_sign", mirror.sign.to(device), persistent=False)

    def update(self, x: torch.Tensor) -> None:
        """Add inputs [B, n] and their images."""
        super().update(x)
        mean, var = self._mean, self._var
        image = mean[:, self._index] * self._sign
        var.copy_((var + var[:, self._index]) / 2 + ((mean - image) / 2).square())
        mean.copy_((mean + image) / 2)
        self._std = var.sqrt()


class Tie:
    """One parameter [o] or [o, i] that is to equal its mirror image."""

    def __init__(self, parameter: torch.Tensor, rows: Any, columns: Any) -> None:
        """Note how it is mirrored.

        Raises:
            ValueError: If the mirrors are of other sizes.
        """
        mirrors = [Mirror.of(mirror) for mirror in (rows, columns) if mirror is not None]
        sizes = [len(mirror) for mirror in mirrors]
        if sizes != list(parameter.shape):
            raise ValueError(f"a parameter of the shape {list(parameter.shape)} has no mirror of the sizes {sizes}")
        self.parameter = parameter
        # Halves change places in one pass over memory, whatever else moves by its index.
        self._split: list[int] = []
        self._flips: list[int] = []
        self._index: list[tuple[int, torch.Tensor]] = []
        for axis, mirror in enumerate(mirrors):
            size, index = len(mirror), mirror.index
            if size and size % 2 == 0 and torch.equal(index, halves(size).index):
                self._flips.append(len(self._split))
                self._split += [2, size // 2]
                continue
            self._split.append(size)
            if not torch.equal(index, torch.arange(size)):
                self._index.append((axis, index.to(parameter.device)))
        sign = mirrors[0].sign if len(mirrors) == 1 else torch.outer(mirrors[0].sign, mirrors[1].sign)
        self._sign = sign.to(parameter) if bool((sign < 0).any()) else None

    def image(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mirror image of weights or gradients of the parameter's shape."""
        image = self._moved(x)
        return image if self._sign is None else image * self._sign

    def mean(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of such a tensor and its image."""
        half, image = 0.5 * x, self._moved(x)
        return half.add_(image, alpha=0.5) if self._sign is None else half.addcmul_(image, self._sign, value=0.5)

    @torch.no_grad()
    def impose(self) -> None:
        """Copy the first of each pair of weights to the other; a mean of both would make them smaller."""
        weights = self.parameter.detach()
        place = torch.arange(weights.numel(), device=weights.device).view_as(weights)
        weights.copy_(self.mean(torch.where(self._moved(place) >= place, weights, self.image(weights))))

    def holds(self) -> bool:
        """Whether the parameter is its image, to rounding."""
        weights = self.parameter.detach()
        return bool((weights - self.image(weights)).abs().max() <= TOLERANCE * weights.abs().max())

    def _moved(self, x: torch.Tensor) -> torch.Tensor:
        image = x.reshape(self._split).flip(self._flips).reshape(x.shape) if self._flips else x
        for axis, index in self._index:
            image = image.index_select(axis, index)
        return image


class ExactSymmetry:
    """Ties the parameters of networks, and keeps them tied while they learn."""

    def __init__(self, ties: Iterable[tuple[torch.Tensor, Mirror, Mirror | None]]) -> None:
        """Tie the parameters, once and for all their gradients."""
        self._ties = [Tie(*tie) for tie in ties]
        self.tied = {tie.parameter for tie in self._ties}
        """All of them."""
        for tie in self._ties:
            tie.impose()
            if tie.parameter.requires_grad:
                tie.parameter.register_hook(tie.mean)

    @torch.no_grad()
    def settle(self) -> None:
        """Take back what rounding in an optimizer did; a fused Adam rounds the last entries of a tensor otherwise."""
        for tie in self._ties:
            tie.parameter.copy_(tie.mean(tie.parameter))

    def holds(self) -> bool:
        """Whether all parameters still are their images, to rounding, as those of other checkpoints are not."""
        return all(tie.holds() for tie in self._ties)
