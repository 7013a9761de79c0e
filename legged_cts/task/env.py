"""The task tree's ``env``: what there is to set, of which type and in which range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import create_model, model_validator

from legged_cts.robots.proprioception import TERMS
from legged_cts.task.delays import delay_ticks
from legged_cts.task.fields import (
    Delays,
    Flag,
    Node,
    NotNegative,
    Number,
    Positive,
    PositiveRange,
    Range,
    Rule,
    Share,
    is_whole,
    leaf,
    number_in,
    whole,
)
from legged_cts.task.own import PRIVILEGED_ONLY, OwnEvent, OwnGroup, OwnTerm, OwnTermination, own, own_terms
from legged_cts.task.rewards import Rewards, is_by_pattern

_positive, _not_negative = number_in(0.0, above=0.0), number_in(0.0)


def _is_scale(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and is_by_pattern(value) and all(map(_positive, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return bool(value) and all(map(_positive, value))
    return value is None or _positive(value)


def _is_termination(*params: str) -> Any:
    def test(value: Any) -> bool:
        if isinstance(value, Mapping):
            return set(value) <= set(params) and all(map(_not_negative, value.values()))
        return value is None or isinstance(value, bool)

    known = f" or a mapping with {', '.join(params)}" if params else ""
    return Annotated[Any, leaf(f"true, false, null{known} (at least 0)" if params else "true, false or null", test)]


Environments = Annotated[
    Any, leaf("'auto' or a whole number of at least 1", lambda value: value == "auto" or is_whole(1, 10**6)(value))
]
"""Number of parallel environments."""
_AutoFlag = Annotated[Any, leaf("true, false or auto", lambda value: value == "auto" or isinstance(value, bool))]
_Scale = Annotated[
    Any,
    leaf("null, a number above 0, one for each joint, or a mapping from patterns of joint names to such", _is_scale),
]
_Low = Annotated[float, leaf("a number above 0 and at most 1", number_in(0.0, 1.0, above=0.0))]
_Duty = Annotated[float, leaf("a number between 0 and 1", number_in(0.0, 1.0, above=0.0, below=1.0))]
_Offsets = Annotated[
    Any,
    leaf(
        "alternate, a list with one number per foot, or a mapping from patterns of foot names to numbers",
        lambda value: (
            value == "alternate"
            or is_by_pattern(value)
            or (
                isinstance(value, Sequence)
                and not isinstance(value, str)
                and all(map(number_in(), value))
                and bool(value)
            )
        ),
    ),
]


class Scene(Node):
    """Parallel environments and their distance [m]."""

    num_envs: Environments
    env_spacing: Positive


class Sim(Node):
    """Length of a physics tick [s]."""

    dt: Annotated[float, leaf("a number of seconds above 0 and at most 0.1", number_in(1e-6, 0.1))]


Scales: Any = create_model("Scales", __base__=Node, **dict.fromkeys(TERMS, (Number, ...)))  # type: ignore[call-overload]
"""Factors on the terms of o_t."""


class _Noise(Node):
    enabled: Flag = True


_MEASURED = [name for name, term in TERMS.items() if term.measured]
Noise: Any = create_model("Noise", __base__=_Noise, **dict.fromkeys(_MEASURED, (NotNegative, 0.0)))  # type: ignore[call-overload]
"""Half widths of uniform noise."""


class Privileged(OwnGroup):
    """What teacher and critic see beyond o_t."""

    __pydantic_extra__: dict[str, own(OwnTerm)]  # type: ignore[valid-type]

    base_lin_vel: _AutoFlag = False
    foot_contact_force: _AutoFlag = False
    foot_height: _AutoFlag = False
    joint_torque: _AutoFlag = False
    joint_acc: _AutoFlag = False
    friction: _AutoFlag = False
    added_mass: _AutoFlag = False
    com_shift: _AutoFlag = False
    gain_scale: _AutoFlag = False
    action_delay: _AutoFlag = False
    push: _AutoFlag = False
    height_scan: _AutoFlag = False


class Observations(Node):
    """What networks read."""

    history_length: Annotated[int, whole(1, 1000)]
    scales: Scales  # type: ignore[valid-type]
    noise: Noise  # type: ignore[valid-type]
    privileged: Privileged

    @model_validator(mode="before")
    @classmethod
    def own_terms_are_privileged(cls, value: Any) -> Any:
        """Refuse terms of the user's own in o_t."""
        node = value if isinstance(value, Mapping) else {}
        for part in (node, node.get("scales"), node.get("noise")):
            for name in own_terms(part if isinstance(part, Mapping) else None):
                raise Rule(PRIVILEGED_ONLY.format(name=name))
        return value


