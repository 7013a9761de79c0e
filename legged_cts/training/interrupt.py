"""Signals that let the work at hand finish."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType, TracebackType

ECHO_S = 1.0
"""A second signal within this time [s] is taken for an echo of the first: `uv run` passes on the Ctrl-C that the
terminal already sent to the whole group."""


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Ctrl-C, ``kill``, a terminal that is closed, and a scheduler's notice (Slurm: ``--signal=USR1@120``)."""


class GracefulStop:
    """While entered, the first of :data:`SIGNALS` sets ``requested``; a later SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._requested_at = 0.0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> GracefulStop:
        """Take over the signals; outside the main thread, where Python forbids that, nothing changes."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.requested:
            if number == signal.SIGINT and now - self._requested_at > ECHO_S:
                raise KeyboardInterrupt
            return
        self.requested, self._requested_at = True, now
        # A terminal that was closed takes no more words, and that must not interrupt the work.
        with suppress(OSError):
            print(
                "\nstopping after this iteration (Ctrl-C again: at once, without saving)", file=sys.stderr, flush=True
            )
