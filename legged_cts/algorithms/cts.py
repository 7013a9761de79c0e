"""Concurrent teacher-student PPO (arXiv 2405.10830) on unmodified rsl_rl."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.env import VecEnv
from rsl_rl.storage import RolloutStorage
from rsl_rl.utils import reduce_gradients_in_buckets
from tensordict import TensorDict
from torch import nn

from legged_cts.algorithms.construction import build_algorithm
from legged_cts.algorithms.diagnostics import Diagnostics, clipped, role_means
from legged_cts.algorithms.history_buffer import HistoryBuffer
from legged_cts.algorithms.losses import (
    clipped_surrogate,
    combine_surrogates,
    latent_distance,
    normalize_advantages,
    ramp,
    value_loss,
)
from legged_cts.algorithms.minibatches import RoleBatch, role_batches
from legged_cts.algorithms.options import check_options
from legged_cts.algorithms.reconstruction import reconstruction_losses
from legged_cts.algorithms.reduce import all_agree, joint_shares, joint_sum, processes
from legged_cts.algorithms.student import StudentRollout, TrainingLatents
from legged_cts.algorithms.symmetry import (
    by_copy,
    check_student,
    group_images,
    mirror_loss,
    observation_images,
    with_images,
)
from legged_cts.models.latent_model import LATENT, LatentActor, LatentModel
from legged_cts.models.policies import LatentPolicy, StudentPolicy, TeacherPolicy
from legged_cts.roles import teacher_mask

REPORTED = ("value", "surrogate", "entropy", "surrogate_teacher", "surrogate_student", "latent_pull", "symmetry")
"""Terms of :class:`PolicyLosses` whose means an update returns."""


@dataclass
class PolicyLosses:
    """Loss terms of one mini-batch; ``total`` is what PPO minimises."""

    total: torch.Tensor
    surrogate: torch.Tensor
    surrogate_teacher: torch.Tensor | None
    surrogate_student: torch.Tensor | None
    value: torch.Tensor
    entropy: torch.Tensor
    kl: torch.Tensor
    """KL(old || new) of the samples that steer the learning rate [K], without gradient."""
    latent_pull: torch.Tensor | None = None
    """Mean squared distance of both latents on student samples, while E^t is drawn to E^s."""
    symmetry: torch.Tensor | None = None
    """Mirror loss, before its weight; None without symmetry."""
    report: dict[str, torch.Tensor] = field(default_factory=dict)
    """What E^s reports when this loss trains it."""
    diagnostics: dict[str, torch.Tensor] = field(default_factory=dict)
    """Clip fraction, KL and gain of each group, for ``Diagnostics``."""


class CTS(PPO):
    """PPO in which teacher and student environments train one policy and one critic in the same iteration.

    A fixed share of the environments are teachers: their latent z comes from the privileged encoder E^t. The others are
    students: their z comes from the history encoder E^s. Gradients go where the paper's figure 2 sends them:

    - surrogate of both groups, value loss and entropy train policy, action std and critic;
    - E^t gets the surrogate gradient of teacher samples and nothing else, unless ``latent_pull`` is on;
    - E^s gets no PPO gradient: after the PPO epochs it regresses z^t = stopgrad(E^t(s)) on the same rollout;
    - the critic sees stopgrad(z).

    With ``student_encoder_gradient="surrogate"`` there is no regression and E^s gets the surrogate gradient of student
    samples instead; with no teachers at all that is blind, asymmetric PPO on a history encoder.

    A recurrent E^s keeps its hidden state through the rollout; whatever trains it then takes whole sequences of the
    rollout, of some of the environments at a time.
    """

    CONSTRUCTION_KEYS = ("critic_sees_latent", "share_cnn_encoders")
    """Keys of the algorithm configuration that ``construct_algorithm`` uses itself."""

    _raw_actor: LatentActor

    def __init__(
        self,
        actor: LatentActor,
        critic: LatentModel,
        storage: RolloutStorage,
        student_encoder: nn.Module,
        history_group: str,
        history_shape: tuple[int, ...],
        teacher_fraction: float = 0.75,
        surrogate: str = "sum_of_means",
        kl_samples: str = "all",
        advantage_normalization: str = "all",
        student_encoder_gradient: str = "auto",
        reconstruction_envs: str = "student",
        reconstruction_epochs: int = 5,
        reconstruction_mini_batches: int = 4,
        student_learning_rate: float = 1e-3,
        history_reset: str = "backfill",
        latent_pull: float = 0.0,
        latent_pull_start: int = 0,
        latent_pull_ramp: int = 1,
        **ppo: Any,
    ) -> None:
        """Set up both groups.

        Args:
            actor: Policy and teacher encoder.
            critic: Value function V(s, z).
            storage: Rollout storage with the groups of policy, critic and teacher, and ``latent`` [N, latent_dim].
            student_encoder: E^s, see ``legged_cts.models.encoders.Encoder``; it reads normalised histories [B, H, n].
            history_group: Observation group that holds the history.
            history_shape: (H, n).
            teacher_fraction: Share of teacher environments in [0, 1].
            surrogate: ``sum_of_means`` or ``pooled``, see ``combine_surrogates``.
            kl_samples: Whose KL divergence adapts the learning rate: ``all``, ``teacher`` or ``student``.
            advantage_normalization: Over ``all`` samples or ``per_group``.
            student_encoder_gradient: ``reconstruction``, ``surrogate``, or ``auto``: reconstruction if there is a
                teacher, else surrogate. Asking for reconstruction without teachers fits a random, frozen E^t.
            reconstruction_envs: Regress on ``student`` environments or on ``all``.
            reconstruction_epochs: Passes over the rollout per iteration for E^s.
            reconstruction_mini_batches: Mini-batches per such pass.
            student_learning_rate: Fixed rate of E^s's own Adam. With the surrogate gradient E^s follows PPO's rate.
            history_reset: What the environment puts before an episode's first frame, see ``HISTORY_RESETS``; checked
                against its histories in the first rollouts.
            latent_pull: Weight of the mean ``|E^t(s) - stopgrad(z^s)|^2`` of student samples, which draws E^t to what
                E^s can follow; 0 turns it off.
            latent_pull_start: Iterations before it sets in.
            latent_pull_ramp: Iterations over which the weight grows to its full size.
            **ppo: Arguments of rsl_rl's ``PPO``; ``rnd_cfg`` must be None. ``symmetry_cfg`` is that of rsl_rl's
                ``Symmetry``, environment included.

        Raises:
            ValueError: If an option is unknown or out of range, or the options contradict each other.
        """
        if ppo.get("rnd_cfg"):
            raise ValueError("algorithm.rnd_cfg is not supported by CTS; set it to null")
        super().__init__(actor, critic, storage, **ppo)
        self._student_encoder = student_encoder.to(self.device)
        self._set_roles(teacher_mask(storage.num_envs, teacher_fraction, self.device))
        self.surrogate = surrogate
        self.kl_samples = kl_samples
        self.advantage_normalization = advantage_normalization
        self.student_encoder_gradient = student_encoder_gradient
        self.reconstruction_envs = reconstruction_envs
        self.reconstruction_epochs = reconstruction_epochs
        self.reconstruction_mini_batches = reconstruction_mini_batches
        self.history_reset = history_reset
        self.latent_pull = latent_pull
        self.latent_pull_start = latent_pull_start
        self.latent_pull_ramp = latent_pull_ramp
        self.iteration = 0
        check_options(self, len(self.teacher_ids), len(self.student_ids))
        if student_encoder_gradient == "auto":
            self.student_encoder_gradient = "reconstruction" if len(self.teacher_ids) else "surrogate"
        self.student_optimizer = torch.optim.Adam(self._student_encoder.parameters(), lr=student_learning_rate)
        for group in self.optimizer.param_groups + self.student_optimizer.param_groups:
            group["fused"] = True  # all operations of a step in one kernel
        self._student_modules: list[nn.Module] = [self._student_encoder]
        self._student = StudentPolicy(actor, self._student_encoder, history_group, history_shape)
        self._teacher = TeacherPolicy(actor)

        self._store_needed_histories()
        self._history_images = None
        if self.symmetry is not None:
            check_student(self._student)
            self._history_images = partial(group_images, self.symmetry, history_group)
        self._reward_sums = torch.zeros(2, device=self.device)
        parts = {"policy": actor, "teacher_encoder": actor.teacher_encoder, "critic": critic}
        self.diagnostics = Diagnostics(self.teacher_mask, {**parts, "student_encoder": self._student_encoder})

    @staticmethod
    def construct_algorithm(obs: TensorDict, env: VecEnv, cfg: dict, device: str) -> CTS:
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
            ValueError: If the observation sets or the classes do not fit CTS.
        """
        return build_algorithm(obs, env, cfg, device)

    def set_teacher_fraction(self, fraction: float) -> None:
        """Change how many environments are teachers, between two iterations.

        Histories are stored for the new students from the next rollout on; hidden states of E^s begin anew.

        Args:
            fraction: Share of teacher environments in [0, 1], with which the objective must still make sense.

        Raises:
            ValueError: If an option needs a group that would have no environment.
        """
        mask = teacher_mask(self.storage.num_envs, fraction, self.device)
        teachers = int(mask.sum())
        check_options(self, teachers, len(mask) - teachers)
        if not teachers and self.student_encoder_gradient == "reconstruction":
            raise ValueError("algorithm.teacher_fraction: without a teacher there is nothing that E^s could regress")
        self._set_roles(mask)
        self._store_needed_histories()
        self.diagnostics.regroup(mask)

    # Policies

    def student_policy(self) -> StudentPolicy:
        """Return E^s and the policy as one module that shares the trained weights."""
        return self._student

    def teacher_policy(self) -> TeacherPolicy:
        """Return E^t and the policy as one module that shares the trained weights."""
        return self._teacher

    @property
    def has_teacher(self) -> bool:
        """Whether a teacher acts, which is then worth an evaluation of its own."""
        return len(self.teacher_ids) > 0

    def get_policy(self) -> StudentPolicy:  # type: ignore[override]
        """Return what is deployed: the student policy."""
        return self._student

    @torch.no_grad()
    def act_inference(self, obs: TensorDict, role: str = "student") -> torch.Tensor:
        """Return action means [N, d] with every environment in the given role, ``student`` or ``teacher``."""
        policies: dict[str, LatentPolicy] = {"student": self._student, "teacher": self._teacher}
        if role not in policies:
            raise ValueError(f"role must be 'student' or 'teacher', got '{role}'")
        return policies[role](obs)

    # Rollout

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Sample actions [N, d], each environment with the latent of its role, and remember the step."""
        latents = self._student_rollout.act(self.storage.step, self._student.context(obs))
        return super().act(self._with_latent(obs, latents))

    def act_anew(self, obs: TensorDict, new: torch.Tensor, began: torch.Tensor) -> tuple[TensorDict, torch.Tensor]:
        """Act once more in the same step, on other observations.

        Args:
            obs: Observations [N, ...].
            new: Bool [N], environments that are to begin an episode with them; their histories are made so.
            began: Bool [N], environments whose episode begins with this step anyway.

        Returns:
            The observations with these histories, and actions [N, d].
        """
        obs = self.begin_episodes(obs, new)
        self._student_rollout.rewind(began | new)
        return obs, self.act(obs)

    def begin_episodes(self, obs: TensorDict, new: torch.Tensor) -> TensorDict:
        """Return observations in which the histories of ``new`` (bool [N]) are those of an episode's first frame."""
        (group,) = self._student.context_groups
        histories = self.history.as_first(obs[group], new)
        return TensorDict({**obs, group: histories}, batch_size=obs.batch_size)

    def process_env_step(
        self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict[str, torch.Tensor]
    ) -> None:
        """Record one environment step; time-outs are bootstrapped as in rsl_rl's PPO."""
        self._reward_sums += torch.stack([rewards[self.teacher_ids].sum(), rewards[self.student_ids].sum()])
        super().process_env_step(obs, rewards, dones, extras)
        self._student_rollout.restart(dones)

    def compute_returns(self, obs: TensorDict) -> None:
        """Compute returns and normalised advantages from the rollout and its last observation."""
        latents = self._student_rollout.peek(self._student.context(obs))
        super().compute_returns(self._with_latent(obs, latents))
        per_group = self.advantage_normalization == "per_group"
        if (per_group or processes() > 1) and not self.normalize_advantage_per_mini_batch:
            # PPO normalises over all samples of this process.
            advantages = self.storage.returns - self.storage.values
            mask = self.teacher_mask.view(1, -1, 1) if per_group else None
            self.storage.advantages = normalize_advantages(advantages, mask)

    # Update

    def update(self) -> dict[str, float]:
        """Train policy, critic and E^t with PPO, then E^s on the same rollout.

        A mini-batch whose loss or gradient is not finite takes no step. More numbers are in ``diagnostics``.

        Returns:
            Means over the mini-batches that took a step (NaN if none did) of ``value``, ``surrogate``, ``entropy``,
            ``kl``, ``surrogate_teacher``, ``surrogate_student``, ``latent_pull``, ``symmetry``, ``reconstruction``,
            ``latent_cosine`` and what E^s reports of itself; the rollout's ``value_bias_*`` = mean(V - return) and
            ``reward_*`` = mean reward per step, per group; and ``skipped_updates``. Terms of a group or loss that does
            not exist are left out.
        """
        result = self._rollout_statistics()
        self.diagnostics.start(self.storage)
        means: dict[str, list[float]] = defaultdict(list)
        skipped = 0
        for batch in self.batches():
            with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.use_mixed_precision):
                losses = self.losses(batch)
            if not self._ppo_step(losses):
                skipped += 1
                continue
            self.diagnostics.add(losses.diagnostics)
            for key in REPORTED:
                term: torch.Tensor | None = getattr(losses, key)
                if term is not None:
                    means[key].append(term.item())
            if len(losses.kl):
                means["kl"].append(losses.kl.mean().item())
            for key, term in losses.report.items():
                means[key].append(term.item())
        if self.student_encoder_gradient == "reconstruction" and len(self.history.ids):
            skipped += self._fit_student(means)
        self.diagnostics.finish()
        self._update_normalization()
        self.storage.clear()
        self.iteration += 1
        for key in ("value", "surrogate", "entropy"):
            means.setdefault(key, [])
        result |= {key: sum(values) / len(values) if values else math.nan for key, values in means.items()}
        result["skipped_updates"] = float(skipped)
        return result

    def batches(self) -> Iterator[RoleBatch]:
        """Yield the mini-batches of all PPO epochs; whole sequences where PPO trains a recurrent E^s."""
        sequences = self._student.is_recurrent and self.student_encoder_gradient == "surrogate"
        return role_batches(
            self.storage, self._sample_roles, self.num_mini_batches, self.num_learning_epochs, sequences
        )

    @property
    def _sample_roles(self) -> torch.Tensor:
        """Who is a teacher, by environment [N] or by step and environment [T, N]."""
        return self.teacher_mask

    def losses(self, batch: RoleBatch) -> PolicyLosses:
        """Compute the PPO loss terms of a mini-batch; the graph routes each gradient where it belongs."""
        if self.normalize_advantage_per_mini_batch:
            batch = replace(batch, advantages=self._batch_advantages(batch))
        samples = batch
        if self.symmetry is not None:
            batch = with_images(batch, self.symmetry)
        obs = batch.observations
        student = self.student_latents(batch)
        latent = self.latents(obs, batch.teachers, student.latents)
        obs[LATENT] = latent
        self.actor(obs, stochastic_output=True)  # evaluates the distribution; the sample is not used
        log_prob = self.actor.get_output_log_prob(batch.actions)
        # KL and entropy are those of the samples alone, as in rsl_rl.
        distribution_params = tuple(by_copy(batch, p)[0] for p in self.actor.output_distribution_params)
        entropy = by_copy(batch, self.actor.output_entropy)[0].mean()
        symmetry, weighted = None, None
        if self.symmetry is not None:
            symmetry = mirror_loss(self.symmetry, batch, self.actor.output_mean)
            if self.symmetry.use_mirror_loss:
                weighted = self.symmetry.mirror_loss_coeff * symmetry
            if not self.symmetry.use_data_augmentation:  # the images were for the mirror loss alone
                latent, log_prob = by_copy(batch, latent)[0], by_copy(batch, log_prob)[0]
                batch = samples
        n, obs = batch.teachers, batch.observations
        obs[LATENT] = latent.detach()
        values = self.critic(obs)

        shares = joint_shares((n, len(batch) - n, len(batch)), self.device)
        per_sample, surrogate = self._surrogates(batch, log_prob, shares)
        value = value_loss(
            values, batch.values, batch.returns, self.clip_param if self.use_clipped_value_loss else None
        )
        with torch.no_grad():
            kl = self.actor.get_kl_divergence(batch.old_distribution_params, distribution_params)
        total = surrogate + (self.value_loss_coef * value - self.entropy_coef * entropy) * shares[2]
        if student.penalty is not None:
            total = total + student.penalty
        if weighted is not None:
            total = total + weighted * shares[2]
        pull = None
        weight = self.latent_pull_weight
        if weight and n < len(batch):
            followed = self._teacher.latent(self._raw_actor.teacher_input(obs[n:]))  # type: ignore[arg-type]
            pull = latent_distance(followed, latent[n:].detach())
            total = total + weight * pull * shares[1]
        return PolicyLosses(
            total=total,
            surrogate=surrogate,
            surrogate_teacher=per_sample[:n].mean() if n else None,
            surrogate_student=per_sample[n:].mean() if n < len(batch) else None,
            value=value,
            entropy=entropy,
            kl={"all": kl, "teacher": kl[: samples.teachers], "student": kl[samples.teachers :]}[self.kl_samples],
            latent_pull=pull,
            symmetry=symmetry,
            report=student.report,
            diagnostics={
                **role_means("policy/clip_fraction", clipped(log_prob, batch.old_log_prob, self.clip_param), n),
                **role_means("policy/kl", kl, samples.teachers),
                **role_means("policy/surrogate_gain", -per_sample.detach() - batch.advantages.squeeze(1), n),
            },
        )

    @property
    def latent_pull_weight(self) -> float:
        """Weight of the pull on E^t in this iteration."""
        return self.latent_pull * ramp(self.iteration, self.latent_pull_start, self.latent_pull_ramp)

    def student_latents(self, batch: RoleBatch) -> TrainingLatents:
        """Return the latents of the student samples of a batch.

        E^s does not change during the PPO epochs, so its latents of the rollout are reused; only with the surrogate
        gradient are they computed again, with gradient. Those of images were never computed before.
        """
        stored = batch.observations[LATENT][batch.teachers :]
        own = len(stored) // batch.copies
        index = batch.index[batch.teachers :][:own]
        images = self._history_images if batch.copies > 1 else None
        if self.student_encoder_gradient == "surrogate" and own:
            return self._student_rollout.encode(index, images)
        if images is None or not own:
            return TrainingLatents(stored)
        with torch.no_grad():
            return TrainingLatents(torch.cat([stored[:own], self._student_rollout.encode(index, images).latents[own:]]))

    def latents(self, observations: TensorDict, teachers: int, student: torch.Tensor) -> torch.Tensor:
        """Join the latents [B, latent_dim] of a batch.

        Args:
            observations: Observations [B]; the first ``teachers`` rows go through E^t, with gradient.
            teachers: Number of teacher samples.
            student: Latents of the other rows.
        """
        if not teachers:
            return student
        states = self._raw_actor.teacher_input(observations[:teachers])  # type: ignore[arg-type]
        return torch.cat([self._teacher.latent(states), student])

    # Modes, checkpoints, devices

    def train_mode(self) -> None:
        """Put all networks into training mode."""
        super().train_mode()
        self._student_encoder.train()

    def eval_mode(self) -> None:
        """Put all networks into evaluation mode."""
        super().eval_mode()
        self._student_encoder.eval()

    def save(self) -> dict:
        """Return the states of all networks and of both optimizers, and the number of finished iterations.

        Hidden states of E^s are not saved: a resumed run starts new episodes.
        """
        return super().save() | {
            "cts_iteration": self.iteration,
            "student_encoder_state_dict": self._student_encoder.state_dict(),
            "student_optimizer_state_dict": self.student_optimizer.state_dict(),
        }

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
        self._student_rollout.reset()
        return take_iteration

    def broadcast_parameters(self) -> None:
        """Send the networks of rank 0 to all ranks."""
        super().broadcast_parameters()
        for tensor in self._student_encoder.state_dict().values():
            torch.distributed.broadcast(tensor, src=0)

    def reduce_parameters(self) -> None:
        """Average all gradients over the ranks, E^s included when PPO trains it."""
        modules = [self._raw_actor, self.critic]
        if self.student_encoder_gradient == "surrogate":
            modules.append(self._student_encoder)  # type: ignore[arg-type]
        for module in modules:
            self._reduce(module)

    def _reduce(self, module: nn.Module) -> None:
        for parameter in module.parameters():
            # A rank whose mini-batch lacks a group has no gradient there, but every rank must send the same shapes.
            if parameter.grad is None and parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
        reduce_gradients_in_buckets(module.parameters(), self.gpu_world_size, self.grad_reduce_bucket_mb)

    # Internals

    def _set_roles(self, mask: torch.Tensor) -> None:
        """Note who is a teacher, bool [N]."""
        self.teacher_mask = mask
        self._set_acting(mask)

    def _set_acting(self, teachers: torch.Tensor) -> None:
        """Note in which environments the teacher acts, bool [N]."""
        self.teacher_ids, self.student_ids = teachers.nonzero().flatten(), (~teachers).nonzero().flatten()

    def _store_needed_histories(self) -> None:
        """Store the histories of the students, or of all where E^s is fitted on all."""
        needs_all = self.reconstruction_envs == "all" and self.student_encoder_gradient == "reconstruction"
        self._store_histories(range(len(self.teacher_mask)) if needs_all else self.student_ids, self.student_ids)

    def _store_histories(self, stored: torch.Tensor | range, acting: torch.Tensor | range) -> None:
        """Store the histories of environments, some of which act on E^s's latents."""
        stored, acting = (torch.as_tensor(ids, dtype=torch.long, device=self.device) for ids in (stored, acting))
        shape, group = self._student.context_shape, self._student.context_groups[0]
        self.history = HistoryBuffer(
            self.storage.num_transitions_per_env, self.storage.num_envs, stored, shape, self.history_reset, group,
            check=not self._student.is_recurrent,  # such an E^s reads no windows
        )  # fmt: skip
        self._student_rollout = StudentRollout(self._student, self.history, acting)

    def _batch_advantages(self, batch: RoleBatch) -> torch.Tensor:
        """Return the advantages [B, 1] as the surrogate takes them."""
        if not self.normalize_advantage_per_mini_batch:
            return batch.advantages
        rows = torch.arange(len(batch), device=batch.advantages.device).unsqueeze(1)
        per_group = self.advantage_normalization == "per_group"
        return normalize_advantages(batch.advantages, rows < batch.teachers if per_group else None)

    def _surrogates(
        self, batch: RoleBatch, log_prob: torch.Tensor, shares: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the surrogate of every sample [B], teachers first, and what they make together."""
        advantages = batch.advantages.squeeze(1)
        per_sample = clipped_surrogate(log_prob, batch.old_log_prob, advantages, self.clip_param)
        return per_sample, combine_surrogates(per_sample, batch.teachers, self.surrogate, shares)

    @torch.no_grad()
    def _with_latent(self, obs: TensorDict, student: torch.Tensor) -> TensorDict:
        """Select the stored groups and add each environment's latent; students' are given, E^t runs on teachers."""
        latent = torch.empty(self.storage.num_envs, self._raw_actor.latent_dim, device=self.device)
        if len(self.teacher_ids):
            latent[self.teacher_ids] = self._teacher.latent(self._teacher.context(obs)[self.teacher_ids])
        latent[self.student_ids] = student
        selected = {key: obs[key] for key in self.storage.observations.keys() if key != LATENT}
        return TensorDict({**selected, LATENT: latent}, batch_size=obs.batch_size, device=self.device)

    def _ppo_step(self, losses: PolicyLosses) -> bool:
        """Adapt the learning rate and step policy, E^t and critic (and E^s with its surrogate gradient)."""
        if not self._all_finite([losses.total]):
            return False
        self._adapt_learning_rate(losses.kl)
        optimizers = [self.optimizer]
        modules: list[nn.Module] = [self._raw_actor, self.critic]
        if self.student_encoder_gradient == "surrogate":
            optimizers.append(self.student_optimizer)
            modules += self._student_modules
        for optimizer in optimizers:
            optimizer.zero_grad()
        losses.total.backward()
        if self.is_multi_gpu:
            self.reduce_parameters()
        return self._clip_and_step(modules, optimizers)

    def _clip_and_step(self, modules: list[nn.Module], optimizers: list[torch.optim.Optimizer]) -> bool:
        gradients = self.diagnostics.gradient_norms(modules)
        norms = [nn.utils.clip_grad_norm_(module.parameters(), self.max_grad_norm) for module in modules]
        if not self._all_finite(norms):
            return False
        for optimizer in optimizers:
            optimizer.step()
        self.diagnostics.add(gradients)
        return True

    def _all_finite(self, scalars: list[torch.Tensor]) -> bool:
        # The norm of a network without gradients is on the CPU.
        finite = torch.stack([scalar.detach().float().to(self.device) for scalar in scalars]).isfinite().all()
        return all_agree(bool(finite), self.device)  # all ranks step, or none

    def _adapt_learning_rate(self, kl: torch.Tensor) -> None:
        """Apply rsl_rl's KL rule: rate / 1.5 above twice the desired KL, * 1.5 below half of it, in [1e-5, 1e-2]."""
        if self.schedule != "adaptive" or self.desired_kl is None:
            return
        total = joint_sum(torch.stack([kl.sum(), torch.tensor(float(len(kl)), device=kl.device)]))
        if total[1] == 0:  # no sample of the group that steers
            return
        mean = (total[0] / total[1]).item()
        if mean > self.desired_kl * 2.0:
            self.learning_rate = max(1e-5, self.learning_rate / 1.5)
        elif 0.0 < mean < self.desired_kl / 2.0:
            self.learning_rate = min(1e-2, self.learning_rate * 1.5)
        optimizers = [self.optimizer]
        if self.student_encoder_gradient == "surrogate":
            optimizers.append(self.student_optimizer)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate

    def _fit_student(self, means: dict[str, list[float]]) -> int:
        """Regress z^s onto stopgrad(z^t) of the updated E^t; returns the number of skipped steps."""
        ids = self.history.ids
        symmetry = self.symmetry if self.symmetry is not None and self.symmetry.use_data_augmentation else None
        with torch.no_grad():
            states: Any = self.storage.observations[:, ids].flatten(0, 1).select(*self._raw_actor.teacher_groups)
            if symmetry is not None:
                states = observation_images(symmetry, states)
            targets = self._target_latents(self._raw_actor.teacher_input(states))
            targets = targets.unflatten(0, (-1, self.storage.num_transitions_per_env, len(ids)))
        self.diagnostics.compare_latents(self.storage, targets[0], ids)  # without images
        skipped = 0
        for loss, report in reconstruction_losses(
            self._student_rollout, targets, self.storage.num_envs,
            self.reconstruction_mini_batches, self.reconstruction_epochs, self._history_images if symmetry else None,
        ):  # fmt: skip
            if not self._student_step(loss):
                skipped += 1
                continue
            for key, term in report.items():
                means[key].append(term.item())
        return skipped

    def _target_latents(self, states: torch.Tensor) -> torch.Tensor:
        """Return z^t [B, latent_dim] of privileged states [B, m], which E^s regresses."""
        return self._teacher.latent(states)

    def _student_step(self, loss: torch.Tensor) -> bool:
        if not self._all_finite([loss]):
            return False
        self.student_optimizer.zero_grad()
        loss.backward()
        if self.is_multi_gpu:
            self._reduce(self._student_encoder)
        return self._clip_and_step([self._student_encoder], [self.student_optimizer])

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

    def _rollout_statistics(self) -> dict[str, float]:
        """Value bias and mean reward of each group that exists."""
        error = (self.storage.values - self.storage.returns).mean(0).squeeze(-1)
        result: dict[str, float] = {}
        for i, (name, ids) in enumerate((("teacher", self.teacher_ids), ("student", self.student_ids))):
            if len(ids):
                result[f"value_bias_{name}"] = error[ids].mean().item()
                samples = len(ids) * self.storage.num_transitions_per_env
                result[f"reward_{name}"] = self._reward_sums[i].item() / samples
        self._reward_sums = torch.zeros_like(self._reward_sums)
        return result
