"""Concurrent teacher-student locomotion learning on Isaac Lab."""

import os
from pathlib import Path
from typing import Any

# Idle OpenMP threads spin for milliseconds after every torch operation and take that time from the cores MuJoCo needs.
# Spinning a fifth as long made collecting 12 % faster on 2 cores and cost the update nothing; it must be set before
# torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "60000")


def beside(folder: str) -> Path:
    """Return where `assets`, `scripts` or `tasks` lies: beside the package in a clone, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    # Inside first: beside an installed package lie those of others.
    return package / folder if (package / folder).is_dir() else package.parent / folder


def told(command: str, launcher: str = "") -> str:
    """Return what a user types for a command: its script in a clone, its name where the package is installed.

    Args:
        command: Such as ``train``.
        launcher: What starts its processes instead, such as ``torchrun --nproc-per-node=2``.
    """
    installed = beside("scripts").is_relative_to(Path(__file__).resolve().parent)
    if installed:
        return f"{launcher} -m legged_cts {command}" if launcher else f"legged-cts {command}"
    return f"{launcher or 'uv run'} scripts/{command.replace('-', '_')}.py"


def __getattr__(name: str) -> Any:
    """Import `load_policy` and `make_env` when they are asked for: robots and the command line need neither."""
    if name not in ("load_policy", "make_env"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from legged_cts import door

    return getattr(door, name)
