"""Views: several stores as one, or a part of one; they share connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from ..index.views import Part, ViewIndex
from .async_following import AsyncFollowing
from .async_reading import AsyncReading
from .following.live_view import LiveView
from .live_store import LiveStore
from .tasks.connection import AsyncConnection
from .view_values import ViewValues

if TYPE_CHECKING:
    from .following.connection import Begun
    from .following.live import LiveIndex
    from .pickles.partitions import ReadMany
    from .site_snapshot import Values
    from .tasks.calls import AsyncCalls

__all__ = ["JoinedStore", "MountedStore", "PrefixStore", "StoreView"]

# What all members may have in common.
_COMMON_INFO = ("root_url", "source", "generation", "trust")


class StoreView(LiveStore, AsyncReading, AsyncFollowing):
    """Base of views, which read like a store and send its signals.

    Nothing is copied: look-ups and queries are those of the members, merged in key order,
    and the ``key`` of a value is the one in the view.  The members, stores or views, are followed
    as they change; a change of what the view does not show is no change of the view.

    A view is connected if all its members are.  It owns no connection: `connect` and
    `disconnect` are passed on.  Members never keep a view alive, unless somebody has
    subscribed through it.  Every method is thread-safe.

    A pickle of a view has those of its members.
    """

    def __init__(self, members: Iterable[LiveStore], parts: Iterable[Part]) -> None:
        self._members = tuple(members)
        self._parts = tuple(parts)
        if not self._members:
            raise ValueError(f"a {type(self).__name__} needs at least one store")
        for member in self._members:
            if not isinstance(member, LiveStore):
                raise TypeError(f"a view is made of stores, not of {type(member).__name__}")
        self._stores = {
            site: one for member in self._members for site, one in member._sites.items()
        }
        sites, shown, parts_of = tuple(self._stores), self._members, self._parts

        def compose(snapshots: Sequence[Any]) -> ViewIndex:
            return _composed(shown, parts_of, dict(zip(sites, snapshots, strict=True)))

        self._view = LiveView(self, sites, compose)
        # What each ``with`` block has connected.
        self._entered: list[list[LiveStore]] = []

    # -- what a store needs ------------------------------------------------------------

    @property
    def _sites(self) -> Mapping[LiveIndex, LiveStore]:
        return self._stores

    @property
    def _live(self) -> LiveView:
        return self._view

    def _opened(self) -> LiveView:
        for store in self._stores.values():
            store._opened()  # connects what was unpickled
        return self._view

    def _index(self) -> ViewIndex:
        snapshots = [store._index() for store in self._stores.values()]
        index = self._view.compose(snapshots)
        assert isinstance(index, ViewIndex)
        return index

    def _values(self) -> ViewValues:
        values = {site: store._values() for site, store in self._stores.items()}
        return self._values_of(values)

    @property
    def _calls(self) -> AsyncCalls:
        # The threads of its store; several stores have their own, so that none blocks another.
        first: Any
        first, *others = self._stores.values()
        own: AsyncCalls = super()._calls if others else first._calls
        return own

    def _reader(self) -> ReadMany:
        return ViewValues.read_many

    def _values_of(self, by_site: Mapping[LiveIndex, Values | ViewValues]) -> ViewValues:
        members = [
            member._values_of(by_site)
            if isinstance(member, StoreView)
            else next(by_site[site] for site in member._sites)
            for member in self._members
        ]
        indexes = [by_site[site].index for site in self._stores]
        index = self._view.compose(indexes)
        assert isinstance(index, ViewIndex)
        return ViewValues(index, members)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Return what identifies the members and what the view shows of them."""
        members = [one.__dask_tokenize__() for one in self._members]
        return type(self).__name__, members, [tuple(part) for part in self._parts]

    # -- connecting --------------------------------------------------------------------

    def connect(self) -> Self:
        """Connect the members that are not connected, without credentials.

        Connect a store itself to give it arguments: credentials are for one site.  If one
        of them cannot be connected, those that were connected here are disconnected.

        Returns
        -------
        StoreView
            This view.

        Raises
        ------
        TransportError, IndexFormatError
            As `StaticStore.connect`.
        """
        self._connect()
        return self

    def connect_async(self) -> AsyncConnection[Self, list[LiveStore]]:
        """Connect as `connect`, within an event loop; see `StaticStore.connect_async`."""
        return AsyncConnection(self, self._connect, _disconnect)

    def _connect(self, begun: Begun | None = None) -> list[LiveStore]:
        connected: list[LiveStore] = []
        try:
            for store in self._stores.values():
                if not store.is_connected():
                    store._enter(begun)
                    connected.append(store)
        except BaseException:
            _disconnect(connected)
            raise
        return connected

    def disconnect(self) -> None:
        """Disconnect all members, also from whoever else uses them; idempotent."""
        for store in self._stores.values():
            store.disconnect()

    def _enter(self, begun: Begun | None = None) -> None:
        self._entered.append(self._connect(begun))

    def __exit__(self, *error: object) -> None:
        """Disconnect the members that were connected for the block."""
        _disconnect(self._entered.pop())

    # -- what is known -----------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Return what is known of the members, together, without I/O.

        Returns
        -------
        dict
            The fields of `StaticStore.info`, and ``members``, the infos of the members.
            ``root_url``, ``source``, ``generation`` and ``trust`` are None unless they are
            the same for all.  ``entries`` is the number of keys in the view, or None if a
            member has no whole index; ``last_success`` and ``age`` are those of the member
            that was confirmed longest ago; ``last_error`` is the first one, ``trust_expires``
            the earliest one; ``stale`` is whether any member is; ``warnings`` are those of all.
        """
        members = [member.info() for member in self._members]
        index = self._view.snapshot
        confirmed = [one["last_success"] for one in members]
        ages = [one["age"] for one in members]
        expiries = [one["trust_expires"] for one in members if one["trust_expires"] is not None]
        errors = [one["last_error"] for one in members if one["last_error"] is not None]
        return {
            **{name: _common(one[name] for one in members) for name in _COMMON_INFO},
            "entries": None if index is None else len(index),
            "last_success": None if None in confirmed else min(confirmed),
            "age": None if None in ages else max(ages),
            "last_error": errors[0] if errors else None,
            "trust_expires": min(expiries) if expiries else None,
            "stale": any(one["stale"] for one in members),
            "warnings": list(dict.fromkeys(text for one in members for text in one["warnings"])),
            "members": members,
        }

    def below(self, prefix: str) -> PrefixStore:
        """View the keys that begin with a prefix, without it: `StaticStore.below`."""
        return PrefixStore(self, prefix)


class PrefixStore(StoreView):
    """The keys below a prefix, without it; made by `StaticStore.below`.

    Parameters
    ----------
    store : StaticStore or view
        The store.
    prefix : str
        Exactly the text that keys begin with: ``"terrain/"`` is what is in ``terrain``.
        Of a key that is the prefix itself the empty text is left.

    Raises
    ------
    TypeError
        The prefix is not text.
    """

    def __init__(self, store: LiveStore, prefix: str) -> None:
        self._prefix = _checked(prefix)
        super().__init__([store], [Part(below=prefix)])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the store and the prefix."""
        return PrefixStore, (*self._members, self._prefix)

    def __repr__(self) -> str:
        """Show the prefix and the store."""
        return f"<PrefixStore: {self._prefix!r} of {self._members[0]!r}>"


