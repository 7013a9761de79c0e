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
        done = self.episode_length_buf >= self.max_episode_length
        self._reset(done.nonzero().flatten())
        return self.get_observations(), rewards, done.long(), {"time_outs": done}

    def _reset(self, ids: torch.Tensor) -> None:
        self.episode_length_buf[ids] = 0
        self._x[ids] = 3.0 * torch.randn(len(ids), DRIFT_DIM, generator=self._random)
        self._drift[ids] = 2.0 * torch.rand(len(ids), DRIFT_DIM, generator=self._random) - 1.0
        self._history[ids] = self._x[ids].unsqueeze(1)
