"""What teacher and critic see beyond the proprioception, settled before networks are built on it."""

from __future__ import annotations

from typing import Any

from legged_cts.task.own import own_terms

SCAN_GROUP = "height_scan"
"""Observation group of the terrain scan; apart from ``privileged``, so that a set of groups can leave it out."""
PRIVILEGED_GROUPS = ("privileged", SCAN_GROUP)
"""Observation groups that a robot could not measure."""


def resolve_privileged(config: dict[str, Any]) -> None:
    """Settle ``auto`` entries of ``env.observations.privileged``, and take the scan out of sets where there is none.

    Changes ``config`` in place. What is settled is kept with a checkpoint, so that its teacher and critic see the same
    on whatever terrain they are evaluated.

    Args:
        config: Plain configuration with ``env``, ``terrain`` and ``runner``.
    """
    privileged = config["env"]["observations"]["privileged"]
    for name, use in privileged.items():
        if name in own_terms(privileged):
            continue
        privileged[name] = config["terrain"]["type"] != "plane" if use == "auto" else bool(use)
    if not privileged.get(SCAN_GROUP):
        groups = config["runner"]["obs_groups"]
        for name, members in groups.items():
            groups[name] = [member for member in members if member != SCAN_GROUP]
