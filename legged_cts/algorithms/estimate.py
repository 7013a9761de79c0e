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

if TYPE_CHECKING:
    from legged_cts.algorithms.distilled import Distillation


class Estimate(DistilledTerm):
    """A linear read-out of z^s = E^s(h) estimates what the teacher sees, for ``distillation.match: privileged``.

    The target is the teacher encoder's normalised input. As an auxiliary loss it trains E^s too; how much of each
    group's variance it explains says what can be recovered from the history (LEAD's recoverability probe, adapted).
    """

    module: nn.ModuleDict

    def __init__(self, alg: Distillation, widths: Mapping[str, int]) -> None:
        """Build the read-out.

        Args:
            alg: Its actor's teacher encoder normalises the target.
            widths: Number of columns of each observation group.

        Raises:
            ValueError: If the teacher encoder does not normalise, so that columns of large numbers would drown others.
        """
        super().__init__(alg)
        actor = alg._raw_actor
        if not getattr(actor.teacher_encoder, "obs_normalization", False):
            raise ValueError(
                "distillation.match = privileged needs networks.teacher_encoder.obs_normalization true: the estimate is"
                " in units of each column's std"
            )
        self._groups = {group: widths[group] for group in actor.teacher_groups}
        self.module = nn.ModuleDict({"head": nn.Linear(actor.latent_dim, actor.teacher_dim)}).to(alg.device)

    @property
    def everywhere(self) -> bool:  # type: ignore[override]
        """Whether it reads z^s of all samples."""
        return self.alg.cfg.matches("privileged")

    def prepare(self) -> Mapping[str, torch.Tensor | float]:
        """Return ``estimate/r2/<group>`` of the rollout, which the read-out has not learned from yet."""
        alg, acted = self.alg, self.alg.driver.acted.flatten()
        counted = ~acted if alg.distillation_states == "student" else torch.ones_like(acted)
        obs: Any = alg.storage.observations.flatten(0, 1)
        found = self.explained(alg.student_rollout.latents.flatten(0, 1), obs, counted)
        return {f"estimate/r2/{group}": value for group, value in found.items()}

    def loss(self, seen: Seen) -> torch.Tensor | None:
        """Return the weighted error of the estimate."""
        if not self.everywhere:
            return None
        assert seen.encoded is not None
        return self.pull(seen, self.errors(seen.encoded, seen.batch.observations))

    @torch.no_grad()
    def target(self, observations: TensorDict) -> torch.Tensor:
        """Return the normalised privileged state [B, m]."""
        actor: Any = self.alg._raw_actor
        return actor.teacher_encoder.normalizer(actor.teacher_input(observations))

    def errors(self, latents: torch.Tensor, observations: TensorDict) -> torch.Tensor:
        """Mean squared error over the columns of each sample [B], with gradient to the read-out and the latents."""
        return squared_error(self.module["head"](latents), self.target(observations))

    @torch.no_grad()
    def explained(self, latents: torch.Tensor, observations: TensorDict, rows: torch.Tensor) -> dict[str, float]:
        """R^2 of the estimate by observation group, over the samples ``rows`` (bool [B]); none without samples.

        Squared errors and squared distances from the mean are each summed over the group's columns: one for a perfect
        estimate, zero for one that is as good as a constant, NaN where nothing varies.
        """
        if not bool(rows.any()):
            return {}
        target = self.target(observations)[rows]
        error = (self.module["head"](latents[rows]) - target).square().mean(0)
        spread = (target - target.mean(0)).square().mean(0)
        parts = [values.split(list(self._groups.values())) for values in (error, spread)]
        found = torch.stack([1.0 - a.sum() / b.sum() for a, b in zip(*parts, strict=True)])
        found = torch.where(found.isfinite(), found, torch.nan)
        return dict(zip(self._groups, found.tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the read-out."""
        return {"estimate_state_dict": self.module.state_dict()}

    def load_state_dict(self, loaded: Mapping[str, Any], load_cfg: Mapping[str, Any] | None, strict: bool) -> None:
        """Load the read-out; it follows ``actor``, but then one that the checkpoint lacks stays as it is."""
        if load_cfg is None or (load_cfg.get("actor") and "estimate_state_dict" in loaded):
            self.module.load_state_dict(loaded["estimate_state_dict"], strict=strict)
