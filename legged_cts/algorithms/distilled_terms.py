"""What distillation adds to PPO: the match of actions, as loss, in the return or ratio, and importance ratios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict

from legged_cts.algorithms.losses import clipped_surrogate
from legged_cts.algorithms.minibatches import RoleBatch
from legged_cts.algorithms.reduce import joint_mean
from legged_cts.algorithms.symmetry import action_images, by_role
from legged_cts.algorithms.teachers import REFERENCE
from legged_cts.algorithms.terms import Seen, Surrogate, Term
from legged_cts.distillation import weights as step_weights
from legged_cts.distillation.diagnostics import by_driver, gradient_cosines
from legged_cts.distillation.divergences import divergence
from legged_cts.distillation.gaussians import DiagonalGaussian, kl
from legged_cts.distillation.placement import extrapolated_log_ratio, ratio_surrogate, weighted_mean
from legged_cts.distillation.pools import extrapolate
from legged_cts.models.latent_model import LATENT

if TYPE_CHECKING:
    from legged_cts.algorithms.distilled import Distillation


class DistilledTerm(Term):
    """A term that pulls the student, weighed by ``distillation.coef``."""

    alg: Distillation

    def pull(self, seen: Seen, values: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return c_d times the weighted mean of distances [B] over the states that count."""
        n, alone = seen.batch.teachers, self.alg.distillation_states == "student"
        mask = torch.arange(len(values), device=values.device) >= n if alone else None
        seen.report["distillation"] = weighted_mean(values.detach(), None, mask)
        return self.alg.cfg.coef * weighted_mean(values, weights, mask) * seen.shares[1 if alone else 2]


class Importance(Term):
    """The student learns from teacher-driven steps too, by the ratio student / teacher (pi-Distill)."""

    alg: Distillation

    @property
    def everywhere(self) -> bool:  # type: ignore[override]
        """Whether it reads z^s of all samples."""
        return self.alg.cfg.learn.importance

    def loss(self, seen: Seen) -> torch.Tensor | None:
        """Return the clipped surrogate of the student on the teacher's steps."""
        n, batch = seen.batch.teachers, seen.batch
        if not self.alg.cfg.learn.importance or not n:
            return None
        log_prob = self.alg.student_distribution(seen).log_prob(batch.actions)[:n]
        advantages = batch.advantages.squeeze(1)[:n]
        followed = clipped_surrogate(log_prob, batch.old_log_prob[:n], advantages, self.alg.clip_param).mean()
        seen.report["surrogate_importance"] = followed
        return self.alg.cfg.rl_coef * followed * seen.shares[0]


class AnchoredSurrogate(Surrogate):
    """PPO's surrogate, or at ``place: ratio`` that of the student with the teacher in the denominator."""

    alg: Distillation

    def per_sample(self, seen: Seen) -> torch.Tensor:
        """Return the loss of every sample [B]."""
        found, n, batch, place = super().per_sample(seen), seen.batch.teachers, seen.batch, self.alg.cfg.place
        if place.kind != "ratio" or n == len(batch):
            return found
        teacher = self.alg.match.target(seen).log_prob(batch.actions)
        anchored = ratio_surrogate(
            seen.log_prob[n:], batch.old_log_prob[n:], teacher[n:], batch.advantages.squeeze(1)[n:],
            self.alg.clip_param, place.alpha, place.dual_clip,
        )  # fmt: skip
        return torch.cat([found[:n], anchored])


