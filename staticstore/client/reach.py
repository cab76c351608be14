"""The ways to a site for values that come from pickles, without a store."""

from __future__ import annotations

import threading
import weakref

from ..processes import PerProcess
from ..transport.sources import Sources
from .fork_imports import import_before_forks
from .kept import KeptValues
from .settings import Settings

__all__ = ["Reach"]


class Reach:
    """The sessions for all values of one site that were unpickled in this process.

    They are opened when a value is first read, and closed when the last value is gone.
    Any thread may use it; get it by `of`.

    Parameters
    ----------
    settings : Settings
        Those of the store that the values are from; also an attribute.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        options = dict(settings.options)
        self.kept = KeptValues.of(options["memory"], options["cache"], options["max_cache_bytes"])
        self._opening = PerProcess(threading.Lock)
        self._sources: Sources | None = None

    @classmethod
    def of(cls, settings: Settings) -> Reach:
        """Return the one for these settings, perhaps one that others use already."""
        shared = _SHARED.get()
        with shared.lock:
            known = shared.by_settings.get(settings)
            if known is None:
                known = shared.by_settings[settings] = cls(settings)
            return known

    def sources(self, alike: tuple[str, ...]) -> Sources:
        """Return where a value can be had.

        Parameters
        ----------
        alike : tuple of str
            The URLs of the roots that have the index of the value.
        """
        with self._opening.get():
            if self._sources is None:
                self._sources = self._opened()
        every = (*self._sources.alike, *self._sources.unlike)
        same = tuple(one for one in every if one.root.url in alike) or every[:1]
        unlike = tuple(one for one in every if one not in same)
        return Sources(same, unlike, self._sources.wholes)

    def _opened(self) -> Sources:
        from ..transport.copies import WholeValues  # seldom needed

        import_before_forks()
        first, *others = self.settings.open_sessions()
        wholes = WholeValues(first.wires) if others else None
        return Sources((first,), tuple(others), wholes)


class _Shared:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_settings: weakref.WeakValueDictionary[Settings, Reach]
        self.by_settings = weakref.WeakValueDictionary()


# The one place where values that know nothing of each other can share a connection.
_SHARED = PerProcess(_Shared)
