"""A bandit whose best action is a hidden drift: a teacher sees it, a student can infer it from its history."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

DRIFT_DIM = 2


class DriftEnv(VecEnv):
    """Position x moves by a hidden drift each step; the reward is 1 - |action - drift|^2.

    x starts at random, so one frame says little about the drift and the difference of two frames says all. A policy
    that ignores the drift earns at most 1 - 2 / 3 on average.
    """

    def __init__(self, num_envs: int = 64, history: int = 3, episode: int = 10, seed: int = 0) -> None:
        """Start all environments at random positions."""
        self.num_envs = num_envs
        self.num_actions = DRIFT_DIM
        self.max_episode_length = episode
        self.device = "cpu"
        self.cfg = {}
        self.unwrapped = SimpleNamespace()
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long)
        self._random = torch.Generator().manual_seed(seed)
        self._x = torch.zeros(num_envs, DRIFT_DIM)
        self._drift = torch.zeros(num_envs, DRIFT_DIM)
        self._history = torch.zeros(num_envs, history, DRIFT_DIM)
        self._reset(torch.arange(num_envs))

    def get_observations(self) -> TensorDict:
        """Return proprioception [N, 2], history [N, H, 2] and privileged [N, 4]."""
        groups = {
            "proprioception": self._x.clone(),
            "history": self._history.clone(),
            "privileged": torch.cat([self._x, self._drift], dim=-1),
        }
        return TensorDict(groups, batch_size=[self.num_envs])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Reward the actions, move, and restart environments whose time is up."""
        rewards = 1.0 - (actions - self._drift).square().sum(-1)
        self._x = self._x + self._drift
        self._history = torch.cat([self._history[:, 1:], self._x.unsqueeze(1)], dim=1)
        self.episode_length_buf += 1
        fell = self._falls()
        time_outs = (self.episode_length_buf >= self.max_episode_length) & ~fell
        self._reset((fell | time_outs).nonzero().flatten())
        return self.get_observations(), rewards, (fell | time_outs).long(), {"time_outs": time_outs}

    def _falls(self) -> torch.Tensor:
        return torch.zeros(self.num_envs, dtype=torch.bool)

    def _reset(self, ids: torch.Tensor) -> None:
        self.episode_length_buf[ids] = 0
        self._x[ids] = 3.0 * torch.randn(len(ids), DRIFT_DIM, generator=self._random)
        self._drift[ids] = 2.0 * torch.rand(len(ids), DRIFT_DIM, generator=self._random) - 1.0
        self._history[ids] = self._x[ids].unsqueeze(1)


class FallingEnv(DriftEnv):
    """Ends episodes by falls, at random with a probability per step; by default time limits are out of the way."""

    def __init__(self, rates: torch.Tensor, episode: int = 10**6, seed: int = 0) -> None:
        """Start with the probabilities [N] of environments; where the drift points left, nobody falls if negative."""
        self.rates = rates
        self._luck = torch.Generator().manual_seed(seed)
        super().__init__(len(rates), episode=episode, seed=seed)

    def _falls(self) -> torch.Tensor:
        safe = (self.rates < 0.0) & (self._drift[:, 0] < 0.0)
        return (torch.rand(self.num_envs, generator=self._luck) < self.rates.abs()) & ~safe


class HidingEnv(DriftEnv):
    """Has one more group, ``hidden`` [N, 2]: numbers that change with every episode and that nothing else shows."""

    def get_observations(self) -> TensorDict:
        """Return the groups of ``DriftEnv`` and ``hidden``."""
        groups = super().get_observations()
        groups["hidden"] = self._hidden.clone()
        return groups

    def _reset(self, ids: torch.Tensor) -> None:
        super()._reset(ids)
        if not hasattr(self, "_hidden"):
            self._hidden = torch.zeros(self.num_envs, 2)
        self._hidden[ids] = torch.randn(len(ids), 2, generator=self._random)


def flip(env, obs, actions):
    """rsl_rl's data augmentation function of the drift bandit."""
    return (
        None if obs is None else TensorDict({k: torch.cat([v, -v]) for k, v in obs.items()}, [2 * len(obs)]),
        None if actions is None else torch.cat([actions, -actions]),
    )
