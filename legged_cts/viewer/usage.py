"""What the viewer takes of the machine."""

from __future__ import annotations

import time


class Usage:
    """What this process takes of the machine."""

    def __init__(self) -> None:
        self._since = time.monotonic(), time.process_time()

    @property
    def age(self) -> float:
        """Seconds since the last call of `share`."""
        return time.monotonic() - self._since[0]

    def share(self) -> tuple[float, float]:
        """Seconds since the last call, and the part of a core that was taken meanwhile."""
        wall, cpu = self._since
        self._since = time.monotonic(), time.process_time()
        seconds = self._since[0] - wall
        return seconds, (self._since[1] - cpu) / max(seconds, 1e-9)
