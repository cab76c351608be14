"""How the values of a site are reached: by a connected store, or from a pickle."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..index.fields import key_to_url_path
from ..processes import PerProcess
from ..transport.http.root import Root, roots_of

if TYPE_CHECKING:
    from ..disk.part_file import PartFolder
    from ..index.fields import Content
    from ..transport.http.session import Session
    from ..transport.http.wire import DocumentProgress
    from ..transport.values.remote_value import RemoteValue, Sources
    from .cache.values import ValueCache

__all__ = [
    "Access",
    "IndexDownload",
    "PickledAccess",
    "RenamedAccess",
    "Settings",
    "import_before_forks",
    "warn_of_exposed_passwords",
]

_HINT = (
    "a pickle or copy carries no password, no header fields and no proxies: call connect(auth=...)"
    " in this process, or first connect with a function as auth that can be imported here"
)
# Arguments of `connect` that concern the index alone.
_OF_INDEX = ("max_index_bytes", "index_deadline")
_PACKAGES = ("staticstore.disk", "staticstore.index", "staticstore.transport", "staticstore.client")
# Modules that these import when first needed.  Their own imports register functions that run
# at a fork, and must not do so during one: they are only waited for.
_WAITED_FOR = ("filelock", "platformdirs", "urllib.request")

_Pairs = tuple[tuple[str, Any], ...]


class Settings(NamedTuple):
    """The arguments of a store and of its last `connect`, without secrets.

    Two are equal if one connection serves for both.
    """

    #: With their queries, without users and passwords.
    roots: tuple[str, ...]
    #: Arguments of the constructor, and of `connect`.
    options: _Pairs
    connection: _Pairs = ()

    @classmethod
    def of(cls, roots: Sequence[Root], **options: Any) -> Settings:
        """Return the settings of a store that is not connected yet."""
        return cls(tuple(root.location for root in roots), tuple(options.items()))

    def connected(self, arguments: Mapping[str, Any]) -> Settings:
        """Return these settings with those arguments of `connect` that may be pickled."""
        public = dict(arguments)
        del public["headers"]
        if public["proxies"]:
            del public["proxies"]
        elif public["proxies"] is not None:  # use none
            public["proxies"] = ()
        auth = public.pop("auth")
        if auth in ("netrc", "instance") or _can_be_imported(auth):
            public["auth"] = auth
        for name in ("verify", "cert"):
            public[name] = _absolute(public[name])
        if isinstance(public["timeout"], list):
            public["timeout"] = tuple(public["timeout"])
        return self._replace(connection=tuple(public.items()))

    @property
    def hint(self) -> str | None:
        """What to add to a refusal; None if the pickle says how to authenticate."""
        return None if "auth" in dict(self.connection) else _HINT

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for `connect`."""
        arguments = dict(self.connection)
        if "proxies" in arguments and arguments["proxies"] is not None:
            arguments["proxies"] = {}
        return arguments

    def open_sessions(self) -> list[Session]:
        """Return a session for each root."""
        from ..transport.http.arguments import SessionOptions
        from ..transport.http.session import open_sessions  # slow to import

        arguments = {k: v for k, v in self.arguments().items() if k not in _OF_INDEX}
        origins = dict(self.options)["origins"]
        options = SessionOptions(origins=origins, hint=self.hint, **arguments)
        return open_sessions(roots_of(self.roots), options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings, without plain queries of the roots, which may be secrets.

        A pickle in a log or in the window of a queue does not show them.  It does not
        protect them from those who can read the pickle.
        """
        roots = tuple(base64.b64encode(root.encode()) for root in self.roots)
        return _unpickled, (roots, self.options, self.connection)


def _unpickled(roots: Sequence[bytes], options: _Pairs, connection: _Pairs) -> Settings:
    return Settings(tuple(base64.b64decode(r).decode() for r in roots), options, connection)


def _can_be_imported(auth: object) -> bool:
    # Only a function that a pickle names by its module: a method or a partial function
    # would be pickled with what it holds, perhaps the password.
    name = getattr(auth, "__qualname__", None)
    if not callable(auth) or not isinstance(name, str):
        return False
    found: object = sys.modules.get(getattr(auth, "__module__", None) or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is auth


def _absolute(path: Any) -> Any:
    # For a process in another folder.  Other values are returned unchanged.
    if isinstance(path, tuple | list):
        return tuple(map(_absolute, path))
    return os.path.abspath(path) if isinstance(path, str | os.PathLike) else path


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

    __slots__ = ("_sources", "_store", "cache", "settings")

    def __init__(
        self,
        settings: Settings,
        cache: ValueCache,
        sources: Sources | None,
        store: object = None,
    ) -> None:
        self.settings = settings
        self.cache = cache
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
    def data_path(self) -> str:
        """What is between a root and the key in the URL of a value."""
        data_path: str = dict(self.settings.options)["data_path"]
        return data_path

    def signed_url(self, key: str, seconds: int) -> str:
        """Return a URL of a value on the first root that is in a bucket."""
        alike = self.sources.alike
        session = next((one for one in alike if one.root.bucket is not None), alike[0])
        return session.signed_url(key_to_url_path(self.data_path, key), seconds)

    def remote_value(self, key: str, content: Content) -> RemoteValue:
        """Return a value on its hosts."""
        from ..transport.values.remote_value import RemoteValue

        sources = self.sources
        return RemoteValue(
            sources.alike[0],
            key_to_url_path(self.data_path, key),
            key,
            content.size,
            content.sha256,
            sources=None if sources.is_one else sources,
            store=self._store,
        )

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
        everyone = _EVERYONE.get()
        with everyone.lock:
            known = everyone.by_settings.get(settings)
            if known is None:
                known = everyone.by_settings[settings] = _SharedSessions(settings)
        super().__init__(known.settings, known.cache, None)
        self.shared = known
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

    def signed_url(self, key: str, seconds: int) -> str:
        """Return a URL of the value."""
        return self._access.signed_url(self._site_key, seconds)

    def remote_value(self, key: str, content: Content) -> RemoteValue:
        """Return the value on its hosts; errors have the key of the view."""
        return self._access.remote_value(self._site_key, content)._replace(key=key)


class _SharedSessions:
    """The sessions for all values of one site that were unpickled in this process.

    They are opened when a value is first read, and closed when the last value is garbage.
    """

    def __init__(self, settings: Settings) -> None:
        from .cache.values import ValueCache

        self.settings = settings
        options = dict(settings.options)
        self.cache = ValueCache.of(options["memory"], options["cache"], options["max_cache_bytes"])
        self._opening = PerProcess(threading.Lock)
        self._sources: Sources | None = None

    def sources(self) -> Sources:
        with self._opening.get():
            if self._sources is None:
                from ..transport.values.download import WholeValues  # seldom needed
                from ..transport.values.remote_value import Sources

                import_before_forks()
                first, *others = self.settings.open_sessions()
                wholes = WholeValues(first.wires) if others else None
                self._sources = Sources((first,), tuple(others), wholes)
            return self._sources


class _Everyone:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_settings: weakref.WeakValueDictionary[Settings, _SharedSessions]
        self.by_settings = weakref.WeakValueDictionary()


# The one place where unpickled values, which do not know each other, find a common connection.
_EVERYONE = PerProcess(_Everyone)


@functools.cache
def import_before_forks() -> None:
    """Import all that reading needs before the first fork of this process.

    Modules are imported when first needed, under a lock.  A child that is forked during
    such an import would wait for it forever.  A process that never forks imports nothing
    more.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=import_all)


@functools.cache
def import_all() -> None:
    """Import every module that reading may need."""
    import importlib
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
