"""Delays of actions in physics ticks."""

from __future__ import annotations


def delay_ticks(delay_ms: float, physics_dt: float, decimation: int) -> int:
    """Convert a delay to physics ticks.

    Args:
        delay_ms: Delay [ms].
        physics_dt: Length of a tick [s].
        decimation: Ticks per control step.

    Raises:
        ValueError: If the delay is not a whole number of ticks in [0, decimation].
    """
    ticks = delay_ms / (1000.0 * physics_dt)
    if abs(ticks - round(ticks)) > 1e-6 or not 0 <= round(ticks) <= decimation:
        raise ValueError(
            f"env.actions.delay_ms: {delay_ms} ms is not a whole number of {1000.0 * physics_dt:g} ms ticks "
            f"between 0 and one control step ({1000.0 * physics_dt * decimation:g} ms)"
        )
    return round(ticks)
