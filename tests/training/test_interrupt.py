"""Ctrl-C: once is asking, twice is telling, and an echo is neither."""

import errno
import os
import signal
import sys

import pytest

from legged_cts.training import interrupt
from legged_cts.training.interrupt import GracefulStop


def test_an_echo_of_the_first_signal_does_not_throw_work_away():
    with GracefulStop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested


def test_a_second_signal_later_interrupts_at_once(monkeypatch):
    monkeypatch.setattr(interrupt, "ECHO_S", -1.0)
    with GracefulStop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_closed_terminal_that_takes_no_words_interrupts_nothing(monkeypatch):
    def gone(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys.stderr, "write", gone)
    with GracefulStop() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested


def test_nohup_holds():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with GracefulStop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)
