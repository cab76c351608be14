"""The thread that checks an index behind its swap."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..errors import IndexFormatError
from ..index.snapshot import Index

__all__ = ["IndexCheck"]

_log = logging.getLogger("staticstore")
# The first moments after a swap are those of who waited for it.
_FIRST_PAUSE_SECONDS = 1.0
# Between two steps of a tenth of a millisecond, so that no other thread waits for this one;
# a million entries take about fifteen seconds.
_PAUSE_SECONDS = 0.001
# Where a pause takes so long others are busy, and would wait for the interpreter once more.
_BUSY_SECONDS = 0.003
_LONG_PAUSE_SECONDS = 0.01


class IndexCheck(threading.Thread):
    """Checks, a little at a time, what of an index was not checked when it was parsed.

    Parameters
    ----------
    index : Index
        The index.
    cut : threading.Event
        Ends the thread, at once.
    end : callable
        Called at the end, with what is wrong if the document is no index, else with None.
    """

    def __init__(
        self,
        index: Index,
        cut: threading.Event,
        end: Callable[[IndexFormatError | None], object],
    ) -> None:
        super().__init__(name="staticstore index check", daemon=True)
        self._index = index
        self._cut = cut
        self._end = end

    def concerns(self, index: Index) -> bool:
        """Tell whether this goes on, and what it finds is true of an index."""
        return self.is_alive() and self._index.shares_with(index)

    def run(self) -> None:
        """Check, step by step."""
        if self._cut.wait(_FIRST_PAUSE_SECONDS):
            return
        try:
            pause = _PAUSE_SECONDS
            for _ in self._index.checking():
                began = time.monotonic()
                if self._cut.wait(pause):
                    return
                is_busy = time.monotonic() - began > pause + _BUSY_SECONDS
                pause = _LONG_PAUSE_SECONDS if is_busy else _PAUSE_SECONDS
        except IndexFormatError as error:
            self._end(error)
        except Exception:  # no memory, say; what is read is checked all the same
            _log.exception("the check of an index ended in a way that it should not")
        else:
            self._end(None)
