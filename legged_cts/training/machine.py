"""What the machine is short of while it trains: cores that other programs take, and memory."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

WAITING = "machine/waiting"
MEMORY = "machine/memory_left"
GPU_MEMORY = "machine/gpu_memory_left"
SHORT = (WAITING, MEMORY, GPU_MEMORY)
"""Metrics that tell of a shortage."""

MAX_WAITING = 0.15
"""Share of the time that a thread waits for a core from which on others take too much. Ours: with a core of its own a
training waits for 2 to 4 %, beside one more program on that core for 50 %."""
MIN_MEMORY = 0.05
"""Share of the memory that should be left: below it the system begins to throw out what it needs again. Ours."""


class Machine:
    """Reads from Linux what this process waits for; where a file is missing, nothing is said of what stands there.

    Args:
        device: The learner's device.
        proc: Where the kernel tells of processes and memory.
        cgroup: Where it tells of this container's limit.
    """

    def __init__(self, device: str = "cpu", proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        self._device = device
        self._proc, self._cgroup = proc, cgroup
        self._waited = self._waits()
        self._at = time.perf_counter()

    def metrics(self) -> dict[str, float]:
        """Return shares of what there is; what cannot be known is missing.

        ``machine/waiting``: of the time since the last call, how much the thread that waited longest was ready to run
        and had no core; ``machine/memory_left`` and ``machine/gpu_memory_left``: memory that is free or can be freed.
        """
        now, waits = time.perf_counter(), self._waits()
        passed, before = now - self._at, self._waited
        self._at, self._waited = now, waits
        known = {
            WAITING: max((waits[name] - before.get(name, 0.0) for name in waits), default=math.nan) / max(passed, 1e-9),
            MEMORY: min(self._memory_left(), self._limit_left()),
            GPU_MEMORY: self._gpu_left(),
        }
        return {name: value for name, value in known.items() if math.isfinite(value)}

    def _waits(self) -> dict[str, float]:
        """Seconds that each thread has waited for a core since it began."""
        result = {}
        for path in self._proc.glob("self/task/*/schedstat"):
            fields = _text(path).split()  # nanoseconds on a core, nanoseconds waiting for one, times on a core
            if len(fields) == 3:
                result[path.parent.name] = 1e-9 * int(fields[1])
        return result

    def _memory_left(self) -> float:
        entries = dict(line.split(":", 1) for line in _text(self._proc / "meminfo").splitlines() if ":" in line)
        return _share(entries.get("MemAvailable"), entries.get("MemTotal"))

    def _limit_left(self) -> float:
        """Of what the container may have; ``inactive_file`` is cache that the kernel gives back."""
        stat = dict(line.split(" ", 1) for line in _text(self._cgroup / "memory.stat").splitlines() if " " in line)
        limit, used = _number(_text(self._cgroup / "memory.max")), _number(_text(self._cgroup / "memory.current"))
        left = 1.0 - (used - _number(stat.get("inactive_file"))) / limit
        return left if math.isfinite(left) else math.inf

    def _gpu_left(self) -> float:
        if not self._device.startswith("cuda"):
            return math.nan
        import torch  # what reads the metrics of a run alone does without

        free, total = torch.cuda.mem_get_info(self._device)
        return free / total


def shortages(metrics: Mapping[str, float]) -> dict[str, str]:
    """Say in words what is short by these metrics, by a name of each; nothing of what is missing or not finite."""
    waiting = metrics.get(WAITING, 0.0)
    found = {}
    if waiting > MAX_WAITING:
        found["cores"] = f"cores: a thread waits for one {min(waiting, 1.0):.0%} of the time; other programs take them"
    for name, key, remedy in (("memory", MEMORY, ""), ("GPU memory", GPU_MEMORY, " or runner.num_steps_per_env")):
        left = metrics.get(key, 1.0)
        if left < MIN_MEMORY:
            found[name] = f"{name}: {max(left, 0.0):.0%} is left; fewer env.scene.num_envs{remedy} take less"
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:  # another system, or a thread that has ended meanwhile
        return ""


def _number(text: str | None) -> float:
    """The number that a text begins with; NaN where there is none, as for the limit ``max``."""
    first = (text or "").split()[:1]
    return float(first[0]) if first and first[0].isdecimal() else math.nan


def _share(part: str | None, whole: str | None) -> float:
    value = _number(part) / (_number(whole) or math.nan)
    return value if math.isfinite(value) else math.inf
