"""Delivery in a window's thread, such as ``dispatch=qt_dispatch(window)``.

Only the thread that runs its event loop may touch a window, and changes are
found by the thread that polls.  Each ``…_dispatch`` function returns a
`dispatch` for one kind of event loop: it takes a call from any thread, returns
immediately, and has the loop's thread make the calls one after another.
Nothing is delivered after the subscription is closed or the store
disconnected, not even calls that are already waiting in the loop.

An exception in a delivery is reported where the toolkit reports errors, and
stops nothing.  With ``batch=True`` a poll is one delivery, however many
changes it found; without it, deliveries are made for a few milliseconds at a
time, so that the window stays responsive in between.

A program may also call a dispatch itself, for instance in the handler of a
signal::

    dispatch = qt_dispatch(window)

    def report(store, *, error):
        dispatch(lambda: window.statusBar().showMessage(str(error)))

    poll_failed.connect(report, sender=store)

`in_thread` uses it to pass a window what a thread has read.

Neither Qt nor Tk nor asyncio is imported before it is needed.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .. import tuning
from ..errors import StoreError
from ..loop_calls import LoopCalls
from .call_queue import Call, CallQueue
from .qt_core import qt_core

if TYPE_CHECKING:
    import asyncio
    import tkinter

    from ..client.telling.subscription import Dispatch

__all__ = ["asyncio_dispatch", "in_thread", "qt_dispatch", "tk_dispatch"]

Result = TypeVar("Result")
Failed = Callable[[StoreError | OSError], object]


def qt_dispatch(receiver: Any = None) -> Dispatch:
    """Return a dispatch for an event loop of Qt, of PySide6 or PyQt6.

    Exceptions go to `sys.excepthook`, also with PyQt6, which would otherwise
    abort the program.

    Parameters
    ----------
    receiver : QObject, optional
        Deliveries end when it is destroyed: usually the window, by default the
        application.  They are made in its thread, which must be the caller's.

    Returns
    -------
    callable
        For `StaticStore.subscribe`.  Once the receiver is destroyed it raises
        RuntimeError, so that the store's log shows a subscription that should
        have been closed.

    Raises
    ------
    RuntimeError
        There is no application yet, or this is not the receiver's thread.
    ImportError
        Neither PySide6 nor PyQt6 is installed.

    Examples
    --------
    In a window's constructor; ``update_rows(changes)`` is then called once per poll::

        self.subscription = store.subscribe(
            self.update_rows, batch=True, initial=True, dispatch=qt_dispatch(self)
        )
    """
    core = qt_core(receiver)
    if receiver is None:
        receiver = core.QCoreApplication.instance()
    if receiver is None:
        raise RuntimeError("there is no event loop of Qt yet: create a QApplication first")
    if receiver.thread() != core.QThread.currentThread():
        raise RuntimeError("qt_dispatch must be called in the thread of its receiver")
    return _QtLoop(core, receiver)


def tk_dispatch(widget: tkinter.Misc) -> Dispatch:
    """Return a dispatch for the event loop of Tk.

    Deliveries are up to 50 ms late: Tk polls for them, since another thread
    cannot wake it without waiting for it, and fails while ``mainloop`` is not
    running.  Exceptions go to ``report_callback_exception``.

    Parameters
    ----------
    widget : tkinter.Misc
        Deliveries end when it is destroyed: a window, or the root.  Call this
        in Tk's own thread.

    Returns
    -------
    callable
        For `StaticStore.subscribe`.  Once the widget is destroyed it raises
        RuntimeError, as that of `qt_dispatch`.

    Examples
    --------
    ::

        root = tkinter.Tk()
        store.subscribe(show, initial=True, dispatch=tk_dispatch(root))
        root.mainloop()
    """
    return _TkLoop(widget)


def asyncio_dispatch(loop: asyncio.AbstractEventLoop | None = None) -> Dispatch:
    """Return a dispatch for an event loop of asyncio, which also awaits coroutines.

    A delivery begins when the coroutine of the one before has ended.
    Exceptions go to the loop's exception handler.  Compatible loops, such as
    those of qasync and uvloop, work as well.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop, optional
        By default the running one.

    Returns
    -------
    callable
        For `StaticStore.subscribe`.  Once the loop is closed it raises RuntimeError.

    Raises
    ------
    RuntimeError
        No loop is given, and none is running.

    Examples
    --------
    >>> import asyncio
    >>> async def first_key():
    ...     received = asyncio.Queue()
    ...     with sample_store.subscribe(  # `put` is a coroutine function
    ...         received.put, initial=True, batch=True, dispatch=asyncio_dispatch()
    ...     ):
    ...         return (await received.get())[0].key
    >>> asyncio.run(first_key())
    'borders/coastline.geojson'
    """
    import asyncio

    return LoopCalls(loop or asyncio.get_running_loop())


def in_thread(
    work: Callable[[], Result],
    done: Callable[[Result], object],
    *,
    dispatch: Dispatch,
    failed: Failed | None = None,
) -> None:
    r"""Do slow work in a thread, and deliver its result to a window.

    It returns immediately.  The work cannot be cancelled; it ends with the
    program at the latest.  If the window is gone by then, nothing is delivered.

    Parameters
    ----------
    work : callable
        Called without arguments in a thread of its own: it may read, wait and
        raise, and must not touch the window.
    done : callable
        Called with the result of the work, as a delivery of `dispatch`.
    dispatch : callable
        From `qt_dispatch`, `tk_dispatch` or `asyncio_dispatch`.  With
        the last one `done` and `failed` may be coroutine functions.
    failed : callable, optional
        Called instead of `done`, likewise, with a StoreError or OSError: the
        errors that a site, a network or a disk can cause.  By default these
        are raised in the window's thread.  Any other exception always is, and
        the toolkit reports it as it does one in a delivery.

    Notes
    -----
    Each call starts a thread.  Threads that run at the same time may end in
    any order: `done` should check that its result is still wanted.

    The three callables are held until the work is done.  A program that goes
    on after the root of Tk is destroyed must keep a reference to that root: Tcl
    aborts if a thread other than its own is the last to hold it.

    Examples
    --------
    >>> import asyncio
    >>> from staticstore.interop.desktop import asyncio_dispatch, in_thread
    >>> async def first_bytes():
    ...     received = asyncio.Queue()
    ...     value = sample_store["terrain/dem.tif"]
    ...     in_thread(
    ...         value.read, received.put, failed=received.put, dispatch=asyncio_dispatch()
    ...     )
    ...     return (await received.get())[:4]
    >>> asyncio.run(first_bytes())
    b'II*\x00'
    """

    def run() -> None:
        deliver = _outcome(work, done, failed)
        with suppress(RuntimeError):  # the window is gone
            dispatch(deliver)

    threading.Thread(target=run, daemon=True).start()


def _outcome(
    work: Callable[[], Result], done: Callable[[Result], object], failed: Failed | None
) -> Call:
    try:
        result = work()
    except (StoreError, OSError) as error:
        return functools.partial(failed or _raise, error)
    except Exception as error:
        return functools.partial(_raise, error)
    return functools.partial(done, result)


def _raise(error: Exception) -> NoReturn:
    try:
        raise error
    finally:
        del error  # its traceback would refer to it, and so keep the window alive


class _QtLoop:
    # Makes calls in the thread of a QObject, by a timer that other threads start.

    def __init__(self, core: Any, receiver: Any) -> None:
        self._calls = CallQueue()
        # Held while the timer is used, so that it is not destroyed meanwhile.  Reentrant: the
        # garbage collector may destroy the window in the thread that holds the lock.
        self._lock = threading.RLock()
        self._is_gone = False
        # A timer of 0 ms fires when the events that wait have been handled: a signal for each
        # call would delay them until all calls are made.
        timer = core.QTimer(receiver)
        timer.setSingleShot(True)
        timer.timeout.connect(self._make_calls)
        # Qt does not hold the object of a connected method: waiting calls are made even if
        # nothing else holds this one.
        timer.setProperty("loop", self)
        receiver.destroyed.connect(self._end)
        # Queued: the receiver's thread starts the timer.
        queued = core.Qt.ConnectionType.QueuedConnection
        self._start = functools.partial(core.QMetaObject.invokeMethod, timer, "start", queued)

    def __call__(self, call: Call) -> None:
        if not self._is_gone and self._calls.put(call):
            self._schedule()
        if self._is_gone:
            raise RuntimeError("the receiver is destroyed: close the subscription before it")

    def _schedule(self) -> None:
        with self._lock:
            if not self._is_gone:
                self._start()

    def _make_calls(self) -> None:
        if len(self._calls) > 1:
            self._schedule()
        self._calls.make_some(sys.excepthook)

    def _end(self, *_: object) -> None:
        with self._lock:
            self._is_gone = True
        self._calls.clear()


class _TkLoop:
    # Makes calls in Tk's thread, by a timer that polls for them: only that thread touches Tk.

    def __init__(self, widget: tkinter.Misc) -> None:
        # A timer of the root: one of a widget leaves an error behind when the widget is destroyed.
        self._root: Any = widget.nametowidget(".")
        self._calls = CallQueue()
        self._is_gone = False
        # Tk holds the functions that it calls; they must hold this only while calls are waiting.
        self._held: list[_TkLoop] = []
        reference, held = weakref.ref(self), self._held

        def poll() -> None:
            if (loop := reference()) is not None:
                held.clear()
                loop._make_calls()

        def end(event: tkinter.Event[tkinter.Misc]) -> None:
            if event.widget is widget and (loop := reference()) is not None:
                loop._end()

        self._poll = poll
        widget.bind("<Destroy>", end, add="+")
        self._timer = self._root.after(tuning.TK_POLL_MILLISECONDS, poll)

    def __call__(self, call: Call) -> None:
        if self._is_gone:
            raise RuntimeError("the widget is destroyed: close the subscription before it")
        self._calls.put(call)
        self._held.append(self)  # after it: a poll in between would clear the list

    def _make_calls(self) -> None:
        interval = 1 if len(self._calls) > 1 else tuning.TK_POLL_MILLISECONDS
        self._timer = self._root.after(interval, self._poll)
        self._calls.make_some(self._root.report_callback_exception)
        if len(self._calls):
            self._held.append(self)

    def _end(self) -> None:
        self._is_gone = True
        self._calls.clear()
        self._held.clear()
        self._root.after_cancel(self._timer)
        # Tcl aborts the process if another thread is the last to hold its root.
        self._root = None
