"""What stores and views of stores share: reading, and following what they read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from ..query.conditions import Conditions, selection
from .reading import Reading
from .telling.subscription import Subscribable, SubscriptionOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dask.bag import Bag

    from ..index.changes import Changes
    from ..index.snapshot import Index
    from ..query.conditions import Where
    from .following.connection import Begun
    from .following.live import LiveIndex
    from .following.live_view import LiveView
    from .telling.subscription import Dispatch, Subscription

__all__ = ["LiveStore", "subscribe_with_snapshot"]


class LiveStore(Reading, Subscribable):
    """A live, read-only mapping from keys to values: a store or a view."""

    @abstractmethod
    def _opened(self) -> LiveIndex | LiveView:
        """Return the index; connect first what was unpickled."""

    @property
    @abstractmethod
    def _live(self) -> LiveIndex | LiveView:
        """The index, connected or not."""

    @property
    @abstractmethod
    def _sites(self) -> Mapping[LiveIndex, LiveStore]:
        """The stores that are read, one for each site, by their indexes."""

    @abstractmethod
    def _enter(self, begun: Begun | None = None) -> None:
        """Connect, unless connected; `begun` is called with each connection that is made."""

    def __enter__(self) -> Self:
        """Connect, unless connected."""
        self._enter()
        return self

    def __exit__(self, *error: object) -> None:
        """Disconnect."""
        self.disconnect()

    @abstractmethod
    def disconnect(self) -> None:
        """Disconnect."""

    @abstractmethod
    def info(self) -> dict[str, Any]:
        """Return what is known, without I/O."""

    def is_connected(self) -> bool:
        """Return whether the store is connected."""
        return self._live.is_open

    def _is_in_memory(self) -> bool:
        return self._live.snapshot is not None

    @property
    def index(self) -> Index:
        """The current snapshot, immutable, and safe to keep while polls go on.

        A lazy store fetches it now, if it has not yet.

        Raises
        ------
        NotConnectedError
            The store has never been connected.
        TransportError, IndexFormatError
            A lazy store could not fetch it.
        """
        return self._opened().index

    def _tabled(self) -> Index:
        return self.index

    def update_index(self) -> Changes:
        """Poll once, now.

        A poll that is running is waited for.  Returns when the signals have been sent; if
        called from a handler, before that, and the signals follow the current ones.  A lazy
        store without handlers asks for the head alone, and finds no changes.

        Returns
        -------
        Changes
            What differs from the snapshot before; empty if nothing does.

        Raises
        ------
        TransportError
            The index could not be fetched; the store keeps its snapshot.
        IndexFormatError
            The document is no index; the store keeps its snapshot.
        """
        return self._opened().update()

    def about(self) -> dict[str, Any] | None:
        """Return the description of the site: its title, license, README and so on.

        One request is made, if the head of the site names a description.

        Returns
        -------
        dict or None
            A copy: ``title``, ``description``, ``license``, ``homepage`` (an http or https
            URL), ``contact``, ``version``, ``cite_as``, all texts; ``keywords``, a list of
            texts; ``files``, from the names of files in the root of the site to their
            ``size`` and ``sha256``.  Fields that are absent or have another type are left
            out.  None if the site has no description, or not the one that its head names.

        Raises
        ------
        NotConnectedError
            The store is not connected.
        TransportError
            The description could not be fetched.

        Examples
        --------
        >>> from staticstore import StaticStore, publish
        >>> _ = publish(sample_site)
        >>> with StaticStore(sample_site, poll_interval=0) as store:
        ...     about = store.about()
        >>> about["license"], list(about["files"])
        ('CC0-1.0', ['README.md'])
        """
        return self._opened().about()

    def to_dask_bag(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Where | None = None,
        partition_size: int | str | None = None,
        **equals: Any,
    ) -> Bag:
        """Return the values of the entries that fulfill conditions as a bag of Dask.

        Nothing is read now.  Each task of the bag has the entries of its values alone, and
        reads them together and verified, as `read_many`, in any process: by one connection
        for each root and process, with the function that was given to `connect` as ``auth``.

        Parameters
        ----------
        select : iterable of str, optional
            Fields of the metadata to give with each value; fields that an entry does not
            have are left out.  By default there is no metadata.
        where : mapping or any_where, optional
            Conditions, as in `query`.
        partition_size : int or str, optional
            Most bytes of the values of a partition, or a text such as ``"64 MiB"``.  A
            larger value is a partition of its own.  By default there are about a hundred
            partitions, of 1 to 64 MiB.
        **equals
            Conditions as keywords, as in `query`.

        Returns
        -------
        dask.bag.Bag
            Of ``(key, data)``, or with `select` of ``(key, data, metadata)``, in key order.
            The values are those of the current snapshot, whatever the site publishes
            meanwhile.  Computing the bag raises what `read_many` raises.

        Raises
        ------
        ImportError
            Dask is not installed: the extra ``dask`` brings it.
        TypeError, ValueError
            As `query`; or `partition_size` is not a size, or ``npartitions`` is given.

        Notes
        -----
        100,000 entries take about a second, and some 200 bytes of the graph each.  A lazy
        store fetches the whole index.  Any thread may call it.

        Examples
        --------
        >>> bag = sample_store.to_dask_bag(type="table")
        >>> bag.map(lambda item: len(item[1])).sum().compute(scheduler="sync")
        81046
        """
        from .pickles.partitions import to_dask_bag

        if "npartitions" in equals:  # as a condition it would match nothing
            text = "npartitions is no argument: give partition_size, the bytes of each; a field"
            raise TypeError(f"{text} of that name is where={{'npartitions': ...}}")
        fields = selection(select)
        _ = self.index  # a lazy store fetches it
        values, token = self._values(), self.__dask_tokenize__()
        keys = values.index.query_keys(where=where, **equals)
        return to_dask_bag(
            self._reader(), values, keys, token=token, fields=fields, size=partition_size
        )

    @abstractmethod
    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Return what identifies the site and its snapshot, for the names of Dask's tasks."""

    def _repr_html_(self) -> str:
        """Show the first keys in a notebook, and how current they are; without I/O."""
        from ..index.notebook import store_html

        return store_html(repr(self)[1:-1], self.info(), self._live.snapshot)

    def _ipython_key_completions_(self) -> list[str]:
        index = self._live.snapshot  # without I/O; None if a lazy store has only parts
        return [] if index is None else index._ipython_key_completions_()


def subscribe_with_snapshot(
    store: LiveStore, callback: Callable[[Changes], object], dispatch: Dispatch
) -> tuple[Subscription, Index]:
    """Subscribe to all changes of each poll; return the snapshot before them, too."""
    conditions = Conditions(None, {})
    options = SubscriptionOptions(callback, conditions, dispatch=dispatch, batch=True)
    return store._opened().subscribe(options)
