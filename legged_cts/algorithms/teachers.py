"""Where a teacher's weights come from: the policy under training, a copy of it, or a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn

from legged_cts.distillation.gaussians import DiagonalGaussian
from legged_cts.models.policies import LatentPolicy

SOURCES = ("self", "frozen", "ema", "checkpoint")
ROLES = ("teacher", "student")


@dataclass(frozen=True)
class TeacherOptions:
    """One entry of ``algorithm.teachers``."""

    source: str = "self"
    """``self``: pi(o, E^t(s)) as it is. ``frozen``: a copy of it from the start of iteration ``at``, before that
    itself. ``ema``: its exponential moving average. ``checkpoint``: the policy of a file."""
    role: str = "teacher"
    """Which policy: ``teacher`` is pi(o, E^t(s)), ``student`` is pi(o, E^s(h)), for references."""
    at: int = 0
    """Iteration whose start ``frozen`` copies."""
    decay: float = 0.99
    """Of ``ema``, per iteration."""
    checkpoint: str | None = None
    """File or run folder of ``checkpoint``. A policy without roles, such as that of PPO, counts as the teacher."""
    terrain: tuple[str, ...] = ()
    """Kinds of terrain whose environments ``target.route: env`` gives to this teacher."""

    @classmethod
    def from_dict(cls, name: str, node: Mapping[str, Any]) -> TeacherOptions:
        """Check an entry.

        Raises:
            ValueError: Naming the field and what it may be.
        """
        path, known = f"algorithm.teachers.{name}", [item.name for item in fields(cls)]
        for key in node:
            if key not in known:
                raise ValueError(f"unknown key {path}.{key}; allowed are: {', '.join(known)}")
        options = cls(**{**node, "terrain": tuple(node.get("terrain") or ())})
        for key, allowed in (("source", SOURCES), ("role", ROLES)):
            if getattr(options, key) not in allowed:
                raise ValueError(f"{path}.{key} must be one of {', '.join(allowed)}; got {getattr(options, key)!r}")
        if (options.source == "checkpoint") != (options.checkpoint is not None):
            raise ValueError(f"{path}.checkpoint goes with source: checkpoint; got source: {options.source}")
        if options.at < 0 or not 0.0 <= options.decay < 1.0:
            raise ValueError(f"{path}: at must not be negative, and decay must lie in [0, 1)")
        return options


class Teacher(nn.Module):
    """A policy to learn from."""

    frozen: torch.Tensor

    def __init__(self, name: str, options: TeacherOptions, own: LatentPolicy, stored: Mapping[str, int]) -> None:
        """Make room for a copy.

        Args:
            name: Key in ``algorithm.teachers``.
            options: Its entry.
            own: The policy under training whose role it has, before it was ever run.
            stored: Names and widths of the observation groups that are there.
        """
        super().__init__()
        self.name, self.options = name, options
        # In a tuple, so that its weights are not this module's.
        self._own = (own,)
        self._stored = dict(stored)
        self.policy: nn.Module | None = None
        self.register_buffer("frozen", torch.tensor(options.source in ("ema", "checkpoint")))
        if options.source in ("frozen", "ema"):
            self.policy = copy.deepcopy(own).requires_grad_(False).eval()

    @property
    def is_live(self) -> bool:
        """Whether it is the policy under training."""
        return not bool(self.frozen)

    @torch.no_grad()
    def begin(self, iteration: int) -> None:
        """Start an iteration: copy or average the weights.

        Raises:
            ValueError: If the policy of a checkpoint was not given.
        """
        own = self._own[0]
        if self.options.source == "frozen" and self.is_live and iteration >= self.options.at:
            assert self.policy is not None
            self.policy.load_state_dict(own.state_dict())
            self.frozen.fill_(True)
        elif self.options.source == "ema":
            assert self.policy is not None
            for mean, value in zip(self.policy.state_dict().values(), own.state_dict().values(), strict=True):
                if mean.is_floating_point() and iteration:
                    mean.lerp_(value, 1.0 - self.options.decay)
                else:
                    mean.copy_(value)
        elif self.options.source == "checkpoint" and self.policy is None:
            raise ValueError(
                f"algorithm.teachers.{self.name}: nobody read the checkpoint; legged_cts.training.runner:Runner does"
            )

    def distribution(self, observations: TensorDict, context: torch.Tensor | None = None) -> DiagonalGaussian:
        """Distribution of actions [B, d]; without gradient unless the policy is live.

        Args:
            observations: Stored observations [B].
            context: Raw histories [B, H, n], for the role ``student``.
        """
        if self.is_live:
            return DiagonalGaussian(*self._own[0].action_distribution(observations, context))
        with torch.no_grad():
            if isinstance(self.policy, MLPModel):
                self.policy(observations, stochastic_output=True)
                return DiagonalGaussian(*self.policy.output_distribution_params)
            assert isinstance(self.policy, LatentPolicy)
            return DiagonalGaussian(*self.policy.action_distribution(observations, context))

    def acting_policy(self) -> nn.Module:
        """The policy for inference."""
        return self._own[0] if self.is_live or self.policy is None else self.policy

    def give(self, policy: nn.Module) -> None:
        """Take the policy of a checkpoint: one of ours, or an actor of rsl_rl.

        Raises:
            ValueError: If it is recurrent or reads what this training does not observe.
        """
        path = f"algorithm.teachers.{self.name}: the policy of {self.options.checkpoint}"
        if getattr(policy, "is_recurrent", False):
            raise ValueError(f"{path} is recurrent; give another one")
        if self.options.role == "teacher":
            self._check_observations(policy, path)
        device = self._own[0].mlp[0].weight.device
        self.policy = policy.requires_grad_(False).eval().to(device)  # type: ignore[arg-type]

    def _check_observations(self, policy: Any, path: str) -> None:
        latent = isinstance(policy, LatentPolicy)
        groups = policy.proprioception_groups + policy.context_groups if latent else policy.obs_groups
        missing = [group for group in groups if group not in self._stored]
        if missing:
            raise ValueError(
                f"{path} reads the observation groups {', '.join(missing)}, which no set of runner.obs_groups has here;"
                " add them to critic"
            )
        read = policy.proprioception_dim + policy.context_shape[0] if latent else policy.obs_dim
        here = sum(self._stored[group] for group in groups)
        if read != here:
            raise ValueError(
                f"{path} reads {read} observations, but here its groups have {here}; env.observations must be as in its"
                " training"
            )

    def save(self) -> dict[str, torch.Tensor]:
        """State of copies; a checkpoint is read again from its file."""
        return {} if self.options.source in ("self", "checkpoint") else dict(self.state_dict())
