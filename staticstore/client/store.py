"""The store: a site as a mapping that is alive."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from ..index.changes import Action, Change, Changes
from ..index.keys import check_key
from ..index.snapshot import Index
from ..processes import PerProcess
from ..transport.root import Location, Root, checked_origins, roots_of
from .connection import Connection
from .fork_imports import import_before_forks
from .kept import KeptValues
from .live import LiveIndex
from .reading import Reading
from .settings import Settings
from .subscription import Dispatch, Subscription
from .values import Values

if TYPE_CHECKING:
    from ..transport.auth import Credentials
    from ..transport.part_file import PartFolder
    from ..transport.sources import Sources
    from .cached_index import CachedIndex
    from .lazy import LazyIndex
    from .origin import Origin

__all__ = ["StaticStore"]


class StaticStore(Reading):
    r"""A site on a static web host, as a live, read-only mapping from keys to values.

    The constructor says where, `connect` says how: no secret sits in a repr, a
    log, an exception or a pickle.  Every method may be called by any thread;
    each reads one snapshot, whatever polls bring meanwhile, and none waits for
    a poll.  A store compares and hashes by identity and is always true.

    After `disconnect` only `index`, `info` and the repr still answer; all else
    raises `NotConnectedError`.

    A forked child goes on from the snapshot that it inherits, by connections of its
    own, and polls from its first use of the store on if its parent did; streams that
    were open at the fork raise `NotConnectedError` there.  Handlers and subscriptions
    are told there of what the child's own polls find, but for those with a `dispatch`.

    A store can be pickled: with its roots, its options and those of `connect`, but
    without passwords, header fields, proxies and the snapshot.  What is unpickled
    connects at its first use, without polling.  A function given to `connect` as
    ``auth`` is pickled by its name and called there, if it can be imported there.

    Parameters
    ----------
    root_url : str or path, or several of them
        An http(s) URL, a ``file:`` URL or a local path.  User and password in
        it are used to authenticate, unless `connect` gets others.  Of several,
        the first is the site and decides; the others are copies of it, and give
        whole values that have a sha256, and parts cut out of such.  While the
        first fails, the snapshot that is held stays, and ``info()["stale"]`` is
        true; only a store that holds none takes the index of a copy, with a
        warning.  See `equal_roots` for roots that are trusted alike.
    data_path : str, optional
        What stands between the root and a key in the URL of a value.
    index_path : str, optional
        Where the index stands, relative to the root.
    poll_interval : float, optional
        Seconds between polls; 0 for no polling.
    lazy : bool, optional
        Whether to fetch only what a look-up of a key needs: the head, and of the
        index the parts in which the key stands, each held against its digest.
        Polls then ask for the head alone.  What needs the whole index fetches it:
        iterating, querying, `index`, subscribing, and the first poll after a
        handler was connected to a signal.  So does a site without a head and
        blocks, or a host without ranges.
    equal_roots : bool, optional
        Whether several roots are all in one hand, so that the newest of them
        counts and parts of values come from any that has the very index.  By
        default the first decides, and the others are not trusted with more than
        what digests tell.
    cache : True or path, optional
        A folder in which the last index and values with a sha256 are kept, for
        this user alone; True for the user's own cache folder.  Any number of stores and
        processes may share it, and what is in it may be deleted at any time.
        With it `connect` does without the host, if that cannot be reached.  What is
        read from it is verified; where it cannot be used, the store does without it,
        and says so in ``info()["warnings"]``.  A folder that is a link, that belongs
        to another user, or that others may write is not used.  By default nothing is
        kept.
    max_cache_bytes : int, optional
        How much of the disk all of that may take; beyond, what was not used for
        longest is dropped.  A value of more than a quarter of it is not kept.
    memory : int, optional
        Bytes of values to hold in memory for being read again, by their sha256;
        beyond, what was not used for longest is dropped.  By default none.
    origins : "own", "any" or sequence of str, optional
        Other origins that the site may lead to.  Redirects from a site at a public address
        to an inner one (loopback, private, link-local and the like) are refused,
        as is such a site whose name is given an inner address later; those
        that are named here, ``["https://data.intranet.example"]`` say, are allowed.
        Of a host that is reached through a proxy only what is written is known.

    Raises
    ------
    TypeError, ValueError
        The root is none, a path leads out of it, or another argument is not
        what it should be.

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
        data_path: str = "data/",
        index_path: str = "index.json",
        poll_interval: float = 300.0,
        lazy: bool = False,
        equal_roots: bool = False,
        cache: bool | str | os.PathLike[str] | None = None,
        max_cache_bytes: int = 4 << 30,
        memory: int = 0,
        origins: str | Iterable[str] = "own",
    ) -> None:
        check_key(data_path + "key")
        check_key(index_path)
        if not isinstance(poll_interval, int | float) or not 0 <= poll_interval < 1e9:
            raise ValueError(f"poll_interval is in seconds, 0 or more, not {poll_interval!r}")
        self._roots = roots_of(root_url)
        self._root = self._roots[0]
        self._origins = checked_origins(origins)
        self._data_path = data_path
        self._index_path = index_path
        self._poll_interval = poll_interval
        self._lazy = lazy
        self._equal_roots = equal_roots
        if not isinstance(memory, int) or memory < 0:
            raise ValueError(f"memory is a number of bytes, 0 or more, not {memory!r}")
        self._kept = KeptValues.of(memory, cache, max_cache_bytes)
        self._settings = Settings.of(
            self._roots,
            data_path=data_path,
            index_path=index_path,
            poll_interval=poll_interval,
            lazy=lazy,
            equal_roots=equal_roots,
            cache=cache if isinstance(cache, bool | None) else os.path.abspath(cache),
            max_cache_bytes=max_cache_bytes,
            memory=memory,
            origins=self._origins,
        )
        # Whether the first use connects.
        self._is_unpickled = False
        self._connecting = PerProcess(threading.RLock)
        # Where the beginning of an index stays that breaks off, without a cache.
        self._parts: PartFolder | None = None
        self._live_index = LiveIndex(self)
        self._warnings: tuple[str, ...] = ()

    @property
    def _live(self) -> LiveIndex:
        """The index, by a connection of this process."""
        return self._live_index.here()

    # -- connecting ------------------------------------------------------------

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
    ) -> StaticStore:
        """Fetch the index, then start to poll.

        The first snapshot sends no signals.  One from the cache, or kept over a
        `disconnect`, is the old one, and what differs from it is signaled before
        this returns.

        A store with a cache that holds the index asks only for what has changed.
        If the host cannot be reached, it begins with that index: ``info()["stale"]``
        is then true, `poll_failed` is sent, and polls go on, the first after five
        seconds.  If it polls, it waits for the host no longer than ten seconds.
        What the host refuses (`AuthorizationError`), and what it
        answers in the place of an index, is raised all the same.

        Parameters
        ----------
        auth : (str, str), mapping, AuthBase, "netrc" or callable, optional
            User and password; a mapping with ``username`` and ``password``; any
            `requests.auth.AuthBase`; the user's netrc file, of which only an
            entry for exactly this host is taken; or a function without arguments
            that returns one of these, called now.  Sent to the root's own origin
            and never to where it redirects.  Of several roots it is for the
            first, and those of the same origin; others have their own in their
            URLs, or in the netrc file.
        proxies : mapping, optional
            As in requests, credentials in the proxy's URL allowed.  None
            follows the environment, ``{}`` uses none.
        headers : mapping, optional
            More header fields, for the (first) root's own origin only.
        verify : bool or path, optional
            Whether to check certificates, or a file with the CAs to trust.
        cert : path or (path, path), optional
            Client certificate, or certificate and private key; for the (first)
            root's own origin only.
        timeout : float or (float, float), optional
            Longest time to connect, and longest silence, in seconds.
        retries : int, optional
            How often a request is repeated after a failure that may heal: no
            connection, 429, 500, 502, 503, 504.
        max_index_bytes : int, optional
            The most that an index may have, decoded.
        index_deadline : float, optional
            How long fetching the index may take in all, in seconds.
        min_rate : float, optional
            The least bytes a second of a value, averaged over the longest silence.

        Returns
        -------
        StaticStore
            This store.

        Raises
        ------
        TypeError, ValueError
            An argument is not what it should be.
        TransportError
            The index could not be had; `AuthorizationError` for want of credentials.
        IndexFormatError
            What came is no index.
        StoreError
            The store is connected already, or an argument names a file that is not there.
        NotConnectedError
            Another thread has called `disconnect` meanwhile.
        """
        arguments = {
            "auth": auth,
            "proxies": proxies,
            "headers": headers,
            "verify": verify,
            "cert": cert,
            "timeout": timeout,
            "retries": retries,
            "max_index_bytes": max_index_bytes,
            "index_deadline": index_deadline,
            "min_rate": min_rate,
        }
        self._connect(arguments, self._poll_interval)
        return self

    def _connect(self, arguments: dict[str, Any], poll_interval: float) -> None:
        # requests takes longer to import than all the rest; who only imports
        # staticstore shall not wait for it.
        from ..transport.arguments import SessionOptions, checked_number
        from ..transport.sources import open_sessions
        from .follower import SiteFollower

        of_session = dict(arguments)
        max_bytes, seconds = of_session.pop("max_index_bytes"), of_session.pop("index_deadline")
        checked_number(max_bytes, "max_index_bytes", least=1)
        checked_number(seconds, "index_deadline", least=0)
        settings = self._settings.connected(arguments)
        hint = settings.hint if self._is_unpickled else None
        options = SessionOptions(**of_session, origins=self._origins, hint=hint)
        sessions = open_sessions(self._roots, options)
        warned = _warn_of_exposed_passwords(
            [session.root for session in sessions if session.exposes_password]
        )
        follower_class: type[SiteFollower] = SiteFollower
        if self._equal_roots and len(sessions) > 1:
            from .equal_roots import EqualRootsFollower  # seldom needed

            follower_class = EqualRootsFollower
        cached = self._cached_index()
        follow = functools.partial(
            follower_class,
            sessions,
            self._index_path,
            freshness=self._live.freshness,
            max_bytes=max_bytes,
            seconds=seconds,
            parts=self._parts if cached is None else cached.parts,
        )
        import_before_forks()
        connection = Connection(follow, cached, poll_interval)
        # Before the index comes: a handler may pickle the store, or a value.
        self._settings = settings
        self._live.open(connection, is_lazy=self._lazy)
        self._warnings, self._is_unpickled = warned, False

    def _cached_index(self) -> CachedIndex | None:
        if self._kept.disk is None:
            return None
        from .cached_index import CachedIndex

        return CachedIndex(self._kept.disk.folder, self._root, self._index_path, self._data_path)

    def disconnect(self) -> None:
        """End polling, requests and waits; idempotent, and back within a second.

        Streams that are open raise `NotConnectedError` at their next read.  A
        poll whose announcement has begun is announced to its end; later ones
        are told of after the next `connect`.
        """
        self._is_unpickled = False
        self._live_index.here(polls=False).close()

    def is_connected(self) -> bool:
        """Tell whether the store can be used."""
        return self._live.is_open

    def __enter__(self) -> StaticStore:
        """Connect, if need be."""
        if self._is_unpickled:
            self._opened()
        return self if self.is_connected() else self.connect()

    def __exit__(self, *error: object) -> None:
        """Disconnect."""
        self.disconnect()

    def update_index(self) -> Changes:
        """Poll once, now.

        A lazy store to whose signals nobody listens asks for the head alone, and
        finds no changes.  Polls take turns: one that goes on is waited for.  Returns when the
        signals have been sent; called from a handler it returns as soon as it
        has polled, and its signals follow the current ones.

        Returns
        -------
        Changes
            What differs from the snapshot held before, perhaps nothing.

        Raises
        ------
        TransportError
            The index could not be had; the old snapshot is kept.
        IndexFormatError
            What came is no index; the old snapshot is kept.
        """
        return self._opened().update()

    # -- what the store knows ----------------------------------------------------

    @property
    def index(self) -> Index:
        """The current snapshot: immutable, and safe to hold while polls go on.

        A lazy store fetches it now, unless it has become whole.

        Raises
        ------
        NotConnectedError
            The store has never been connected.
        TransportError, IndexFormatError
            A lazy store could not fetch it.
        """
        return self._opened().index

    def info(self) -> dict[str, Any]:
        """Return what the store knows of its site and of itself, without I/O.

        Returns
        -------
        dict
            ``root_url``; ``source``, the root that the index came from;
            ``generation`` of the index, None on a site without a head; ``entries``;
            ``last_success``, an aware datetime, and ``age``, the seconds since;
            ``last_error``, the text of the failure of the last poll, or None;
            ``trust``, what vouches for the index: ``"transport"`` alone, or None
            without one; ``stale``, whether the last attempt to confirm the index
            failed, none can be made, the host has answered with something older
            twice in a row, or the index is a copy's;
            ``warnings``, a list of texts on what was left out of the index, is
            unsafe, or keeps the cache from being used.
        """
        info = {"root_url": self._root.url, **self._live.info(self._root.url)}
        info["warnings"] = [*self._warnings, *info["warnings"]]
        if self._kept.problem is not None:
            info["warnings"].append(self._kept.problem)
        return info

    def about(self) -> dict[str, Any] | None:
        """Return the site's own words: its title, its license, what to read.

        One request is made, if the head of the site names such words.

        Returns
        -------
        dict or None
            The caller's own: ``title``, ``description``, ``license``, ``homepage`` (an
            http or https URL), ``contact``, ``version``, ``cite_as``, all texts; ``keywords``,
            a list of texts; ``files``, from the names of files in the site's root to
            their ``size`` and ``sha256``.  What the site does not say is not in it,
            nor is what has another type.  None if the site says nothing of itself, or
            if the document is not there as the head names it.

        Raises
        ------
        NotConnectedError
            The store is not connected.
        TransportError
            It could not be had.

        Examples
        --------
        >>> from staticstore import publish
        >>> _ = publish(sample_site)
        >>> with StaticStore(sample_site, poll_interval=0) as store:
        ...     about = store.about()
        >>> about["license"], list(about["files"])
        ('CC0-1.0', ['README.md'])
        """
        from .about import read_about

        live = self._opened()
        follower, held = live.connected().follower, live.current
        if held is None or held.head is None:
            return None
        return read_about(held.head, follower.documents(held))

    def __repr__(self) -> str:
        """Show where, and how many keys; no secret."""
        entries = self._live.info(self._root.url)["entries"]
        keys = "" if entries is None else f", {entries} keys"
        state = "connected" if self.is_connected() else "not connected"
        return f"<StaticStore: {self._root.url}{keys}, {state}>"

    def _repr_html_(self) -> str:
        """Show the first keys in a notebook, and how current they are; without I/O."""
        from .shown import store_html

        return store_html(repr(self)[1:-1], self.info(), self._live.snapshot)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle where the site is and how it is reached; no snapshot, and no secret."""
        return _unpickled, (type(self), self._settings)

    def _opened(self) -> LiveIndex:
        """Return the index; a store that comes from a pickle is connected now, without polls."""
        live = self._live_index
        if not self._is_unpickled and live.is_here:
            return live
        if self._is_unpickled:
            with self._connecting.get():
                if self._is_unpickled and not self.is_connected():  # in a handler
                    self._connect({**_DEFAULTS, **self._settings.arguments()}, 0)
        return self._live

    def _values(self) -> Values:
        """Bind the current snapshot, so that one call reads one snapshot."""
        live = self._opened()
        follower = live.connected().follower
        index, held = live.readable
        return self._values_of(index, follower.sources(held))

    def _values_of(self, index: Index | LazyIndex, sources: Sources) -> Values:
        return Values(index, sources, self._data_path, self._kept, self._settings)

    def _origin(self) -> Origin:
        """Bind the current snapshot, whole, with all that a copy of the site needs."""
        from .origin import Origin

        live = self._opened()
        follower, held = live.connected().follower, live.held
        values = self._values_of(held.index, follower.sources(held))
        known = live.freshness
        modified = known.modified if held.sha256 == known.sha256 else None
        return Origin(
            values, held, follower, self._index_path, modified, was_believed=known.believed > 0
        )

    def _follow(
        self, callback: Callable[[Changes], object], dispatch: Dispatch
    ) -> tuple[Subscription, Index]:
        """Subscribe to batches; give the snapshot, too, that the first of them leads on from."""
        return self._opened().follow(callback, dispatch)

    # -- changes -------------------------------------------------------------------

    @overload
    def subscribe(
        self,
        callback: Callable[[Change], object],
        *,
        actions: Iterable[Action] = ...,
        dispatch: Dispatch | None = ...,
        initial: bool = ...,
        batch: Literal[False] = ...,
        where: Mapping[str, Any] | None = ...,
        **equals: Any,
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        callback: Callable[[Changes], object],
        *,
        actions: Iterable[Action] = ...,
        dispatch: Dispatch | None = ...,
        initial: bool = ...,
        batch: Literal[True],
        where: Mapping[str, Any] | None = ...,
        **equals: Any,
    ) -> Subscription: ...
    def subscribe(
        self,
        callback: Callable[[Any], object],
        *,
        actions: Iterable[Action] = ("set", "update", "delete"),
        dispatch: Dispatch | None = None,
        initial: bool = False,
        batch: bool = False,
        where: Mapping[str, Any] | None = None,
        **equals: Any,
    ) -> Subscription:
        """Have a callback called with each change from now on.

        Unlike a signal's `connect`, this holds the callback strongly.  What it
        raises is logged, and it goes on.  It may call any method of the store.

        Parameters
        ----------
        callback : callable
            Called as ``callback(change)``, in key order, one at a time.
        actions : iterable of {"set", "update", "delete"}, optional
            Which changes.
        dispatch : callable, optional
            Gets each delivery as a call without arguments, to make in the
            thread of a window or an event loop: `staticstore.interop.desktop`
            has those of Qt, Tk and asyncio.  By default the polling thread
            calls back itself.
        initial : bool, optional
            Whether to deliver first what is there, as sets; nothing is missed
            or told twice in between.
        batch : bool, optional
            Whether to call back once for a poll, as ``callback(changes)`` with
            all `Changes` that were asked for.  With `initial` the first ones
            are all that is there, even if that is nothing.
        where, **equals
            As in `query`: deliver only if the metadata before or after the
            change matches.

        Returns
        -------
        Subscription
            Close it to end it; or use it in a ``with`` block.

        Raises
        ------
        TypeError
            The callback is a coroutine function, and there is no `dispatch`
            to a loop that awaits it.
        NotConnectedError
            The store is not connected.

        Examples
        --------
        >>> found = []
        >>> with sample_store.subscribe(found.append, initial=True, type="table"):
        ...     pass
        >>> found[0]
        <Change: set '...csv'>
        >>> with sample_store.subscribe(found.append, initial=True, batch=True):
        ...     pass
        >>> found[-1]
        <Changes: 16 set, 0 update, 0 delete>
        """
        return self._opened().subscribe(
            callback,
            actions=actions,
            dispatch=dispatch,
            initial=initial,
            batch=batch,
            where=where,
            equals=equals,
        )

    def watch(self, timeout: float | None = None) -> Iterator[Change]:
        """Iterate over changes since this call, as they come.

        Parameters
        ----------
        timeout : float, optional
            Seconds without a change after which the iteration ends; by default
            it ends at `disconnect`.

        Returns
        -------
        iterator of Change
            For one thread.  What comes before it is asked for waits in it.
        """
        return self._opened().watch(timeout)


# What `connect` takes if it is given nothing.
_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(StaticStore.connect).parameters.items()
    if name != "self"
}


def _unpickled(kind: type[StaticStore], settings: Settings) -> StaticStore:
    store = kind(settings.roots, **dict(settings.options))
    store._settings = settings
    store._is_unpickled = True
    return store


def _warn_of_exposed_passwords(roots: Iterable[Root]) -> tuple[str, ...]:
    texts = tuple(f"the password for {root.url} is sent in the clear: use https" for root in roots)
    for text in texts:
        warnings.warn(text, stacklevel=4)
    return texts
