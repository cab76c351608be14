"""A folder of one snapshot of a site, for libraries that read by paths."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

from .. import tuning
from ..client.live_store import LiveStore
from ..errors import IntegrityError
from ..processes import PerProcess
from .snapshot_reading import SnapshotReading

if TYPE_CHECKING:
    from ..client.following.held import LazyIndex
    from ..index.fields import Content
    from ..index.snapshot import Index

__all__ = ["SnapshotFolder"]


class SnapshotFolder:
    """The values of one snapshot below a prefix, by the rest of their keys.

    A pickle has the store, the prefix, and a digest of what the snapshot says of the bytes
    of the values.  What is unpickled takes the snapshot that its store has at the first use,
    and refuses one that says something else.  Two are equal if they read the same site in
    the same way, and their digests are the same.  Any thread may use it.

    Parameters
    ----------
    store : StaticStore or view
        The store.
    prefix : str
        The folder, with or without a slash at its end; empty for all keys.

    Attributes
    ----------
    store : StaticStore or view
        The store.
    prefix : str
        What is before a path in its key: empty, or with a slash at its end.
    taken : SnapshotReading or None
        What `site` returns, once it is known.

    Raises
    ------
    TypeError
        The prefix is not text, or the store is none.
    NotConnectedError
        The store is not connected.
    """

    def __init__(self, store: LiveStore, prefix: str) -> None:
        if not isinstance(store, LiveStore):
            raise TypeError(f"a StaticStore or a view is needed, not a {type(store).__name__}")
        if not isinstance(prefix, str):
            raise TypeError(f"a prefix is text, not {type(prefix).__name__}")
        # No key begins with a slash.
        folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._begin(store, folder, None, SnapshotReading(store))

    def _begin(
        self,
        store: LiveStore,
        prefix: str,
        digest: str | None,
        taken: SnapshotReading | None = None,
    ) -> None:
        self.store = store
        self.prefix = prefix
        self._digest = digest
        self.taken = taken
        self._taking = PerProcess(threading.Lock)

    def __getstate__(self) -> tuple[Any, ...]:
        """Pickle the store, the prefix and the digest; no snapshot, and no secret."""
        return self.store, self.prefix, self.digest

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take what was pickled; nothing is connected now."""
        self._begin(*state)

    def __eq__(self, other: object) -> bool:
        """Return whether both read the same bytes of the same site."""
        if not isinstance(other, SnapshotFolder):
            return NotImplemented
        return self is other or (
            self.prefix == other.prefix
            and _place_of(self.store) == _place_of(other.store)
            and self.digest == other.digest
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def root_url(self) -> str | None:
        """The URL of the root, without a secret; None of a view of several sites."""
        url: str | None = self.store.info()["root_url"]
        return url

    def __str__(self) -> str:
        """Return the place for messages: a URL, or view and prefix; no secret."""
        root, prefix = self.root_url, self.prefix.removesuffix("/")
        if root is None:
            return f"{type(self.store).__name__}/{prefix}"
        data_path = None if self.taken is None else self.taken.data_path
        return f"{root}{'' if data_path is None else data_path}{prefix}"

    @property
    def site(self) -> SnapshotReading:
        """What to read from; what was unpickled connects its store at the first use.

        Raises
        ------
        IntegrityError
            The site has changed since this was pickled.
        StoreError
            The store could not be connected.
        """
        if self.taken is None:
            with self._taking.get():
                if self.taken is None:
                    self.taken = self._checked(SnapshotReading(self.store))
        return self.taken

    async def site_async(self) -> SnapshotReading:
        """Return `site`, without blocking the event loop."""
        if self.taken is None:
            from ..client.tasks.calls import call_in_thread  # slow to import: asyncio

            return await call_in_thread(lambda: self.site)
        return self.taken

    def _checked(self, site: SnapshotReading) -> SnapshotReading:
        digest = _digest_of(site, self.prefix)
        if digest is not None and self._digest is not None and digest != self._digest:
            raise IntegrityError(
                f"the site has changed below {self.prefix!r} since this was pickled: open it again",
                expected=self._digest,
                actual=digest,
            )
        return site

    @property
    def digest(self) -> str | None:
        """A digest of the entries' bytes; None if only parts of the index are held.

        The first use takes 2 µs for each value.
        """
        if self._digest is None:
            self._digest = _digest_of(self.site, self.prefix)
        return self._digest

    # -- looking up ------------------------------------------------------------------------

    def paths(self, prefix: str = "", after: str = "") -> Iterator[str]:
        """Iterate over the paths below a prefix that are greater than `after`."""
        last = self.prefix + after
        keys = _keys(self.site.snapshot, self.prefix + prefix, last)
        cut = len(self.prefix)
        return (key[cut:] for key in keys if key != last)

    def level(self, prefix: str = "") -> Iterator[str]:
        """Iterate over one level of the paths; those of folders have a slash at their end."""
        cut = len(self.prefix)
        return (key[cut:] for key in self.site.snapshot.prefixes(self.prefix + prefix))

    def contents(self, paths: Iterable[str]) -> Iterator[tuple[str, Content]]:
        """Iterate over what the index says of the bytes of values."""
        cut = len(self.prefix)
        keys = (self.prefix + path for path in paths)
        return ((key[cut:], one) for key, one in _contents(self.site.snapshot, keys))


def _keys(index: Index | LazyIndex, prefix: str, start: str) -> Iterator[str]:
    keys = index.keys_from(max(prefix, start))
    return takewhile(lambda key: key.startswith(prefix), keys)


def _contents(index: Index | LazyIndex, keys: Iterator[str]) -> Iterator[tuple[str, Content]]:
    while some := list(islice(keys, tuning.WINDOW_KEYS)):
        yield from index.contents_of(some).items()


def _digest_of(site: SnapshotReading, prefix: str) -> str | None:
    if not site.is_in_memory:
        return None
    index, digest = site.snapshot, hashlib.sha256()
    for key, content in _contents(index, _keys(index, prefix, prefix)):
        # A value without a digest is known by its size, its time and its place.
        place = content.placed and content.placed.href
        known = content.sha256 or f"{content.modified} {place}"
        line = f"{key}\n{content.size} {known}\n"
        digest.update(line.encode())
    return digest.hexdigest()


def _place_of(thing: Any) -> Any:
    """Return what is the same for two stores that read the same site in the same way."""
    if isinstance(thing, LiveStore):
        return _place_of(thing.__reduce__())
    if isinstance(thing, dict):
        return {key: _place_of(one) for key, one in thing.items()}
    if isinstance(thing, tuple | list):
        return tuple(map(_place_of, thing))
    return thing