class JoinedStore(StoreView):
    """Several stores as one; the first store that has a key provides it.

    When a key disappears from the first store, the next one shows through: an update, if its
    metadata differs.

    Parameters
    ----------
    stores : iterable of StaticStore or view
        In the order of preference, at least one.

    Raises
    ------
    TypeError
        One is no store.
    ValueError
        There is none.

    Notes
    -----
    The first `len` after a change of the members takes a pass over all keys.

    Examples
    --------
    >>> from staticstore import JoinedStore, StaticStore
    >>> with JoinedStore([StaticStore(sample_site), StaticStore(sample_site)]) as both:
    ...     list(both.query_keys(type="table"))[-1]
    'stations/stations.csv'
    """

    def __init__(self, stores: Iterable[LiveStore]) -> None:
        members = list(stores)
        super().__init__(members, [Part(rivals=range(n)) for n in range(len(members))])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the stores."""
        return JoinedStore, (self._members,)

    def __repr__(self) -> str:
        """Show the stores."""
        return f"<JoinedStore: {', '.join(map(repr, self._members))}>"


class MountedStore(StoreView):
    """Several stores as one, each below a prefix of its own.

    A key belongs to the store with the longest prefix that it begins with, also if that
    store does not have it: what stores with shorter prefixes have there is hidden.  To fall
    back to another store, join them: ``JoinedStore([MountedStore({"maps/": maps}), all])``.

    Parameters
    ----------
    stores : mapping
        From prefixes to stores or views, at least one; the prefix ``""`` is for all keys
        that have no other.

    Raises
    ------
    TypeError
        `stores` is no mapping, a prefix is not text, or one is no store.
    ValueError
        There is none.

    Examples
    --------
    >>> from staticstore import MountedStore, StaticStore
    >>> with StaticStore(sample_site) as site:
    ...     maps = MountedStore({"maps/terrain/": site.below("terrain/"), "site/": site})
    ...     maps["maps/terrain/dem.tif"].size == maps["site/terrain/dem.tif"].size
    True
    """

    def __init__(self, stores: Mapping[str, LiveStore]) -> None:
        if not isinstance(stores, Mapping):
            raise TypeError(
                f"MountedStore takes a mapping from prefixes to stores, not {type(stores).__name__}"
            )
        self._mounts = dict(stores)
        prefixes = [_checked(prefix) for prefix in self._mounts]
        parts = [
            Part(at=prefix, hidden=tuple(one for one in prefixes if _is_below(one, prefix)))
            for prefix in prefixes
        ]
        super().__init__(self._mounts.values(), parts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the prefixes and the stores."""
        return MountedStore, (self._mounts,)

    def __repr__(self) -> str:
        """Show the prefixes and the stores."""
        mounts = (f"{prefix!r}: {store!r}" for prefix, store in self._mounts.items())
        return f"<MountedStore: {', '.join(mounts)}>"


def _disconnect(stores: Iterable[LiveStore]) -> None:
    for store in stores:
        store.disconnect()


def _composed(
    members: Sequence[LiveStore], parts: Sequence[Part], by_site: Mapping[LiveIndex, Any]
) -> ViewIndex:
    """Return the snapshot of a view, made of those of its sites."""
    indexes = [
        _composed(member._members, member._parts, by_site)
        if isinstance(member, StoreView)
        else next(by_site[site] for site in member._sites)
        for member in members
    ]
    return ViewIndex(indexes, parts)


def _checked(prefix: str) -> str:
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix is text, not {type(prefix).__name__}")
    return prefix


def _is_below(prefix: str, other: str) -> bool:
    return prefix != other and prefix.startswith(other)


def _common(values: Iterable[Any]) -> Any:
    first, *others = values
    return first if all(other == first for other in others) else None
