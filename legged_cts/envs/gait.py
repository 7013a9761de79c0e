"""The gait of a task, from its configuration node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import RobotSpec
from legged_cts.trust.patterns import matching


def task_gait(env: Mapping[str, Any], spec: RobotSpec) -> Gait | None:
    """Return the gait of a task's ``env`` node; None where it has none, or is from a time before there were gaits.

    ``offsets`` may be a list in the order of the spec's feet, or a mapping from patterns of foot names.

    Raises:
        ValueError: If the offsets are not those of the robot's feet.
    """
    node = env.get("gait")
    if node is None:
        return None
    offsets: Any = node["offsets"]
    if isinstance(offsets, Mapping):
        offsets = tuple(_by_pattern(offsets, spec))
    gait = Gait(node["frequency"], offsets, node["duty"], node["foot_height"])
    if len(gait.offsets) != len(spec.feet):
        raise ValueError(
            f"env.gait.offsets: {len(gait.offsets)} numbers for the {len(spec.feet)} feet of '{spec.name}': "
            f"{', '.join(spec.feet)}"
        )
    return gait


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
