"""Deliveries in the thread of a window: ``store.subscribe(…, dispatch=qt_dispatch(window))``.

A window may only be touched by the thread that its loop runs in, and changes
are found by the thread that polls.  Each function here gives a `dispatch` for
one kind of loop: it takes a call from any thread, at once and without waiting
for the loop, and makes it in the loop's own thread, one after the other.
Nothing is delivered after the subscription was closed or the store
disconnected, not even what was waiting in the loop by then.

What a delivery raises is shown where the toolkit shows errors, and stops
nothing.  With ``batch=True`` a poll is one delivery, however many changes it
found; without it they are made a few milliseconds' worth at a time, so that
the window can be used in between.

A dispatch may also be called by a program itself, say with what a handler of
a signal wants to show::

    dispatch = qt_dispatch(window)

    def tell(store, *, error):
        dispatch(lambda: window.statusBar().showMessage(str(error)))

    poll_failed.connect(tell, sender=store)

and `in_thread` uses it to bring a window what a thread has read for it.

Neither Qt nor Tk nor asyncio is imported before it is asked for.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from .call_queue import Call, WaitingCalls
from .qt_core import qt_core
from .threads import in_thread

if TYPE_CHECKING:
    import asyncio
    import tkinter

    from ..client.subscription import Dispatch

__all__ = ["asyncio_dispatch", "in_thread", "qt_dispatch", "tk_dispatch"]

# Milliseconds between looks of Tk at what waits: IDLE's own measure, not seen and not felt.
_TK_INTERVAL = 50


def qt_dispatch(receiver: Any = None) -> Dispatch:
    """Have deliveries made by an event loop of Qt, of PySide6 or PyQt6.

    Exceptions go to `sys.excepthook`, also with PyQt6, which would otherwise
    abort the program.

    Parameters
    ----------
    receiver : QObject, optional
        With it the deliveries end: usually the window.  By default the application.
        They are made in its thread, which must be the one that calls this.

    Returns
    -------
    callable
        For `StaticStore.subscribe`.  Once the receiver is destroyed it raises
        RuntimeError, so that the log of the store tells of a subscription
        that should have been closed.

    Raises
    ------
    RuntimeError
        There is no application yet, or this is not the receiver's thread.
    ImportError
        Neither PySide6 nor PyQt6 is installed.

    Examples
    --------
    In a window's constructor; ``update_rows(changes)`` is then called once a poll::

        self.subscription = store.subscribe(
            self.update_rows, batch=True, initial=True, dispatch=qt_dispatch(self)
        )
    """
    core = qt_core(receiver)
    if receiver is None:
        receiver = core.QCoreApplication.instance()
    if receiver is None:
        raise RuntimeError("there is no event loop of Qt yet: make a QApplication first")
    if receiver.thread() != core.QThread.currentThread():
        raise RuntimeError("qt_dispatch is called by the thread of its receiver")
    return _QtLoop(core, receiver)


def tk_dispatch(widget: tkinter.Misc) -> Dispatch:
    """Have deliveries made by the event loop of Tk.

    They come up to 50 ms late: Tk has no way to be woken by another thread
    that neither waits for it nor fails while ``mainloop`` does not run, so
    that it looks by itself.  Exceptions go to ``report_callback_exception``.

    Parameters
    ----------
    widget : tkinter.Misc
        With it the deliveries end: a window, or the root.  Call this in Tk's own thread.

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
    """Have deliveries made by an event loop of asyncio, and coroutines awaited there.

    The next delivery begins when the coroutine of the last one has ended.
    Exceptions go to the loop's exception handler.  Loops of others that are
    asyncio's, such as qasync's or uvloop's, will do as well.

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
    ...     told = asyncio.Queue()
    ...     with sample_store.subscribe(  # `put` is a coroutine function
    ...         told.put, initial=True, batch=True, dispatch=asyncio_dispatch()
    ...     ):
    ...         return (await told.get())[0].key
    >>> asyncio.run(first_key())
    'borders/coastline.geojson'
    """
    import asyncio

    return _AsyncioLoop(loop or asyncio.get_running_loop())


