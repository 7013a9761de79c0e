"""The terms that every algorithm with roles has: surrogate, value, entropy and mirror loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from legged_cts.algorithms.diagnostics import clipped, role_means
from legged_cts.algorithms.losses import clipped_surrogate, combine_surrogates, value_loss
from legged_cts.algorithms.minibatches import RoleBatch
from legged_cts.distillation.gaussians import DiagonalGaussian

if TYPE_CHECKING:
    from legged_cts.algorithms.ppo import RolePPO


@dataclass
class Seen:
    """A mini-batch of B samples, teachers first, and what the networks say of it."""

    batch: RoleBatch
    samples: RoleBatch
    """The same without images."""
    latent: torch.Tensor
    """z of who acted [B, latent_dim]."""
    encoded: torch.Tensor | None
    """z^s of every sample [B, latent_dim] with gradient, where a term reads it."""
    acting: DiagonalGaussian
    """pi(o, z) [B, d]."""
    log_prob: torch.Tensor
    """Of the actions [B]."""
    entropy: torch.Tensor
    """Mean entropy of pi(o, z)."""
    values: torch.Tensor
    """V(s, stopgrad(z)) [B, 1]."""
    symmetry: torch.Tensor | None
    """Mirror loss before its weight; None without symmetry."""
    kl: torch.Tensor
    """KL(old || new) of the samples that steer the learning rate [K], without gradient."""
    every_kl: torch.Tensor
    """The same of all samples."""
    penalty: torch.Tensor | None
    """What E^s adds to a loss that trains it."""
    shares: torch.Tensor
    """What means over teachers, students and all count in this process [3], see ``reduce.joint_shares``."""
    report: dict[str, torch.Tensor] = field(default_factory=dict)
    """Scalars whose means an update returns."""
    diagnostics: dict[str, torch.Tensor] = field(default_factory=dict)
    """Scalars for ``Diagnostics``."""
    student: DiagonalGaussian | None = None
    """pi(o, z^s) [B, d], once a term has asked for it."""
    total: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    """Sum of the terms."""


class Term:
    """A part of what is learned from a rollout; by default it does nothing."""

    everywhere = False
    """Whether it reads z^s of all samples, ``Seen.encoded``."""
    module: nn.Module | None = None
    """A network of its own, which the student's optimizer trains."""

    def __init__(self, alg: RolePPO) -> None:
        """Belong to an algorithm, which holds rollout and networks."""
        self.alg = alg

    def prepare(self) -> Mapping[str, torch.Tensor | float]:
        """Look at the full rollout before it is learned from; returns scalars for ``Diagnostics``."""
        return {}

    def loss(self, seen: Seen) -> torch.Tensor | None:
        """Return the term's part of a mini-batch's loss, weighted; None for none. Reports go into ``seen``."""

    def finish(self, means: dict[str, list[float]]) -> int:
        """Learn what is to be learned after the PPO epochs, and report; returns the number of skipped steps."""
        return 0

    def state_dict(self) -> dict[str, Any]:
        """Return entries of the checkpoint."""
        return {}

    def load_state_dict(self, loaded: Mapping[str, Any], load_cfg: Mapping[str, Any] | None, strict: bool) -> None:
        """Load them from a whole checkpoint; ``load_cfg`` names parts to load, None is all."""


class Surrogate(Term):
    """PPO's clipped surrogate: each role learns from the steps in which it acted."""

    learners = "both"
    """Who learns: ``teacher``, ``student``, ``both`` or ``none``."""
    coef = 1.0

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the surrogates of the learners, joined by the algorithm's ``surrogate``."""
        n, shares, batch = seen.batch.teachers, seen.shares, seen.batch
        per_sample = self.per_sample(seen)
        parts = {"teacher": per_sample[:n], "student": per_sample[n:]}
        if self.learners == "both":
            surrogate = combine_surrogates(per_sample, n, self.alg.surrogate, shares)
        elif len(parts.get(self.learners, ())):
            surrogate = parts[self.learners].mean() * shares[0 if self.learners == "teacher" else 1]
        else:
            surrogate = torch.zeros((), device=per_sample.device)
        surrogate = self.coef * surrogate
        seen.report["surrogate"] = surrogate
        seen.report |= {f"surrogate_{role}": part.mean() for role, part in parts.items() if len(part)}
        found = {
            **role_means("policy/clip_fraction", clipped(seen.log_prob, batch.old_log_prob, self.alg.clip_param), n),
            **role_means("policy/kl", seen.every_kl, seen.samples.teachers),
            **role_means("policy/surrogate_gain", -per_sample.detach() - batch.advantages.squeeze(1), n),
        }
        if not self.alg.teacher_is_live:  # what a copy did says nothing of the policy under training
            seen.report.pop("surrogate_teacher", None)
            found = {key: value for key, value in found.items() if not key.endswith("_teacher")}
        seen.diagnostics |= found
        return surrogate

    def per_sample(self, seen: Seen) -> torch.Tensor:
        """Return the loss of every sample [B]."""
        batch = seen.batch
        return clipped_surrogate(seen.log_prob, batch.old_log_prob, batch.advantages.squeeze(1), self.alg.clip_param)


class Value(Term):
    """The critic's error, over all samples."""

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the weighted value loss."""
        clip = self.alg.clip_param if self.alg.use_clipped_value_loss else None
        seen.report["value"] = value = value_loss(seen.values, seen.batch.values, seen.batch.returns, clip)
        return self.alg.value_loss_coef * value * seen.shares[2]


class Entropy(Term):
    """The bonus that keeps the policy from settling."""

    coef = 1.0
    """Beside the algorithm's ``entropy_coef``."""

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the weighted bonus, a negative loss."""
        seen.report["entropy"] = seen.entropy
        return -(self.coef * self.alg.entropy_coef) * seen.entropy * seen.shares[2]


class MirrorLoss(Term):
    """Draws the action for a mirrored state to the mirrored action, where ``symmetry_cfg`` says so."""

    def loss(self, seen: Seen) -> torch.Tensor | None:
        """Return the weighted mirror loss; it is reported with every symmetry."""
        if seen.symmetry is None:
            return None
        seen.report["symmetry"] = seen.symmetry
        symmetry = self.alg.symmetry
        if symmetry is None or not symmetry.use_mirror_loss:
            return None
        return symmetry.mirror_loss_coeff * seen.symmetry * seen.shares[2]
