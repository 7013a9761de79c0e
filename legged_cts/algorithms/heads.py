"""The networks that may learn beside a distilled policy: the estimate, the confidence and the value of the return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rsl_rl.storage import RolloutStorage
from torch import nn

from legged_cts.algorithms.confidence_head import ConfidenceHead, ConfidenceOptions
from legged_cts.algorithms.episode_ends import time_outs
from legged_cts.algorithms.estimate import Estimate
from legged_cts.algorithms.return_head import ReturnHead, ReturnHeadOptions
from legged_cts.algorithms.side_network import SideNetwork
from legged_cts.distillation.drivers import Driver
from legged_cts.models.latent_model import LATENT, LatentActor, LatentModel


class Heads:
    """Holds what exists of them; without any, every method does nothing."""

    def __init__(
        self, actor: LatentActor, critic: LatentModel, storage: RolloutStorage, estimates: bool,
        confidence: Mapping[str, Any] | None, returns: Mapping[str, Any] | None, device: str,
    ) -> None:  # fmt: skip
        """Build the heads.

        Args:
            actor: The policy.
            critic: Its critic.
            storage: Its rollout storage.
            estimates: Whether z^s is to estimate the privileged state.
            confidence: ``algorithm.confidence``; None for no such head.
            returns: ``algorithm.return_head``; None for no such head.
            device: Device of the learner.

        Raises:
            ValueError: If an option is unknown or out of range.
        """
        self._actor, self._critic = actor, critic
        self.estimate: Estimate | None = None
        self.confidence: ConfidenceHead | None = None
        self.returns: ReturnHead | None = None
        steps = storage.num_transitions_per_env
        if estimates:
            widths = {group: value.shape[-1] for group, value in storage.observations.items()}
            self.estimate = Estimate(actor, widths).to(device)
        if confidence is not None:
            options = ConfidenceOptions.from_dict(confidence, steps)
            width = actor.obs_dim + actor.latent_dim
            self.confidence = ConfidenceHead(options, width, steps, storage.num_envs, device)
        if returns is not None:
            value_options = ReturnHeadOptions.from_dict(returns)
            width = critic.obs_dim + actor.latent_dim
            self.returns = ReturnHead(value_options, width, steps, storage.num_envs, device)

    def record(self, step: int, extras: Mapping[str, Any], dones: torch.Tensor, driver: Driver) -> None:
        """Remember a step of the rollout before the driver goes on.

        Args:
            step: Its number.
            extras: What the environment returned.
            dones: Ends of episodes [N].
            driver: Who drove it.
        """
        if self.confidence is not None:
            self.confidence.record(step, time_outs(extras, dones), driver.steps_left)
        if self.returns is not None:
            self.returns.record(step, time_outs(extras, dones))

    def value_inputs(self, observations: Any, latents: torch.Tensor) -> torch.Tensor:
        """What ``returns`` reads [..., width]: the critic's observation and z^s [..., latent_dim], without gradient."""
        return torch.cat([_normalized(self._critic, observations), latents], dim=-1)

    def probe(
        self, storage: RolloutStorage, latents: torch.Tensor, acted: torch.Tensor, counted: torch.Tensor, coins: bool,
        epochs: int, batches: int,
    ) -> dict[str, float]:  # fmt: skip
        """Compare the heads with a full rollout, which none has learned from yet; then all but the estimate do.

        Args:
            storage: The rollout; where the student drove, its latent is z^s.
            latents: z^s of all steps [T, N, latent_dim].
            acted: Whether the teacher drove, bool [T, N].
            counted: Steps in which the estimate is compared, bool [T, N].
            coins: Whether each step has a coin of its own that decides who drives.
            epochs: Passes over the rollout of the value.
            batches: Mini-batches per pass of the confidence and the value.

        Returns:
            ``estimate/r2/<group>``, see ``Estimate.explained``, ``confidence/<name>``, see ``ConfidenceHead.fit``, and
            ``return_head/<name>``, see ``ReturnHead.fit``.
        """
        obs: Any = storage.observations
        found: dict[str, float] = {}
        if self.estimate is not None:
            explained = self.estimate.explained(latents.flatten(0, 1), obs.flatten(0, 1), counted.flatten())
            found |= {f"estimate/r2/{group}": value for group, value in explained.items()}
        if self.confidence is not None:
            inputs = torch.cat([_normalized(self._actor, obs), obs[LATENT]], dim=-1)
            numbers = self.confidence.fit(inputs, storage.dones.squeeze(-1), acted, coins, batches)
            found |= {f"confidence/{name}": value for name, value in numbers.items()}
        if self.returns is not None:
            numbers = self.returns.fit(epochs, batches)
            found |= {f"return_head/{name}": value for name, value in numbers.items()}
        return found

    def save(self) -> dict[str, Any]:
        """Return the states for a checkpoint."""
        saved: dict[str, Any] = {f"{name}_state_dict": head.state_dict() for name, head in self._named().items()}
        for name, head in self._named().items():
            if isinstance(head, SideNetwork):
                saved[f"{name}_optimizer_state_dict"] = head.optimizer.state_dict()
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
            if load_cfg is None and isinstance(head, SideNetwork):
                head.optimizer.load_state_dict(loaded[f"{name}_optimizer_state_dict"])

    def _named(self) -> dict[str, nn.Module]:
        heads = {"estimate": self.estimate, "confidence": self.confidence, "return_head": self.returns}
        return {name: head for name, head in heads.items() if head is not None}


@torch.no_grad()
def _normalized(model: LatentModel, observations: Any) -> torch.Tensor:
    """What a model sees of observations [..., n], without its latent."""
    return model.obs_normalizer(torch.cat([observations[group] for group in model.obs_groups], dim=-1))
