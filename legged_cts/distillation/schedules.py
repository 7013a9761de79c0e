"""Values that change with the training iteration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

KEY = "schedule"
"""A mapping with this key is a schedule; its value names the kind."""

KINDS: dict[str, tuple[str, ...]] = {
    "linear": ("start", "end", "steps"),
    "cosine": ("start", "end", "steps"),
    "staircase": ("start", "by", "every", "end"),
    "phases": ("values", "until"),
}


def is_schedule(node: Any) -> bool:
    """Whether a node of a configuration is a schedule and not a constant."""
    return isinstance(node, Mapping) and KEY in node


def value_at(node: Mapping[str, Any], iteration: int) -> Any:
    """Value of a schedule, which ``check_schedule`` has passed, in an iteration.

    - ``{schedule: linear, start, end, steps}``: a line, then ``end``;
    - ``{schedule: cosine, start, end, steps}``: half a cosine, then ``end``;
    - ``{schedule: staircase, start, by, every, end}``: ``by`` more every ``every`` iterations, until ``end``;
    - ``{schedule: phases, values: [a, b, ...], until: [n, ...]}``: a before iteration n, and so on. Values may be
      names, such as divergences or drivers, or mappings.

    Args:
        node: The schedule.
        iteration: At least 0.
    """
    kind = node[KEY]
    if kind == "phases":
        return node["values"][sum(iteration >= boundary for boundary in node["until"])]
    start, end = node["start"], node["end"]
    if kind == "staircase":
        value = start + node["by"] * (iteration // node["every"])
        return min(value, end) if node["by"] > 0 else max(value, end)
    progress = min(iteration / node["steps"], 1.0)
    if progress == 1.0:
        return end
    if kind == "cosine":
        progress = 0.5 - 0.5 * math.cos(math.pi * progress)
    return start + (end - start) * progress


def breakpoints(node: Mapping[str, Any]) -> list[int]:
    """Iterations that show all extremes and all choices of a schedule."""
    if node[KEY] == "phases":
        return [0, *node["until"]]
    if node[KEY] == "staircase":
        stairs = math.ceil((node["end"] - node["start"]) / node["by"])
        return [0, stairs * node["every"]]
    return [0, node["steps"]]


def check_schedule(node: Mapping[str, Any], path: str) -> None:
    """Check keys and values of a schedule.

    Raises:
        ValueError: If a key is unknown or missing or a value does not fit; the message names ``path``.
    """
    kind = node[KEY]
    if kind not in KINDS:
        raise ValueError(f"{path}.{KEY} is '{kind}'; allowed are: {', '.join(KINDS)}")
    for key in node:
        if key not in (KEY, *KINDS[kind]):
            raise ValueError(f"unknown key {path}.{key}; a {kind} schedule has: {', '.join(KINDS[kind])}")
    for key in KINDS[kind]:
        if key not in node:
            raise ValueError(f"missing key {path}.{key}; a {kind} schedule has: {', '.join(KINDS[kind])}")
    if kind == "phases":
        values, until = node["values"], node["until"]
        if len(values) != len(until) + 1 or list(until) != sorted(set(until)) or any(n < 1 for n in until):
            raise ValueError(f"{path}.until must hold one growing iteration less than {path}.values, each at least 1")
        return
    for key in KINDS[kind]:
        if isinstance(node[key], bool) or not isinstance(node[key], int | float):
            raise ValueError(f"{path}.{key} must be a number, got {node[key]!r}")
    for key in ("steps", "every"):
        if key in node and (not isinstance(node[key], int) or node[key] < 1):
            raise ValueError(f"{path}.{key} must be a positive integer, got {node[key]!r}")
    if kind == "staircase" and node["by"] * (node["end"] - node["start"]) <= 0:
        raise ValueError(f"{path}.by must lead from {path}.start to {path}.end")


def schedules_in(node: Any, path: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return names and nodes of all schedules in a configuration, those within phases too.

    Raises:
        ValueError: If a schedule is malformed.
    """
    if is_schedule(node):
        check_schedule(node, path)
        inner = [] if node[KEY] != "phases" else [schedules_in(value, path) for value in node["values"]]
        return [(path, node), *(pair for pairs in inner for pair in pairs)]
    if isinstance(node, Mapping):
        return [pair for key, child in node.items() for pair in schedules_in(child, f"{path}.{key}")]
    return []


def resolved(node: Any, iteration: int) -> Any:
    """Return a configuration with the values that its schedules have in an iteration."""
    if is_schedule(node):
        return resolved(value_at(node, iteration), iteration)
    if isinstance(node, Mapping):
        return {key: resolved(child, iteration) for key, child in node.items()}
    return node
