"""Rollouts in which every environment has a role, on unmodified rsl_rl's PPO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict
from torch import nn

from legged_cts.algorithms.history_buffer import HistoryBuffer
from legged_cts.algorithms.losses import normalize_advantages
from legged_cts.algorithms.student import StudentRollout
from legged_cts.distillation.drivers import Driver
from legged_cts.distillation.gae import gae
from legged_cts.models.latent_model import LATENT, LatentActor, LatentModel
from legged_cts.models.policies import StudentPolicy, TeacherPolicy


@dataclass(frozen=True)
class Parts:
    """What an algorithm is built from."""

    actor: LatentActor
    """Policy and teacher encoder."""
    critic: LatentModel
    """Value function V(s, z)."""
    storage: RolloutStorage
    """With the groups of policy, critic and teacher, and ``latent`` [N, latent_dim]."""
    student_encoder: nn.Module
    """E^s, see ``legged_cts.models.encoders.Encoder``; it reads normalised histories [B, H, n]."""
    history_group: str
    """Observation group that holds the history."""
    history_shape: tuple[int, ...]
    """(H, n)."""


class RoleRollout(PPO):
    """One policy pi(o, z) and one critic V(s, z), which collect a rollout for teachers and students alike.

    A teacher's latent is z = E^t(s), a student's z = E^s(h); ``driver`` says in which environment a teacher acts. A
    recurrent E^s keeps its hidden state through the rollout.

    Options, beside those of rsl_rl's ``PPO``, of which ``rnd_cfg`` must be None:

    - ``advantage_normalization``: over ``all`` samples or ``per_group``;
    - ``history_reset``: what the environment puts before an episode's first frame, see ``HISTORY_RESETS``; checked
      against its histories in the first rollouts.
    """

    _raw_actor: LatentActor
    history: HistoryBuffer
    student_rollout: StudentRollout
    teachers: Mapping[str, Any] = {}
    """Teachers by name, where they are something else than E^t."""

    def __init__(
        self,
        parts: Parts,
        driver: Driver,
        advantage_normalization: str = "all",
        history_reset: str = "backfill",
        **ppo: Any,
    ) -> None:
        """Set up both roles.

        Args:
            parts: Networks and storage.
            driver: Who acts.
            advantage_normalization, history_reset: See the class.
            **ppo: Arguments of rsl_rl's ``PPO``. ``symmetry_cfg`` is that of rsl_rl's ``Symmetry``, environment
                included.

        Raises:
            ValueError: If ``rnd_cfg`` is given.
        """
        if ppo.get("rnd_cfg"):
            raise ValueError("algorithm.rnd_cfg is not supported by CTS; set it to null")
        super().__init__(parts.actor, parts.critic, parts.storage, **ppo)
        self.driver = driver
        self.advantage_normalization, self.history_reset = advantage_normalization, history_reset
        self._student_encoder = parts.student_encoder.to(self.device)
        self._student = StudentPolicy(parts.actor, parts.student_encoder, parts.history_group, parts.history_shape)
        self._teacher = TeacherPolicy(parts.actor)
        self._reward_sums = torch.zeros(2, device=self.device)

    def store_histories(self, stored: torch.Tensor | range, acting: torch.Tensor | range) -> None:
        """Store the histories of environments, some of which act on E^s's latents; hidden states begin anew."""
        stored, acting = (torch.as_tensor(ids, dtype=torch.long, device=self.device) for ids in (stored, acting))
        shape, group = self._student.context_shape, self._student.context_groups[0]
        self.history = HistoryBuffer(
            self.storage.num_transitions_per_env, self.storage.num_envs, stored, shape, self.history_reset, group,
            check=not self._student.is_recurrent,  # such an E^s reads no windows
        )  # fmt: skip
        self.student_rollout = StudentRollout(self._student, self.history, acting, self._raw_actor.latent_dim)

    # Roles and policies

    @property
    def teacher_mask(self) -> torch.Tensor:
        """Environments in which a teacher acts, always or at times, bool [N]."""
        return self.driver.teachers

    @property
    def has_teacher(self) -> bool:
        """Whether a teacher acts, which is then worth an evaluation of its own."""
        return bool(self.teacher_mask.any())

    def student_policy(self) -> StudentPolicy:
        """Return E^s and the policy as one module that shares the trained weights."""
        return self._student

    def teacher_policy(self) -> Any:
        """Return E^t and the policy as one module that shares the trained weights."""
        return self._teacher

    def get_policy(self) -> StudentPolicy:  # type: ignore[override]
        """Return what is deployed: the student policy."""
        return self._student

    def route_by_terrain(self, kinds: Sequence[str], index: torch.Tensor) -> None:
        """Learn which kind of terrain, an ``index`` [N] into ``kinds``, each environment is on; it does not matter."""

    # Rollout

    def begin_iteration(self) -> torch.Tensor:
        """Get ready for a rollout, once per iteration; ``act`` does so unless it was done. Returns ``teacher_mask``."""
        return self.teacher_mask

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Sample actions [N, d], each environment with the latent of its role, and remember the step."""
        self.begin_iteration()
        step = self.storage.step
        self.driver.record(step)
        latents = self.student_rollout.act(step, self._student.context(obs))
        return super().act(self._with_latent(obs, latents, self.driver.teacher_ids))

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
        self.student_rollout.rewind(began | new)
        return obs, self.act(obs)

    def begin_episodes(self, obs: TensorDict, new: torch.Tensor) -> TensorDict:
        """Return observations in which the histories of ``new`` (bool [N]) are those of an episode's first frame."""
        (group,) = self._student.context_groups
        histories = self.history.as_first(obs[group], new)
        return TensorDict({**obs, group: histories}, batch_size=obs.batch_size)

    def process_env_step(
        self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict[str, torch.Tensor]
    ) -> None:
        """Record one environment step; time-outs are bootstrapped as in rsl_rl's PPO. Then decide who acts next."""
        roles = (self.driver.teacher_ids, self.driver.student_ids)
        self._reward_sums += torch.stack([rewards[ids].sum() for ids in roles])
        super().process_env_step(obs, rewards, dones, extras)
        self.student_rollout.restart(dones)
        self.driver.advance(dones)

    @torch.no_grad()
    def compute_returns(self, obs: TensorDict) -> None:
        """Compute returns and advantages; where another policy takes over, the value stands for what follows.

        Advantages are normalised over the steps that a surrogate counts; those of others are zero.
        """
        storage, acted = self.storage, self.driver.acted
        latents = self.student_rollout.peek(self._student.context(obs))
        # The last step is bootstrapped with the policy that took it.
        obs = self._with_latent(obs, latents, acted[-1].nonzero().flatten())
        super().compute_returns(obs)
        if bool((acted[1:] != acted[:-1]).any()):
            returns, _ = gae(
                storage.rewards, storage.values, storage.dones, self.critic(obs), self.gamma, self.lam,
                acted.unsqueeze(-1), self.values_of_the_other(),
            )  # fmt: skip
            storage.returns.copy_(returns)
        advantages = storage.returns - storage.values
        if self.normalize_advantage_per_mini_batch:
            storage.advantages = advantages
        elif self.advantage_normalization == "per_group":
            storage.advantages = normalize_advantages(advantages, acted.unsqueeze(-1))
        else:
            counted = self.counted_steps()
            storage.advantages = torch.zeros_like(advantages)
            storage.advantages[counted] = normalize_advantages(advantages[counted])

    def counted_steps(self) -> torch.Tensor:
        """Return the steps that enter a surrogate, bool [T, N]."""
        return torch.ones_like(self.driver.acted)

    def values_of_the_other(self) -> torch.Tensor:
        """V(s_{t+1}, z) [T, N, 1] where another policy takes over at t + 1, with the latent of who acted at t."""
        values, acted = self.storage.values.clone(), self.driver.acted
        step, env = (acted[1:] != acted[:-1]).nonzero(as_tuple=True)
        obs: Any = self.storage.observations[step + 1, env].clone()
        student = self.student_rollout.latents[step + 1, env]
        obs[LATENT] = torch.where(acted[step, env].unsqueeze(1), self.teacher_latents(obs), student)
        values[step, env] = self.critic(obs)
        return values

    def rollout_statistics(self) -> dict[str, float]:
        """Value bias and mean reward of each group that acted."""
        error = (self.storage.values - self.storage.returns).squeeze(-1)
        result: dict[str, float] = {}
        for i, (name, mask) in enumerate((("teacher", self.driver.acted), ("student", ~self.driver.acted))):
            count = int(mask.sum())
            if count:
                result[f"value_bias_{name}"] = error[mask].mean().item()
                result[f"reward_{name}"] = self._reward_sums[i].item() / count
        self._reward_sums = torch.zeros_like(self._reward_sums)
        return result

    # Modes and internals

    def train_mode(self) -> None:
        """Put all networks into training mode."""
        super().train_mode()
        self._student_encoder.train()

    def eval_mode(self) -> None:
        """Put all networks into evaluation mode."""
        super().eval_mode()
        self._student_encoder.eval()

    def teacher_latents(self, observations: Any) -> torch.Tensor:
        """Return z^t [B, latent_dim] of observations [B]."""
        return self._teacher.latent(self._raw_actor.teacher_input(observations))

    @torch.no_grad()
    def _with_latent(self, obs: TensorDict, student: torch.Tensor, teachers: torch.Tensor) -> TensorDict:
        """Select the stored groups and add each environment's latent: the given z^s, and E^t's of ``teachers`` [K]."""
        latent = torch.empty(self.storage.num_envs, self._raw_actor.latent_dim, device=self.device)
        latent[self.student_rollout.acting] = student
        if len(teachers):
            latent[teachers] = self._teacher.latent(self._teacher.context(obs)[teachers])
        selected = {key: obs[key] for key in self.storage.observations.keys() if key != LATENT}
        return TensorDict({**selected, LATENT: latent}, batch_size=obs.batch_size, device=self.device)
