"""How far something is, and how long it takes still."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from legged_cts.training.tables import duration


class Clock:
    """Estimates how long the remaining iterations take."""

    def start(self, iteration: int) -> None:
        """Begin to count at ``iteration``."""
        self._first, self._began = iteration, time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def eta(self, iteration: int, total: int) -> float:
        """Seconds until ``total`` iterations are done, NaN before the first is."""
        done = iteration - self._first
        return self.elapsed() / done * (total - iteration) if done > 0 else math.nan


class Phases:
    """Which part of an iteration is under way: its share that is done, and the seconds that are left.

    A part that does not say how many steps it has is expected to take as long as the last time.
    """

    def __init__(self) -> None:
        self.name = ""
        self._began, self._done, self._total = 0.0, 0, 0
        self._took: dict[str, float] = {}

    def at(self, name: str, done: int = 0, total: int = 0) -> None:
        """Say that ``name`` is under way, ``done`` of ``total`` steps of it behind; 0 of 0 where it has none."""
        now = time.monotonic()
        if name != self.name:
            if self.name:
                self._took[self.name] = now - self._began
            self.name, self._began = name, now
        self._done, self._total = done, total

    def share(self) -> float:
        """Return how much of the part is done, NaN where nothing is known."""
        if self._total:
            return self._done / self._total
        took = self._took.get(self.name, 0.0)
        return min(self._elapsed() / took, 1.0) if took else math.nan

    def left(self) -> float:
        """Return the seconds until the part is done, NaN where nothing is known."""
        if self.name in self._took:
            return max(self._took[self.name] - self._elapsed(), 0.0)
        return self._elapsed() / self._done * (self._total - self._done) if self._done else math.nan

    def _elapsed(self) -> float:
        return time.monotonic() - self._began


class StepProgress:
    """A line every few seconds on what takes a known number of steps: how many are done, and the time that is left.

    Args:
        what: What is done.
        say: Takes a line.
        every_s: Least time between two lines [s].
    """

    def __init__(self, what: str, say: Callable[[str], object], every_s: float = 5.0) -> None:
        self._what, self._say, self._every = what, say, every_s
        self._clock = Clock()
        self._clock.start(0)
        self._said = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Say it, if it is time to."""
        if self._clock.elapsed() - self._said >= self._every:
            self._said = self._clock.elapsed()
            self._say(f"{self._what}: {100 * done // total} %, eta {duration(self._clock.eta(done, total))}")


@contextmanager
def step_progress(what: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show how far something is, which may also end early: a bar on a terminal, a line every few seconds elsewhere.

    Args:
        what: What is done.
        console: Where to show it.

    Yields:
        What is told how many steps are done, and of how many.
    """
    if not console.is_terminal:
        yield StepProgress(what, console.print)
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
