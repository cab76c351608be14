"""How the values of a site are reached: by a connected store, or from a pickle."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .. import tuning
from ..errors import TransportError
from ..index.fields import key_to_url_path
from ..index.hidden import CompressedCopy
from ..processes import KeptObjects, PerProcess, fork_gate
from .pickles.settings import Settings

if TYPE_CHECKING:
    from ..disk.part_file import PartFolder
    from ..index.fields import Content
    from ..index.placed import Placed
    from ..transport.http.elsewhere import Location
    from ..transport.http.session import Session
    from ..transport.http.wire import DocumentProgress
    from ..transport.values.compression import CompressedReads
    from ..transport.values.remote_value import RemoteValue, Sources
    from .cache.values import ValueCache

__all__ = [
    "Access",
    "IndexDownload",
    "PickledAccess",
    "RenamedAccess",
    "SharedSite",
    "import_before_forks",
    "warn_of_exposed_passwords",
]

_PACKAGES = ("staticstore.disk", "staticstore.index", "staticstore.transport", "staticstore.client")
# Modules that these import when first needed.  Their own imports register functions that run
# at a fork, and must not do so during one: they are only waited for.
_WAITED_FOR = ("backports.zstd", "filelock", "platformdirs", "urllib.request")

T = TypeVar("T")


class IndexDownload(NamedTuple):
    """How an index is downloaded, for a program that waits for it."""

    #: Where the parts of an interrupted index are kept, without a cache.
    parts: PartFolder | None = None
    #: Called as ``progress(done, total)`` in bytes, for each document in turn.
    progress: DocumentProgress | None = None


class Access:
    """The way of a connected store to the values of one snapshot; thread-safe.

    Parameters
    ----------
    settings : Settings
        The settings of the store; also an attribute.
    cache : ValueCache
        The values that need not be fetched; also an attribute.
    sources : Sources
        Where values can be read.
    store : object, optional
        Kept alive: a store that is garbage is disconnected.
    """

    __slots__ = ("_sources", "_store", "cache", "data_path", "settings")

    def __init__(
        self,
        settings: Settings,
        cache: ValueCache,
        sources: Sources | None,
        store: object = None,
    ) -> None:
        self.settings = settings
        self.cache = cache
        #: What is between a root and the key in the URL of a value.
        self.data_path: str = dict(settings.options)["data_path"]
        self._sources = sources
        self._store = store

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle how the site is reached; no secret, and no connection."""
        return PickledAccess, (self.settings, self.alike)

    @property
    def sources(self) -> Sources:
        """Where values can be read."""
        assert self._sources is not None
        return self._sources

    @property
    def session(self) -> Session:
        """The session of the root that is asked first."""
        return self.sources.session

    @property
    def _first(self) -> Session:
        """The session of the first root, which says where placed values are."""
        alike, unlike, _ = self.sources
        first = self.settings.roots[0]
        return next((one for one in (*alike, *unlike) if one.root.location == first), alike[0])

    def signed_url(self, key: str, content: Content, seconds: int) -> str:
        """Return a URL of a value on the first root that is in a bucket."""
        if content.placed is not None:
            session, url_path = self._located(key, content.placed)
            return session.signed_url(url_path, seconds)
        alike = self.sources.alike
        session = next((one for one in alike if one.root.bucket is not None), alike[0])
        return session.signed_url(key_to_url_path(self.data_path, key), seconds)

    def url(self, key: str, content: Content) -> str:
        """Return the URL of a value, whether or not it may be requested."""
        if content.placed is None:
            return self.sources.alike[0].root.join(key_to_url_path(self.data_path, key))
        from ..transport.http.elsewhere import placed_url

        try:
            return self._located(key, content.placed).url
        except TransportError:
            return placed_url(content.placed, self._first.root)

    def url_path(self, key: str, content: Content) -> str | None:
        """Return the path by which a value is requested from `session` together with others.

        None for a placed value that has to be read by itself, which then says why.
        """
        if content.placed is None:
            return key_to_url_path(self.data_path, key)
        try:
            session, url_path = self._located(key, content.placed)
        except TransportError:
            return None
        return url_path if session is self.session else None

    def _located(self, key: str, placed: Placed) -> Location:
        from ..transport.http.elsewhere import locate  # seldom needed

        return locate(placed, self._first, key)

    def remote_value(self, key: str, content: Content) -> RemoteValue:
        """Return a value on its hosts.

        Raises
        ------
        TransportError
            The index says that it is where the site may not lead to.
        """
        from ..transport.values.remote_value import RemoteValue

        sources = self.sources
        session, url_path = sources.alike[0], key_to_url_path(self.data_path, key)
        copy_path = None
        if content.placed is not None:
            copy_path = url_path
            session, url_path = self._located(key, content.placed)
        return RemoteValue(
            session,
            url_path,
            key,
            content.size,
            content.sha256,
            checksum=content.checksum,
            copy_path=copy_path,
            sources=None if sources.is_one else sources,
            store=self._store,
            compressed=None if content.compressed is None else self.compressed_reads(content),
        )

    def compressed_reads(self, content: Content) -> CompressedReads | None:
        """Return what reads a value by its compressed copy; None to read the value itself.

        A copy is read where it is shorter, size and digest of the value are known, and
        there is a module that decompresses.  A value in a folder is there already.
        """
        copy, size = content.compressed, content.size
        if copy is None or size is None or content.sha256 is None or content.placed is not None:
            return None
        from ..transport.values.compression import CompressedReads  # seldom needed
        from ..zstd import find_zstd, may_decompress

        session = self.session
        if not may_decompress(copy.size, size) or session.root.is_local or find_zstd() is None:
            return None
        reads = CompressedReads(CompressedCopy(copy.size, copy.sha256))
        return None if reads.is_failing(session) else reads

    @property
    def alike(self) -> tuple[str, ...]:
        """The URLs of the roots that have the index of the snapshot."""
        return tuple(session.root.url for session in self.sources.alike)

    def renamed(self, site_key: str) -> Access:
        """Return the way to one value that a view shows under another key."""
        return RenamedAccess(self, site_key)


