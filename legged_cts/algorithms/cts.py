"""Concurrent teacher-student PPO (arXiv 2405.10830) on unmodified rsl_rl."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.env import VecEnv
from rsl_rl.storage import RolloutStorage
from rsl_rl.utils import reduce_gradients_in_buckets, resolve_class, resolve_obs_groups
from tensordict import TensorDict
from torch import nn

from legged_cts.algorithms.diagnostics import Diagnostics, clipped, role_means
from legged_cts.algorithms.history_buffer import HistoryBuffer
from legged_cts.algorithms.losses import clipped_surrogate, combine_surrogates, normalize_advantages, value_loss
from legged_cts.algorithms.minibatches import RoleBatch, index_batches, role_batches
from legged_cts.models.latent_model import LATENT, LatentActor, LatentModel, build_encoder
from legged_cts.models.policies import LatentPolicy, StudentPolicy, TeacherPolicy
from legged_cts.roles import teacher_mask

CHOICES = {
    "surrogate": ("sum_of_means", "pooled"),
    "kl_samples": ("all", "teacher", "student"),
    "advantage_normalization": ("all", "per_group"),
    "student_encoder_gradient": ("auto", "reconstruction", "surrogate"),
    "reconstruction_envs": ("student", "all"),
}


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
    diagnostics: dict[str, torch.Tensor]
    """Clip fraction, KL and gain of each group, for ``Diagnostics``."""


class CTS(PPO):
    """PPO in which teacher and student environments train one policy and one critic in the same iteration.

    A fixed share of the environments are teachers: their latent z comes from the privileged encoder E^t. The others are
    students: their z comes from the history encoder E^s. Gradients go where the paper's figure 2 sends them:

    - surrogate of both groups, value loss and entropy train policy, action std and critic;
    - E^t gets the surrogate gradient of teacher samples and nothing else;
    - E^s gets no PPO gradient: after the PPO epochs it regresses z^t = stopgrad(E^t(s)) on the same rollout;
    - the critic sees stopgrad(z).

    With ``student_encoder_gradient="surrogate"`` there is no regression and E^s gets the surrogate gradient of student
    samples instead; with no teachers at all that is blind, asymmetric PPO on a history encoder.
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
        **ppo: Any,
    ) -> None:
        """Set up both groups.

        Args:
            actor: Policy and teacher encoder.
            critic: Value function V(s, z).
            storage: Rollout storage with the groups of policy, critic and teacher, and ``latent`` [N, latent_dim].
            student_encoder: E^s; maps normalised histories [B, H, n] to latents.
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
            **ppo: Arguments of rsl_rl's ``PPO``; ``rnd_cfg`` and ``symmetry_cfg`` must be None.

        Raises:
            ValueError: If an option is unknown or out of range, or the options contradict each other.
        """
        for key in ("rnd_cfg", "symmetry_cfg"):
            if ppo.get(key):
                raise ValueError(f"algorithm.{key} is not supported by CTS; set it to null")
        super().__init__(actor, critic, storage, **ppo)
        self._student_encoder = student_encoder.to(self.device)
        self.teacher_mask = teacher_mask(storage.num_envs, teacher_fraction, self.device)
        self.teacher_ids = self.teacher_mask.nonzero().flatten()
        self.student_ids = (~self.teacher_mask).nonzero().flatten()
        self.surrogate = surrogate
        self.kl_samples = kl_samples
        self.advantage_normalization = advantage_normalization
        self.student_encoder_gradient = student_encoder_gradient
        self.reconstruction_envs = reconstruction_envs
        self.reconstruction_epochs = reconstruction_epochs
        self.reconstruction_mini_batches = reconstruction_mini_batches
        self._check_options()
        if student_encoder_gradient == "auto":
            self.student_encoder_gradient = "reconstruction" if len(self.teacher_ids) else "surrogate"
        self.student_optimizer = torch.optim.Adam(self._student_encoder.parameters(), lr=student_learning_rate)
        self._student = StudentPolicy(actor, self._student_encoder, history_group, history_shape)
        self._teacher = TeacherPolicy(actor)

        needs_all = reconstruction_envs == "all" and self.student_encoder_gradient == "reconstruction"
        history_ids = torch.arange(storage.num_envs, device=self.device) if needs_all else self.student_ids
        self.history = HistoryBuffer(storage.num_transitions_per_env, storage.num_envs, history_ids, history_shape)
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
        alg_class, alg_cfg = resolve_class(cfg["algorithm"])
        actor_class, actor_cfg = resolve_class(cfg["actor"])
        critic_class, critic_cfg = resolve_class(cfg["critic"])
        cfg["obs_groups"] = resolve_obs_groups(obs, cfg["obs_groups"], ["actor", "critic", "teacher", "student"])
        groups: dict[str, list[str]] = cfg["obs_groups"]
        if alg_cfg.pop("share_cnn_encoders", False):
            raise ValueError("algorithm.share_cnn_encoders is not supported by CTS; set it to false")

        student_cfg = actor_cfg.pop("student_encoder", None) or {}
        if not issubclass(actor_class, LatentActor):  # type: ignore[arg-type]
            raise ValueError("actor.class_name must be legged_cts.models.latent_model:LatentActor or a subclass of it")
        actor: LatentActor = actor_class(obs, groups, "actor", env.num_actions, **actor_cfg)
        history_group, history_shape = _history_layout(obs, groups["student"], actor)
        student_encoder = build_encoder(student_cfg, history_shape, actor.latent_dim, actor.unit_latent)

        sees_latent = alg_cfg.pop("critic_sees_latent", True)
        if sees_latent:
            if not issubclass(critic_class, LatentModel):  # type: ignore[arg-type]
                raise ValueError(
                    "algorithm.critic_sees_latent needs critic.class_name legged_cts.models.latent_model:LatentModel"
                )
            critic_cfg["latent_dim"] = actor.latent_dim
        critic = critic_class(obs, groups, "critic", 1, **critic_cfg)

        used = dict.fromkeys([*groups["actor"], *groups["critic"], *groups["teacher"]])
        stored = {group: obs[group] for group in used}
        stored[LATENT] = torch.zeros(env.num_envs, actor.latent_dim)
        stored = TensorDict(stored, batch_size=[env.num_envs])  # type: ignore[assignment]
        steps = cfg["num_steps_per_env"]
        storage = RolloutStorage("rl", env.num_envs, steps, stored, [env.num_actions], device)  # type: ignore[arg-type]
        alg: CTS = alg_class(
            actor, critic, storage, student_encoder, history_group, history_shape,
            device=device, multi_gpu_cfg=cfg.get("multi_gpu"), **alg_cfg,
        )  # fmt: skip
        alg.compile(cfg.get("torch_compile_mode"))
        print(f"Actor Model: {actor}\nStudent Encoder: {student_encoder}\nCritic Model: {critic}")

        unwrapped = getattr(env, "unwrapped", None)
        if unwrapped is not None:
            unwrapped.student_mask = (~alg.teacher_mask).to(env.device)
        return alg

    # Policies

    def student_policy(self) -> StudentPolicy:
        """Return E^s and the policy as one module that shares the trained weights."""
        return self._student

    def teacher_policy(self) -> TeacherPolicy:
        """Return E^t and the policy as one module that shares the trained weights."""
        return self._teacher

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
        self.history.record(self.storage.step, self._student.context(obs))
        return super().act(self._with_latent(obs))

    def process_env_step(
        self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict[str, torch.Tensor]
    ) -> None:
        """Record one environment step; time-outs are bootstrapped as in rsl_rl's PPO."""
        self._reward_sums += torch.stack([rewards[self.teacher_ids].sum(), rewards[self.student_ids].sum()])
        super().process_env_step(obs, rewards, dones, extras)

    def compute_returns(self, obs: TensorDict) -> None:
        """Compute returns and normalised advantages from the rollout and its last observation."""
        super().compute_returns(self._with_latent(obs))
        if self.advantage_normalization == "per_group" and not self.normalize_advantage_per_mini_batch:
            advantages = self.storage.returns - self.storage.values
            self.storage.advantages = normalize_advantages(advantages, self.teacher_mask.view(1, -1, 1))

    # Update

    def update(self) -> dict[str, float]:
        """Train policy, critic and E^t with PPO, then E^s on the same rollout.

        A mini-batch whose loss or gradient is not finite takes no step. More numbers are in ``diagnostics``.

        Returns:
            Means over the mini-batches that took a step (NaN if none did) of ``value``, ``surrogate``, ``entropy``,
            ``kl``, ``surrogate_teacher``, ``surrogate_student``, ``reconstruction``, ``latent_cosine``; the rollout's
            ``value_bias_*`` = mean(V - return) and ``reward_*`` = mean reward per step, per group; and
            ``skipped_updates``. Terms of a group or loss that does not exist are left out.
        """
        result = self._rollout_statistics()
        self.diagnostics.start(self.storage)
        means: dict[str, list[float]] = defaultdict(list)
        skipped = 0
        for batch in role_batches(self.storage, self.teacher_mask, self.num_mini_batches, self.num_learning_epochs):
            with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.use_mixed_precision):
                losses = self.losses(batch)
            if not self._ppo_step(losses):
                skipped += 1
                continue
            self.diagnostics.add(losses.diagnostics)
            for key in ("value", "surrogate", "entropy", "surrogate_teacher", "surrogate_student"):
                term: torch.Tensor | None = getattr(losses, key)
                if term is not None:
                    means[key].append(term.item())
            if len(losses.kl):
                means["kl"].append(losses.kl.mean().item())
        if self.student_encoder_gradient == "reconstruction" and len(self.history.ids):
            skipped += self._fit_student(means)
        self.diagnostics.finish()
        self._update_normalization()
        self.storage.clear()
        for key in ("value", "surrogate", "entropy"):
            means.setdefault(key, [])
        result |= {key: sum(values) / len(values) if values else math.nan for key, values in means.items()}
        result["skipped_updates"] = float(skipped)
        return result

    def losses(self, batch: RoleBatch) -> PolicyLosses:
        """Compute the PPO loss terms of a mini-batch; the graph routes each gradient where it belongs."""
        n = batch.teachers
        obs = batch.observations
        latent = self._batch_latents(batch)
        obs[LATENT] = latent
        self.actor(obs, stochastic_output=True)  # evaluates the distribution; the sample is not used
        log_prob = self.actor.get_output_log_prob(batch.actions)
        distribution_params = self.actor.output_distribution_params
        entropy = self.actor.output_entropy.mean()
        obs[LATENT] = latent.detach()
        values = self.critic(obs)

        advantages = batch.advantages
        if self.normalize_advantage_per_mini_batch:
            rows = torch.arange(len(batch), device=advantages.device).unsqueeze(1)
            per_group = self.advantage_normalization == "per_group"
            advantages = normalize_advantages(advantages, rows < n if per_group else None)
        per_sample = clipped_surrogate(log_prob, batch.old_log_prob, advantages.squeeze(1), self.clip_param)
        surrogate = combine_surrogates(per_sample, n, self.surrogate)
        value = value_loss(
            values, batch.values, batch.returns, self.clip_param if self.use_clipped_value_loss else None
        )
        with torch.no_grad():
            kl = self.actor.get_kl_divergence(batch.old_distribution_params, distribution_params)
        return PolicyLosses(
            total=surrogate + self.value_loss_coef * value - self.entropy_coef * entropy,
            surrogate=surrogate,
            surrogate_teacher=per_sample[:n].mean() if n else None,
            surrogate_student=per_sample[n:].mean() if n < len(batch) else None,
            value=value,
            entropy=entropy,
            kl={"all": kl, "teacher": kl[:n], "student": kl[n:]}[self.kl_samples],
            diagnostics={
                **role_means("policy/clip_fraction", clipped(log_prob, batch.old_log_prob, self.clip_param), n),
                **role_means("policy/kl", kl, n),
                **role_means("policy/surrogate_gain", -per_sample.detach() - advantages.squeeze(1), n),
            },
        )

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
        """Return the states of all networks and of both optimizers."""
        return super().save() | {
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

    def _check_options(self) -> None:
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f"algorithm.{key} must be one of {', '.join(allowed)}; got '{getattr(self, key)}'")
        for key in ("num_learning_epochs", "num_mini_batches", "reconstruction_epochs", "reconstruction_mini_batches"):
            if getattr(self, key) < 1:
                raise ValueError(f"algorithm.{key} must be at least 1, got {getattr(self, key)}")
        ids = {"teacher": self.teacher_ids, "student": self.student_ids}
        if self.kl_samples in ids and not len(ids[self.kl_samples]):
            raise ValueError(
                f"algorithm.kl_samples is '{self.kl_samples}', but with this algorithm.teacher_fraction there is no"
                f" {self.kl_samples} environment; use kl_samples 'all'"
            )

    @torch.no_grad()
    def _with_latent(self, obs: TensorDict) -> TensorDict:
        """Select the stored groups and add each environment's latent; each encoder runs on its own group only."""
        latent = torch.empty(self.storage.num_envs, self._raw_actor.latent_dim, device=self.device)
        if len(self.teacher_ids):
            latent[self.teacher_ids] = self._teacher.latent(self._teacher.context(obs)[self.teacher_ids])
        if len(self.student_ids):
            latent[self.student_ids] = self._student.latent(self._student.context(obs)[self.student_ids])
        selected = {key: obs[key] for key in self.storage.observations.keys() if key != LATENT}
        return TensorDict({**selected, LATENT: latent}, batch_size=obs.batch_size, device=self.device)

    def _batch_latents(self, batch: RoleBatch) -> torch.Tensor:
        """Latents [B, latent_dim] with gradient to E^t for teachers; students reuse those of the rollout.

        E^s does not change during the PPO epochs, so its latents are computed once, when acting; only with the
        surrogate gradient are they computed again here.
        """
        n = batch.teachers
        parts: list[torch.Tensor] = []
        if n:
            parts.append(self._teacher.latent(self._raw_actor.teacher_input(batch.observations[:n])))
        if n < len(batch):
            if self.student_encoder_gradient == "surrogate":
                parts.append(self._student.latent(self.history.at(batch.index[n:])))
            else:
                parts.append(batch.observations[LATENT][n:])
        return torch.cat(parts)

    def _ppo_step(self, losses: PolicyLosses) -> bool:
        """Adapt the learning rate and step policy, E^t and critic (and E^s with its surrogate gradient)."""
        if not self._all_finite([losses.total]):
            return False
        self._adapt_learning_rate(losses.kl)
        optimizers = [self.optimizer]
        modules: list[nn.Module] = [self._raw_actor, self.critic]
        if self.student_encoder_gradient == "surrogate":
            optimizers.append(self.student_optimizer)
            modules.append(self._student_encoder)
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
        finite = torch.stack([scalar.detach().float() for scalar in scalars]).isfinite().all()
        if self.is_multi_gpu:  # all ranks step, or none
            finite = finite.int()
            torch.distributed.all_reduce(finite, op=torch.distributed.ReduceOp.MIN)
        return bool(finite)

    def _adapt_learning_rate(self, kl: torch.Tensor) -> None:
        """Apply rsl_rl's KL rule: rate / 1.5 above twice the desired KL, * 1.5 below half of it, in [1e-5, 1e-2]."""
        if self.schedule != "adaptive" or self.desired_kl is None:
            return
        total = torch.stack([kl.sum(), torch.tensor(float(len(kl)), device=kl.device)])
        if self.is_multi_gpu:
            torch.distributed.all_reduce(total)
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
        histories = self.history.flat()
        with torch.no_grad():
            states = self._raw_actor.teacher_input(self.storage.observations[:, self.history.ids].flatten(0, 1))
            targets = self._teacher.latent(states)
        self.diagnostics.compare_latents(self.storage, targets, self.history.ids)
        skipped = 0
        batches, epochs = self.reconstruction_mini_batches, self.reconstruction_epochs
        for index in index_batches(len(histories), batches, epochs, histories.device):
            latent = self._student.latent(histories[index])
            loss = nn.functional.mse_loss(latent, targets[index])
            if not self._student_step(loss):
                skipped += 1
                continue
            means["reconstruction"].append(loss.item())
            means["latent_cosine"].append(nn.functional.cosine_similarity(latent, targets[index]).mean().item())
        return skipped

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
        obs = obs[finite]  # one bad state must not poison the running statistics for good
        if len(obs):
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


def _history_layout(obs: TensorDict, groups: list[str], actor: LatentActor) -> tuple[str, tuple[int, ...]]:
    """Return name and shape (H, n) of the history group, checked against the policy's observations."""
    shape = tuple(obs[groups[0]].shape[1:])
    if len(groups) != 1 or len(shape) != 2:
        raise ValueError(f"obs_groups.student must name one group of shape [N, H, n]; got {groups} of shape {shape}")
    if actor.obs_normalization and shape[-1] != actor.obs_dim:
        raise ValueError(
            f"actor.obs_normalization shares the statistics of obs_groups.actor ({actor.obs_dim} features) with each"
            f" history frame, but '{groups[0]}' has {shape[-1]} features per frame"
        )
    return groups[0], shape
