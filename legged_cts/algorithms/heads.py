"""The networks that may learn beside a distilled policy: the estimate and the confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rsl_rl.storage import RolloutStorage
from torch import nn

from legged_cts.algorithms.confidence_head import ConfidenceHead, ConfidenceOptions
from legged_cts.algorithms.estimate import Estimate
from legged_cts.distillation.drivers import Driver
from legged_cts.models.latent_model import LATENT, LatentActor


class Heads:
    """Holds what exists of them; without any, every method does nothing."""

    def __init__(
        self, actor: LatentActor, storage: RolloutStorage, estimates: bool, confidence: Mapping[str, Any] | None,
        device: str,
    ) -> None:  # fmt: skip
        """Build the heads.

        Args:
            actor: The policy.
            storage: Its rollout storage.
            estimates: Whether z^s is to estimate the privileged state.
            confidence: ``algorithm.confidence``; None for no such head.
            device: Device of the learner.

        Raises:
            ValueError: If an option is unknown or out of range.
        """
        self._actor = actor
        self.estimate: Estimate | None = None
        self.confidence: ConfidenceHead | None = None
        if estimates:
            widths = {group: value.shape[-1] for group, value in storage.observations.items()}
            self.estimate = Estimate(actor, widths).to(device)
        if confidence is not None:
            steps = storage.num_transitions_per_env
            options = ConfidenceOptions.from_dict(confidence, steps)
            width = actor.obs_dim + actor.latent_dim
            self.confidence = ConfidenceHead(options, width, steps, storage.num_envs, device)

    def record(self, step: int, extras: Mapping[str, Any], driver: Driver) -> None:
        """Remember a step of the rollout before the driver goes on, see ``ConfidenceHead.record``."""
        if self.confidence is not None:
            self.confidence.record(step, extras, driver.steps_left)

    def probe(
        self, storage: RolloutStorage, latents: torch.Tensor, acted: torch.Tensor, counted: torch.Tensor, coins: bool,
        batches: int,
    ) -> dict[str, float]:  # fmt: skip
        """Compare the heads with a full rollout, which neither has learned from yet; then the confidence does.

        Args:
            storage: The rollout; where the student drove, its latent is z^s.
            latents: z^s of all steps [T, N, latent_dim].
            acted: Whether the teacher drove, bool [T, N].
            counted: Steps in which the estimate is compared, bool [T, N].
            coins: Whether each step has a coin of its own that decides who drives.
            batches: Mini-batches of the confidence.

        Returns:
            ``estimate/r2/<group>``, see ``Estimate.explained``, and ``confidence/<name>``, see ``ConfidenceHead.fit``.
        """
        obs: Any = storage.observations
        found: dict[str, float] = {}
        if self.estimate is not None:
            explained = self.estimate.explained(latents.flatten(0, 1), obs.flatten(0, 1), counted.flatten())
            found |= {f"estimate/r2/{group}": value for group, value in explained.items()}
        if self.confidence is not None:
            actor = self._actor
            with torch.no_grad():
                seen = actor.obs_normalizer(torch.cat([obs[group] for group in actor.obs_groups], dim=-1))
            inputs = torch.cat([seen, obs[LATENT]], dim=-1)
            numbers = self.confidence.fit(inputs, storage.dones.squeeze(-1), acted, coins, batches)
            found |= {f"confidence/{name}": value for name, value in numbers.items()}
        return found

    def save(self) -> dict[str, Any]:
        """Return the states for a checkpoint."""
        saved: dict[str, Any] = {f"{name}_state_dict": head.state_dict() for name, head in self._named().items()}
        if self.confidence is not None:
            saved["confidence_optimizer_state_dict"] = self.confidence.optimizer.state_dict()
        return saved

    def load(self, loaded: Mapping[str, Any], load_cfg: Mapping[str, Any] | None, strict: bool) -> None:
        """Load what ``save`` returned.

        Args:
            loaded: A checkpoint.
            load_cfg: Parts to load, None for all. Heads follow ``actor``, but then one that the checkpoint lacks stays
                as it is.
            strict: Whether the parameter names must match exactly.

        Raises:
            KeyError: If all is to be loaded and the checkpoint lacks a head.
        """
        for name, head in self._named().items():
            key = f"{name}_state_dict"
            if load_cfg is None or (load_cfg.get("actor") and key in loaded):
                head.load_state_dict(loaded[key], strict=strict)
        if self.confidence is not None and load_cfg is None:
            self.confidence.optimizer.load_state_dict(loaded["confidence_optimizer_state_dict"])

    def _named(self) -> dict[str, nn.Module]:
        heads = {"estimate": self.estimate, "confidence": self.confidence}
        return {name: head for name, head in heads.items() if head is not None}
