"""The store: a site as a live, read-only mapping."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from ..formats import form_name
from ..processes import PerProcess
from ..transport.http.root import Location, roots_of
from .access import Access, IndexDownload, warn_of_exposed_passwords
from .async_connection import AsyncConnectable, default_arguments
from .async_following import AsyncFollowing
from .async_reading import AsyncReading
from .following.live import LiveIndex
from .live_store import LiveStore
from .pickles.picklable_store import PicklableStore
from .pickles.settings import Settings, checked_trust, signed_site
from .site_snapshot import SiteSnapshot, Values

if TYPE_CHECKING:
    from ..formats import Read
    from ..index.snapshot import Index
    from ..transport.http.arguments import Credentials
    from ..transport.http.session import Session
    from .following.connection import Begun
    from .following.held import LazyIndex
    from .pickles.partitions import ReadMany
    from .views import PrefixStore

__all__ = ["StaticStore", "download_index_by", "site_snapshot"]


class StaticStore(PicklableStore, AsyncReading, AsyncFollowing, AsyncConnectable):
    r"""A site on a static web host, as a live, read-only mapping from keys to values.

    The constructor takes where the site is, `connect` how it is reached: no secret is in
    a repr, a log, an exception or a pickle.  Every method is thread-safe, reads one snapshot, and
    never waits for a poll.  A store compares and hashes by identity, and is always true.

    After `disconnect`, `index`, `info` and the repr still work; else `NotConnectedError` is raised.

    A forked child continues from the snapshot that it inherits, by its own connections, and
    polls from its first use of the store if its parent polled.  Streams that were open at the
    fork raise `NotConnectedError` there.  Handlers, and subscriptions without `dispatch`, get
    the changes of the child's own polls.

    A pickle contains the roots, the options and the arguments of `connect`, no passwords,
    header fields, proxies or snapshot.  An unpickled store connects at its first use, without
    polling.  A function given as ``auth`` is pickled by its name, if it can be imported.

    Parameters
    ----------
    root_url : str or path, or several of them
        An http(s) URL, a ``file:`` URL, a local path, or a bucket: ``s3://bucket/prefix``,
        ``gs://bucket/prefix``, ``az://container/prefix``.  A user and password in it (not of a
        bucket) are used unless `connect` gets others.  Of several roots the first is the site
        and decides; the others are copies, which serve whole values that have a sha256, and
        parts cut out of those.  While the first one fails, the store keeps its snapshot and
        is stale; a store without one takes the index of a copy, with a warning.
    format : str or callable, optional
        To read an index that others publish, from the URL of its first document: the name of
        its form, such as ``"pooch"`` (see `staticstore.formats`), or a function.  Its folder is
        the root, and `data_path` is empty.
    data_path : str, optional
        The path between the root and a key in the URL of a value.
    index_path : str, optional
        The path of the index below the root.
    poll_interval : float, optional
        Seconds between polls; 0 for no polling.
    lazy : bool, optional
        Whether to fetch only what a look-up of a key needs: the head, and verified parts of the
        index.  Polls then ask for the head alone.  The whole is fetched for iterating, querying,
        `index`, subscribing and signal handlers, and from a host without head, blocks or ranges.
    equal_roots : bool, optional
        Whether all roots are trusted alike: the newest counts, and any may serve parts.
    cache : True or path, optional
        A folder for the last index and for values with a sha256, which stores and processes may
        share; True for this user's own.  With it, `connect` works without the host.  Its files may
        be deleted at any time.  A link, or one that others own or may write, is a warning.
    max_cache_bytes : int, optional
        Above it, the least recently used are deleted.  Values above a quarter are not cached.
    memory : int, optional
        The most bytes of values with a sha256 to keep in memory; by default none.
    origins : "own", "any" or sequence of str, optional
        Other origins than its own (any, with a format) at which the index may say that values
        are, such as ``["https://cdn.example.org"]``; no secret is sent there.  From a public site
        an inner address (loopback, private, link-local and so on) is refused, also after a
        redirect or a change of a name, unless named here; behind a proxy only if in a URL.
    endpoint, region : str, optional
        For buckets: the URL of another host that speaks the protocol; and of S3 the region, else
        that of the environment or the profile, or us-east-1.
    trust : path or bytes, optional
        The root file of a signed site: the index must be signed by the keys that it names.
        Of several roots the newest signature counts.  Only a cache remembers it over processes.

    Raises
    ------
    TypeError, ValueError
        An argument is invalid, for example a path out of the root.
    StoreError
        The root file cannot be read.

    Examples
    --------
    >>> with StaticStore(sample_site, poll_interval=0) as store:
    ...     for key, metadata in store.query(select=["title"], geometry="Point"):
    ...         print(key, "-", metadata["title"])
    ...     with store["terrain/dem.tif"].range(0, 4) as head:
    ...         print(head.read())
    places/places.geojson - ...
    b'II*\x00'
    """

    def __init__(
        self,
        root_url: Location | Iterable[Location],
        *,
        format: str | Read | None = None,
        data_path: str = "data/",
        index_path: str = "index.json",
        poll_interval: float = 300.0,
        lazy: bool = False,
        equal_roots: bool = False,
        cache: bool | str | os.PathLike[str] | None = None,
        max_cache_bytes: int = 4 << 30,
        memory: int = 0,
        origins: str | Iterable[str] | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        trust: bytes | str | os.PathLike[str] | None = None,
    ) -> None:
        from .cache.values import ValueCache  # not needed to import staticstore

        of_bucket = {"endpoint": endpoint, "region": region}
        self._roots = roots_of(root_url, **of_bucket, name_documents=format is not None)
        self._root = self._roots[0]
        self._poll_interval = poll_interval
        self._cache = ValueCache.of(memory, cache, max_cache_bytes)
        self._settings = Settings.of(
            self._roots,
            format=format,
            data_path=data_path,
            index_path=index_path,
            poll_interval=poll_interval,
            lazy=lazy,
            equal_roots=equal_roots,
            cache=cache if isinstance(cache, bool | None) else os.path.abspath(cache),
            max_cache_bytes=max_cache_bytes,
            memory=memory,
            origins=origins,
            trust=checked_trust(trust, index_path),
        )
        self._options = dict(self._settings.options)
        self._connecting = PerProcess(threading.RLock)
        self._download = IndexDownload()
        self._live_index = LiveIndex(self)
        self._site = signed_site(self._cache.folder, self._root, self._options)

    @classmethod
    def _of(cls, settings: Settings) -> Self:
        return cls(settings.roots, **dict(settings.options))

    @property
    def _live(self) -> LiveIndex:
        return self._live_index.here()

    def connect(
        self,
        auth: Credentials = None,
        *,
        proxies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | os.PathLike[str] = True,
        cert: str | tuple[str, str] | None = None,
        timeout: float | tuple[float, float] = (5.0, 30.0),
        retries: int = 4,
        max_index_bytes: int = 1 << 30,
        index_deadline: float = 300.0,
        min_rate: float = 1024,
        anonymous: bool = False,
    ) -> StaticStore:
        """Fetch the index, then start to poll.

        The first snapshot sends no signals; what differs from an earlier one, of the cache or
        of before a `disconnect`, is signaled before this returns.

        With an index in the cache, only changes are requested.  If the host cannot be reached
        (a store that polls waits ten seconds), the store starts with that index, is stale, and
        polls again after five seconds.  A refusal, or a document that is no index, is raised.

        Parameters
        ----------
        auth : (str, str), mapping, AuthBase, "netrc" or callable, optional
            User and password; a mapping with ``username`` and ``password``; any
            `requests.auth.AuthBase`; ``"netrc"`` for the entry of exactly this host in the
            user's netrc file; or a function without arguments that returns one of these,
            called now.  Sent to the origin of the first root only, never to where it
            redirects.  Other roots of several have theirs in their URLs or the netrc file.
            For a bucket: key and secret, a mapping with obstore's names, ``"instance"``, or a
            function that returns one, called again before that expires; None for what the
            environment and the user's files have.
        proxies : mapping, optional
            As in requests, with credentials in URLs; None uses the environment, ``{}`` none.
        headers : mapping, optional
            More header fields, for the origin of the first root only.
        verify : bool or path, optional
            Whether to check certificates, or a file with the CAs to trust.
        cert : path or (path, path), optional
            Client certificate, or that and its key; for the origin of the first root only.
        timeout : float or (float, float), optional
            Seconds to connect, and seconds without a byte, at most.
        retries : int, optional
            Repetitions of a request after no connection, 429, 500, 502, 503 or 504.
        max_index_bytes : int, optional
            The most bytes of an index, decoded.
        index_deadline : float, optional
            Seconds for fetching the index, in all, and one more for each 32 KiB that came.
        min_rate : float, optional
            The least bytes per second of a value, averaged over the read timeout.
        anonymous : bool, optional
            Whether to send no credentials to a bucket.

        Returns
        -------
        StaticStore
            This store.

        Raises
        ------
        TypeError, ValueError
            An argument is invalid.
        TransportError
            The index could not be fetched; `AuthorizationError` without valid credentials.
        IndexFormatError
            The document is no index.
        StoreError
            The store is connected already, or an argument names a file that does not exist.
        NotConnectedError
            Another thread called `disconnect` meanwhile.
        """
        arguments = dict(locals())
        del arguments["self"]
        self._connect(arguments, None)
        return self

    def _connect(
        self,
        arguments: dict[str, Any],
        poll_interval: float | None,
        begun: Begun | None = None,
        sessions: list[Session] | None = None,
    ) -> None:
        from .following.roots import follower_class  # slow to import: requests
        from .following.site_connection import open_connection

        settings = self._settings.connected(arguments)
        connection, exposed = open_connection(
            self._roots,
            self._options,
            arguments,
            poll_interval=self._poll_interval if poll_interval is None else poll_interval,
            hint=settings.hint if self._is_unpickled else None,
            freshness=self._live.freshness,
            folder=self._cache.folder,
            download=self._download,
            sessions=sessions,
            follower=follower_class(self._options, len(self._roots), self._site),
        )
        if begun is not None:
            begun(connection)
        warned = warn_of_exposed_passwords(exposed)
        # Before the first signal: a handler may pickle the store, or a value.
        before, self._settings = self._settings, settings
        try:
            self._live.open(connection, is_lazy=self._options["lazy"])
        except BaseException:  # what is pickled is how the store was connected
            self._settings = before
            raise
        self._warnings, self._is_unpickled = warned, False

    def disconnect(self) -> None:
        """End polling, requests and waits; idempotent, and returns within a second.

        Open streams then raise `NotConnectedError`.  An announcement that has begun is
        finished; later ones follow after the next `connect`.
        """
        self._is_unpickled = False
        self._live_index.here(polls=False).close()

    def _enter(self, begun: Begun | None = None) -> None:
        if self._is_unpickled:
            self._opened(begun)
        elif not self.is_connected():
            self._connect(default_arguments(), None, begun)

    def below(self, prefix: str) -> PrefixStore:
        """View the keys that begin with a prefix, without it.

        Parameters
        ----------
        prefix : str
            Exactly the text that keys begin with, such as ``"terrain/"``.

        Returns
        -------
        PrefixStore
            A `StoreView`: it reads like this store, and is connected as long as this store is.

        Examples
        --------
        >>> list(sample_store.below("terrain/"))
        ['contours.geojson', 'dem.tif', 'hillshade.png', 'relief.png', 'slope.tif']
        """
        from .views import PrefixStore  # seldom needed

        return PrefixStore(self, prefix)

    def info(self) -> dict[str, Any]:
        """Return what the store knows of its site and of itself, without I/O.

        Returns
        -------
        dict
            ``root_url``; ``source``, the root of the index; ``generation`` of the index, or
            None without a head; ``entries``; ``last_success``, an aware datetime, and ``age``,
            seconds since then; ``last_error``, the text of the failure of the last poll, or
            None; ``trust``, ``"transport"``, ``"signed"`` or ``"expired"``, or None without an
            index; ``trust_expires``, an aware datetime or None; ``stale``, whether the index is
            a copy's, or may be old; ``warnings``, texts on what was left out of the index, is
            unsafe, or disables the cache; ``table``, the URL of a Parquet file of the index; of a
            foreign index ``format`` and the number of ``documents``.
        """
        info = {"root_url": self._root.url, **self._live.info(self._root.url)}
        if self._options["format"] is not None:
            info["format"] = form_name(self._options["format"])
        problems = [] if self._cache.problem is None else [self._cache.problem]
        info["warnings"] = [*self._warnings, *info["warnings"], *problems]
        return info

    def __repr__(self) -> str:
        """Show the root and the number of keys; no secret."""
        entries = self._live.info(self._root.url)["entries"]
        keys = "" if entries is None else f", {entries} keys"
        state = "connected" if self.is_connected() else "not connected"
        return f"<StaticStore: {self._root.url}{keys}, {state}>"

    def _opened(self, begun: Begun | None = None) -> LiveIndex:
        live = self._live_index
        if not self._is_unpickled and live.is_here:
            return live
        if self._is_unpickled:
            with self._connecting.get():
                if self._is_unpickled and not self.is_connected():  # in a handler
                    self._join(begun)
        return self._live

    @property
    def _sites(self) -> dict[LiveIndex, LiveStore]:
        return {self._live: self}

    def _index(self) -> Index | LazyIndex:
        (live := self._opened()).connected()
        return live.readable()[0]

    def _values(self) -> Values:
        live = self._opened()
        sources = live.connected().follower.sources
        index, held = live.readable()
        return Values(index, Access(self._settings, self._cache, sources(held), self))

    def _reader(self) -> ReadMany:
        from .many import read_many

        return read_many


def site_snapshot(store: LiveStore) -> SiteSnapshot:
    """Return the current snapshot of a store, whole, for a copy of its site."""
    if not isinstance(store, StaticStore):  # a view has no site of its own
        raise TypeError(f"only a StaticStore can be copied, not a {type(store).__name__}")
    live = store._opened()
    follower, held, known = live.connected().follower, live.held, live.freshness
    return SiteSnapshot(
        Values(held.index, Access(store._settings, store._cache, follower.sources(held), store)),
        held,
        follower,
        store._options["index_path"],
        modified=known.modified if held.sha256 == known.sha256 else None,
        was_believed=known.believed > 0,
    )


def download_index_by(store: StaticStore, download: IndexDownload) -> None:
    """Set how the next `connect` of a store downloads its index."""
    store._download = download
