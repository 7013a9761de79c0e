"""What a training shows while it runs: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from legged_cts.training.alarms import Alarms
from legged_cts.training.progress import Clock, Phases
from legged_cts.training.tables import (
    duration,
    number,
    rewards_table,
    roles_table,
    shortage_lines,
    state_table,
    terrain_table,
)

WIDE = 110
"""Columns of a terminal from which on the reward's terms fit beside the other tables."""


class Display(Protocol):
    """Shows the metrics of each iteration."""

    def start(self, iteration: int, total: int) -> None:
        """Begin at ``iteration`` of ``total``."""
        ...

    def update(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Show the metrics after ``iteration`` finished iterations."""
        ...

    def phase(self, name: str, done: int = 0, total: int = 0) -> None:
        """Show which part of an iteration is under way, and how many of its steps are done, if it has some."""
        ...

    def stage(self, text: str) -> None:
        """Show which stage the task is in, and what the next one waits for."""
        ...

    def note(self, iteration: int, text: str) -> None:
        """Say what happened in an iteration, in a line that stays."""
        ...

    def stop(self) -> None:
        """Leave the terminal as it was."""
        ...


def make_display(stream: TextIO, every_s: float = 10.0) -> Display:
    """Return the live display if ``stream`` is a terminal, else one that prints a line every ``every_s`` seconds."""
    return LiveDisplay(Console(file=stream)) if stream.isatty() else LineDisplay(stream, every_s)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line; a terminal that was closed meanwhile is no reason to lose work."""
    with suppress(OSError):
        print(text, file=stream or sys.stdout, flush=True)


class NoDisplay:
    """Shows nothing: for a process that trains beside the one that shows."""

    def start(self, iteration: int, total: int) -> None:
        """Begin."""

    def update(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Take no notice."""

    def phase(self, name: str, done: int = 0, total: int = 0) -> None:
        """Take no notice."""

    def stage(self, text: str) -> None:
        """Take no notice."""

    def note(self, iteration: int, text: str) -> None:
        """Take no notice."""

    def stop(self) -> None:
        """End."""


class LineDisplay:
    """One compact line every few seconds, so that logs stay small; the first and the last iteration always.

    Args:
        stream: Where to print.
        every_s: Least time between two lines [s].
    """

    def __init__(self, stream: TextIO, every_s: float = 10.0) -> None:
        self._stream = stream
        self._every = every_s
        self._total = 0
        self._clock = Clock()
        self._alarms = Alarms()
        self._printed = -math.inf
        self._pending = ""

    def start(self, iteration: int, total: int) -> None:
        """Begin at ``iteration`` of ``total``."""
        self._total = total
        self._clock.start(iteration)

    def update(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Print a line if it is time to, and a warning when it is due."""
        for text in self._alarms.new(metrics):
            self.note(iteration, f"warning: {text}")
        get = metrics.get
        parts = [
            f"[{iteration}/{self._total}]",
            f"eta {duration(self._clock.eta(iteration, self._total))}",
            f"{number(get('perf/env_steps_per_s'), 0)} steps/s",
            f"student ret {number(get('student/return'))} lin {number(get('student/lin_error'))}"
            f" yaw {number(get('student/yaw_error'))} falls {number(get('student/falls'))}",
        ]
        if "student/terrain_level" in metrics:
            parts[-1] += f" level {number(get('student/terrain_level'))}"
        if "student/climb" in metrics:
            parts[-1] += f" climb {number(get('student/climb'))} m"
        if "teacher/return" in metrics:
            parts.append(f"teacher ret {number(get('teacher/return'))} lin {number(get('teacher/lin_error'))}")
        parts.append(f"best {number(get('best_score'))}")
        self._pending = " | ".join(parts)
        now = time.monotonic()
        if now - self._printed >= self._every or iteration >= self._total:
            self._print(now)

    def phase(self, name: str, done: int = 0, total: int = 0) -> None:
        """Take no notice: a log would fill with it."""

    def stage(self, text: str) -> None:
        """Take no notice: when stages act is a note."""

    def note(self, iteration: int, text: str) -> None:
        """Print a line at once."""
        print(f"[{iteration}/{self._total}] {text}", file=self._stream, flush=True)

    def stop(self) -> None:
        """Print the last line, if it was held back."""
        if self._pending:
            self._print(time.monotonic())

    def _print(self, now: float) -> None:
        print(self._pending, file=self._stream, flush=True)
        self._printed, self._pending = now, ""


class LiveDisplay:
    """A progress bar over tables of both roles and of the reward's terms, redrawn in place.

    Below the bar stand the part of the iteration that is under way, and the stage with what the next one waits for.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[note]}"),
            console=console, auto_refresh=False, expand=True,
        )  # fmt: skip
        self._alarms = Alarms()
        self._console = console
        self._clock = Clock()
        self._phases: Phases | None = Phases()
        self._stage, self._tables, self._total = "", Group(), 0
        # It redraws by itself: a phase goes on while nobody tells of it.
        self._live = Live(console=console, refresh_per_second=2, get_renderable=self._view)

    def start(self, iteration: int, total: int) -> None:
        """Begin at ``iteration`` of ``total``."""
        self._total = total
        self._clock.start(iteration)
        self._task = self._bar.add_task(f"iteration {iteration}/{total}", total=total, completed=iteration, note="")
        self._live.start()

    def update(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Show what is new at the next redrawing; a warning stays above the table."""
        for text in self._alarms.new(metrics):
            self.note(iteration, f"warning: {text}")
        note = f"{duration(self._clock.elapsed())} done, {duration(self._clock.eta(iteration, self._total))} to go"
        self._bar.update(self._task, completed=iteration, description=f"iteration {iteration}/{self._total}", note=note)
        terrain, rewards = terrain_table(metrics), rewards_table(metrics)
        roles = Group(roles_table(metrics), *([terrain] if terrain else []))
        if rewards is not None and self._console.width >= WIDE:
            beside = Table.grid(expand=True, padding=(0, 1))
            beside.add_column(ratio=3)
            beside.add_column(ratio=2)
            beside.add_row(roles, rewards)
            roles = Group(beside)
        self._tables = Group(roles, state_table(metrics), *shortage_lines(metrics))

    def phase(self, name: str, done: int = 0, total: int = 0) -> None:
        """Show the part of the iteration that is under way."""
        if self._phases is not None:
            self._phases.at(name, done, total)

    def stage(self, text: str) -> None:
        """Show which stage the task is in."""
        self._stage = text

    def note(self, iteration: int, text: str) -> None:
        """Put a line above the table."""
        self._live.console.print(f"[yellow]iteration {iteration}: {escape(text)}[/yellow]")

    def stop(self) -> None:
        """Leave the last state on the terminal."""
        self._phases = None
        self._live.stop()

    def _view(self) -> Group:
        stage = [Text(self._stage, style="cyan")] if self._stage else []
        return Group(self._bar, *self._phase_line(), *stage, self._tables)

    def _phase_line(self) -> list[Table]:
        if self._phases is None or not self._phases.name:
            return []
        share = self._phases.share()
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(width=14)
        line.add_column(ratio=1)
        line.add_column(width=12, justify="right")
        bar = ProgressBar(total=1.0, completed=share if math.isfinite(share) else 0.0)
        line.add_row(f"[dim]{self._phases.name}[/dim]", bar, f"[dim]{duration(self._phases.left())} to go[/dim]")
        return [line]
