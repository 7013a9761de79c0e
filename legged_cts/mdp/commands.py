"""Velocity commands, a share of which leads straight across stairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from isaaclab.envs.mdp import UniformVelocityCommand, UniformVelocityCommandCfg
from isaaclab.utils import configclass


class AcrossVelocityCommand(UniformVelocityCommand):
    """Uniform velocity commands, some of which head along the world's x axis, forwards or backwards, with no sidestep.

    That is the direction in which flights, curbs and hurdles are crossed, and two sides of every pyramid. Headings
    drawn from the whole circle lead along a riser as often as over it.
    """

    cfg: AcrossVelocityCommandCfg

    def _resample_command(self, env_ids: Sequence[int]) -> None:
        super()._resample_command(env_ids)
        if self.cfg.across <= 0.0 or not self.cfg.heading_command:
            return
        target = self.heading_target[env_ids]
        chosen = (torch.rand_like(target) < self.cfg.across) & self.is_heading_env[env_ids]
        # The nearer of 0 and pi; a target drawn uniformly is as often nearer to the one as to the other.
        straight = torch.where(target.abs() < 0.5 * math.pi, 0.0, math.pi)
        self.heading_target[env_ids] = torch.where(chosen, straight, target)
        self.vel_command_b[env_ids, 1] = torch.where(chosen, 0.0, self.vel_command_b[env_ids, 1])


@configclass
class AcrossVelocityCommandCfg(UniformVelocityCommandCfg):
    """Configuration of :class:`AcrossVelocityCommand`."""

    class_type: type | str = AcrossVelocityCommand

    across: float = 0.0
    """Share of the commands with a heading that lead straight across."""
