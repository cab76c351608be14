"""The signals of a store: changes of its index, and its requests.

Each is a `blinker.Signal`; filter with ``connect(handler, sender=store)``.  By default
blinker holds handlers weakly: keep a reference to a bound method or a lambda, or use
`StaticStore.subscribe`, which holds a strong one.

Of a poll that changed something, the signals of its keys are sent first, in key order,
then `index_updated`.  All are sent after the new snapshot has replaced the old one, outside
every lock, by one thread at a time: the poller's, or the one that called
`StaticStore.update_index`.  A handler that raises is logged; the others are called.
Metadata are copies that belong to the handler.

A coroutine function is awaited by the event loop of asyncio in which it was connected, in
the order of its signals; `StaticStore.update_index` does not wait for it.

`request_finished` is sent by the thread that made the request or read its answer, several
threads at once if several read; see there.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from blinker import ANY, Signal

from .loop_calls import LoopCalls, calls_of_running_loop, is_coroutine_function

__all__ = [
    "StoreSignal",
    "index_updated",
    "key_deleted",
    "key_set",
    "key_updated",
    "logged_failure",
    "poll_failed",
    "request_finished",
    "send_in_names_of",
    "send_to_each",
]

_LOG = logging.getLogger("staticstore")

F = TypeVar("F", bound=Callable[..., Any])


class StoreSignal(Signal):
    """A signal whose handlers may be coroutine functions.

    Such a handler is awaited by the event loop that runs where it is connected, one call
    after the other; handlers do not wait for each other.  Once its loop is closed, this is
    logged, and the handler is disconnected.
    """

    def __init__(self, doc: str | None = None) -> None:
        super().__init__(doc)
        # By receiver and sender, None for any sender.
        self._dispatches: dict[tuple[Hashable, int | None], LoopCalls] = {}

    def connect(self, receiver: F, sender: Any = ANY, weak: bool = True) -> F:
        """Connect a handler; see `blinker.Signal.connect`.

        Raises
        ------
        TypeError
            It is a coroutine function, and no event loop runs in this thread.
        """
        if is_coroutine_function(receiver):
            dispatch = calls_of_running_loop()
            if dispatch is None:
                raise TypeError("a coroutine function needs an event loop: connect it in one")
            name = _identity(receiver), None if sender is ANY else id(sender)
            self._dispatches[name] = dispatch
            owner = getattr(receiver, "__self__", receiver)
            weakref.finalize(owner, self._dispatches.pop, name, None).atexit = False
        return super().connect(receiver, sender, weak)

    def call(self, receiver: Callable[..., Any], sender: object, arguments: dict[str, Any]) -> None:
        """Call a handler, or have its loop await it."""
        who = _identity(receiver)
        dispatch = self._dispatches.get((who, id(sender))) or self._dispatches.get((who, None))
        if dispatch is None:
            receiver(sender, **arguments)
        elif dispatch.is_closed:
            self._dispatches.pop((who, id(sender)), None)
            self._dispatches.pop((who, None), None)
            self.disconnect(receiver)
            _LOG.warning("the event loop of a signal handler is closed: it is disconnected")
        else:
            dispatch(partial(receiver, sender, **arguments))


def _identity(receiver: Callable[..., Any]) -> Hashable:
    # A bound method is another object each time.
    if (owner := getattr(receiver, "__self__", None)) is None:
        return id(receiver)
    return id(owner), id(getattr(receiver, "__func__", receiver))


key_set = StoreSignal(
    "Sent for each new key, as ``handler(store, key=…, metadata=…, previous=None)``."
)
key_updated = StoreSignal(
    "Sent for each key with other metadata, as ``handler(store, key=…, metadata=…, previous=…)``."
)
key_deleted = StoreSignal(
    "Sent for each key that is gone, as ``handler(store, key=…, metadata=None, previous=…)``."
)
index_updated = StoreSignal(
    "Sent once for a poll that found changes, as ``handler(store, changes=…)`` with its `Changes`."
)
poll_failed = StoreSignal(
    "Sent for a poll that failed, as ``handler(store, error=…)``; the old snapshot is kept."
)
request_finished = StoreSignal("""Sent for each HTTP request that has ended, whatever it was for.

Called as ``handler(store, method=…, url=…, status=…, bytes=…, seconds=…, attempt=…,
error=…)``.  Redirects, retries and the refusal that asks for a password are requests of
their own.  A folder as a root, and what a cache gives, need no request.

- ``store`` is the store; None if there is none: for a value from a pickle, and for
  ``publish(after=…)``.  Stores of one site that were unpickled in a process share their
  requests: a handler of one of them is called for those of all, and once for each request.
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


def send_to_each(
    signal: StoreSignal, sender: object, arguments: Callable[[], dict[str, Any]]
) -> None:
    """Call the handlers of a signal; one that raises is logged, and the others are called.

    Parameters
    ----------
    signal : StoreSignal
        The signal.
    sender : object
        Its sender.
    arguments : callable
        Returns the arguments, anew for each handler; not called without handlers.
    """
    send_in_names_of(signal, [sender], arguments)


def send_in_names_of(
    signal: StoreSignal, senders: Iterable[object], arguments: Callable[[], dict[str, Any]]
) -> None:
    """Call the handlers of a signal of several senders, each once, as `send_to_each`.

    Parameters
    ----------
    signal, arguments
        As of `send_to_each`.
    senders : iterable of object
        The senders; a handler gets the first of those that it is connected to.
    """
    # Not `Signal.send`, in which the first handler that raises silences the rest.
    if signal.is_muted:
        return
    called = set[Hashable]()
    for sender in senders:
        for receiver in signal.receivers_for(sender):
            if (who := _identity(receiver)) in called:
                continue
            called.add(who)
            text = "a signal handler raised an exception; the other handlers are called"
            with logged_failure(text):
                signal.call(receiver, sender, arguments())


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