class PickledAccess(Access):
    """The way to a value that was unpickled, without a store.

    All values of one site share their sessions.

    Parameters
    ----------
    settings : Settings
        The settings of the store that the value is from.
    alike : tuple of str
        The URLs of the roots that have the index of the snapshot.
    """

    __slots__ = ("_alike", "shared")

    def __init__(self, settings: Settings, alike: tuple[str, ...]) -> None:
        self.shared = SharedSite.of(settings)
        super().__init__(self.shared.settings, self.shared.cache, None)
        self._alike = alike

    @property
    def sources(self) -> Sources:
        """Where values can be read."""
        opened = self.shared.sources()
        every = (*opened.alike, *opened.unlike)
        same = tuple(one for one in every if one.root.url in self._alike) or every[:1]
        unlike = tuple(one for one in every if one not in same)
        return opened._replace(alike=same, unlike=unlike)

    @property
    def alike(self) -> tuple[str, ...]:
        """The URLs of the roots that have the index of the snapshot."""
        return self._alike


class RenamedAccess(Access):
    """The way to one value that has another key in a view than on its site.

    Parameters
    ----------
    access : Access
        The way to the values of the site.
    site_key : str
        The key on the site.
    """

    __slots__ = ("_access", "_site_key")

    def __init__(self, access: Access, site_key: str) -> None:
        super().__init__(access.settings, access.cache, None)
        self._access = access
        self._site_key = site_key

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the way to the site, and the key there."""
        return RenamedAccess, (self._access, self._site_key)

    @property
    def sources(self) -> Sources:
        """Where values can be read."""
        return self._access.sources

    @property
    def alike(self) -> tuple[str, ...]:
        """The URLs of the roots that have the index of the snapshot."""
        return self._access.alike

    def renamed(self, site_key: str) -> Access:
        """Return this: a view of a view renames the value again."""
        return self

    def signed_url(self, key: str, content: Content, seconds: int) -> str:
        """Return a URL of the value."""
        return self._access.signed_url(self._site_key, content, seconds)

    def url(self, key: str, content: Content) -> str:
        """Return the URL of the value."""
        return self._access.url(self._site_key, content)

    def remote_value(self, key: str, content: Content) -> RemoteValue:
        """Return the value on its hosts; errors have the key of the view."""
        try:
            return self._access.remote_value(self._site_key, content)._replace(key=key)
        except TransportError as error:
            error.key = key
            raise


class SharedSite:
    """What the stores and values of one site share that were unpickled in this process.

    Its sessions are opened when one of them is first read.  It ends when all of them are
    garbage, but not before some seconds have passed: tasks of a cluster come one after the
    other, each with pickles of its own.

    Parameters
    ----------
    settings : Settings
        Those of the stores; also an attribute.

    Attributes
    ----------
    cache : ValueCache
        Of their values.
    """

    def __init__(self, settings: Settings) -> None:
        from .cache.values import ValueCache

        self.settings = settings
        options = dict(settings.options)
        self.cache = ValueCache.of(options["memory"], options["cache"], options["max_cache_bytes"])
        self._index: Any = None
        self._opening = PerProcess(threading.Lock)
        self._sources: Sources | None = None

    @staticmethod
    def of(settings: Settings) -> SharedSite:
        """Return that of a store's settings in this process."""
        return _SITES.get().get(settings)

    def index(self, make: Callable[[], T]) -> T:
        """Return what the stores have their index from, which the first of them makes."""
        with self._opening.get():
            if self._index is None:
                self._index = make()
            found: T = self._index
            return found

    @property
    def sessions(self) -> list[Session]:
        """One for each root, the first one first."""
        opened = self.sources()
        return [*opened.alike, *opened.unlike]

    def sources(self) -> Sources:
        """Return where values can be read; nothing is requested yet."""
        with self._opening.get():
            if self._sources is None:
                from ..transport.values.download import WholeValues  # seldom needed
                from ..transport.values.remote_value import Sources

                import_before_forks()
                first, *others = self.settings.open_sessions()
                wholes = WholeValues(first.wires) if others else None
                self._sources = Sources((first,), tuple(others), wholes)
            return self._sources


