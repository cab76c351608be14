"""A store that the file systems of one process share, and that is polled when asked."""

from __future__ import annotations

import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING

from ...client.tasks.calls import AsyncCalls
from ...errors import AuthorizationError, NotConnectedError, StoreError
from ...processes import PerProcess
from .directories import Directories

if TYPE_CHECKING:
    from ...client.store import StaticStore
    from ...index.snapshot import Index
    from .storage_options import StorageOptions

__all__ = ["ProcessStore"]

_HINT = (
    "; what is unpickled, or read from JSON, carries no password, no header fields and no"
    ' proxies: make a file system with them in this process, or give auth as "module:function"'
)


class ProcessStore:
    """A store that is connected at its first use, and polled if its index is too old.

    Nothing polls by itself: fsspec holds its file systems for ever.  Thread-safe, in forked
    children, too.

    Parameters
    ----------
    options : StorageOptions
        Where the site is, and how it is reached.
    """

    def __init__(self, options: StorageOptions) -> None:
        self._options = options
        self._store = options.store()
        self._is_lazy = bool(options.public.get("lazy"))
        self._lock = PerProcess(threading.Lock)
        # When the index was last asked for, as `time.monotonic`.
        self._asked_at = float("-inf")
        self._calls = AsyncCalls(self)
        # Those of a snapshot; replaced with it.
        self._directories: Directories | None = None

    @staticmethod
    def of(options: StorageOptions) -> ProcessStore:
        """Return the store of these options in this process.

        A file system that came without its secrets gets a connection of its site that
        others of its process have; one of its own if they have none, or several accounts.
        """
        place, account = options.place, options.public.get("account")
        with _LOCK.get():
            found = _SHARED.get((place, account))
            if found is None and options.is_without_secrets:
                others = [one for (where, _), one in list(_SHARED.items()) if where == place]
                found = others[0] if len(others) == 1 else None
            if found is None:
                found = _SHARED[place, account] = ProcessStore(options)
        return found

    def forget_age(self) -> None:
        """Poll at the next use."""
        self._asked_at = float("-inf")

    def is_ready(self, since: float) -> bool:
        """Return whether the store is connected, and was polled since then."""
        return self._asked_at > since and self._store.is_connected()

    def ready(self, since: float) -> StaticStore:
        """Return the store, connected and polled after then, as `time.monotonic`.

        Raises
        ------
        StoreError
            It cannot be connected.  A poll that fails is none: the snapshot stays.
        """
        if not self.is_ready(since):
            with self._lock.get():
                if not self.is_ready(since):  # another thread was faster
                    self._ask()
        return self._store

    async def ready_async(self, since: float) -> StaticStore:
        """Return the store as `ready`, without blocking the event loop."""
        if self.is_ready(since):
            return self._store
        return await self._calls.make(partial(self.ready, since))

    def directories(self) -> Directories:
        """Return the directories of the current snapshot; a lazy store may fetch it."""
        index: Index = self._store.index
        known = self._directories
        if known is None or known.index is not index:
            known = self._directories = Directories(index)
        return known

    def known_directories(self) -> Directories | None:
        """Return the directories without a request; None of a lazy store."""
        return None if self._is_lazy else self.directories()

    async def directories_async(self) -> Directories:
        """Return the directories as `directories`, without blocking the event loop."""
        return await self._calls.make(self.directories) if self._is_lazy else self.directories()

    def _ask(self) -> None:
        now = time.monotonic()
        if self._store.is_connected():
            try:
                self._store.update_index()
            except NotConnectedError:
                raise
            except StoreError:  # `info` says it, and `poll_failed` was sent
                pass
        else:
            self._connect()
        self._asked_at = now

    def _connect(self) -> None:
        try:
            self._options.connect(self._store)
        except AuthorizationError as error:
            if self._options.is_without_secrets and error.args:
                error.args = (f"{error.args[0]}{_HINT}", *error.args[1:])
            raise


# The one place where file systems, which do not know each other, find a common connection.
_SHARED: weakref.WeakValueDictionary[tuple[str, str | None], ProcessStore]
_SHARED = weakref.WeakValueDictionary()
_LOCK = PerProcess(threading.Lock)
