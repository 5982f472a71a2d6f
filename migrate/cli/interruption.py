"""Ends the command on Ctrl-C, whatever its threads wait for."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from migrate.errors import EXIT_INTERRUPTED


@contextmanager
def stopped_by_signal() -> Iterator[None]:
    """End at once on Ctrl-C: whoever has something to finish first sets a handler of its own.

    Python calls handlers in the main thread only, and with other threads at work a signal that
    comes just before that thread begins to wait does not wake it: CPython's ``eval_breaker`` is
    reckoned anew, without the signal, by each thread that takes the interpreter's lock. So a
    thread listens where the signal itself writes (``signal.set_wakeup_fd``).
    """

    def heard(number: int, frame: FrameType | None) -> None:
        """Say that it is for the thread."""

    listening, telling = os.pipe()
    os.set_blocking(telling, False)

    def listen() -> None:
        while numbers := os.read(listening, 64):
            if signal.SIGINT in numbers and signal.getsignal(signal.SIGINT) is heard:
                _end()
        os.close(listening)

    before = signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
    previous = signal.signal(signal.SIGINT, heard)
    threading.Thread(target=listen, name="interruption", daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        signal.set_wakeup_fd(before)
        os.close(telling)


def _end() -> None:
    sys.stderr.write("Interrupted.\n")
    sys.stderr.flush()
    # Threads that wait for a server cannot be asked to stop, and hold nothing half-done.
    os._exit(EXIT_INTERRUPTED)