def _sites() -> KeptObjects[Settings, SharedSite]:
    return KeptObjects(SharedSite, lambda: tuning.SHARED_SITE_SECONDS)


# The one place where stores and values from pickles, which do not know each other, find a
# common connection.
_SITES = PerProcess(_sites)


@functools.cache
def import_before_forks() -> None:
    """Import all that reading needs before the first fork of this process.

    Modules are imported when first needed, under a lock.  A child that is forked during
    such an import would wait for it forever.  A process that never forks imports nothing
    more.  Packages that may be missing, and so are looked for again and again, are
    imported through the gate.
    """
    fork_gate()  # before the next, so that it is closed after the imports
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=import_all)


@functools.cache
def import_all() -> None:
    """Import every module that reading may need."""
    import pkgutil

    names = [name for name in _WAITED_FOR if name in sys.modules]
    for package in _PACKAGES:
        path = importlib.import_module(package).__path__
        names += [module.name for module in pkgutil.walk_packages(path, f"{package}.")]
    for name in names:
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)


def warn_of_exposed_passwords(urls: Iterable[str]) -> tuple[str, ...]:
    """Warn of passwords that are sent in the clear; called by what `connect` calls."""
    texts = tuple(f"the password for {url} is sent in the clear: use https" for url in urls)
    for text in texts:
        warnings.warn(text, stacklevel=4)
    return texts
