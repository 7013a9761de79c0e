"""Which revision of the code a run was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_revision() -> str:
    """Return the commit of this code, with ``+`` if files differ from it; ``unknown`` outside a clone."""
    folder = str(Path(__file__).parent)
    command = [
        "git",
        "--no-optional-locks",
        "-C",
        folder,
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty=+",
        "--exclude=*",
    ]
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
