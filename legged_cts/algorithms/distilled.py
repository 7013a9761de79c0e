"""Policy distillation inside PPO: one update loop for all methods, which nine axes tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict

from legged_cts.algorithms.cts import CTS
from legged_cts.algorithms.distilled_checks import check_plan
from legged_cts.algorithms.distilled_terms import ActionMatch, AnchoredSurrogate, Importance
from legged_cts.algorithms.estimate import Estimate
from legged_cts.algorithms.exposed import ExposedEncoder, Exposure
from legged_cts.algorithms.rollout import Parts
from legged_cts.algorithms.teachers import TeacherPool
from legged_cts.algorithms.terms import Entropy, MirrorLoss, Value
from legged_cts.distillation.config import DistillationConfig, DistillationPlan
from legged_cts.distillation.drivers import Driver
from legged_cts.distillation.gaussians import DiagonalGaussian

STATES = ("all", "student")


class Distillation(CTS):
    """CTS with more terms, whose roles, matched quantity and teachers are choices that may change while it trains.

    The student is S = pi(o, E^s(h)), the teacher T by default pi(o, E^t(s)) of the same actor. In every step the driver
    says who acts; PPO trains the policies that ``learn.rl`` names on the steps in which they acted, and distillation
    enters where ``place`` says. Matching actions sends its gradient through the actor into E^s within the PPO epochs;
    matching latents is the regression of CTS; matching the privileged state is an auxiliary loss of E^s.

    With no teacher and no weight, which are the defaults, its losses are bit by bit those of rsl_rl's PPO on
    pi(o, E^s(h)). With ``match: latent``, ``divergence: mse`` and a fixed share of teachers it is CTS.
    """

    cfg: DistillationConfig
    """The axes in the current iteration."""

    def __init__(
        self,
        parts: Parts,
        teacher_fraction: float | None = None,
        student_encoder_gradient: str = "auto",
        distillation: Mapping[str, Any] | None = None,
        teachers: Mapping[str, Mapping[str, Any]] | None = None,
        distillation_states: str = "all",
        **options: Any,
    ) -> None:
        """Set up the driver and the teachers.

        Args:
            parts: Networks and storage.
            teacher_fraction: Must be None; it is ``distillation.driver.share`` here.
            student_encoder_gradient: Must be ``auto``; it follows from ``distillation.match``.
            distillation: The axes, see ``DistillationConfig``; scalars may be schedules.
            teachers: Sources by name, see ``TeacherOptions``; by default ``teacher`` is the policy under training.
            distillation_states: Distil in ``all`` states of the rollout or in those where the ``student`` acted.
            **options: As for ``CTS``.

        Raises:
            ValueError: If an option is unknown or out of range, or two of them contradict each other.
        """
        if teacher_fraction is not None or student_encoder_gradient != "auto":
            raise ValueError(
                "algorithm.teacher_fraction must be null and algorithm.student_encoder_gradient auto with Distillation:"
                " distillation.driver.share and distillation.match decide them"
            )
        if distillation_states not in STATES:
            raise ValueError(f"algorithm.distillation_states must be one of {', '.join(STATES)}")
        self.plan = DistillationPlan(distillation)
        self.cfg = first = self.plan.at(0)
        self.distillation_states = distillation_states
        gradient = "reconstruction" if first.match == "latent" else "surrogate"
        driver = _driver(self.plan, parts.storage, options.get("device", "cpu"))
        super().__init__(parts, student_encoder_gradient=gradient, driver=driver, **options)
        widths = {key: value.shape[-1] for key, value in parts.storage.observations.items()}
        own = {"teacher": self._teacher, "student": self._student}
        self.teachers = TeacherPool(teachers, own, widths, self.device)
        check_plan(self)
        self._entropy, self._surrogate, self.match = Entropy(self), AnchoredSurrogate(self), ActionMatch(self)
        self.terms = [self._surrogate, Value(self), self._entropy, MirrorLoss(self), self.pull, Importance(self)]
        if first.match == "latent":
            self.terms.append(self.regression)
        self.terms.append(self.match)
        self.estimate = Estimate(self, widths) if first.match == "privileged" else None
        if self.estimate is not None:
            self.terms.append(self.estimate)
            self.student_optimizer.add_param_group({"params": self.estimate.module.parameters()})
        self.exposure = Exposure(self) if isinstance(parts.actor.teacher_encoder, ExposedEncoder) else None
        if self.exposure is not None:
            self.terms.append(self.exposure)
        self._begun = False

    def route_by_terrain(self, kinds: Sequence[str], index: torch.Tensor) -> None:
        """Give every environment the teacher that lists its kind of terrain.

        Args:
            kinds: Names of the kinds of terrain.
            index: Kind of each environment [N].

        Raises:
            ValueError: If a kind has no teacher.
        """
        if self.cfg.target.route == "env":
            self.teachers.route_by_terrain(self.cfg.target.teachers, kinds, index)

    # Roles and policies

    @property
    def has_teacher(self) -> bool:
        """Whether there is a teacher to evaluate whose weights are in the checkpoint."""
        acts = any(cfg.driver.share > 0.0 for cfg in self.plan.extremes.values())
        return acts and self.teachers[self.cfg.target.teachers[0]].options.source != "checkpoint"

    @property
    def teacher_is_live(self) -> bool:  # type: ignore[override]
        """Whether the teacher that acts is the policy under training."""
        names = self.cfg.target.teachers
        return len(names) == 1 and self.teachers.is_live(names)

    @property
    def reinforces_student(self) -> bool:  # type: ignore[override]
        """Whether the surrogate counts steps of the student."""
        return self.cfg.learn.rl in ("student", "both")

    def teacher_policy(self) -> Any:
        """Return the first teacher as one module."""
        return self.teachers[self.cfg.target.teachers[0]].acting_policy()

    # Rollout

    @torch.no_grad()
    def begin_iteration(self) -> torch.Tensor:
        """Read the schedules, once per iteration; ``act`` does so unless it was done. Returns ``teacher_mask``."""
        if self._begun:
            return self.teacher_mask
        self._begun = True
        self.cfg = cfg = self.plan.at(self.iteration)
        self.teachers.begin(self.iteration)
        self.driver.configure(cfg.driver.unit, cfg.driver.share)
        reinforced = cfg.learn.rl != "none" and cfg.rl_coef > 0.0
        self._entropy.coef = 1.0 if reinforced else 0.0
        # In the return, the coefficient is already in the advantages.
        self._surrogate.coef = 1.0 if cfg.place.kind == "return" else cfg.rl_coef
        self._surrogate.learners = cfg.learn.rl
        self.regression.coef = cfg.coef
        if self.exposure is not None:
            self.exposure.begin()
        return self.teacher_mask

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Sample actions [N, d], each environment from who drives it, and remember the step."""
        actions = super().act(obs)
        if not len(self.driver.teacher_ids) or self.teacher_is_live:
            return actions
        # Copies and files are not the actor that just sampled.
        transition: Any = self.transition
        own = DiagonalGaussian(*transition.distribution_params)
        target = self.teachers.distribution(transition.observations, self.cfg.target.teachers)
        acts, given = self.driver.teacher_acts, self.driver.teacher_acts.unsqueeze(1)
        sample = target.rsample(torch.randn_like(target.mean))
        transition.actions = torch.where(given, sample, transition.actions)
        log_prob = target.log_prob(transition.actions).view_as(transition.actions_log_prob)
        transition.actions_log_prob = torch.where(acts, log_prob, transition.actions_log_prob)
        transition.distribution_params = tuple(
            torch.where(given, a, b) for a, b in ((target.mean, own.mean), (target.std, own.std))
        )
        return transition.actions

    def counted_steps(self) -> torch.Tensor:
        """Return the steps that enter a surrogate, bool [T, N]."""
        learn = self.cfg.learn
        teacher = learn.rl in ("teacher", "both") or learn.importance
        return torch.where(self.driver.acted, teacher, learn.rl in ("student", "both"))

    def update(self) -> dict[str, float]:
        """Train as ``RolePPO.update``; returns also ``distillation``, the mean divergence.

        ``diagnostics`` then hold also what ``ActionMatch`` and ``Estimate`` find.
        """
        result = super().update()
        self._begun = False
        return result

    # Checkpoints

    def save(self) -> dict:
        """Return what ``RolePPO.save`` does, and the states of copies and driver."""
        return super().save() | {"distillation_driver": self.driver.state_dict()} | self.teachers.save()

    def load(self, loaded_dict: dict, load_cfg: dict | None, strict: bool) -> bool:
        """Load what ``save`` returned; a new run that takes networks alone copies its teachers anew."""
        take_iteration = super().load(loaded_dict, load_cfg, strict)
        if load_cfg is None or not load_cfg.get("critic"):
            self.teachers.load(loaded_dict, strict)
        if take_iteration:
            self._begun = False
            self.driver.load_state_dict(loaded_dict["distillation_driver"])
        return take_iteration


def _driver(plan: DistillationPlan, storage: RolloutStorage, device: str) -> Driver:
    """Who acts: roles are for good if they are dealt by environment and no latent must be known of the others."""
    first = plan.at(0)
    fixed = first.match == "latent" and first.driver.unit == "env" and not any(".driver" in one for one in plan.paths)
    return Driver(
        storage.num_envs, first.driver.unit, first.driver.share, device, torch.initial_seed() % 2**31,
        storage.num_transitions_per_env, can_change=not fixed,
    )  # fmt: skip
