"""A tiny environment that can restore itself: points on a line, pushed by actions, with a hidden drift."""

from __future__ import annotations

import os
import signal
from typing import Any

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

H = 2


class LineEnv(VecEnv):
    """Reward 1 - |action - drift|; falls when the point leaves [-3, 3], times out after ``episode`` steps."""

    def __init__(self, num_envs: int = 8, episode: int = 7) -> None:
        """Start all points at random places, drawn from torch's global generator."""
        self.num_envs, self.num_actions, self.device = num_envs, 1, "cpu"
        self.max_episode_length = episode
        self.cfg: dict[str, Any] = {}
        self.fail_after: int | None = None
        self.student_mask: torch.Tensor | None = None
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long)
        self.x = torch.zeros(num_envs, 1)
        self.drift = torch.zeros(num_envs, 1)
        self.history = torch.zeros(num_envs, H, 1)
        self.steps = 0
        self._reset(torch.arange(num_envs))

    @property
    def unwrapped(self) -> LineEnv:
        """The environment itself."""
        return self

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All state, for an exact resume."""
        names = ("x", "drift", "history", "episode_length_buf")
        return {name: getattr(self, name).clone() for name in names}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore ``state_dict``."""
        for name, value in state.items():
            setattr(self, name, value.clone())

    def get_observations(self) -> TensorDict:
        """Proprioception [N, 1], history [N, 2, 1], privileged [N, 2]."""
        privileged = torch.cat([self.x, self.drift], dim=1)
        groups = {"proprioception": self.x.clone(), "history": self.history.clone(), "privileged": privileged}
        return TensorDict(groups, batch_size=[self.num_envs])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Move, reward, and restart what fell or timed out."""
        self.steps += 1
        if self.steps == self.fail_after:
            raise RuntimeError("the world ended")
        reward = 1.0 - (actions - self.drift).abs().squeeze(1)
        self.x = self.x + 0.1 * actions + self.drift
        self.history = torch.cat([self.history[:, 1:], self.x.unsqueeze(1)], dim=1)
        self.episode_length_buf += 1
        fell = self.x.abs().squeeze(1) > 3.0
        out = (self.episode_length_buf >= self.max_episode_length) & ~fell
        self._reset((fell | out).nonzero().flatten())
        return self.get_observations(), reward, (fell | out).long(), {"time_outs": out, "log": {"fell": fell.float()}}

    def _reset(self, ids: torch.Tensor) -> None:
        self.episode_length_buf[ids] = 0
        self.x[ids] = torch.randn(len(ids), 1)
        self.drift[ids] = torch.rand(len(ids), 1) - 0.5
        self.history[ids] = self.x[ids].unsqueeze(1)


def stop_at_step(env: LineEnv, number: int, asked: int = signal.SIGTERM) -> None:
    """Let an environment send this process a signal before a step, in the middle of a rollout."""
    step = env.step

    def stopping(actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        if env.steps == number:
            os.kill(os.getpid(), asked)
        return step(actions)

    env.step = stopping
