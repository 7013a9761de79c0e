"""The gait's clock of every environment."""

from __future__ import annotations

import math

import torch

from legged_cts.robots.gait import Gait

RAMP = 0.1
"""Cycles over which a foot passes from swing to stance and back, for what is rewarded."""


class GaitClock:
    """The phase of each environment, in cycles within [0, 1).

    It advances with every control step alike and starts at a random phase in each episode, so that the robots of a
    batch do not step in time.
    """

    def __init__(self, gait: Gait, num_envs: int, step_dt: float, device: str):
        self.gait = gait
        self.phase = torch.rand(num_envs, device=device)
        """Phase [N]."""
        self.stopped = torch.full((num_envs,), math.inf, device=device)
        """Seconds for which the command has asked each robot to stand [N]; infinity from an episode's start on."""
        self._step_dt = step_dt
        self._offsets = torch.tensor(gait.offsets, device=device)

    def advance(self, command: torch.Tensor) -> None:
        """Go on by one control step, for which the command [N, 3] held."""
        self.phase = (self.phase + self.gait.frequency * self._step_dt) % 1.0
        self.stopped = torch.where(self._stands(command), self.stopped + self._step_dt, 0.0)

    def reset(self, env_ids: torch.Tensor | slice) -> None:
        """Draw a phase for environments that start anew."""
        self.phase[env_ids] = torch.rand_like(self.phase[env_ids])
        self.stopped[env_ids] = math.inf

    def rests(self, command: torch.Tensor) -> torch.Tensor:
        """Whether the clock rests: the command [N, 3] asks a robot to stand, and it has had time to; bool [N, 1]."""
        # A step's rounding must not decide.
        return (self._stands(command) & (self.stopped > self.gait.linger - 0.5 * self._step_dt))[:, None]

    def _stands(self, command: torch.Tensor) -> torch.Tensor:
        return command.norm(dim=1) < self.gait.still

    def signal(self, command: torch.Tensor) -> torch.Tensor:
        """What the policy sees of the clock [N, 2]: sine and cosine of the phase, both 0 while it rests."""
        angle = (2.0 * math.pi) * self.phase
        return torch.stack((torch.sin(angle), torch.cos(angle)), dim=1) * ~self.rests(command)

    @property
    def foot_phase(self) -> torch.Tensor:
        """Phase of each foot [N, F]; it should stand from 0 to the duty, and swing from there to 1."""
        return (self.phase[:, None] + self._offsets) % 1.0

    @property
    def stance(self) -> torch.Tensor:
        """How much each foot should stand [N, F]: 1 in stance, 0 in swing, linear over :data:`RAMP` in between.

        Its mean over a cycle is the duty, as long as stance and swing are both longer than the ramp.
        """
        half = 0.5 * self.gait.duty
        from_middle = ((self.foot_phase - half + 0.5) % 1.0 - 0.5).abs()
        return (0.5 + (half - from_middle) / RAMP).clamp(0.0, 1.0)

    @property
    def swing_height(self) -> torch.Tensor:
        """Clearance each foot should have [N, F] in m: a smooth hump over the swing, 0 in stance."""
        duty = self.gait.duty
        progress = ((self.foot_phase - duty) / (1.0 - duty)).clamp(min=0.0)
        return self.gait.foot_height * torch.sin(math.pi * progress).square()