class _QtLoop:
    """Makes calls in the thread of a QObject, by a timer that other threads start."""

    def __init__(self, core: Any, receiver: Any) -> None:
        self._calls = WaitingCalls()
        # Held while the timer is used, so that it is not destroyed meanwhile; taken
        # again by the thread that has it if its garbage collector finds the window.
        self._lock = threading.RLock()
        self._is_gone = False
        # A timer of no milliseconds comes when events that wait have been seen to: a
        # signal for each call would keep them waiting until all calls are made.
        timer = core.QTimer(receiver)
        timer.setSingleShot(True)
        timer.timeout.connect(self._make_calls)
        # A method that is connected is not held; what waits is made, whoever else holds this.
        timer.setProperty("loop", self)
        receiver.destroyed.connect(self._end)
        # Queued, it is the receiver's thread that starts it.
        queued = core.Qt.ConnectionType.QueuedConnection
        self._start = functools.partial(core.QMetaObject.invokeMethod, timer, "start", queued)

    def __call__(self, call: Call) -> None:
        if not self._is_gone and self._calls.put(call):
            self._wake()
        if self._is_gone:
            raise RuntimeError("the receiver is destroyed: close the subscription before it")

    def _wake(self) -> None:
        with self._lock:
            if not self._is_gone:
                self._start()

    def _make_calls(self) -> None:
        if len(self._calls) > 1:
            self._wake()
        self._calls.make_some(sys.excepthook)

    def _end(self, *_: object) -> None:
        with self._lock:
            self._is_gone = True
        self._calls.clear()


class _TkLoop:
    """Makes calls in Tk's thread, by a timer that looks for them: nothing else touches Tk."""

    def __init__(self, widget: tkinter.Misc) -> None:
        # The root's timers are its own: those of a widget leave an error behind when that goes.
        self._root: Any = widget.nametowidget(".")
        self._calls = WaitingCalls()
        self._is_gone = False
        # Tk holds what it calls, and shall hold this only while something waits.
        self._held: list[_TkLoop] = []
        reference, held = weakref.ref(self), self._held

        def look() -> None:
            if (loop := reference()) is not None:
                held.clear()
                loop._make_calls()

        def end(event: tkinter.Event[tkinter.Misc]) -> None:
            if event.widget is widget and (loop := reference()) is not None:
                loop._end()

        self._look = look
        widget.bind("<Destroy>", end, add="+")
        self._timer = self._root.after(_TK_INTERVAL, look)

    def __call__(self, call: Call) -> None:
        if self._is_gone:
            raise RuntimeError("the widget is destroyed: close the subscription before it")
        self._calls.put(call)
        self._held.append(self)  # after it, so that no look between them lets go of this

    def _make_calls(self) -> None:
        interval = 1 if len(self._calls) > 1 else _TK_INTERVAL
        self._timer = self._root.after(interval, self._look)
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


class _AsyncioLoop:
    """Makes calls in the thread of a loop, by a task that lives as long as any wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[Call] = deque()
        self._task: asyncio.Task[None] | None = None

    def __call__(self, call: Call) -> None:
        self._loop.call_soon_threadsafe(self._take, call)

    def _take(self, call: Call) -> None:
        self._calls.append(call)
        if self._task is None:
            self._task = self._loop.create_task(self._make_calls())

    async def _make_calls(self) -> None:
        import asyncio

        try:
            while self._calls:
                try:
                    result = self._calls.popleft()()
                    if inspect.isawaitable(result):
                        await result
                except Exception as error:
                    self._show(error)
                except asyncio.CancelledError as error:
                    # The loop ends; or something that the callback waited for was cancelled.
                    if (task := asyncio.current_task()) is None or task.cancelling():
                        raise
                    self._show(error)
                await asyncio.sleep(0)  # others have their turn
        finally:
            self._task = None

    def _show(self, error: BaseException) -> None:
        text = "a delivery raised; the next ones are made"
        self._loop.call_exception_handler({"message": text, "exception": error})
