"""The reading half of a store: values, metadata, queries, snapshots."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import tuning
from ..index.fields import check_keys
from ..index.queries import DelegatedQueries
from ..query.conditions import selected, selection

if TYPE_CHECKING:
    import os
    from concurrent.futures import Future

    from ..index.snapshot import Index
    from ..transport.values.seekable import OpenedValue
    from ..transport.values.stream import ReadProgress
    from .following.held import LazyIndex
    from .pickles.partitions import ReadMany
    from .site_snapshot import Values
    from .value import URLValue
    from .view_values import ViewValues

__all__ = ["Reading"]

_MISSING: Any = object()
# What people type first, and the method for it.
_MEANT = {
    "read": "to_bytes(key)",
    "read_bytes": "to_bytes(key)",
    "to_bytes_async": "read_async(key)",
    "download": "to_file(key, path)",
    "save": "to_file(key, path)",
    "list": "keys() or glob(pattern)",
    "find": "query(field=value) or glob(pattern)",
    "refresh": "update_index()",
}


class Reading(Mapping[str, "URLValue"], DelegatedQueries):
    """The reading half of `StaticStore`: each call binds one snapshot and works on it."""

    @abstractmethod
    def _index(self) -> Index | LazyIndex:
        """Return the current snapshot, or raise `NotConnectedError`."""

    @abstractmethod
    def _values(self) -> Values | ViewValues:
        """Return the values of the current snapshot, or raise `NotConnectedError`."""

    @abstractmethod
    def _reader(self) -> ReadMany:
        """Return what reads many of the values that `_values` returns."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        """Return True, even for an empty site."""
        return True

    # -- values ------------------------------------------------------------------

    def get(self, key: str, default: Any = _MISSING) -> Any:
        """Return a value, without I/O; a lazy store may fetch parts of the index.

        Parameters
        ----------
        key : str
            The key.
        default : object, optional
            Returned instead if the index lacks the key.

        Raises
        ------
        KeyError
            The index lacks the key, and there is no default.
        """
        values = self._values()
        if default is not _MISSING and key not in values:
            return default
        return values[key]

    def __getitem__(self, key: str) -> URLValue:
        """Return a value, as `get`; `KeyError` if the index lacks it."""
        return self._values()[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of the current snapshot, in order."""
        return iter(self._index())

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._index())

    def __contains__(self, key: object) -> bool:
        """Return whether the index has a key."""
        return key in self._index()

    def keys(self) -> KeysView[str]:
        """Return the keys of the current snapshot."""
        return self._values().keys()

    def values(self) -> ValuesView[URLValue]:
        """Return the values of the current snapshot."""
        return self._values().values()

    def items(self) -> ItemsView[str, URLValue]:
        """Return keys and values of the current snapshot."""
        return self._values().items()

    def exists(self, key: str) -> bool:
        """Return whether the index has a key."""
        return key in self

    def open(self, key: str, mode: str = "rb", *, cache_size: int = 8 << 20) -> OpenedValue:
        """Open a value as a seekable file, for libraries that read files: `URLValue.open`.

        Nothing is requested now.

        Parameters
        ----------
        key : str
            The key.
        mode : str, optional
            ``"rb"``, for libraries that give one.
        cache_size : int, optional
            Bytes to keep in memory, for being read again.

        Raises
        ------
        KeyError
            The index lacks the key.

        Examples
        --------
        >>> with sample_store.open("terrain/dem.tif") as file:
        ...     file.read(2)
        b'II'
        """
        return self[key].open(mode, cache_size=cache_size)

    def get_data(self, key: str) -> BinaryIO:
        """Open a value as a stream: `URLValue.data`.

        Raises
        ------
        KeyError
            The index lacks the key.
        TransportError, IntegrityError
            The bytes could not be fetched, or differ from the index.
        """
        return self[key].data

    def get_data_range(
        self, key: str, start: int | None = None, end: int | None = None
    ) -> BinaryIO:
        """Open part of a value as a stream: `URLValue.range`.

        Raises
        ------
        KeyError
            The index lacks the key.
        TransportError, IntegrityError
            The bytes could not be fetched, or the value has changed on the host.
        """
        return self[key].range(start, end)

    def get_metadata(self, key: str, select: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the metadata of a key, as a copy.

        Parameters
        ----------
        key : str
            The key.
        select : iterable of str, optional
            The fields to return, if present; by default all.

        Raises
        ------
        KeyError
            The index lacks the key.
        """
        return selected(self._index()[key], selection(select))

    def multiget(self, keys: Iterable[str]) -> Iterator[URLValue]:
        """Iterate over the values of some keys, in the order asked, all of one snapshot.

        Raises
        ------
        KeyError
            While iterating: the index lacks the key.
        """
        values = self._values()
        return (values[key] for key in check_keys(keys))

    def multiget_data(self, keys: Iterable[str]) -> Iterator[BinaryIO]:
        """Iterate over the streams of some keys, in the order asked, all of one snapshot.

        Eight are opened ahead, in parallel; those that were not taken are closed in the end.

        Raises
        ------
        KeyError
            While iterating: the index lacks the key.
        TransportError, IntegrityError
            While iterating, or while a stream is read.
        """
        return _open_ahead(self._values(), check_keys(keys))

    def read_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read many whole values, verified, as fast as the site allows.

        Small values of a site with packs are fetched by a few requests for ranges of the
        packs, others by one request each, several at once (faster with the extra
        ``fast``).  The next ones are fetched while the caller uses the last ones.

        Parameters
        ----------
        keys : iterable of str
            Consumed as needed: a million keys take no more memory than some thousands.

        Returns
        -------
        iterator of (str, bytes)
            Keys and values in the order asked, all of one snapshot.

        Raises
        ------
        KeyError
            While iterating: the index lacks the key.
        TransportError, IntegrityError
            While iterating: a value could not be fetched, or differs from the index.

        Notes
        -----
        In memory are two windows of at most 16 MiB of small values, 96 MiB of parts of
        large ones, and the values that were returned.

        Examples
        --------
        >>> for key, data in sample_store.read_many(sample_store.query_keys(type="table")):
        ...     print(key, len(data) == sample_store[key].size)
        measurements/discharge-2025.csv True
        measurements/weather-2025.csv True
        stations/stations.csv True
        """
        return self._reader()(self._values(), check_keys(keys))

    def get_ranges(
        self,
        key: str,
        ranges: Iterable[tuple[int | None, int | None]],
        *,
        max_gap: int = 1 << 12,
        max_size: int = 1 << 23,
    ) -> list[bytes]:
        """Read many parts of a value, in parallel: `URLValue.get_ranges`.

        Raises
        ------
        KeyError
            The index lacks the key.
        TransportError, IntegrityError
            The bytes could not be fetched, or the value has changed on the host.
        """
        return self[key].get_ranges(ranges, max_gap=max_gap, max_size=max_size)

    def get_ranges_many(
        self,
        ranges: Iterable[tuple[str, int | None, int | None]],
        *,
        max_gap: int = 1 << 12,
        max_size: int = 1 << 23,
    ) -> list[bytes]:
        r"""Read many parts of many values, in parallel and all of one snapshot.

        Each value is read as by `get_ranges`, but all requests are sent together: the
        parts of many small chunks take as long as the same number of parts of one value.

        Parameters
        ----------
        ranges : iterable of (str, int or None, int or None)
            Key, start and end of each, as in a slice, in any order.
        max_gap : int, optional
            Most bytes between two ranges of a value that share a request.
        max_size : int, optional
            Most bytes of a request that ranges share.

        Returns
        -------
        list of bytes
            In the order given; all are in memory together.

        Raises
        ------
        KeyError
            The index lacks a key; before any request.
        TransportError
            The bytes of a value could not be fetched.
        IntegrityError
            The host has another value than the index describes.

        Notes
        -----
        A value whose ranges cover all its bytes is checked against its digest.  If one
        value cannot be read, the error is raised after all requests have ended.

        Examples
        --------
        >>> keys = "terrain/dem.tif", "stations/stations.csv"
        >>> sample_store.get_ranges_many([(key, 0, 2) for key in keys])
        [b'II', b'st']
        """
        from ..transport.values.ranges import WantedRanges, checked_ranges_many, read_ranges

        by_key: dict[str, list[tuple[int | None, int | None]]] = {}
        places = []
        for key, bounds in checked_ranges_many(ranges):
            of_key = by_key.setdefault(key, [])
            places.append((key, len(of_key)))
            of_key.append(bounds)
        values = self._values()
        wanted = [WantedRanges(values[key].remote_value, some) for key, some in by_key.items()]
        found = dict(zip(by_key, read_ranges(wanted, max_gap, max_size), strict=True))
        return [found[key][number] for key, number in places]

    def multiget_metadata(
        self, keys: Iterable[str], select: Iterable[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the metadata of some keys, in the order asked, all of one snapshot."""
        index, fields = self._index(), selection(select)
        return (selected(index[key], fields) for key in check_keys(keys))

    def to_bytes(self, key: str) -> bytes:
        """Read a whole value, verified: `URLValue.read`."""
        return self[key].read()

    def to_file(
        self,
        key: str,
        path: str | os.PathLike[str],
        progress: ReadProgress | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Copy a value into a file, verified and atomic: `URLValue.to_file`."""
        self[key].to_file(path, progress, sync=sync)

    def sign(self, key: str, expires: float = 3600) -> str:
        """Sign a URL of a value in a bucket, to hand on: `URLValue.sign`.

        `KeyError` if the index lacks the key.
        """
        return self[key].sign(expires)

    if not TYPE_CHECKING:  # to type checkers these names do not exist

        def __getattr__(self, name: str) -> Any:
            """Raise `AttributeError`, for some names with the method that was meant."""
            meant = _MEANT.get(name)
            hint = "" if meant is None else f": use {meant}"
            text = f"{type(self).__name__!r} object has no attribute {name!r}{hint}"
            raise AttributeError(text, name=name, obj=self)


def _open_ahead(values: Mapping[str, URLValue], keys: Iterable[str]) -> Iterator[BinaryIO]:
    from ..workers import Workers

    waiting: deque[Future[BinaryIO]] = deque()
    pool = Workers(tuning.OPEN_AHEAD_STREAMS, "staticstore multiget_data")

    def opened(key: str) -> BinaryIO:
        return values[key].data

    try:
        for key in keys:
            waiting.append(pool.submit(partial(opened, key)))
            if len(waiting) > tuning.OPEN_AHEAD_STREAMS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.close()
        for one in waiting:
            one.add_done_callback(_close)


def _close(opened: Future[BinaryIO]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()