class ActionMatch(DistilledTerm):
    """Pulls the student's actions to the target, which is the teacher's, or one extrapolated past it.

    At ``place: loss`` it is a loss; at ``place: return`` it adds c_d w A_d to c_rl A of the steps that the student
    took; at ``place: ratio`` ``AnchoredSurrogate`` reads its target. It reports ``by_driver`` and, as a loss,
    ``gradient_cosines`` on the student's steps of one mini-batch.
    """

    def __init__(self, alg: Distillation) -> None:
        """Know no target yet."""
        super().__init__(alg)
        self.targets: DiagonalGaussian | None = None
        """Targets [T * N] of the rollout where they stay the same in the update."""
        self.weights: torch.Tensor | None = None
        """Weights [T * N] of its steps, apart from the clip of a loss."""
        self.cosines_due = False
        encoders = {id(parameter) for parameter in alg._raw_actor.teacher_encoder.parameters()}
        self._shared = [one for one in alg._raw_actor.parameters() if id(one) not in encoders]

    @property
    def everywhere(self) -> bool:  # type: ignore[override]
        """Whether it reads z^s of all samples."""
        return self.alg.cfg.matches("action") and self.alg.cfg.place.kind == "loss"

    @torch.no_grad()
    def prepare(self) -> Mapping[str, torch.Tensor | float]:
        """Compute once per update what stays the same in it: targets of copies, weights, advantages of the return."""
        alg, cfg = self.alg, self.alg.cfg
        self.targets, self.weights, self.cosines_due = None, None, True
        names, place = cfg.target.teachers, cfg.place.kind
        if not cfg.matches("action") and place != "ratio":
            return {}
        moves = alg.teachers.is_live(names) and place == "loss" and cfg.target.lam == 1.0
        if moves and not set(cfg.weights.given) & {"rel_div", "window"}:
            return {}
        obs: Any = alg.storage.observations.flatten(0, 1)
        student = self.old_student(obs)
        target = teacher = alg.teachers.distribution(obs, names)
        actions, old = alg.storage.actions.flatten(0, 1), alg.storage.actions_log_prob.flatten()
        log_ratio = teacher.log_prob(actions) - old
        if cfg.target.lam != 1.0:
            reference = self.reference(obs)
            target = extrapolate(teacher, reference, cfg.target.lam, cfg.target.clamp)
            log_ratio = extrapolated_log_ratio(
                old, teacher.log_prob(actions), reference.log_prob(actions), cfg.target.lam
            )
        self.targets = None if moves else target
        distance = kl(student, target)
        self.weights = self._step_weights(log_ratio.abs() if place == "return" else distance)
        if place == "return":
            self._add_to_advantages(log_ratio + distance if cfg.place.baseline else log_ratio)
        return {} if place == "loss" else by_driver(distance, student, target, alg.driver.acted.flatten())

    def loss(self, seen: Seen) -> torch.Tensor | None:
        """Return the weighted divergence from the target."""
        alg, cfg, n = self.alg, self.alg.cfg, seen.batch.teachers
        if not self.everywhere:
            return None
        student, target = alg.student_distribution(seen), self.target(seen)
        fixed = target.detach() if cfg.learn.gradient == "student" else target
        values = divergence(cfg.measure, student, fixed, cfg.divergence.beta, cfg.divergence.samples)
        found = [] if self.weights is None else [self.weights[seen.batch.index]]
        if cfg.weights.clip is not None:
            found.append(step_weights.clip(values, cfg.weights.clip.limit))
        weights = step_weights.product(*found)
        acts = torch.arange(len(values), device=values.device) < n
        seen.diagnostics |= by_driver(values, student, target, acts)
        if n < len(values) and self.cosines_due:
            seen.diagnostics |= self._cosines(seen, student, values if weights is None else values * weights)
        return self.pull(seen, values, weights)

    def target(self, seen: Seen) -> DiagonalGaussian:
        """Return the target of a mini-batch [B]; that of an image is the image of its sample's."""
        samples = seen.samples
        if self.targets is not None:
            found = DiagonalGaussian(self.targets.mean[samples.index], self.targets.std[samples.index])
        else:
            with torch.set_grad_enabled(self.alg.cfg.learn.gradient != "student"):
                names = self.alg.cfg.target.teachers
                found = self.alg.teachers.distribution(samples.observations, names, samples.index)
        return found if seen.batch.copies == 1 else _images(self.alg, seen.batch, found)

    def _cosines(self, seen: Seen, student: DiagonalGaussian, values: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compare the gradients of distances [B] and of PPO on the student's steps, if PPO trains it."""
        self.cosines_due = False
        alg, batch, n = self.alg, seen.batch, seen.batch.teachers
        # A compiled actor frees what a second gradient would need.
        if alg.actor is not alg._raw_actor or not alg.reinforces_student or alg.cfg.rl_coef == 0.0:
            return {}
        advantages = batch.advantages.squeeze(1)
        per_sample = clipped_surrogate(student.log_prob(batch.actions), batch.old_log_prob, advantages, alg.clip_param)
        return gradient_cosines(values[n:], per_sample[n:], advantages[n:], self._shared)

    def _step_weights(self, distance: torch.Tensor) -> torch.Tensor | None:
        """Product of the weights [T * N] of a rollout whose steps are ``distance`` from the target."""
        cfg, driver, found = self.alg.cfg.weights, self.alg.driver, []
        if cfg.rel_div is not None:
            means = step_weights.segment_means(distance.view(driver.acted.shape), cfg.rel_div.segment).flatten()
            found.append(step_weights.rel_div(means, cfg.rel_div.delta, joint_mean(means)))
        if cfg.window is not None:
            found.append(step_weights.window(driver.since_handover.flatten(), cfg.window.length))
        if cfg.clip is not None and self.alg.cfg.place.kind == "return":
            found.append(step_weights.clip(distance, cfg.clip.limit))
        return step_weights.product(*found)

    def _add_to_advantages(self, found: torch.Tensor) -> None:
        """Add c_d w A_d to c_rl A in the steps that the student took."""
        storage, acted = self.alg.storage, self.alg.driver.acted
        found = (found if self.weights is None else found * self.weights).view(acted.shape)
        found = torch.where(acted, torch.zeros_like(found), found)
        storage.advantages = self.alg.cfg.rl_coef * storage.advantages + self.alg.cfg.coef * found.unsqueeze(-1)

    def old_student(self, obs: Any) -> DiagonalGaussian:
        """S [T * N] as it was in the rollout."""
        alg = self.alg
        assert alg.storage.distribution_params is not None
        stored = DiagonalGaussian(*(p.flatten(0, 1) for p in alg.storage.distribution_params))
        if not bool(alg.driver.acted.any()):
            return stored
        latents = alg.student_rollout.latents.flatten(0, 1)
        alg.actor(TensorDict({**obs, LATENT: latents}, batch_size=obs.batch_size), stochastic_output=True)
        return DiagonalGaussian(*alg.actor.output_distribution_params)

    def reference(self, obs: Any) -> DiagonalGaussian:
        """R [T * N], which ``target.lam`` leads away from."""
        teacher = self.alg.teachers[REFERENCE]
        context = None
        if teacher.options.role == "student":
            context = self.alg.history.at(torch.arange(len(obs), device=self.alg.device))
        return teacher.distribution(obs, context)


def _images(alg: Distillation, batch: RoleBatch, dist: DiagonalGaussian) -> DiagonalGaussian:
    """Distributions of samples with those of their images, in the rows of a mini-batch with images."""
    assert alg.symmetry is not None
    mean, std = (by_role(batch, action_images(alg.symmetry, part)) for part in (dist.mean, dist.std))
    return DiagonalGaussian(mean, std.abs())  # a mirror changes the sign of an action, not of its std
