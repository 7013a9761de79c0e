"""PPO on rollouts with teachers and students: one loop of mini-batches and steps for all terms, and checkpoints."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from rsl_rl.env import VecEnv
from rsl_rl.utils import reduce_gradients_in_buckets
from tensordict import TensorDict
from torch import nn

from legged_cts.algorithms.construction import build_algorithm
from legged_cts.algorithms.diagnostics import Diagnostics
from legged_cts.algorithms.losses import normalize_advantages
from legged_cts.algorithms.minibatches import RoleBatch, role_batches
from legged_cts.algorithms.options import check_options
from legged_cts.algorithms.reduce import all_agree, joint_shares, joint_sum
from legged_cts.algorithms.rollout import Parts, RoleRollout
from legged_cts.algorithms.student import TrainingLatents
from legged_cts.algorithms.symmetry import by_copy, by_role, check_student, group_images, mirror_loss, with_images
from legged_cts.algorithms.terms import Seen, Term
from legged_cts.distillation.drivers import Driver
from legged_cts.distillation.gaussians import DiagonalGaussian
from legged_cts.models.latent_model import LATENT
from legged_cts.models.mirrored import ExactSymmetry


class RolePPO(RoleRollout):
    """PPO that learns the sum of its ``terms`` from a rollout with teachers and students.

    The critic sees stopgrad(z). Whatever trains a recurrent E^s takes whole sequences of the rollout, of some of the
    environments at a time.

    Options, beside those of ``RoleRollout``:

    - ``surrogate``: ``sum_of_means`` or ``pooled``, see ``combine_surrogates``;
    - ``kl_samples``: whose KL divergence adapts the learning rate, ``all``, ``teacher`` or ``student``;
    - ``student_learning_rate``: rate of E^s's own Adam; where PPO trains E^s, an adaptive rate of PPO's replaces it.
    """

    CONSTRUCTION_KEYS = ("critic_sees_latent", "share_cnn_encoders")
    """Keys of the algorithm configuration that ``construct_algorithm`` uses itself."""

    terms: list[Term]
    """What is learned, in the order in which losses are added."""
    exact_symmetry: ExactSymmetry
    """Keeps the networks commuting with the mirror, with ``symmetry_cfg.exact``."""
    statistics: dict[str, float]
    """Of the rollout that is learned from."""
    teacher_is_live = True
    """Whether the teacher that acts is the policy under training."""
    trains_student = False
    """Whether the terms' losses train E^s."""
    reinforces_student = True
    """Whether the surrogate counts steps of the student."""

    def __init__(
        self,
        parts: Parts,
        driver: Driver,
        surrogate: str = "sum_of_means",
        kl_samples: str = "all",
        student_learning_rate: float = 1e-3,
        **options: Any,
    ) -> None:
        """Set up what learns.

        Args:
            parts, driver: See ``RoleRollout``.
            surrogate, kl_samples, student_learning_rate: See the class.
            **options: Of ``RoleRollout``.

        Raises:
            ValueError: If an option is unknown or out of range, or the options contradict each other.
        """
        super().__init__(parts, driver, **options)
        self.surrogate, self.kl_samples = surrogate, kl_samples
        self.iteration = 0
        check_options(vars(self), *driver.sizes)
        self.student_optimizer = torch.optim.Adam(parts.student_encoder.parameters(), lr=student_learning_rate)
        for group in self.optimizer.param_groups + self.student_optimizer.param_groups:
            group["fused"] = True  # all operations of a step in one kernel
        self.history_images = None
        if self.symmetry is not None:
            check_student(self._student)
            self.history_images = partial(group_images, self.symmetry, parts.history_group)
        actor, student_encoder = parts.actor, parts.student_encoder
        trained = {"policy": actor, "teacher_encoder": actor.teacher_encoder, "critic": parts.critic}
        self.diagnostics = Diagnostics({**trained, "student_encoder": student_encoder})

    @classmethod
    def construct_algorithm(cls, obs: TensorDict, env: VecEnv, cfg: dict, device: str) -> Any:
        """Build networks, storage and algorithm from the configuration of an rsl_rl runner.

        The encoders are configured inside the policy's node: ``cfg["actor"]["teacher_encoder"]`` and
        ``cfg["actor"]["student_encoder"]``. Sets ``student_mask`` (bool [N]) on the unwrapped environment, for
        curricula and metrics that look at students alone.

        Args:
            obs: Observations [N, ...]; the ``student`` set is one group [N, H, n].
            env: The vectorised environment.
            cfg: Runner configuration with ``actor``, ``critic``, ``algorithm``, ``obs_groups``, ``num_steps_per_env``.
            device: Device of the learner.

        Raises:
            ValueError: If the observation sets or the classes do not fit.
        """
        return build_algorithm(obs, env, cfg, device)

    # Update

    def update(self) -> dict[str, float]:
        """Learn from a rollout: first all terms together, mini-batch by mini-batch, then those that come after PPO.

        A mini-batch whose loss or gradient is not finite takes no step. More numbers are in ``diagnostics``.

        Returns:
            Means over the mini-batches that took a step (NaN if none did) of what the terms report, such as ``value``,
            ``surrogate``, ``surrogate_teacher``, ``entropy`` and ``reconstruction``, and of ``kl``; the rollout's
            ``value_bias_*`` = mean(V - return) and ``reward_*`` = mean reward per step, per group; and
            ``skipped_updates``. Terms of a group or loss that does not exist are left out.
        """
        self.statistics = self.rollout_statistics()
        self.diagnostics.start(self.storage, self.teacher_mask)
        for term in self.terms:
            self.diagnostics.note(term.prepare())
        means: dict[str, list[float]] = defaultdict(list, {key: [] for key in ("value", "surrogate", "entropy")})
        skipped = 0
        for seen in self._passes():
            if not self.step(seen):
                skipped += 1
                continue
            for key, value in seen.report.items():
                means[key].append(value.item())
            if len(seen.kl):
                means["kl"].append(seen.kl.mean().item())
        for term in self.terms:
            skipped += term.finish(means)
        self.diagnostics.finish()
        self._update_normalization()
        self.storage.clear()
        self.iteration += 1
        found = {key: sum(values) / len(values) if values else math.nan for key, values in means.items()}
        return self.statistics | found | {"skipped_updates": float(skipped)}

    def _passes(self) -> Iterator[Seen]:
        for batch in self.batches():
            with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.use_mixed_precision):
                seen = self.losses(batch)
            yield seen

    def batches(self) -> Iterator[RoleBatch]:
        """Yield the mini-batches of all PPO epochs; whole sequences where PPO trains a recurrent E^s."""
        sequences = self._student.is_recurrent and self.trains_student
        return role_batches(self.storage, self.driver.acted, self.num_mini_batches, self.num_learning_epochs, sequences)

    def losses(self, batch: RoleBatch) -> Seen:
        """Evaluate a mini-batch and add up the terms; the graph routes each gradient where it belongs."""
        seen = self.evaluate(batch)
        parts = [part for part in (*(term.loss(seen) for term in self.terms), seen.penalty) if part is not None]
        seen.total = sum(parts[1:], parts[0])
        return seen

    def evaluate(self, batch: RoleBatch) -> Seen:
        """Run the networks on a mini-batch and, with symmetry, on its images."""
        if self.normalize_advantage_per_mini_batch:
            rows = torch.arange(len(batch), device=batch.advantages.device).unsqueeze(1)
            per_group = self.advantage_normalization == "per_group"
            groups = rows < batch.teachers if per_group else None
            batch = replace(batch, advantages=normalize_advantages(batch.advantages, groups))
        samples = batch
        if self.symmetry is not None:
            batch = with_images(batch, self.symmetry)
        student = self.student_latents(batch)
        everywhere = len(student.latents) == len(batch)
        latent = self.latents(batch, student.latents[batch.teachers :] if everywhere else student.latents)
        batch.observations[LATENT] = latent
        self.actor(batch.observations, stochastic_output=True)  # evaluates the distribution; the sample is not used
        log_prob = self.actor.get_output_log_prob(batch.actions)
        # KL and entropy are those of the samples alone, as in rsl_rl.
        params = self.actor.output_distribution_params
        own = tuple(by_copy(batch, p)[0] for p in params)
        entropy = by_copy(batch, self.actor.output_entropy)[0].mean()
        symmetry, encoded = None, student.latents if everywhere else None
        if self.symmetry is not None:
            symmetry = mirror_loss(self.symmetry, batch, self.actor.output_mean)
            if not self.symmetry.use_data_augmentation:  # the images were for the mirror loss alone
                latent, log_prob = by_copy(batch, latent)[0], by_copy(batch, log_prob)[0]
                encoded = None if encoded is None else by_copy(batch, encoded)[0]
                batch, params = samples, own
        n = batch.teachers
        batch.observations[LATENT] = latent.detach()
        values = self.critic(batch.observations)
        with torch.no_grad():
            kl = self.actor.get_kl_divergence(batch.old_distribution_params, own)
        return Seen(
            batch, samples, latent, encoded, DiagonalGaussian(*params), log_prob, entropy, values, symmetry,
            kl=self._steering(kl, samples.teachers), every_kl=kl, penalty=student.penalty,
            shares=joint_shares((n, len(batch) - n, len(batch)), self.device), report=dict(student.report),
        )  # fmt: skip

    def _steering(self, kl: torch.Tensor, teachers: int) -> torch.Tensor:
        """The KL [K] that steers the learning rate: what copies did says nothing of the policy under training."""
        first = 0 if self.teacher_is_live else teachers
        groups = {"all": kl[first:], "teacher": kl[first:teachers], "student": kl[teachers:]}
        return groups[self.kl_samples]

    def student_latents(self, batch: RoleBatch) -> TrainingLatents:
        """Return the latents of the student samples of a batch or, where a term reads them, of all samples.

        Those of the rollout are reused unless the terms train E^s; only those of images must be computed anew.
        """
        stored = batch.observations[LATENT][batch.teachers :]
        images = self.history_images if batch.copies > 1 else None
        everywhere = any(term.everywhere for term in self.terms)
        if self.trains_student and (everywhere or (len(stored) and self.reinforces_student)):
            if everywhere or (self._student.is_recurrent and self.driver.can_change):
                index = by_copy(batch, batch.index)[0]
                order = index.argsort() if self._student.is_recurrent else slice(None)  # whole sequences: step by step
                encoded = self.student_rollout.encode(index[order], images)
                if self._student.is_recurrent:
                    encoded = replace(encoded, latents=encoded.latents[order.argsort()])  # type: ignore[union-attr]
                return replace(encoded, latents=by_role(batch, encoded.latents))
            return self.student_rollout.encode(batch.index[batch.teachers :][: len(stored) // batch.copies], images)
        if images is None or not len(stored):
            return TrainingLatents(stored)
        own = len(stored) // batch.copies
        with torch.no_grad():
            encoded = self.student_rollout.encode(batch.index[batch.teachers :][:own], images).latents
        return TrainingLatents(torch.cat([stored[:own], encoded[own:]]))

    def latents(self, batch: RoleBatch, student: torch.Tensor) -> torch.Tensor:
        """Join the latents [B, latent_dim] of a batch: E^t's of teachers, with gradient, and the given of students.

        A copy's samples keep those of the rollout, for E^t does not learn from them.
        """
        n, copies = batch.teachers, batch.copies
        if not n:
            return student
        stored = n // copies if not self.teacher_is_live else 0
        parts = [batch.observations[LATENT][:stored]] if stored else []
        if stored < n:
            with torch.set_grad_enabled(self.teacher_is_live):
                parts.append(self.teacher_latents(batch.observations[stored:n]))
        return torch.cat([*parts, student])

    def student_distribution(self, seen: Seen) -> DiagonalGaussian:
        """Return S [B] with gradient at all samples, also at those on which a teacher acted."""
        n, acting = seen.batch.teachers, seen.acting
        if not n:
            return acting
        if seen.student is None:
            assert seen.encoded is not None
            obs: Any = seen.batch.observations[:n].clone()
            obs[LATENT] = seen.encoded[:n]
            self.actor(obs, stochastic_output=True)
            mean, std = self.actor.output_distribution_params
            seen.student = DiagonalGaussian(torch.cat([mean, acting.mean[n:]]), torch.cat([std, acting.std[n:]]))
        return seen.student

    # Steps

    @property
    def student_modules(self) -> list[nn.Module]:
        """What is trained by the student's optimizer: E^s and networks of the terms."""
        return [self._student_encoder, *(term.module for term in self.terms if term.module is not None)]

    def _trained(self) -> tuple[list[nn.Module], list[torch.optim.Optimizer]]:
        modules: list[nn.Module] = [self._raw_actor, self._raw_critic]
        if not self.trains_student:
            return modules, [self.optimizer]
        return modules + self.student_modules, [self.optimizer, self.student_optimizer]

    def step(self, seen: Seen) -> bool:
        """Adapt the learning rate and step policy, E^t and critic, and E^s if the terms train it; whether it did."""
        kl, finite = self._joint_kl(seen)
        if not finite:  # all ranks step, or none
            return False
        modules, optimizers = self._trained()
        self._adapt_learning_rate(kl, optimizers)
        for optimizer in optimizers:
            optimizer.zero_grad()
        seen.total.backward()
        if not self._clip_and_step(modules, optimizers):
            return False
        self.diagnostics.add(seen.diagnostics)
        return True

    def step_student(self, loss: torch.Tensor) -> bool:
        """Step E^s alone, by its own rate; returns whether it did."""
        if not all_agree(bool(loss.detach().isfinite()), self.device):
            return False
        self.student_optimizer.zero_grad()
        loss.backward()
        return self._clip_and_step([self._student_encoder], [self.student_optimizer])

    def _clip_and_step(self, modules: list[nn.Module], optimizers: list[torch.optim.Optimizer]) -> bool:
        if self.is_multi_gpu:
            self._reduce([parameter for module in modules for parameter in module.parameters()])
        gradients = self.diagnostics.gradient_norms(modules)
        norms = [nn.utils.clip_grad_norm_(module.parameters(), self.max_grad_norm) for module in modules]
        # The same on all ranks, for the gradients are. The norm of a network without gradients is on the CPU.
        if not bool(torch.stack([norm.float().to(self.device) for norm in norms]).isfinite().all()):
            return False
        for optimizer in optimizers:
            optimizer.step()
        self.diagnostics.add(gradients)
        return True

    def _reduce(self, parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            # A rank whose mini-batch lacks a group has no gradient there, but every rank must send the same shapes.
            if parameter.grad is None and parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
        reduce_gradients_in_buckets(parameters, self.gpu_world_size, self.grad_reduce_bucket_mb)

    def _joint_kl(self, seen: Seen) -> tuple[float, bool]:
        """Mean of the KL divergence that steers, NaN without a sample, and whether no loss is otherwise than finite.

        Of all processes, in one exchange.
        """
        count = torch.tensor(float(len(seen.kl)), device=seen.kl.device)
        wrong = (~seen.total.detach().isfinite()).float()
        total, count, wrong = joint_sum(torch.stack([seen.kl.sum(), count, wrong])).unbind()
        mean, wrong = torch.stack([total / count, wrong]).tolist()
        return mean, not wrong

    def _adapt_learning_rate(self, mean: float, optimizers: list[torch.optim.Optimizer]) -> None:
        """Apply rsl_rl's KL rule: rate / 1.5 above twice the desired KL, * 1.5 below half of it, in [1e-5, 1e-2]."""
        if self.schedule != "adaptive" or self.desired_kl is None or math.isnan(mean):
            return
        if mean > self.desired_kl * 2.0:
            self.learning_rate = max(1e-5, self.learning_rate / 1.5)
        elif 0.0 < mean < self.desired_kl / 2.0:
            self.learning_rate = min(1e-2, self.learning_rate * 1.5)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate

    # Checkpoints and devices

    def save(self) -> dict:
        """Return the states of all networks, optimizers and terms, and the number of finished iterations.

        Hidden states of E^s are not saved: a resumed run starts new episodes.
        """
        saved = super().save() | {
            "cts_iteration": self.iteration,
            "student_encoder_state_dict": self._student_encoder.state_dict(),
            "student_optimizer_state_dict": self.student_optimizer.state_dict(),
        }
        for term in self.terms:
            saved |= term.state_dict()
        return saved

    def load(self, loaded_dict: dict, load_cfg: dict | None, strict: bool) -> bool:
        """Load what ``save`` returned.

        Args:
            loaded_dict: A checkpoint.
            load_cfg: Parts to load, None for all. E^s follows ``actor`` unless ``student_encoder`` is given.
            strict: Whether the parameter names must match exactly.

        Returns:
            Whether the runner shall take over the iteration number.

        Raises:
            ValueError: If the checkpoint was not written by CTS.
        """
        load_student = load_cfg is None or load_cfg.get("student_encoder", load_cfg.get("actor"))
        if load_student and "student_encoder_state_dict" not in loaded_dict:
            raise ValueError("the checkpoint has no 'student_encoder_state_dict': it was not written by CTS")
        take_iteration = super().load(loaded_dict, load_cfg, strict)
        if load_student:
            self._student_encoder.load_state_dict(loaded_dict["student_encoder_state_dict"], strict=strict)
        if load_cfg is None or load_cfg.get("optimizer"):
            self.student_optimizer.load_state_dict(loaded_dict["student_optimizer_state_dict"])
        if take_iteration:
            self.iteration = loaded_dict.get("cts_iteration", loaded_dict.get("iter", 0))
        for term in self.terms:
            term.load_state_dict(loaded_dict, load_cfg, strict)
        self.student_rollout.reset()
        return take_iteration

    def broadcast_parameters(self) -> None:
        """Send the networks of rank 0 to all ranks."""
        super().broadcast_parameters()
        for module in self.student_modules:
            for tensor in module.state_dict().values():
                torch.distributed.broadcast(tensor, src=0)

    # Internals

    def _update_normalization(self) -> None:
        """Update the statistics after the update, so that they are constant within an iteration."""
        obs = self.storage.observations.flatten(0, 1)
        finite = torch.stack([value.isfinite().all(-1) for value in obs.values()]).all(0)
        if not bool(finite.all()):
            obs = obs[finite]  # one bad state must not poison the running statistics for good
        # The statistics are joint ones, so all processes update them, or none does.
        if all_agree(len(obs) > 0, self.device):
            self._raw_actor.update_normalization(obs)  # type: ignore[arg-type]
            self.critic.update_normalization(obs)  # type: ignore[arg-type]
