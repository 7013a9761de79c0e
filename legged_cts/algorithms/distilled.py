"""Policy distillation inside PPO: one update loop for all methods, which nine axes tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict
from torch import nn

from legged_cts.algorithms.cts import CTS, PolicyLosses
from legged_cts.algorithms.distilled_checks import Trainer, check
from legged_cts.algorithms.episode_ends import time_outs
from legged_cts.algorithms.exposed import ExposedEncoder
from legged_cts.algorithms.heads import Heads
from legged_cts.algorithms.losses import clipped_surrogate, combine_surrogates, normalize_advantages
from legged_cts.algorithms.minibatches import RoleBatch
from legged_cts.algorithms.student import TrainingLatents
from legged_cts.algorithms.teacher_pool import REFERENCE, TeacherPool
from legged_cts.distillation import weights as step_weights
from legged_cts.distillation.beta_controller import BetaController
from legged_cts.distillation.cells import FailingCells
from legged_cts.distillation.config import DistillationConfig, DistillationPlan
from legged_cts.distillation.diagnostics import by_driver, gradient_cosines
from legged_cts.distillation.divergences import divergence
from legged_cts.distillation.drivers import Driver
from legged_cts.distillation.gae import gae
from legged_cts.distillation.gaussians import DiagonalGaussian, kl
from legged_cts.distillation.learn import stop_gradients
from legged_cts.distillation.placement import (
    extrapolated_log_ratio,
    log_anchor_constant,
    ratio_surrogate,
    return_advantages,
    weighted_mean,
)
from legged_cts.distillation.pools import extrapolate
from legged_cts.models.latent_model import LATENT, LatentActor, LatentModel

STATES = ("all", "student")
_CONTROLLER_FEATURES = 4


class Distillation(CTS):
    """CTS whose fixed roles, latent regression and single teacher are choices among others.

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
        actor: LatentActor,
        critic: LatentModel,
        storage: RolloutStorage,
        student_encoder: nn.Module,
        history_group: str,
        history_shape: tuple[int, ...],
        teacher_fraction: float | None = None,
        student_encoder_gradient: str = "auto",
        distillation: Mapping[str, Any] | None = None,
        teachers: Mapping[str, Mapping[str, Any]] | None = None,
        distillation_states: str = "all",
        confidence: Mapping[str, Any] | None = None,
        return_head: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Set up the driver and the teachers.

        Args:
            actor: Policy and teacher encoder.
            critic: Value function V(s, z).
            storage: Rollout storage, as for ``CTS``.
            student_encoder: E^s.
            history_group: Observation group that holds the history.
            history_shape: (H, n).
            teacher_fraction: Must be None; it is ``distillation.driver.share`` here.
            student_encoder_gradient: Must be ``auto``; it follows from ``distillation.match``.
            distillation: The axes, see ``DistillationConfig``; scalars may be schedules.
            teachers: Sources by name, see ``TeacherOptions``; by default ``teacher`` is the policy under training.
            distillation_states: Distil in ``all`` states of the rollout or in those where the ``student`` acted.
            confidence: Learn the student's survival beside the policy, see ``ConfidenceOptions``; None: do not.
            return_head: The network of ``distillation.place.baseline: value``, see ``ReturnHeadOptions``; None: its
                defaults.
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
        if options.get("symmetry_cfg"):
            raise ValueError(
                "algorithm.symmetry_cfg: Distillation does not learn from images; take symmetry=exact or none"
            )
        if options.get("multi_gpu_cfg"):
            raise ValueError("algorithm.class_name: Distillation trains in one process; use CTS or PPO in several")
        self.plan = DistillationPlan(distillation)
        self.cfg = first = self.plan.at(0)
        by_latent = first.match == "latent"
        super().__init__(
            actor, critic, storage, student_encoder, history_group, history_shape,
            teacher_fraction=first.driver.share if first.driver.unit == "env" else 0.0,
            student_encoder_gradient="reconstruction" if by_latent else "surrogate", **options,
        )  # fmt: skip
        self.distillation_states = distillation_states
        steps, envs = storage.num_transitions_per_env, storage.num_envs
        self._entropy_coef = self.entropy_coef
        fixed_roles = not any(".driver" in path for path in self.plan.paths) and first.driver.unit == "env"
        self._sees_all = not (by_latent and fixed_roles)
        if self._sees_all:
            self._store_histories(range(envs), range(envs))
        widths = {key: value.shape[-1] for key, value in storage.observations.items()}
        encoder = actor.teacher_encoder
        if isinstance(encoder, ExposedEncoder):  # before any teacher is a copy of it
            encoder.expose(first.exposure.mode, first.exposure.hidden, first.exposure.order, first.exposure.seed)
        own = {"teacher": self._teacher, "student": self._student}
        self.teachers = TeacherPool(teachers, own, widths, self.device)
        trainer = Trainer(
            self.teachers, first.match, self._student.is_recurrent, isinstance(encoder, ExposedEncoder),
            self.normalize_advantage_per_mini_batch,
        )  # fmt: skip
        copied = [teacher.options.at for teacher in self.teachers.values()]
        for iteration in sorted({*self.plan.breakpoints(), *copied}):
            check(self.plan.at(iteration), iteration, trainer)
        seed = torch.initial_seed() % 2**31
        share = 0.0 if first.driver.failing_cells else first.driver.share  # no cell has failed yet
        self.driver = Driver(envs, first.driver.unit, share, first.driver.length, self.device, seed)
        self.cells: FailingCells | None = None
        """The student's success by cell, for ``driver.failing_cells``."""
        if any(self.plan.at(i).driver.failing_cells for i in self.plan.breakpoints()):
            self.cells = FailingCells(envs, self.device)
        self.controller: BetaController | None = None
        node = first.exposure.controller
        if node is not None:
            self.controller = BetaController(
                _CONTROLLER_FEATURES, node.hold, node.delay, node.gamma, node.learning_rate, node.momentum,
                node.entropy_coef, seed,
            )  # fmt: skip
        by_value = any(self.plan.at(i).place.baseline == "value" for i in self.plan.breakpoints())
        if return_head is not None and not by_value:
            raise ValueError("algorithm.return_head goes with distillation.place.baseline: value; set it to null")
        returns = (return_head or {}) if by_value else None
        self.heads = Heads(actor, critic, storage, first.match == "privileged", confidence, returns, self.device)
        if self.heads.estimate is not None:
            self.student_optimizer.add_param_group({"params": self.heads.estimate.parameters()})
            self._student_modules.append(self.heads.estimate)
        encoders = {id(parameter) for parameter in encoder.parameters()}
        self._shared = [parameter for parameter in actor.parameters() if id(parameter) not in encoders]
        self._progress = [0.0, 0.0, 0.0]  # student's reward per step, that of the iteration before, divergence
        shape = (steps, envs)
        self._acted = torch.zeros(shape, dtype=torch.bool, device=self.device)
        self._episode_step = torch.zeros(shape, dtype=torch.long, device=self.device)
        self._handover = torch.zeros_like(self._episode_step)
        self._student_latents = torch.zeros(*shape, actor.latent_dim, device=self.device)
        self._begun = False
        self._encoded: torch.Tensor | None = None
        self._targets: DiagonalGaussian | None = None
        self._weights: torch.Tensor | None = None
        self._notes: dict[str, torch.Tensor | float] = {}  # diagnostics of the rollout
        self._cosines_due = False

    def route_by_terrain(self, kinds: Sequence[str], index: torch.Tensor) -> None:
        """Give every environment the teacher that lists its kind of terrain.

        Args:
            kinds: Names of the kinds of terrain.
            index: Kind of each environment [N].

        Raises:
            ValueError: If a kind has no teacher.
        """
        self.teachers.route_by_terrain(self.cfg.target.teachers, kinds, index)

    # Policies

    @property
    def has_teacher(self) -> bool:
        """Whether there is a teacher to evaluate whose weights are in the checkpoint."""
        names = self.plan.at(0).target.teachers
        acts = any(self.plan.at(i).driver.share > 0.0 for i in self.plan.breakpoints())
        return acts and self.teachers[names[0]].options.source != "checkpoint"

    def teacher_policy(self) -> Any:
        """Return the first teacher as one module."""
        return self.teachers[self.cfg.target.teachers[0]].acting_policy()

    @torch.no_grad()
    def act_inference(self, obs: TensorDict, role: str = "student") -> torch.Tensor:
        """Return action means [N, d] with every environment in the given role, ``student`` or ``teacher``."""
        return self.teacher_policy()(obs) if role == "teacher" else super().act_inference(obs, role)

    # Rollout

    @torch.no_grad()
    def begin_iteration(self) -> torch.Tensor:
        """Read the schedules, once per iteration; ``act`` does so unless it was done.

        Returns:
            ``teacher_mask`` [N]: environments in which a teacher acts, always or at times.
        """
        if self._begun:
            return self.teacher_mask
        self._begun = True
        self.cfg = cfg = self.plan.at(self.iteration)
        self.teachers.begin(self.iteration)
        by_cell, shares = cfg.driver.failing_cells, self.driver.share
        before = (self.driver.unit, None if shares.ndim else shares.item(), self.driver.length)
        if before != (cfg.driver.unit, None if by_cell else cfg.driver.share, cfg.driver.length):
            self._configure_driver()
            self.driver.refresh()
        reinforced = cfg.learn.rl != "none" and cfg.rl_coef > 0.0
        self.entropy_coef = self._entropy_coef if reinforced else 0.0
        self._expose()
        mask = self.driver.teacher_acts
        if cfg.driver.unit != "env":
            takes_part = cfg.driver.share > 0.0 and (cfg.driver.unit != "prefix" or cfg.driver.length > 0)
            mask = torch.full_like(mask, takes_part)
        if not torch.equal(mask, self.teacher_mask):
            self.teacher_mask = mask.clone()
            self.diagnostics.regroup(self.teacher_mask)
        return self.teacher_mask

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Sample actions [N, d], each environment from who drives it, and remember the step."""
        self.begin_iteration()
        step, acts = self.storage.step, self.driver.teacher_acts
        self._set_acting(acts)
        self._acted[step] = acts
        self._episode_step[step], self._handover[step] = self.driver.episode_step, self.driver.handover
        actions = super().act(obs)
        if not len(self.teacher_ids) or self._acts_live:
            return actions
        # Copies and files are not the actor that just sampled.
        transition: Any = self.transition
        own = DiagonalGaussian(*transition.distribution_params)
        target = self._teacher_mixture(transition.observations, own)
        given = acts.unsqueeze(1)
        sample = target.rsample(torch.randn_like(target.mean))
        transition.actions = torch.where(given, sample, transition.actions)
        log_prob = target.log_prob(transition.actions).view_as(transition.actions_log_prob)
        transition.actions_log_prob = torch.where(acts, log_prob, transition.actions_log_prob)
        transition.distribution_params = tuple(
            torch.where(given, a, b) for a, b in ((target.mean, own.mean), (target.std, own.std))
        )
        return transition.actions

    def process_env_step(
        self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict[str, torch.Tensor]
    ) -> None:
        """Record one environment step, and decide who acts in the next."""
        self.heads.record(self.storage.step, extras, dones, self.driver)
        super().process_env_step(obs, rewards, dones, extras)
        if self.cells is not None:
            self.cells.advance(dones, time_outs(extras, dones), self.driver.teacher_acts)
            self._configure_driver()
        self.driver.advance(dones)

    @torch.no_grad()
    def compute_returns(self, obs: TensorDict) -> None:
        """Compute returns and advantages; where another policy takes over, the value stands for what follows."""
        self._set_acting(self._acted[-1])  # the last step is bootstrapped with the policy that took it
        super().compute_returns(obs)
        if self.heads.returns is not None:
            latents = self._student_rollout.peek(self._student.context(obs))
            self.heads.returns.close(self.heads.value_inputs(obs, latents))
        storage = self.storage
        counted = self._counted()
        switches = bool((self._acted[1:] != self._acted[:-1]).any())
        if switches:
            latents = self._student_rollout.peek(self._student.context(obs))
            last = self.critic(self._with_latent(obs, latents))
            acting = self._acted.unsqueeze(-1)
            returns, advantages = gae(
                storage.rewards, storage.values, storage.dones, last, self.gamma, self.lam, acting,
                self._values_of_the_other(),
            )  # fmt: skip
            storage.returns.copy_(returns)
        else:
            advantages = storage.returns - storage.values
        if self.normalize_advantage_per_mini_batch:
            storage.advantages = advantages
        elif self.advantage_normalization == "per_group":
            storage.advantages = normalize_advantages(advantages, self._acted.unsqueeze(-1))
        elif switches or not bool(counted.all()):
            # Steps that no surrogate counts must not scale those that one does.
            storage.advantages = torch.zeros_like(advantages)
            storage.advantages[counted] = normalize_advantages(advantages[counted])

    # Update

    def update(self) -> dict[str, float]:
        """Train as ``CTS.update``; returns also ``distillation``, the mean divergence.

        ``diagnostics`` then hold also what ``Heads.probe`` finds and, where there is a target of actions, what
        ``by_driver`` and, at ``place: loss``, ``gradient_cosines`` on the student's steps of one mini-batch do.
        """
        self._notes, self._cosines_due = {}, True
        self._prepare()
        counted = ~self._acted if self.distillation_states == "student" else torch.ones_like(self._acted)
        self._notes |= self.heads.probe(
            self.storage, self._student_latents, self._acted, counted, self.cfg.driver.unit == "step",
            self.num_learning_epochs, self.num_mini_batches,
        )  # fmt: skip
        if self.cells is not None:
            summary = self.cells.summary(self.cfg.driver.success_below)
            self._notes |= {f"cells/{name}": value for name, value in summary.items()}
        result = super().update()
        self.diagnostics.scalars |= {name: float(value) for name, value in self._notes.items()}
        self._begun, self._encoded, self._targets, self._weights = False, None, None, None
        if "reward_student" in result:
            self._progress = [result["reward_student"], self._progress[0], self._progress[2]]
        if math.isfinite(result.get("distillation", math.nan)):
            self._progress[2] = result["distillation"]
        encoder = self._raw_actor.teacher_encoder
        if isinstance(encoder, ExposedEncoder) and self.cfg.exposure.mode == "ratio":
            result["exposure"] = float(encoder.ratio)
        return result

    @property
    def _sample_roles(self) -> torch.Tensor:
        return self._acted

    def losses(self, batch: RoleBatch) -> PolicyLosses:
        """Compute PPO's loss terms and the distillation loss of a mini-batch."""
        cfg, n = self.cfg, batch.teachers
        losses = super().losses(batch)
        if n and not self._acts_live:
            # What copies did says nothing about the step of the policy under training.
            losses.kl = {"all": losses.kl[n:], "teacher": losses.kl[:0], "student": losses.kl}[self.kl_samples]
            losses.surrogate_teacher = None
            losses.diagnostics = {k: v for k, v in losses.diagnostics.items() if not k.endswith("_teacher")}
        acts = torch.arange(len(batch), device=batch.index.device) < n
        if self._estimates:
            assert self.heads.estimate is not None and self._encoded is not None
            self._distil(losses, self.heads.estimate.errors(self._encoded, batch.observations), None, acts)
        in_loss = self._matches_actions and cfg.place.kind == "loss"
        if not in_loss and not cfg.learn.importance:
            return losses
        student = self._student_distribution(batch)
        if cfg.learn.importance and n:
            ratio = student.log_prob(batch.actions)[:n]
            advantages = self._batch_advantages(batch).squeeze(1)[:n]
            followed = clipped_surrogate(ratio, batch.old_log_prob[:n], advantages, self.clip_param).mean()
            losses.total = losses.total + cfg.rl_coef * followed
            losses.report = {**losses.report, "surrogate_importance": followed.detach()}
        if in_loss:
            target = self._target(batch, student)
            pair = stop_gradients(student, target, cfg.learn.gradient)
            values = divergence(cfg.measure, *pair, cfg.divergence.beta, cfg.divergence.samples)
            found = [] if self._weights is None else [self._weights[batch.index]]
            if cfg.weights.clip is not None:
                found.append(step_weights.clip(values, cfg.weights.clip.limit, cfg.weights.clip.soft))
            weights = step_weights.product(*found)
            self._distil(losses, values, weights, acts)
            losses.diagnostics |= by_driver(values, student, target, acts, cfg.target.deterministic)
            if n < len(batch) and self._cosines_due:
                losses.diagnostics |= self._cosines(batch, student, values if weights is None else values * weights)
        return losses

    def _distil(
        self, losses: PolicyLosses, values: torch.Tensor, weights: torch.Tensor | None, acts: torch.Tensor
    ) -> None:
        """Add c_d times the weighted mean of distances [B] over the states that count; ``acts``: the teacher's, [B]."""
        mask = ~acts if self.distillation_states == "student" else None
        losses.total = losses.total + self.cfg.coef * weighted_mean(values, weights, mask)
        losses.report = {**losses.report, "distillation": weighted_mean(values.detach(), None, mask)}

    def _cosines(self, batch: RoleBatch, student: DiagonalGaussian, values: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compare the gradients of distances [B] and of PPO on the student's steps, if PPO trains it."""
        self._cosines_due = False
        # A compiled actor frees what a second gradient would need.
        compiled = self.actor is not self._raw_actor
        if compiled or self.cfg.learn.rl not in ("student", "both") or self.cfg.rl_coef == 0.0:
            return {}
        n, advantages = batch.teachers, self._batch_advantages(batch).squeeze(1)
        per_sample = clipped_surrogate(student.log_prob(batch.actions), batch.old_log_prob, advantages, self.clip_param)
        return gradient_cosines(values[n:], per_sample[n:], advantages[n:], self._shared)

    def student_latents(self, batch: RoleBatch) -> TrainingLatents:
        """Encode, with gradient, the histories of all samples where a loss needs them, else of the students'."""
        if self.student_encoder_gradient != "surrogate":
            return super().student_latents(batch)
        n = batch.teachers
        everywhere = self._matches_actions or self._estimates or self.cfg.learn.importance
        if not everywhere and (n == len(batch) or self.cfg.learn.rl in ("teacher", "none")):
            return TrainingLatents(batch.observations[LATENT][n:])
        if self._student_rollout.is_recurrent:
            order = batch.index.argsort()  # step by step, as whole sequences are encoded
            encoded = self._student_rollout.encode(batch.index[order])
            encoded = replace(encoded, latents=encoded.latents[order.argsort()])
        elif everywhere:
            encoded = self._student_rollout.encode(batch.index)
        else:
            return self._student_rollout.encode(batch.index[n:])
        self._encoded = encoded.latents
        return replace(encoded, latents=encoded.latents[n:])

    def latents(self, observations: TensorDict, teachers: int, student: torch.Tensor) -> torch.Tensor:
        """Join the latents [B, latent_dim] of a batch; a copy's samples keep those of the rollout, without gradient."""
        if teachers and not self._acts_live:
            return torch.cat([observations[LATENT][:teachers], student])
        return super().latents(observations, teachers, student)

    # Checkpoints

    def save(self) -> dict:
        """Return what ``CTS.save`` does, and the states of copies, heads, driver and controller."""
        saved = super().save() | {
            # Clones, because rollouts are collected in inference mode.
            "distillation_driver": {key: value.clone() for key, value in self.driver.state_dict().items()},
            "progress": list(self._progress),
        }
        saved |= self.heads.save() | self.teachers.save()
        if self.controller is not None:
            saved["controller"] = self.controller.state_dict()
        if self.cells is not None:
            saved["cells"] = self.cells.state_dict()
        return saved

    def load(self, loaded_dict: dict, load_cfg: dict | None, strict: bool) -> bool:
        """Load what ``save`` returned; a new run that takes networks alone copies its teachers anew."""
        take_iteration = super().load(loaded_dict, load_cfg, strict)
        if load_cfg is None or not load_cfg.get("critic"):
            self.teachers.load(loaded_dict, strict)
        self.heads.load(loaded_dict, load_cfg, strict)
        if take_iteration:
            self._begun = False
            if len(loaded_dict["distillation_driver"]["chosen"]) == self.driver.num_envs:
                self.driver.load_state_dict(loaded_dict["distillation_driver"])
            self._progress = list(loaded_dict["progress"])
            if self.controller is not None:
                self.controller.load_state_dict(loaded_dict["controller"])
            if self.cells is not None:
                self.cells.load_state_dict(loaded_dict["cells"])
        return take_iteration

    # Internals

    @property
    def _matches_actions(self) -> bool:
        return self.cfg.match == "action" and self.cfg.coef > 0.0

    @property
    def _estimates(self) -> bool:
        return self.cfg.match == "privileged" and self.cfg.coef > 0.0

    @property
    def _acts_live(self) -> bool:
        """Whether the teacher that acts is the policy under training."""
        names = self.cfg.target.teachers
        return len(names) == 1 and self.teachers.is_live(names)

    def _counted(self) -> torch.Tensor:
        """Steps [T, N] that enter a surrogate."""
        learn = self.cfg.learn
        teacher = learn.rl in ("teacher", "both") or learn.importance
        return torch.where(self._acted, teacher, learn.rl in ("student", "both"))

    def _configure_driver(self) -> None:
        options = self.cfg.driver
        share: float | torch.Tensor = options.share
        if options.failing_cells:
            assert self.cells is not None
            share = self.cells.shares(options.share, options.success_below)
        self.driver.configure(options.unit, share, options.length)

    def _with_latent(self, obs: TensorDict, student: torch.Tensor) -> TensorDict:
        if not self._sees_all:
            return super()._with_latent(obs, student)
        if self.storage.step < len(self._student_latents):
            self._student_latents[self.storage.step] = student
        return super()._with_latent(obs, student[self.student_ids])

    def _values_of_the_other(self) -> torch.Tensor:
        """V(s_{t+1}, z) [T, N, 1] where another policy takes over at t + 1, with the latent of who acted at t."""
        values = self.storage.values.clone()
        step, env = (self._acted[1:] != self._acted[:-1]).nonzero(as_tuple=True)
        obs: Any = self.storage.observations[step + 1, env].clone()
        teacher = self._teacher.latent(self._raw_actor.teacher_input(obs))
        obs[LATENT] = torch.where(self._acted[step, env].unsqueeze(1), teacher, self._student_latents[step + 1, env])
        values[step, env] = self.critic(obs)
        return values

    def _surrogates(
        self, batch: RoleBatch, log_prob: torch.Tensor, shares: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        cfg, n = self.cfg, batch.teachers
        advantages = batch.advantages.squeeze(1)
        per_sample = clipped_surrogate(log_prob, batch.old_log_prob, advantages, self.clip_param)
        place = cfg.place
        if place.kind == "ratio" and n < len(batch):
            assert self._targets is not None
            rows = batch.index[n:]
            target = DiagonalGaussian(self._targets.mean[rows], self._targets.std[rows])
            old = DiagonalGaussian(*(p[n:] for p in batch.old_distribution_params))
            constant = log_anchor_constant(old, target, place.alpha) if place.normalized else None
            anchored_ratio = ratio_surrogate(
                log_prob[n:], batch.old_log_prob[n:], target.log_prob(batch.actions[n:]), advantages[n:],
                self.clip_param, place.alpha, place.dual_clip, constant,
            )  # fmt: skip
            per_sample = torch.cat([per_sample[:n], anchored_ratio])
        learners = {"teacher": per_sample[:n], "student": per_sample[n:]}
        if cfg.learn.rl == "both":
            surrogate = combine_surrogates(per_sample, n, self.surrogate, shares)
        elif len(learners.get(cfg.learn.rl, ())):
            surrogate = learners[cfg.learn.rl].mean()
        else:
            surrogate = torch.zeros((), device=per_sample.device)
        # In the return, the coefficient is already in the advantages.
        return per_sample, surrogate if place.kind == "return" else cfg.rl_coef * surrogate

    def _student_distribution(self, batch: RoleBatch) -> DiagonalGaussian:
        """S [B] with gradient, after ``CTS.losses`` has evaluated the actor with the latent of who acted."""
        n, acting = batch.teachers, DiagonalGaussian(*self.actor.output_distribution_params)
        if not n:
            return acting
        assert self._encoded is not None
        obs: Any = batch.observations[:n].clone()
        obs[LATENT] = self._encoded[:n]
        self.actor(obs, stochastic_output=True)
        mean, std = self.actor.output_distribution_params
        return DiagonalGaussian(torch.cat([mean, acting.mean[n:]]), torch.cat([std, acting.std[n:]]))

    def _target(self, batch: RoleBatch, student: DiagonalGaussian) -> DiagonalGaussian:
        if self._targets is not None:
            return DiagonalGaussian(self._targets.mean[batch.index], self._targets.std[batch.index])
        with torch.set_grad_enabled(self.cfg.learn.gradient != "student"):
            return self._teacher_mixture(batch.observations, student.detach(), batch.index)

    def _teacher_mixture(
        self, obs: TensorDict, student: DiagonalGaussian, index: torch.Tensor | None = None
    ) -> DiagonalGaussian:
        """The teachers' joint distributions [B], without extrapolation; ``index`` of the samples in the rollout."""
        return self.teachers.mixture(obs, student, self.cfg.target, self.cfg.moment_pool, index)

    @torch.no_grad()
    def _prepare(self) -> None:
        """Compute once per update what stays the same in it: targets of copies, weights, advantages of the return."""
        cfg, storage = self.cfg, self.storage
        self._targets = self._weights = None
        if not self._matches_actions and cfg.place.kind != "ratio":
            return
        names = [*cfg.target.teachers, *([cfg.target.anchor] if cfg.target.anchor else [])]
        live = self.teachers.is_live(names)
        given = cfg.weights
        weighted = any(w is not None for w in (given.adv_gate, given.rel_div, given.top, given.window))
        if live and not weighted and cfg.place.kind == "loss" and cfg.target.lam == 1.0:
            return
        obs: Any = storage.observations.flatten(0, 1)
        assert storage.distribution_params is not None
        student = self._old_student(obs)
        teacher = self._teacher_mixture(obs, student)
        target, reference = teacher, None
        if cfg.target.lam != 1.0:
            reference = self._reference(obs)
            target = extrapolate(teacher, reference, cfg.target.lam, cfg.target.clamp)
        if not live or cfg.target.lam != 1.0 or cfg.place.kind != "loss":
            self._targets = target
        actions, old = storage.actions.flatten(0, 1), storage.actions_log_prob.flatten()
        log_ratio = teacher.log_prob(actions) - old
        if reference is not None:
            log_ratio = extrapolated_log_ratio(
                old, teacher.log_prob(actions), reference.log_prob(actions), cfg.target.lam
            )
        distance = log_ratio.abs() if cfg.place.kind == "return" else kl(student, target)
        self._weights = self._step_weights(distance)
        if cfg.place.kind != "loss":
            self._notes |= by_driver(kl(student, target), student, target, self._acted.flatten())
        if cfg.place.kind == "return":
            self._add_to_advantages(log_ratio, student, target)

    def _step_weights(self, distance: torch.Tensor) -> torch.Tensor | None:
        """Product of the weights [T * N] of a rollout whose steps are ``distance`` from the target."""
        cfg, shape = self.cfg.weights, self._acted.shape
        found = []
        if cfg.adv_gate is not None:
            found.append(step_weights.adv_gate(self.storage.advantages.flatten(), cfg.adv_gate.tau))
        if cfg.rel_div is not None:
            means = step_weights.segment_means(distance.view(shape), cfg.rel_div.segment).flatten()
            found.append(step_weights.rel_div(means, cfg.rel_div.delta))
        if cfg.top is not None:
            found.append(step_weights.top(distance, cfg.top.share, cfg.top.power))
        if cfg.window is not None:
            found.append(step_weights.window(self._episode_step.flatten(), self._handover.flatten(), cfg.window.length))
        if cfg.clip is not None and self.cfg.place.kind == "return":
            found.append(step_weights.clip(distance, cfg.clip.limit, cfg.clip.soft))
        return step_weights.product(*found)

    def _add_to_advantages(self, log_ratio: torch.Tensor, student: DiagonalGaussian, target: DiagonalGaussian) -> None:
        """Add c_d w A_d to c_rl A in the steps that the student took."""
        place, shape, storage = self.cfg.place, self._acted.shape, self.storage
        rewards, dones = log_ratio.view(shape), storage.dones.view(shape)
        if place.baseline == "value":
            assert self.heads.returns is not None
            inputs = self.heads.value_inputs(storage.observations, self._student_latents)
            found = self.heads.returns.advantages(inputs, rewards, dones, self._acted, place.gamma, self.lam)
        else:
            baseline = kl(student, target).view(shape) if place.baseline == "closed_form" else None
            found = return_advantages(rewards, dones, place.gamma, baseline, acting=self._acted)
        if self._weights is not None:
            found = found * self._weights.view(shape)
        found = torch.where(self._acted, torch.zeros_like(found), found)
        storage.advantages = self.cfg.rl_coef * storage.advantages + self.cfg.coef * found.unsqueeze(-1)

    def _old_student(self, obs: Any) -> DiagonalGaussian:
        """S [T * N] as it was in the rollout."""
        assert self.storage.distribution_params is not None
        stored = DiagonalGaussian(*(p.flatten(0, 1) for p in self.storage.distribution_params))
        if not bool(self._acted.any()):
            return stored
        seen = TensorDict({**obs, LATENT: self._student_latents.flatten(0, 1)}, batch_size=obs.batch_size)
        self.actor(seen, stochastic_output=True)
        return DiagonalGaussian(*self.actor.output_distribution_params)

    def _reference(self, obs: Any) -> DiagonalGaussian:
        teacher = self.teachers[REFERENCE]
        context = None
        if teacher.options.role == "student":
            context = self.history.at(torch.arange(len(obs), device=self.device))
        return teacher.distribution(obs, context)

    def _target_latents(self, states: torch.Tensor) -> torch.Tensor:
        policy: Any = self.teacher_policy()
        return policy.latent(states)

    def _fit_student(self, means: dict[str, list[float]]) -> int:
        return super()._fit_student(means) if self.cfg.coef > 0.0 else 0

    def _student_step(self, loss: torch.Tensor) -> bool:
        return super()._student_step(self.cfg.coef * loss)

    def _expose(self) -> None:
        encoder = self._raw_actor.teacher_encoder
        if not isinstance(encoder, ExposedEncoder):
            return
        ratio = self.cfg.exposure.ratio
        if self.controller is not None:
            reward, before, distance = self._progress
            ratio = self.controller.step(reward, [math.log1p(max(0.0, distance)), reward, reward - before, 1.0])
        encoder.show(ratio, self.iteration)

    def _rollout_statistics(self) -> dict[str, float]:
        error = (self.storage.values - self.storage.returns).squeeze(-1)
        result: dict[str, float] = {}
        for i, (name, mask) in enumerate((("teacher", self._acted), ("student", ~self._acted))):
            count = int(mask.sum())
            if count:
                result[f"value_bias_{name}"] = error[mask].mean().item()
                result[f"reward_{name}"] = self._reward_sums[i].item() / count
        self._reward_sums = torch.zeros_like(self._reward_sums)
        return result
