"""What the student's latent knows of the privileged state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict
from torch import nn

from legged_cts.algorithms.distilled_terms import DistilledTerm
from legged_cts.algorithms.terms import Seen
from legged_cts.distillation.divergences import squared_error
from legged_cts.models.latent_model import LatentActor

if TYPE_CHECKING:
    from legged_cts.algorithms.distilled import Distillation


class ReadOut(nn.Module):
    """Linear read-out of z^s = E^s(h) that estimates the teacher encoder's normalised input."""

    def __init__(self, actor: LatentActor, widths: dict[str, int]) -> None:
        """Build the read-out.

        Args:
            actor: Its teacher encoder normalises the target.
            widths: Number of columns of each observation group.

        Raises:
            ValueError: If the teacher encoder does not normalise, so that columns of large numbers would drown others.
        """
        super().__init__()
        if not getattr(actor.teacher_encoder, "obs_normalization", False):
            raise ValueError(
                "distillation.match = privileged needs networks.teacher_encoder.obs_normalization true: the estimate is"
                " in units of each column's std"
            )
        # In a tuple, so that its weights are not this module's.
        self._actor = (actor,)
        self._groups = {group: widths[group] for group in actor.teacher_groups}
        self.head = nn.Linear(actor.latent_dim, actor.teacher_dim)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Estimates [B, m] of the normalised privileged state from latents [B, latent_dim]."""
        return self.head(latents)

    @torch.no_grad()
    def target(self, observations: TensorDict) -> torch.Tensor:
        """Return the normalised privileged state [B, m]."""
        actor = self._actor[0]
        return actor.teacher_encoder.normalizer(actor.teacher_input(observations))  # type: ignore[operator]

    def errors(self, latents: torch.Tensor, observations: TensorDict) -> torch.Tensor:
        """Mean squared error over the columns of each sample [B], with gradient to the read-out and the latents."""
        return squared_error(self(latents), self.target(observations))

    @torch.no_grad()
    def explained(self, latents: torch.Tensor, observations: TensorDict, rows: torch.Tensor) -> dict[str, float]:
        """R^2 of the estimate by observation group, over the samples ``rows`` (bool [B]); none without samples.

        Squared errors and squared distances from the mean are each summed over the group's columns: one for a perfect
        estimate, zero for one that is as good as a constant, NaN where nothing varies.
        """
        if not bool(rows.any()):
            return {}
        target = self.target(observations)[rows]
        error = (self(latents[rows]) - target).square().mean(0)
        spread = (target - target.mean(0)).square().mean(0)
        parts = [values.split(list(self._groups.values())) for values in (error, spread)]
        found = torch.stack([1.0 - a.sum() / b.sum() for a, b in zip(*parts, strict=True)])
        found = torch.where(found.isfinite(), found, torch.nan)
        return dict(zip(self._groups, found.tolist(), strict=True))


class Estimate(DistilledTerm):
    """z^s estimates what the teacher sees, for ``distillation.match: privileged``.

    As an auxiliary loss it trains E^s too; how much of each group's variance it explains says what can be recovered
    from the history (LEAD's recoverability probe, adapted).
    """

    module: ReadOut

    def __init__(self, alg: Distillation, widths: dict[str, int]) -> None:
        """Build the read-out; ``widths`` are the numbers of columns of each observation group."""
        super().__init__(alg)
        self.module = ReadOut(alg._raw_actor, widths).to(alg.device)

    @property
    def everywhere(self) -> bool:  # type: ignore[override]
        """Whether it reads z^s of all samples."""
        return self.alg.cfg.matches("privileged")

    def prepare(self) -> Mapping[str, torch.Tensor | float]:
        """Return ``estimate/r2/<group>`` of the rollout, which the read-out has not learned from yet."""
        alg, acted = self.alg, self.alg.driver.acted.flatten()
        counted = ~acted if alg.distillation_states == "student" else torch.ones_like(acted)
        obs: Any = alg.storage.observations.flatten(0, 1)
        found = self.module.explained(alg.student_rollout.latents.flatten(0, 1), obs, counted)
        return {f"estimate/r2/{group}": value for group, value in found.items()}

    def loss(self, seen: Seen) -> torch.Tensor | None:
        """Return the weighted error of the estimate."""
        if not self.everywhere:
            return None
        assert seen.encoded is not None
        return self.pull(seen, self.module.errors(seen.encoded, seen.batch.observations))

    def state_dict(self) -> dict[str, Any]:
        """Return the read-out."""
        return {"estimate_state_dict": self.module.state_dict()}

    def load_state_dict(self, loaded: Mapping[str, Any], load_cfg: Mapping[str, Any] | None, strict: bool) -> None:
        """Load the read-out; it follows ``actor``, but then one that the checkpoint lacks stays as it is."""
        if load_cfg is None or (load_cfg.get("actor") and "estimate_state_dict" in loaded):
            self.module.load_state_dict(loaded["estimate_state_dict"], strict=strict)
