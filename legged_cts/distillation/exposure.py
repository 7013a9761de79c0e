"""What of the privileged observation a teacher may see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from legged_cts.distillation.names import MODES, ORDERS


class Exposure:
    """Hides whole groups of a normalised privileged observation and tells the network which ones it sees.

    It acts after the normaliser, where zero is the mean of a feature, and appends one bit per group, so that a hidden
    feature and one at its mean differ. A teacher that is masked must be trained under the masks, else its targets are
    out of its distribution.

    - ``full``: the identity, without bits (default);
    - ``fixed``: the groups of ``hidden`` are never seen (LEAD, EgoPush, adapted);
    - ``ratio``: a share rho of the groups is seen: the first round(rho G) of a fixed order, or each with probability
      rho (ATESD, adapted).
    """

    def __init__(
        self,
        groups: Mapping[str, int],
        mode: str = "full",
        hidden: Iterable[str] = (),
        order: str = "fixed",
        seed: int = 0,
    ) -> None:
        """Lay out the groups.

        Args:
            groups: Name and number of columns of each of the G groups, in the order of the observation's columns.
            mode: One of ``MODES``.
            hidden: Groups that ``fixed`` hides.
            order: ``fixed``: groups are revealed in one random order that follows from ``seed`` and the names;
                ``bernoulli``: independently.
            seed: Of order and coins.

        Raises:
            ValueError: If an option is unknown or names an unknown group.
        """
        hidden = tuple(hidden)
        if mode not in MODES:
            raise ValueError(f"exposure.mode is '{mode}'; allowed are: {', '.join(MODES)}")
        if order not in ORDERS:
            raise ValueError(f"exposure.order is '{order}'; allowed are: {', '.join(ORDERS)}")
        for name in hidden:
            if name not in groups:
                raise ValueError(f"exposure.hidden names '{name}', but the groups are: {', '.join(groups)}")
        self.names = tuple(groups)
        self.mode, self.order = mode, order
        sizes = torch.tensor(list(groups.values()))
        self._group_of_column = torch.arange(len(sizes)).repeat_interleave(sizes)
        self._seen = torch.tensor([name not in hidden for name in self.names])
        self._seed = seed
        # Sorted first, so that the order does not depend on how a configuration lists the groups.
        shuffled = torch.randperm(len(self.names), generator=torch.Generator().manual_seed(seed)).tolist()
        self.revealed = tuple(sorted(self.names)[i] for i in shuffled)
        """Names in the order in which a growing ratio reveals them."""
        self._ranks = torch.tensor([self.revealed.index(name) for name in self.names])

    @property
    def output_dim(self) -> int:
        """Columns after ``apply``."""
        return len(self._group_of_column) + (0 if self.mode == "full" else len(self.names))

    def mask(self, count: int, ratio: float = 1.0, draw: int = 0) -> torch.Tensor:
        """Draw which groups are seen, to be held while the draw is meant to last (an episode, a window of updates).

        Args:
            count: Number of environments or samples B.
            ratio: rho in [0, 1]; read by ``ratio`` only.
            draw: Number of the toss, at least 0; read by ``bernoulli`` only. The same toss always falls the same way,
                so a resumed training needs no state.

        Returns:
            Bool [B, G], on the CPU.

        Raises:
            ValueError: If ``ratio`` is out of range.
        """
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"exposure.ratio must lie in [0, 1], got {ratio}")
        shape = (count, len(self.names))
        if self.mode != "ratio":
            return self._seen.expand(shape) if self.mode == "fixed" else torch.ones_like(self._seen).expand(shape)
        if self.order == "bernoulli":
            # Neighbouring seeds and draws must not share a stream.
            generator = torch.Generator().manual_seed((self._seed * 2_654_435_761 + draw) % 2**63)
            return torch.rand(shape, generator=generator) < ratio
        return (self._ranks < round(ratio * len(self.names))).expand(shape)

    def apply(self, x: torch.Tensor, mask: torch.Tensor, groups: torch.Tensor | None = None) -> torch.Tensor:
        """Hide what the mask [B, G] hides in normalised observations x [B, n]; returns [B, ``output_dim``].

        Args:
            x: Observations.
            mask: Which groups are seen.
            groups: Number of each column's group, long [n]; None: groups are neighbouring columns, by their sizes.

        Raises:
            ValueError: If the groups do not add up to n.
        """
        width = len(self._group_of_column)
        if x.shape[-1] != width:
            raise ValueError(f"the groups of the exposure have {width} columns, the input {x.shape[-1]}")
        if self.mode == "full":
            return x
        if groups is None:
            groups = self._group_of_column = self._group_of_column.to(mask.device)  # moves once, not in every pass
        columns = mask[:, groups]
        # where, not a product: a hidden value may be infinite
        return torch.cat([torch.where(columns, x, torch.zeros_like(x)), mask.to(x.dtype)], dim=-1)
