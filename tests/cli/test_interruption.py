"""Ctrl-C before anything is copied, when no more than one thread is there to be asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from migrate.errors import EXIT_INTERRUPTED

#: The main thread waits for ever, and is not woken: the signal goes to another thread.
UNWOKEN = """
import signal, threading
from migrate.cli.interruption import stopped_by_signal
def interrupt():
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
with stopped_by_signal():
    threading.Timer(0.1, interrupt).start()
    threading.Event().wait()
"""
#: Somebody has a handler of their own, which is there for as long as the signal could be heard.
OF_THEIR_OWN = """
import os, signal, time
from migrate.cli.interruption import stopped_by_signal
with stopped_by_signal():
    heard = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.5)
    os._exit(0 if heard == [signal.SIGINT] else 1)
"""
AFTERWARDS = """
import signal, threading
from migrate.cli.interruption import stopped_by_signal
with stopped_by_signal():
    listening = [it for it in threading.enumerate() if it.name == "interruption"]
for thread in listening:
    thread.join(20)
    assert not thread.is_alive()
assert listening and signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.set_wakeup_fd(-1) == -1
"""


def test_a_signal_ends_the_command_though_its_main_thread_does_not_learn_of_it() -> None:
    ended = _run(UNWOKEN)
    assert (ended.returncode, ended.stderr) == (EXIT_INTERRUPTED, "Interrupted.\n")


@pytest.mark.parametrize("program", [OF_THEIR_OWN, AFTERWARDS])
def test_who_has_something_to_finish_is_asked_instead_and_all_is_left_as_it_was(
    program: str,
) -> None:
    ended = _run(program)
    assert (ended.returncode, ended.stderr) == (0, "")


def _run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)
