"""The metrics of a walking policy in an evaluation, from samples of all environments."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from legged_cts.mdp.tracking import tracking_errors

MOVING = 0.1
"""Commanded planar speed [m/s] from which the cost of transport means something."""
CONTACT_FORCE = 1.0
"""Contact force [N] from which a foot is on the ground."""


@dataclass
class Sample:
    """One control step of all environments, N of them, as it stood after the step."""

    command: torch.Tensor
    """Command that the policy saw [N, 3]."""
    velocity: torch.Tensor
    """Velocity in the heading frame [N, 3]."""
    torque: torch.Tensor
    """Joint torques [N, d] in N m."""
    joint_vel: torch.Tensor
    """Joint velocities [N, d] in rad/s."""
    action: torch.Tensor
    """Action of this step [N, d]."""
    previous_action: torch.Tensor
    """Action of the step before [N, d]."""
    foot_speed: torch.Tensor
    """Speed of each foot [N, F] in m/s."""
    foot_force: torch.Tensor
    """Contact force of each foot [N, F] in N."""


@dataclass
class Episodes:
    """One row per episode [E]; NaN where an episode measured nothing.

    ``lin_error`` [m/s], ``yaw_error`` [rad/s], ``fall`` (1 if it ended by base contact, tilt or a low base),
    ``cost_of_transport``, ``action_rate``, ``slip`` [m/s], ``duration`` [s], ``promoted_level`` (the terrain level, if
    the curriculum would promote the robot after this episode), ``level`` and ``kind`` of the terrain.
    """

    lin_error: torch.Tensor
    yaw_error: torch.Tensor
    fall: torch.Tensor
    cost_of_transport: torch.Tensor
    action_rate: torch.Tensor
    slip: torch.Tensor
    duration: torch.Tensor
    promoted_level: torch.Tensor
    level: torch.Tensor
    kind: torch.Tensor

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.duration)

    def where(self, mask: torch.Tensor) -> Episodes:
        """Return the episodes of a bool mask [E]."""
        return Episodes(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})

    @staticmethod
    def join(parts: list[Episodes]) -> Episodes:
        """Concatenate several sets of episodes."""
        names = [field.name for field in fields(Episodes)]
        return Episodes(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


class EpisodeAccumulator:
    """Sums the metrics of one episode per environment.

    Args:
        num_envs: Number of environments N.
        weight: Weight of the robot, m g [N].
        dt: Control period [s].
        device: Device of the sums.
    """

    _SUMS = ("count", "lin", "yaw", "rate", "slip", "contacts", "power", "distance")

    def __init__(self, num_envs: int, weight: float, dt: float, device: str | torch.device = "cpu") -> None:
        self._sums = {name: torch.zeros(num_envs, device=device, dtype=torch.float64) for name in self._SUMS}
        self._steps = torch.zeros(num_envs, device=device)
        self._fall = torch.zeros(num_envs, device=device)
        self._weight = weight
        self._dt = dt

    def add(self, sample: Sample, running: torch.Tensor, settled: torch.Tensor) -> None:
        """Add a step.

        Args:
            sample: The step; rows of environments that are not measured may hold anything.
            running: Whether the environment's episode goes on after this step [N].
            settled: Whether its command is older than ``SETTLING`` [N].
        """
        measured = running & settled
        lin, yaw = tracking_errors(sample.command, sample.velocity)
        contact = (sample.foot_force > CONTACT_FORCE).float()
        moving = measured & (sample.command[:, :2].norm(dim=1) > MOVING)
        self._add("count", torch.ones_like(lin), measured)
        self._add("lin", lin, measured)
        self._add("yaw", yaw, measured)
        self._add("rate", (sample.action - sample.previous_action).abs().mean(dim=1), measured)
        self._add("slip", (sample.foot_speed * contact).sum(dim=1), measured)
        self._add("contacts", contact.sum(dim=1), measured)
        self._add("power", (sample.torque * sample.joint_vel).abs().sum(dim=1), moving)
        self._add("distance", sample.velocity[:, :2].norm(dim=1), moving)

    def count_step(self, active: torch.Tensor, fell: torch.Tensor) -> None:
        """Count a step of the environments whose episode was on when it began [N], and the falls that ended it [N]."""
        self._steps += active
        self._fall += active & fell

    def episodes(self, promoted: torch.Tensor, level: torch.Tensor, kind: torch.Tensor) -> Episodes:
        """Return the episodes summed so far, all [N].

        Args:
            promoted: Whether the curriculum would promote the robot.
            level: Terrain level.
            kind: Index of the kind of terrain.
        """
        s = {name: total.float() for name, total in self._sums.items()}
        nan = torch.full_like(level.float(), torch.nan)
        return Episodes(
            lin_error=s["lin"] / s["count"],
            yaw_error=s["yaw"] / s["count"],
            fall=self._fall.clone(),
            cost_of_transport=s["power"] / (self._weight * s["distance"]).masked_fill(s["distance"] <= 0.0, torch.nan),
            action_rate=s["rate"] / s["count"],
            slip=s["slip"] / s["contacts"],
            duration=self._steps * self._dt,
            promoted_level=torch.where(promoted, level.float(), nan),
            level=level.clone(),
            kind=kind.clone(),
        )

    def _add(self, name: str, value: torch.Tensor, mask: torch.Tensor) -> None:
        self._sums[name] += torch.where(mask, value, 0.0)
