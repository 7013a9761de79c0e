"""Sound files of every kind, small, for tests that spoil them."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import torch

from legged_cts.envs.privileged import resolve_privileged
from legged_cts.robots.proprioception import term_sizes
from legged_cts.robots.spec import load_robot
from legged_cts.training.compose import compose_task, plain
from legged_cts.training.trained import construct_algorithm

PRIVILEGED = 50

NO_CLOCK = ("env.gait=null",)
"""Words for a quadruped that sees 45 values."""


def checkpoint_content(algorithm: str = "cts") -> dict[str, Any]:
    """What a checkpoint of a fresh policy for the Go2 holds: tiny networks, and the whole task."""
    return copy.deepcopy(_content(algorithm))


@functools.cache
def _content(algorithm: str) -> dict[str, Any]:
    torch.manual_seed(0)
    spec = load_robot("go2")
    config = plain(compose_task([f"algorithm={algorithm}", "robot=go2", "runner.average_iterations=0", *NO_CLOCK]))
    for network in config["networks"].values():
        network["hidden_dims"] = [8]
    resolve_privileged(config)
    info = {
        "robot": "go2",
        "proprioception_terms": [[name, size, 0.5] for name, size in term_sizes(12).items()],
        "proprioception": 45,
        "history_length": 5,
        "privileged": PRIVILEGED,
        "actions": 12,
        "joints": list(spec.joints),
        "robot_hash": spec.hash,
        "command_ranges": {"lin_vel_x": [-1.0, 1.0], "lin_vel_y": [-0.5, 0.5], "ang_vel_z": [-1.0, 1.0]},
    }
    content = {"version": 1, "config": config, "env_info": info, "iter": 7, "total_steps": 10752}
    return content | construct_algorithm(content).save()


def put(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set an entry by its dotted path; returns the content."""
    *parents, leaf = path.split(".")
    node = content
    for parent in parents:
        node = node.setdefault(parent, {})
    node[leaf] = value
    return content


def save_torch(path: Path, content: Any) -> Path:
    """Write what torch writes, without the checks of `save_checkpoint`."""
    torch.save(content, path)
    return path
