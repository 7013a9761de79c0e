"""The reward terms by name, with what each may be given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, create_model

from legged_cts.task.fields import Node, NotNegative, Number, Positive, Share, is_text, leaf, number_in
from legged_cts.task.own import OwnGroup, OwnReward, own


def is_pattern(value: Any) -> bool:
    """Whether a value is a regular expression."""
    try:
        return is_text(value) and bool(re.compile(value))
    except re.error:
        return False


def is_by_pattern(value: Any) -> bool:
    """Whether a value is a mapping from regular expressions to numbers of at least 0."""
    test = number_in(0.0)
    return isinstance(value, Mapping) and all(is_pattern(key) and test(one) for key, one in value.items())


def _is_patterns(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(is_pattern, value))


_PositiveOrNull: Any = Annotated[
    Any, leaf("null or a number above 0", lambda v: v is None or number_in(0.0, above=0.0)(v))
]
_Joints = Annotated[Any, leaf("null or a list of patterns of joint names", lambda v: v is None or _is_patterns(v))]
_Weights = Annotated[
    Any, leaf("null or a mapping from patterns of joint names to weights", lambda v: v is None or is_by_pattern(v))
]
_PARAMS: dict[str, dict[str, Any]] = {
    "alive": {},
    "track_lin_vel": {"sigma": Positive},
    "track_yaw_rate": {"sigma": Positive},
    "lin_vel_z": {},
    "ang_vel_xy": {},
    "orientation": {},
    "joint_acc": {},
    "power": {},
    "torques": {},
    "base_height": {"target": _PositiveOrNull, "share": Positive},
    "action_rate": {},
    "action_smoothness": {},
    "collision": {"threshold": NotNegative},
    "joint_limits": {"soft": Share},
    "feet_regulation": {"reach": _PositiveOrNull},
    "hip_default": {"joints": _Joints},
    "feet_air_time": {"threshold": NotNegative, "still": NotNegative},
    "gait_contact": {"force": Positive, "speed": Positive},
    "swing_height": {"around": NotNegative},
    "feet_distance": {"minimum": _PositiveOrNull},
    "feet_clearance": {"height": Positive},
    "feet_landing_vel": {"height": NotNegative},
    "feet_slip": {},
    "feet_orientation": {},
    "posture": {"joints": _Weights, "optional": _Weights, "sigma": _PositiveOrNull},
}


class Term(Node):
    """A weight per second of simulated time; null leaves the term out, and 0 does unless a stage gives it one."""

    weight: Number | None


def full_term(value: Any) -> Any:
    """Return a term's node; a bare number is its weight."""
    return {"weight": value} if number_in()(value) else value


def _term(name: str, params: dict[str, Any]) -> Any:
    fields: dict[str, Any] = {key: (kind, None) for key, kind in params.items()}
    node: Any = create_model(f"{name}_params", __base__=Node, **fields)
    fields = {"params": (node | None, None)}
    term: Any = create_model(name, __base__=Term, **fields)
    return Annotated[term | None, BeforeValidator(full_term)]


class _Group(OwnGroup):
    __pydantic_extra__: dict[str, own(OwnReward)]  # type: ignore[valid-type]


Rewards: Any = create_model("Rewards", __base__=_Group, **{n: (_term(n, p), None) for n, p in _PARAMS.items()})  # type: ignore[call-overload]
"""The model of ``env.rewards``: every term may be absent, and the user's own may be there."""
