"""Follows a training that goes on: its newest checkpoint and its metrics, read aside of what is played."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from legged_cts.evaluation.policies import checkpoint_policies
from legged_cts.evaluation.training_log import CONFIG, TrainingLog, read_logs
from legged_cts.training.checkpoint import (
    BEST,
    CheckpointError,
    checkpoint_iteration,
    latest_checkpoint,
    load_checkpoint,
    numbered_checkpoints,
)
from legged_cts.training.run_folder import METRICS
from legged_cts.trust.plain import one_line

PERIOD = 3.0
"""Seconds between two looks into the run's folder."""
READING = 0.02
"""Of a core at most goes into reading: whatever took long is read less often."""

Later = Callable[[Callable[[], None]], None]


class Watch:
    """Looks into a run's folder while somebody watches, in a thread of its own.

    Args:
        folder: of the run.
        on_checkpoint: takes a checkpoint and its policies by role.
        on_log: takes the run's metrics.
        tell: takes a line for whoever watches.

    All three are called from that thread.
    """

    def __init__(
        self,
        folder: Path,
        on_checkpoint: Callable[[Mapping[str, Any], Mapping[str, Any]], None],
        on_log: Callable[[TrainingLog], None],
        tell: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._on_checkpoint, self._on_log, self._tell = on_checkpoint, on_log, tell
        self._seen: dict[str, object] = {}
        self._awake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="watch")

    def start(self) -> None:
        """Begins; what the folder holds now is read as well, for the viewer may have been long in setting up."""
        self._thread.start()

    def wake(self, awake: bool) -> None:
        """Looks, or lets the folder alone."""
        (self._awake.set if awake else self._awake.clear)()

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._awake.wait()
            took = self.look()
            self._ended.wait(max(PERIOD, took / READING))

    def look(self) -> float:
        """Reads what changed since the last look; returns for how long it computed [s]."""
        began = time.thread_time()
        for name, now, read in (
            ("checkpoints", self._checkpoints, self._read_checkpoint),
            ("metrics", lambda: _stamp(self._folder / METRICS), self._read_log),
        ):
            stamp = now()
            # What cannot be read is told once, and tried again when it changed.
            if stamp == self._seen.get(name):
                continue
            self._seen[name] = stamp
            try:
                if stamp is None:
                    raise FileNotFoundError(f"its {name} are gone")
                read()
            except (ValueError, OSError, RuntimeError) as error:
                self._tell(f"{self._folder.name}: {one_line(error)}")
        return time.thread_time() - began

    def _checkpoints(self) -> object:
        """What tells a new checkpoint: names, sizes and times of those that may be the newest; None without any."""
        numbered = numbered_checkpoints(self._folder)
        files = [self._folder / BEST, *(path for _, path in numbered[-1:])]
        stamps = [(path.name, stamp) for path in files if (stamp := _stamp(path)) is not None]
        return stamps or None

    def _read_checkpoint(self) -> None:
        content = load_checkpoint(latest_checkpoint(self._folder))
        self._on_checkpoint(content, checkpoint_policies(content, "cpu"))

    def _read_log(self) -> None:
        self._on_log(read_logs([self._folder])[0])


def await_checkpoint(folder: Path) -> Path:
    """The newest checkpoint of a run; waits for the first.

    Raises:
        FileNotFoundError: if the folder is not that of a run.
    """
    told = False
    while True:
        if not (folder / CONFIG).is_file() and not numbered_checkpoints(folder):
            raise FileNotFoundError(f"run: {folder} is not the folder of a training: it has no {CONFIG}")
        try:
            newest = latest_checkpoint(folder)
            if checkpoint_iteration(newest) >= 0:
                return newest
        except CheckpointError:
            pass
        if not told:
            print(f"waiting for the first checkpoint in {folder}; Ctrl+C ends", flush=True)
        told = True
        time.sleep(PERIOD)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
