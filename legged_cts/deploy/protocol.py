"""How a policy is asked to walk when it is measured, in every simulator."""

from __future__ import annotations

from collections.abc import Mapping

COMMAND_RANGES = {"lin_vel_x": (-1.0, 1.0), "lin_vel_y": (-0.5, 0.5), "ang_vel_z": (-1.0, 1.0)}
"""Commands are drawn from these ranges [m/s, m/s, rad/s], narrowed to those of the training."""
COMMAND_PERIOD = 5.0
"""Seconds that a command holds."""
ZERO_COMMANDS = 0.1
"""Share of commands that are zero."""
SETTLING = 1.0
"""Seconds after each new command that are left out of all metrics."""
GRAVITY = 9.81
"""[m/s^2]."""


def narrowed(trained: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Return the ranges to draw from for a policy: where they do not meet what it was trained for, all of that."""
    ranges = {}
    for name, (low, high) in COMMAND_RANGES.items():
        trained_low, trained_high = trained[name]
        low, high = max(low, trained_low), min(high, trained_high)
        ranges[name] = (low, high) if low <= high else (trained_low, trained_high)
    return ranges
