"""Calls in forked children."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable
from typing import TypeVar

__all__ = ["fork", "in_child", "result_of"]

T = TypeVar("T")

_SECONDS = 20  # after which a child counts as hanging


def fork(call: Callable[[], object]) -> tuple[int, int]:
    """Make a call in a forked child; return its process id and a pipe with the outcome.

    The child exits without the exit handlers of a process; a call may run them itself.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks of a process with threads, which these tests are about.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_SECONDS)
        try:
            outcome: tuple[bool, object] = True, call()
        except BaseException as error:
            outcome = False, error
        with open(writing, "wb") as file:
            pickle.dump(outcome, file)
    finally:
        os._exit(0)


def result_of(pid: int, reading: int) -> object:
    """Return what a child's call returns, or raise what it raises."""
    with open(reading, "rb") as file:
        text = file.read()
    os.waitpid(pid, 0)
    assert text, "the child hangs"
    is_result, outcome = pickle.loads(text)
    if not is_result:
        raise outcome
    return outcome


def in_child(call: Callable[[], T]) -> T:
    """Return what a call returns in a forked child, or raise what it raises there."""
    result: T = result_of(*fork(call))  # type: ignore[assignment]  # it was pickled meanwhile
    return result
