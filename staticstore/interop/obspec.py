"""A site as a store of obspec: for VirtualiZarr, the readers of obspec-utils, and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..index.fields import Content
from .obspec_errors import by_obspec_names
from .obspec_index import ObspecListing
from .obspec_result import GetResult, checked_range

if TYPE_CHECKING:
    from ..client.value import URLValue

__all__ = ["ObspecStore"]

_Parts = list[bytes]


class ObspecStore(ObspecListing):
    r"""One snapshot of a site, or a folder of it, with the methods of obspec that read.

    What takes a store of obspec takes it: obspec goes by methods, not by classes.  It has
    those of obspec-utils' ``ReadableStore``, and those that list.  Neither package is needed.

    It is of the snapshot that the store had when it was made: a value that the host has
    replaced since raises `IntegrityError`.  To read the next snapshot, make another one;
    that requests nothing.

    Parameters
    ----------
    store : StaticStore or view
        The store, connected.  It is not disconnected by this one, which goes on once the
        store is connected again.
    prefix : str, optional
        The folder that paths begin in, such as ``"climate"``; by default the whole site.

    Raises
    ------
    TypeError
        The store is none, or the prefix is not text.
    NotConnectedError
        The store is not connected.

    Notes
    -----
    Any thread and event loop may use it.  Whole values are verified by their digests; parts
    cannot be.  Sizes and times come from the index; from the host, by a request for each
    value, if it lacks them.

    Errors have the names that ``obspec.exceptions.map_exception`` knows: `NotFoundError`,
    `UnauthenticatedError` (401, 407), `PermissionDeniedError` (403), `PreconditionError`,
    `NotModifiedError` and `NotSupportedError`, each a `StoreError`.

    A pickle has what a pickle of the store has, and no secret.  What is unpickled connects at
    its first use, and raises `IntegrityError` if the folder has changed meanwhile.

    Examples
    --------
    >>> terrain = ObspecStore(sample_store, "terrain")
    >>> terrain.head("dem.tif")["size"]
    96510
    >>> terrain.get_range("dem.tif", start=0, end=4)
    b'II*\x00'
    >>> [meta["path"] for meta in terrain.list_with_delimiter()["objects"]][:2]
    ['contours.geojson', 'dem.tif']
    """

    def __repr__(self) -> str:
        """Show the URL of the folder; no secret."""
        return f"<ObspecStore: {self._folder}>"

    @property
    def url(self) -> str:
        """What paths are relative to, for ``ObjectStoreRegistry``; no query.

        Raises
        ------
        AttributeError
            The store is a view, whose values may have any URL.
        """
        root, data_path = self._folder.root_url, self._folder.site.data_path
        if root is None or data_path is None:
            raise AttributeError("the values of a view have no common URL", name="url", obj=self)
        return root + quote(data_path + self._folder.prefix, safe="/")

    # -- whole values --------------------------------------------------------------------

    def get(self, path: str, *, options: Mapping[str, Any] | None = None) -> GetResult:
        """Return a value or a part of it, which is requested when its bytes are asked for.

        Parameters
        ----------
        path : str
            The path of the value.
        options : mapping, optional
            ``range``, in bytes: ``(start, end)``, ``{"offset": n}`` or ``{"suffix": n}``;
            ``if_match``, ``if_none_match``, ``if_modified_since``, ``if_unmodified_since``,
            compared with what `head` returns; and ``head``, for no bytes.

        Returns
        -------
        GetResult
            Its ``buffer()`` reads all, verified; it can be iterated over, too.

        Raises
        ------
        NotFoundError
            The index has no such key.
        PreconditionError, NotModifiedError
            A condition is not fulfilled.
        NotSupportedError
            A version is asked for.
        ValueError
            The range is empty, or begins behind the end.
        """
        value = self._value(path)
        return GetResult(self._folder.site, value, self._meta(path, value), options or {})

    async def get_async(self, path: str, *, options: Mapping[str, Any] | None = None) -> GetResult:
        """Return a value or a part of it, as `get`; ``await buffer_async()`` reads it."""
        value = await self._value_async(path)
        meta = await self._meta_async(path, value)
        return GetResult(self._folder.site, value, meta, options or {})

    # -- parts ---------------------------------------------------------------------------

    def get_range(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> bytes:
        """Read a part of a value.

        Parameters
        ----------
        path : str
            The path of the value.
        start : int
            The first byte.
        end, length : int, optional
            The first byte behind the part, or the number of bytes: one of both.  A part that
            goes beyond the end of the value is shorter.

        Returns
        -------
        bytes
            The part.

        Raises
        ------
        NotFoundError
            The index has no such key.
        ValueError
            Neither `end` nor `length` is given; the part is empty, or begins behind the end.
        TransportError, IntegrityError
            The bytes could not be fetched, or the value has changed on the host.
        """
        starts, ends, lengths = _as_sequences(start, end, length)
        return self.get_ranges(path, starts=starts, ends=ends, lengths=lengths)[0]

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> bytes:
        """Read a part of a value, as `get_range`; concurrent reads share requests."""
        value = await self._value_async(path)
        starts, ends, lengths = _as_sequences(start, end, length)
        [part] = _parts(value, starts, ends, lengths)
        site = await self._folder.site_async()
        with by_obspec_names():
            return await site.get_range_async(value.key, *part)

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> _Parts:
        """Read many parts of a value together; those near each other share a request.

        Parameters
        ----------
        path : str
            The path of the value.
        starts : sequence of int
            The first byte of each part.
        ends, lengths : sequence of int, optional
            As in `get_range`, of each part.

        Returns
        -------
        list of bytes
            The parts, in the order given.

        Raises
        ------
        NotFoundError, ValueError, TransportError, IntegrityError
            As `get_range`.
        """
        value = self._value(path)
        parts = _parts(value, starts, ends, lengths)
        with by_obspec_names():
            return value.get_ranges(parts)

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> _Parts:
        """Read many parts of a value together, as `get_ranges`."""
        value = await self._value_async(path)
        parts = _parts(value, starts, ends, lengths)
        site = await self._folder.site_async()
        with by_obspec_names():
            return await site.get_ranges_async(value.key, parts)


def _as_sequences(
    start: int, end: int | None, length: int | None
) -> tuple[list[int], list[int] | None, list[int] | None]:
    return [start], None if end is None else [end], None if length is None else [length]


def _parts(
    value: URLValue,
    starts: Sequence[int],
    ends: Sequence[int] | None,
    lengths: Sequence[int] | None,
) -> list[tuple[int, int]]:
    if ends is None:
        if lengths is None:
            raise ValueError("either an end or a length is needed")
        _check_count("lengths", starts, lengths)
        ends = [start + length for start, length in zip(starts, lengths, strict=True)]
    _check_count("ends", starts, ends)
    size = Content.of(value.metadata).size
    return [checked_range(start, end, size) for start, end in zip(starts, ends, strict=True)]


def _check_count(name: str, starts: Sequence[int], others: Sequence[int]) -> None:
    if len(starts) != len(others):
        raise ValueError(f"there are {len(starts)} starts, but {len(others)} {name}")
