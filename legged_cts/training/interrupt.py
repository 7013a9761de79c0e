"""Signals that let the work at hand finish."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

ECHO_S = 1.0
"""A second signal within this time [s] is taken for an echo of the first: `uv run` passes on the Ctrl-C that the
terminal already sent to the whole group."""


STOPPED = 130
"""Exit status of a script that was asked to stop, but for a training that saved its work."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Ctrl-C, ``kill``, a terminal that is closed, and a scheduler's notice (Slurm: ``--signal=USR1@120``)."""


def run_child(command: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run a command that ends by itself after Ctrl-C, and pass on to it what asks to stop.

    It is in a process group of its own, so that it is asked once, and says alone what became of its work.

    Returns:
        Its exit status, or :data:`STOPPED` if it was asked to stop.
    """
    child, asked = subprocess.Popen(command, env=env, process_group=0), []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        child.send_signal(signal.SIGINT)

    previous = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        status = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return STOPPED if asked else status


@contextmanager
def on_interrupt(text: str) -> Iterator[None]:
    """Say this if a ``KeyboardInterrupt`` passes that says nothing itself."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or text) from None


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
