"""The metrics of a walking policy, the same in every simulator: sums over control steps, means and intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from legged_cts.deploy.robot import Array

MOVING = 0.1
"""Commanded planar speed [m/s] from which the cost of transport means something."""
METRICS = {
    "lin_error": ("linear error [m/s]", 3),
    "yaw_error": ("yaw error [rad/s]", 3),
    "fall": ("falls", 3),
    "cost_of_transport": ("cost of transport", 2),
    "action_rate": ("action rate", 3),
    "slip": ("slip [m/s]", 3),
    "duration": ("duration [s]", 1),
    "promoted_level": ("reached level", 2),
}
"""Columns of `Episodes` that are reported, with title and digits."""


@dataclass
class Sample:
    """One control step of N robots, as it stood after the step; d joints, F feet.

    Attributes:
        command: Command that the policy saw [N, 3].
        velocity: Velocity in the heading frame [N, 3].
        torque: Joint torques [N, d] in N m.
        joint_vel: Joint velocities [N, d] in rad/s.
        change: Action of this step less that of the step before [N, d].
        foot_speed: Speed of each foot [N, F] in m/s.
        contact: Whether each foot is on the ground, bool [N, F].
    """

    command: Array
    velocity: Array
    torque: Array
    joint_vel: Array
    change: Array
    foot_speed: Array
    contact: Array


@dataclass
class Episodes:
    """One row per episode [E]; NaN where an episode measured nothing.

    Attributes:
        lin_error: Mean |v_xy,cmd - v_xy| in the heading frame [m/s].
        yaw_error: Mean |w_cmd - w_z| [rad/s].
        fall: 1 if the episode ended by base contact, tilt or a low base, else 0.
        cost_of_transport: Sum of |torque * joint velocity| over m g |v|, where a planar speed was commanded.
        action_rate: Mean |a_t - a_{t-1}| over time and joints.
        slip: Mean speed of the feet while they touch the ground [m/s].
        duration: Seconds until the episode ended.
        promoted_level: Level of the terrain, if the curriculum would promote the robot after this episode.
        level, kind: Of the terrain.
    """

    lin_error: Array
    yaw_error: Array
    fall: Array
    cost_of_transport: Array
    action_rate: Array
    slip: Array
    duration: Array
    promoted_level: Array
    level: Array
    kind: Array

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self.duration)

    def where(self, mask: Array) -> Episodes:
        """The episodes of a bool mask [E]."""
        return Episodes(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})

    @staticmethod
    def join(parts: list[Episodes]) -> Episodes:
        """Several sets of episodes as one."""
        names = [field.name for field in fields(Episodes)]
        return Episodes(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


class EpisodeAccumulator:
    """Sums the metrics of one episode per robot.

    Args:
        robots: Number of robots N.
        weight: Weight of a robot, m g [N].
        dt: Control period [s].
    """

    _SUMS = ("count", "lin", "yaw", "rate", "slip", "contacts", "power", "distance")

    def __init__(self, robots: int, weight: float, dt: float) -> None:
        self._sums = {name: np.zeros(robots) for name in self._SUMS}
        self._steps, self._fall = np.zeros(robots), np.zeros(robots)
        self._weight, self._dt = weight, dt

    def add(self, sample: Sample, measured: Array) -> None:
        """Adds a step.

        Args:
            sample: The step; rows of robots that are not measured may hold anything.
            measured: Whose episode goes on after this step under a command older than `SETTLING`, bool [N].
        """
        error = sample.command - sample.velocity
        moving = measured & (np.linalg.norm(sample.command[:, :2], axis=1) > MOVING)
        for name, value, mask in (
            ("count", np.ones(len(error)), measured),
            ("lin", np.linalg.norm(error[:, :2], axis=1), measured),
            ("yaw", np.abs(error[:, 2]), measured),
            ("rate", np.abs(sample.change).mean(axis=1), measured),
            ("slip", (sample.foot_speed * sample.contact).sum(axis=1), measured),
            ("contacts", sample.contact.sum(axis=1), measured),
            # Standing still costs energy but covers no distance: the ratio means something only under way.
            ("power", np.abs(sample.torque * sample.joint_vel).sum(axis=1), moving),
            ("distance", np.linalg.norm(sample.velocity[:, :2], axis=1), moving),
        ):
            self._sums[name] += np.where(mask, value, 0.0)

    def count_step(self, active: Array, fell: Array) -> None:
        """Counts a step of those whose episode was on when it began and the falls that ended it, both bool [N]."""
        self._steps += active
        self._fall += active & fell

    def episodes(
        self, promoted: Array | None = None, level: Array | None = None, kind: Array | None = None
    ) -> Episodes:
        """The episodes summed so far.

        Args:
            promoted: Whether the curriculum would promote the robot, bool [N]; none of them by default.
            level: Terrain level [N], 0 by default.
            kind: Index of the kind of terrain [N], 0 by default.
        """
        s, none = self._sums, np.zeros(len(self._steps), dtype=int)
        level = none if level is None else level
        return Episodes(
            lin_error=_ratio(s["lin"], s["count"]),
            yaw_error=_ratio(s["yaw"], s["count"]),
            fall=self._fall.copy(),
            cost_of_transport=_ratio(s["power"], self._weight * s["distance"]),
            action_rate=_ratio(s["rate"], s["count"]),
            slip=_ratio(s["slip"], s["contacts"]),
            duration=self._steps * self._dt,
            promoted_level=np.where(none > 0 if promoted is None else promoted, level.astype(float), np.nan),
            level=level,
            kind=none if kind is None else kind,
        )


@dataclass(frozen=True)
class Summary:
    """Mean over episodes with its 95 % interval; NaN where nothing was measured."""

    mean: float
    low: float
    high: float
    episodes: int

    def record(self) -> dict[str, float | int | None]:
        """Its values by name, None for NaN."""
        return {name: finite(value) for name, value in vars(self).items()}


def summarise(values: Array, share: bool = False) -> Summary:
    """Mean of the finite values [E] with a 95 % interval: Student's t, or Wilson's for a share of yes and no.

    The interval treats episodes as independent draws of commands, terrain and physics for this one policy; it says
    nothing about other training seeds. Wilson 1927, JASA 22:209.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    n = len(values)
    if n == 0:
        return Summary(math.nan, math.nan, math.nan, 0)
    mean = float(values.mean())
    if share:
        return Summary(mean, *wilson(round(float(values.sum())), n), n)
    half = student_t(n - 1) * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Summary(mean, mean - half, mean + half, n)


def finite(value: float) -> float | None:
    """The value, None if it is not finite, for which JSON has no word."""
    return value if math.isfinite(value) else None


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def student_t(dof: int) -> float:
    """The 97.5 % quantile of Student's t.

    Exact for 1 and 2 degrees of freedom, from there on by Abramowitz and Stegun 26.7.5 (within 0.2 %).
    """
    if dof == 1:
        return 12.706205
    if dof == 2:
        return 4.302653
    z = 1.959964
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / dof + g2 / dof**2 + g3 / dof**3 + g4 / dof**4


def _ratio(total: Array, count: Array) -> Array:
    """Quotients [N], NaN where nothing was counted."""
    return total / np.where(count > 0, count, np.nan)
