"""What may take its time, done in a thread for a window that does not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar

from ..errors import StoreError

if TYPE_CHECKING:
    from ..client.subscription import Dispatch

__all__ = ["in_thread"]

Result = TypeVar("Result")
Failed = Callable[[StoreError | OSError], object]


def in_thread(
    work: Callable[[], Result],
    done: Callable[[Result], object],
    *,
    dispatch: Dispatch,
    failed: Failed | None = None,
) -> None:
    r"""Do in a thread what may take its time, and tell the window what came of it.

    It returns at once.  Work cannot be taken back; it ends with the program,
    at the latest.  If the window is gone when the work is done, nobody is told.

    Parameters
    ----------
    work : callable
        Called without arguments, by a thread of its own: it may read, wait
        and raise, and must not touch the window.
    done : callable
        Called with what the work returned, as a delivery of `dispatch`.
    dispatch : callable
        From `qt_dispatch`, `tk_dispatch` or `asyncio_dispatch`.  With
        the last one `done` and `failed` may be coroutine functions.
    failed : callable, optional
        Called instead of `done`, likewise, with a StoreError or OSError: what
        a site, the way to it or a disk can cause.  By default these are
        raised in the window's thread, and so is always everything else, which
        no program expects: the toolkit shows it as what a delivery raises.

    Notes
    -----
    Each call starts a thread.  Threads that run at the same time may end in
    any order: `done` asks whether what it brings is still wanted.

    The three callables are held until the work is done.  A program that goes
    on after the root of Tk was destroyed keeps a reference to that root: Tcl
    aborts if a thread that is not its own is the last to hold it.

    Examples
    --------
    >>> import asyncio
    >>> from staticstore.interop.desktop import asyncio_dispatch, in_thread
    >>> async def first_bytes():
    ...     told = asyncio.Queue()
    ...     value = sample_store["terrain/dem.tif"]
    ...     in_thread(value.read, told.put, failed=told.put, dispatch=asyncio_dispatch())
    ...     return (await told.get())[:4]
    >>> asyncio.run(first_bytes())
    b'II*\x00'
    """

    def run() -> None:
        tell = _outcome(work, done, failed)
        with suppress(RuntimeError):  # the window is gone
            dispatch(tell)

    threading.Thread(target=run, daemon=True).start()


def _outcome(
    work: Callable[[], Result], done: Callable[[Result], object], failed: Failed | None
) -> Callable[[], object]:
    """Do the work; return the call that tells of it."""
    try:
        result = work()
    except (StoreError, OSError) as error:
        return partial(failed or _raise, error)
    except Exception as error:
        return partial(_raise, error)
    return partial(done, result)


def _raise(error: Exception) -> NoReturn:
    try:
        raise error
    finally:
        del error  # or it would hold itself, by its traceback, and the window with it
