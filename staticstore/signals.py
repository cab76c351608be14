"""The signals that a store sends when its index changes, and for each of its requests.

Each is a `blinker.Signal`; filter with ``connect(handler, sender=store)``.  By default
blinker holds handlers weakly: keep a reference to a bound method or a lambda, or use
`StaticStore.subscribe`, which holds a strong one.

Of a poll that changed something, the signals of its keys are sent first, in key order,
then `index_updated`.  All are sent after the new snapshot has replaced the old one, outside
every lock, by one thread at a time: the poller's, or the one that called
`StaticStore.update_index`.  A handler that raises is logged; the others are called.
Metadata are copies that belong to the handler.

`request_finished` is sent by the thread that made the request or read its answer, several
threads at once if several read; see there.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from blinker import Signal

__all__ = [
    "index_updated",
    "key_deleted",
    "key_set",
    "key_updated",
    "logged_failure",
    "poll_failed",
    "request_finished",
    "send_to_each",
]

_LOG = logging.getLogger("staticstore")

key_set = Signal("Sent for each new key, as ``handler(store, key=…, metadata=…, previous=None)``.")
key_updated = Signal(
    "Sent for each key with other metadata, as ``handler(store, key=…, metadata=…, previous=…)``."
)
key_deleted = Signal(
    "Sent for each key that is gone, as ``handler(store, key=…, metadata=None, previous=…)``."
)
index_updated = Signal(
    "Sent once for a poll that found changes, as ``handler(store, changes=…)`` with its `Changes`."
)
poll_failed = Signal(
    "Sent for a poll that failed, as ``handler(store, error=…)``; the old snapshot is kept."
)
request_finished = Signal("""Sent for each HTTP request that has ended, whatever it was for.

Called as ``handler(store, method=…, url=…, status=…, bytes=…, seconds=…, attempt=…,
error=…)``.  Redirects, retries and the refusal that asks for a password are requests of
their own.  A folder as a root, and what a cache gives, need no request.

- ``store`` is the store; None if there is none: for a value from a pickle, and for
  ``publish(after=…)``.
- ``url`` is the URL requested, without user and password, and with ``?…`` for its query.
- ``status`` is the HTTP status; None if there was no answer.
- ``bytes`` counts the body as it was received, before any content coding is undone.
- ``seconds`` is the time from sending to the end of the body, or to its being closed.
- ``attempt`` is 1, and one more for each repetition after a failure.
- ``error`` is the `StoreError` that the request ended with; None otherwise.  A status that
  only says that a document is not there is no error.

A handler is called during the read or poll that made the request, perhaps within its
locks: it should be quick, and cannot poll the store.  What it requests of the same store
itself is not reported.
""")


def send_to_each(signal: Signal, sender: object, arguments: Callable[[], dict[str, Any]]) -> None:
    """Call the handlers of a signal; one that raises is logged, and the others are called.

    Parameters
    ----------
    signal : Signal
        The signal.
    sender : object
        Its sender.
    arguments : callable
        Returns the arguments, anew for each handler; not called without handlers.
    """
    # Not `Signal.send`, in which the first handler that raises silences the rest.
    if signal.is_muted:
        return
    for receiver in signal.receivers_for(sender):
        with logged_failure("a signal handler raised an exception; the other handlers are called"):
            receiver(sender, **arguments())


@contextlib.contextmanager
def logged_failure(message: str) -> Iterator[None]:
    """Log what the user's code raises, and go on.

    KeyboardInterrupt and SystemExit pass in the main thread; in another they would end polls.
    """
    try:
        yield
    except Exception:
        _LOG.exception(message)
    except BaseException:
        if threading.current_thread() is threading.main_thread():
            raise
        _LOG.exception(message)
