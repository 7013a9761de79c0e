"""The gait of a task, from its configuration node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from legged_cts.robots.feet import foot_frames, foot_pairs
from legged_cts.robots.gait import RESTING, Gait
from legged_cts.robots.spec import RobotSpec
from legged_cts.trust.patterns import matching

ALTERNATE = "alternate"
GRAVITY = 9.81  # m/s^2
STRIDES = 0.361
"""Cycles per second times sqrt(height / g)."""
FOOT_HEIGHT = 0.25
"""Apex of a swing in nominal heights of the base."""


def task_gait(env: Mapping[str, Any], spec: RobotSpec) -> Gait | None:
    """Return the gait of a task's ``env`` node; None where it has none, or is from a time before there were gaits.

    ``offsets`` may be a list in the order of the spec's feet, a mapping from patterns of foot names, or the word
    ``alternate``. Null for ``frequency`` and ``foot_height`` are those of a robot of this size: robots of one shape
    move alike where frequency^2 * height / g is equal (Froude), and it is that of a Go2 at 2 Hz.

    Raises:
        ValueError: If the offsets are not those of the robot's feet.
    """
    node = env.get("gait")
    if node is None:
        return None
    offsets: Any = node["offsets"]
    if isinstance(offsets, Mapping):
        offsets = tuple(_by_pattern(offsets, spec))
    elif offsets == ALTERNATE:
        offsets = alternating(spec)
    frequency, foot_height = node["frequency"], node["foot_height"]
    if frequency is None:
        frequency = round(STRIDES * math.sqrt(GRAVITY / spec.nominal_height), 2)
    if foot_height is None:
        foot_height = round(FOOT_HEIGHT * spec.nominal_height, 3)
    resting = {name: node.get(name, 0.0) for name in RESTING}
    gait = Gait(frequency, offsets, node["duty"], foot_height, **resting)
    if len(gait.offsets) != len(spec.feet):
        raise ValueError(
            f"env.gait.offsets: {len(gait.offsets)} numbers for the {len(spec.feet)} feet of '{spec.name}': "
            f"{', '.join(spec.feet)}"
        )
    return gait


def alternating(spec: RobotSpec) -> tuple[float, ...]:
    """Return offsets with which each foot swings half a cycle apart from its neighbours: left, right, ahead, behind.

    Two feet walk, four trot (opposite corners together), six go by tripods.

    Raises:
        ValueError: If a foot is no half of a left and right pair.
    """
    forward, pairs = foot_frames(spec).position[:, 0], foot_pairs(spec)
    if 2 * len(pairs) != len(spec.feet):
        raise ValueError(
            f"env.gait.offsets: the feet of '{spec.name}' are no left and right pairs; give a number for each of "
            f"{', '.join(spec.feet)}"
        )
    offsets = [0.0] * len(spec.feet)
    for row, (left, right) in enumerate(sorted(pairs, key=lambda pair: -forward[pair[0]])):
        offsets[left], offsets[right] = 0.5 * (row % 2), 0.5 * ((row + 1) % 2)
    return tuple(offsets)


def _by_pattern(offsets: Mapping[str, Any], spec: RobotSpec) -> list[Any]:
    found = []
    for foot in spec.feet:
        fitting = [pattern for pattern in offsets if matching(pattern, [foot])]
        if len(fitting) != 1:
            raise ValueError(
                f"env.gait.offsets: {len(fitting)} of the patterns {list(offsets)} match the foot '{foot}'"
            )
        found.append(offsets[fitting[0]])
    for pattern in offsets:
        if not matching(pattern, spec.feet):
            raise ValueError(f"env.gait.offsets: '{pattern}' matches no foot; they are {', '.join(spec.feet)}")
    return found
