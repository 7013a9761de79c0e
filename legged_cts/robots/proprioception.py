"""What a policy reads of its robot, o_t: every term at one place, for training, contract and onboard computer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from legged_cts.robots.gait import Gait
    from legged_cts.robots.spec import RobotSpec
    from legged_cts.robots.symmetry import Mirror


class Reading(NamedTuple):
    """What terms are made of: tensors of all environments [N, ...] in training, arrays of one robot [...] onboard."""

    ang_vel: Any
    """Angular velocity of the base in its own frame [3], rad/s."""
    gravity: Any
    """Direction of gravity in the base's frame [3]."""
    command: Any
    """v_x, v_y [m/s] and yaw rate [rad/s], [3]."""
    joint_pos: Any
    """Angles [d], rad."""
    joint_vel: Any
    """[d], rad/s."""
    last_action: Any
    """Clipped, before scaling [d]."""
    default_joint_pos: Any
    """The pose that action 0 asks for [d], rad."""
    clock: Any
    """Sine and cosine [2] of the gait's phase, 0 while it rests; None without a gait."""


class Term(NamedTuple):
    """One slice of o_t."""

    read: Callable[[Reading], Any]
    """Its value; plain arithmetic, which torch and numpy share."""
    size: int | None
    """How many numbers; None: one for each joint."""
    mirror: str
    """Its left-right mirror: ``<mirror>_mirror`` of :mod:`legged_cts.robots.symmetry`."""
    measured: bool = False
    """Whether a sensor gives it, so that it carries noise in training."""


TERMS: dict[str, Term] = {
    "base_ang_vel": Term(lambda r: r.ang_vel, 3, "pseudovector", measured=True),
    "projected_gravity": Term(lambda r: r.gravity, 3, "vector", measured=True),
    "command": Term(lambda r: r.command, 3, "planar_velocity"),
    "joint_pos": Term(lambda r: r.joint_pos - r.default_joint_pos, None, "joint", measured=True),
    "joint_vel": Term(lambda r: r.joint_vel, None, "joint", measured=True),
    "last_action": Term(lambda r: r.last_action, None, "joint"),
}
"""Terms in their order. Each has a scale under ``env.observations.scales``, and a noise if it is measured."""
GAIT_PHASE = "gait_phase"
"""The last term of a task with a gait, and only of such: its clock, at the scale 1."""
CLOCK = Term(lambda r: r.clock, 2, "phase")


def terms_of(gait: bool) -> dict[str, Term]:
    """Return the terms in their order, with the clock if there is a gait."""
    return TERMS | {GAIT_PHASE: CLOCK} if gait else TERMS


def term_sizes(joints: int, gait: bool = False) -> dict[str, int]:
    """Return how many numbers each term has, for a robot with so many joints."""
    return {name: joints if term.size is None else term.size for name, term in terms_of(gait).items()}


def layout(joints: int, scales: Mapping[str, float], gait: bool) -> list[tuple[str, int, float]]:
    """Return (name, size, scale) of the terms in their order."""
    sizes = term_sizes(joints, gait)
    return [(name, size, 1.0 if name == GAIT_PHASE else float(scales[name])) for name, size in sizes.items()]


def frame_mirror(spec: RobotSpec, gait: Gait | None) -> Mirror:
    """Return the mirror of o_t [n]; scales do not matter, for they are the same on both sides.

    Raises:
        ValueError: If a mirrored robot would need another clock than that of ``gait``.
    """
    from legged_cts.robots import symmetry  # needs numpy, which who only asks for names does without

    rules = {name: getattr(symmetry, f"{term.mirror}_mirror") for name, term in terms_of(gait is not None).items()}
    return symmetry.joined(rule(spec, gait) if name == GAIT_PHASE else rule(spec) for name, rule in rules.items())
