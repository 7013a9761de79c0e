"""How much of what an episode asked for the robot did, summed while the episode runs."""

from __future__ import annotations

import torch

FOLLOWED = 0.5
"""Share of the asked way from which an episode counts as followed."""


class EpisodeProgress:
    """Ways asked for and gone in the present episode of each environment.

    Each step adds the commanded speed to ``asked``, and to ``followed`` the robot's displacement along the commanded
    direction, turned with the robot's heading: commands are given in the base frame. So an episode of several commands
    is judged by all of them, at the time each was given. A net displacement could not tell: ways of random directions
    cancel out, and then the robot that goes them all looks like one that stood. Nothing is cut off at the commanded
    speed, or the swaying of a gait would count against the robot. Everything stays on the device; no step waits for the
    host.

    Args:
        num_envs: Number of environments N.
        half_size: Half the side [m] of a square sub-terrain, measured from its origin.
        device: Device of the sums.
    """

    def __init__(self, num_envs: int, half_size: float, device: str | torch.device = "cpu") -> None:
        self._half_size = half_size
        self.asked = torch.zeros(num_envs, device=device)
        """Length [N] of the way asked for [m]."""
        self.followed = torch.zeros(num_envs, device=device)
        """Way gone along the commands [N] in m; negative for a robot that went the other way."""
        self.climb = torch.zeros(num_envs, device=device)
        """Largest difference [N] in height [m] between the ground under the robot and that under its first position,
        until it leaves its sub-terrain."""
        self.left = torch.zeros(num_envs, dtype=torch.bool, device=device)
        """Whether the robot has been outside its sub-terrain [N]."""
        self._position = torch.zeros(num_envs, 2, device=device)
        self._ground = torch.zeros(num_envs, device=device)
        self._new = torch.ones(num_envs, dtype=torch.bool, device=device)

    def reset(self, env_ids: torch.Tensor | slice) -> None:
        """Begin the episodes of some environments; the next :meth:`update` tells where they start."""
        self._new[env_ids] = True
        self.left[env_ids] = False

    def update(
        self,
        command: torch.Tensor,
        position: torch.Tensor,
        yaw: torch.Tensor,
        ground: torch.Tensor,
        origin: torch.Tensor,
        dt: float,
    ) -> None:
        """Add a step.

        Args:
            command: What the robot was told in this step, v_x and v_y [m/s] first [N, 2 or more].
            position: Where its base is after the step, x and y first [N, 2 or more].
            yaw: Its heading [N] in rad.
            ground: Height [N] of the ground under it [m].
            origin: Middle of its sub-terrain, x and y first [N, 2 or more].
            dt: Length of the step [s].
        """
        position, command = position[:, :2], command[:, :2]
        speed = command.norm(dim=1)
        cos, sin = torch.cos(yaw), torch.sin(yaw)
        moved = position - self._position
        ahead = cos * moved[:, 0] + sin * moved[:, 1]
        aside = cos * moved[:, 1] - sin * moved[:, 0]
        along = (command[:, 0] * ahead + command[:, 1] * aside) / speed.clamp(min=1.0e-6)
        self.asked = torch.where(self._new, 0.0, self.asked + speed * dt)
        self.followed = torch.where(self._new, 0.0, self.followed + along)
        self._ground = torch.where(self._new, ground, self._ground)
        outside = (position - origin[:, :2]).abs().amax(dim=1) > self._half_size
        self.left = outside | (self.left & ~self._new)
        climb = torch.maximum(self.climb, (ground - self._ground).abs().masked_fill(self.left, 0.0))
        self.climb = torch.where(self._new, 0.0, climb)
        self._position = position.clone()
        self._new.zero_()

    @property
    def passed(self) -> torch.Tensor:
        """Bool [N]: the robot has followed its commands and they led it out of its sub-terrain, which promotes it."""
        return self.left & (self.followed >= FOLLOWED * self.asked)

    def moves(self, fell: torch.Tensor, cut_short: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return who moves up and who moves down a level at the end of an episode, bool [N] each.

        Up goes who followed at least half of the way asked for and was led out of its sub-terrain. Down goes who
        followed less than half, or fell before it was out; a fall beyond is one of another kind or level. Who follows
        every command therefore never goes down, and who follows more than half of each goes up whenever they lead out.

        Args:
            fell: Whether the episode ended by a fall [N].
            cut_short: Whether it was ended early by no fault of the robot [N]; the way it did not get to is not judged.
        """
        up = self.passed
        slow = (self.followed < FOLLOWED * self.asked) & ~cut_short
        return up, ~up & (slow | (fell & ~self.left))
