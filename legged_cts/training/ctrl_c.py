"""Ctrl-C at any time ends with one line and status 130.

Every script imports this before anything that takes time. Where there is work to save or processes to end, a
``KeyboardInterrupt`` passes as always, and its own text is the line if it has one; a second Ctrl-C does not wait.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, NoReturn

from legged_cts.training.interrupt import ECHO_S, STOPPED


class _Pressed:
    at: float | None = None
    """When Ctrl-C was pressed first."""


def _press(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _Pressed.at is None:
        _Pressed.at = now
        raise KeyboardInterrupt
    if now - _Pressed.at > ECHO_S:
        _end("interrupted at once")


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # While a compiled module is imported, an interrupt may come out as another error.
    if issubclass(kind, KeyboardInterrupt) or _Pressed.at is not None:
        _end(str(error) if isinstance(error, KeyboardInterrupt) and str(error) else "interrupted")
    sys.__excepthook__(kind, error, trace)


def _unraisable(unraisable: Any) -> None:
    # Where nothing can be raised, such as in a callback of C, an interrupt would be swallowed.
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _end("interrupted")
    sys.__unraisablehook__(unraisable)


def _end(text: str) -> NoReturn:
    """Print the line and leave without the interpreter's shutdown, which could be interrupted in turn."""
    for stream, words in ((sys.stdout, ""), (sys.stderr, f"\n{text}\n")):
        try:
            stream.write(words)
            stream.flush()
        except (OSError, ValueError):
            pass  # a terminal that is gone
    os._exit(STOPPED)


if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, _press)
sys.excepthook, sys.unraisablehook = _uncaught, _unraisable
