"""What a training shows while it runs: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from legged_cts.training.alarms import Alarms


class Display(Protocol):
    """Shows the metrics of each iteration."""

    def start(self, iteration: int, total: int) -> None:
        """Begin at ``iteration`` of ``total``."""
        ...

    def update(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Show the metrics after ``iteration`` finished iterations."""
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
    """A progress bar over a table of both roles, redrawn in place.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[note]}"),
            console=console, auto_refresh=False, expand=True,
        )  # fmt: skip
        self._alarms = Alarms()
        self._live = Live(console=console, refresh_per_second=2)
        self._clock = Clock()
        self._total = 0

    def start(self, iteration: int, total: int) -> None:
        """Begin at ``iteration`` of ``total``."""
        self._total = total
        self._clock.start(iteration)
        self._task = self._bar.add_task(f"iteration {iteration}/{total}", total=total, completed=iteration, note="")
        self._live.start()

    def update(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Redraw; a warning stays above the table."""
        for text in self._alarms.new(metrics):
            self.note(iteration, f"warning: {text}")
        note = f"{duration(self._clock.elapsed())} done, {duration(self._clock.eta(iteration, self._total))} to go"
        self._bar.update(self._task, completed=iteration, description=f"iteration {iteration}/{self._total}", note=note)
        terrain = terrain_table(metrics)
        tables = [roles_table(metrics), *([terrain] if terrain else []), state_table(metrics)]
        self._live.update(Group(self._bar, *tables))

    def note(self, iteration: int, text: str) -> None:
        """Put a line above the table."""
        self._live.console.print(f"[yellow]iteration {iteration}: {escape(text)}[/yellow]")

    def stop(self) -> None:
        """Leave the last state on the terminal."""
        self._live.stop()


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


def roles_table(metrics: Mapping[str, float]) -> Table:
    """Student and teacher side by side."""
    table = Table(expand=True)
    rows = {
        "return": ("episode return", 2),
        "episode_length_s": ("episode length [s]", 1),
        "lin_error": ("linear error [m/s]", 3),
        "yaw_error": ("yaw error [rad/s]", 3),
        "falls": ("falls per episode", 3),
        "terrain_level": ("terrain level", 2),
    }
    table.add_column("")
    for role in ("student", "teacher"):
        table.add_column(role, justify="right")
    for key, (label, digits) in rows.items():
        values = [metrics.get(f"{role}/{key}") for role in ("student", "teacher")]
        if values != [None, None]:
            table.add_row(escape(label), *(number(value, digits) for value in values))
    return table


def terrain_table(metrics: Mapping[str, float]) -> Table | None:
    """Where the students are and what they climb, by kind of terrain; None on ground without levels."""
    columns = {
        "terrain_level": ("level", 2),
        "passed": ("promoted", 2),
        "climb": ("climb [m]", 2),
        "steps": ("steps", 1),
    }
    kinds = [name.rpartition("/")[2] for name in metrics if name.startswith("student/terrain_level/")]
    if not kinds:
        return None
    table = Table(expand=True)
    table.add_column("students on")
    for label, _ in columns.values():
        table.add_column(escape(label), justify="right")
    for kind in kinds:
        cells = (number(metrics.get(f"student/{name}/{kind}"), digits) for name, (_, digits) in columns.items())
        table.add_row(kind, *cells)
    return table


def state_table(metrics: Mapping[str, float]) -> Table:
    """Speed and state of the optimisation, in pairs."""
    table = Table.grid(expand=True, padding=(0, 2))
    entries = [
        ("env steps", number(metrics.get("total_steps"), 0)),
        ("steps/s", number(metrics.get("perf/env_steps_per_s"), 0)),
        ("collect", f"{number(metrics.get('perf/collect_s'))} s"),
        ("learn", f"{number(metrics.get('perf/learn_s'))} s"),
        ("score", number(metrics.get("score"), 3)),
        ("best", number(metrics.get("best_score"), 3)),
        ("learning rate", number(metrics.get("learning_rate"), 6)),
        ("kl", number(metrics.get("loss/kl"), 4)),
        ("reconstruction", number(metrics.get("loss/reconstruction"), 4)),
        ("action std", number(metrics.get("action_std"), 2)),
    ]
    for start in range(0, len(entries), 5):
        table.add_row(*(f"[dim]{label}[/dim] {value}" for label, value in entries[start : start + 5]))
    return table


def number(value: float | None, digits: int = 2) -> str:
    """Format a number, ``-`` where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    """Format seconds as 1h02m, 3m04s or 5s; ``-`` where unknown."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