class Actions(Node):
    """Targets of the joints and their delays [ms]."""

    scale: _Scale = None
    clip: Positive
    delay_ms: Delays


def _is_share(value: Any) -> bool:
    return isinstance(value, bool) or number_in(0.0, 1.0)(value)


class Commands(Node):
    """Ranges of the commanded velocities [m/s, m/s, rad/s]."""

    lin_vel_x: Range
    lin_vel_y: Range
    ang_vel_z: Range
    heading: Annotated[bool | float, leaf("true, false or a share from 0 to 1", _is_share)]
    heading_stiffness: NotNegative
    across: Share = 0.0
    resampling_s: Positive
    zero_probability: Share


class GaitNode(Node):
    """The clock a policy walks by."""

    frequency: Positive | None = None
    offsets: _Offsets
    duty: _Duty
    foot_height: Positive | None = None
    still: NotNegative = 0.0
    linger: NotNegative = 0.0


class Randomization(Node):
    """Ranges of randomised physics; null leaves a quantity as it is."""

    friction: PositiveRange | None = None
    base_mass_scale: PositiveRange | None = None
    added_mass: Range | None = None
    link_mass_scale: PositiveRange | None = None
    com_shift: Range | None = None
    stiffness_scale: PositiveRange | None = None
    damping_scale: PositiveRange | None = None
    motor_strength: PositiveRange | None = None
    armature_scale: PositiveRange | None = None
    joint_zero: Range | None = None


class Pushes(Node):
    """Velocities [m/s, rad/s] that a base is given every so many seconds."""

    enabled: Flag
    interval_s: PositiveRange
    lin_vel: NotNegative
    ang_vel: NotNegative


class Reset(Node):
    """Where episodes begin."""

    position: Range
    yaw: Range
    velocity: Range
    joint_pos: Range
    joint_vel: Range


class Terminations(OwnGroup):
    """What ends an episode; false and null leave a termination out."""

    __pydantic_extra__: dict[str, own(OwnTermination)]  # type: ignore[valid-type]

    nan_state: _is_termination() = False  # type: ignore[valid-type]
    time_out: _is_termination() = False  # type: ignore[valid-type]
    base_contact: _is_termination("threshold") = False  # type: ignore[valid-type]
    tilt: _is_termination("limit") = False  # type: ignore[valid-type]
    low_base: _is_termination("fraction") = False  # type: ignore[valid-type]
    off_terrain: _is_termination("margin") = False  # type: ignore[valid-type]
    passed: _is_termination() = False  # type: ignore[valid-type]


class Events(OwnGroup):
    """What happens to the robots, all of the user's own."""

    __pydantic_extra__: dict[str, own(OwnEvent)]  # type: ignore[valid-type]


class Curriculum(Node):
    """What becomes harder."""

    terrain_levels: Flag


class Env(Node):
    """The environment of a task."""

    scene: Scene
    decimation: Annotated[int, whole(1, 1000)]
    sim: Sim
    episode_length_s: Positive
    observations: Observations
    actions: Actions
    commands: Commands
    rewards: Rewards  # type: ignore[valid-type]
    gait: GaitNode | None = None
    randomization: Randomization
    pushes: Pushes
    reset: Reset
    terminations: Terminations
    events: Events | None = None
    curriculum: Curriculum

    @model_validator(mode="after")
    def whole_ticks(self) -> Env:
        """Refuse delays that are no whole number of ticks within a control step, and no reward at all."""
        for delay in self.actions.delay_ms:
            try:
                delay_ticks(delay, self.sim.dt, self.decimation)
            except ValueError as error:
                raise Rule(str(error)) from error
        terms = [term for _, term in self.rewards if term is not None and term.weight is not None]
        if not any(term.weight for term in terms):
            raise Rule("env.rewards: every weight is zero, so there is nothing to learn")
        return self
