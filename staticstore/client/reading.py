"""What can be read of a site: values, metadata, queries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, BinaryIO

from ..index.query import selected, selection
from .value import URLValue
from .values import Values

if TYPE_CHECKING:
    import os

    from ..transport.stream import ByteProgress

__all__ = ["Reading"]

_MISSING: Any = object()


class Reading(Mapping[str, URLValue]):
    """The reading half of `StaticStore`: each call binds one snapshot and works on it."""

    @abstractmethod
    def _values(self) -> Values:
        """Bind the current snapshot, or raise `NotConnectedError`."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        """Return True, also for an empty site."""
        return True

    # -- values ------------------------------------------------------------------

    def get(self, key: str, default: Any = _MISSING) -> Any:
        """Return a value, without any I/O; a lazy store may fetch the parts that list it.

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
        return iter(self._values())

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._values())

    def __contains__(self, key: object) -> bool:
        """Tell whether the index has the key."""
        return key in self._values()

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
        """Tell whether the index has the key."""
        return key in self

    def get_data(self, key: str) -> BinaryIO:
        """Open a value as a stream: `URLValue.data`.

        Raises
        ------
        KeyError
            The index lacks the key.
        TransportError, IntegrityError
            The bytes could not be had, or are others than the index says.
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
            The bytes could not be had, or the value has changed on the host.
        """
        return self[key].range(start, end)

    def get_metadata(self, key: str, select: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the metadata of a key, a copy of the caller's own.

        Parameters
        ----------
        key : str
            The key.
        select : iterable of str, optional
            The fields wanted; those not present are left out.  By default all.

        Raises
        ------
        KeyError
            The index lacks the key.
        """
        return self._values().metadata(key, select)

    def multiget(self, keys: Iterable[str]) -> Iterator[URLValue]:
        """Iterate over the values of some keys, in the order asked, all of one snapshot.

        Raises
        ------
        KeyError
            While iterating: the index lacks the key.
        """
        values = self._values()
        return (values[key] for key in keys)

    def multiget_data(self, keys: Iterable[str]) -> Iterator[BinaryIO]:
        """Iterate over the streams of some keys, in the order asked, all of one snapshot.

        Some are opened ahead, in parallel, so that waiting for one answer is
        waiting for several; those that were not given out are closed at the end.

        Raises
        ------
        KeyError
            While iterating: the index lacks the key.
        TransportError, IntegrityError
            While iterating, or while a stream is read.
        """
        from .opened import opened_ahead

        return opened_ahead(self._values(), keys)

    def read_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read many whole values, verified, as fast as the site allows.

        Values of a site with packs come by a few requests for parts of those;
        others by one request each, several at once, faster with the extra
        ``fast``.  The next ones are fetched while the last ones are used.

        Parameters
        ----------
        keys : iterable of str
            Consumed little by little: a million keys take no more memory than
            some thousands.

        Returns
        -------
        iterator of (str, bytes)
            Keys and values in the order asked, all of one snapshot.

        Raises
        ------
        KeyError
            While iterating, when its turn comes: the index lacks the key.
        TransportError, IntegrityError
            Likewise: a value could not be had, or is another than the index says.

        Notes
        -----
        No more than 64 MiB are in memory at any time, beside the values that
        were given out, and a value of more than 8 MiB, which is read when its
        turn comes.

        Examples
        --------
        >>> for key, data in sample_store.read_many(sample_store.query_keys(type="table")):
        ...     print(key, len(data) == sample_store[key].size)
        measurements/discharge-2025.csv True
        measurements/weather-2025.csv True
        stations/stations.csv True
        """
        from .many import read_many

        return read_many(self._values(), keys)

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
            The bytes could not be had, or the value has changed on the host.
        """
        return self[key].get_ranges(ranges, max_gap=max_gap, max_size=max_size)

    def multiget_metadata(
        self, keys: Iterable[str], select: Iterable[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the metadata of some keys, in the order asked, all of one snapshot."""
        index, fields = self._values().index, selection(select)
        return (selected(index[key], fields) for key in keys)

    def to_bytes(self, key: str) -> bytes:
        """Read a whole value, verified: `URLValue.read`."""
        return self[key].read()

    def to_file(
        self,
        key: str,
        path: str | os.PathLike[str],
        progress: ByteProgress | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Copy a value into a file, verified, whole or not at all: `URLValue.to_file`."""
        self[key].to_file(path, progress, sync=sync)

    # -- queries -------------------------------------------------------------------

    def query(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        **equals: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Find entries of the current snapshot by their metadata: `Index.query`.

        Examples
        --------
        >>> [key for key, _ in sample_store.query(where={"type": "raster"}, bands=3)]
        ['imagery/true-color.tif']
        """
        return self._values().index.query(select, where=where, **equals)

    def query_keys(self, *, where: Mapping[str, Any] | None = None, **equals: Any) -> Iterator[str]:
        """Find keys of the current snapshot by their metadata: `Index.query_keys`."""
        return self._values().index.query_keys(where=where, **equals)

    def glob(self, pattern: str) -> Iterator[str]:
        """Find keys of the current snapshot by a shell pattern: `Index.glob`."""
        return self._values().index.glob(pattern)
