"""A site as a store of zarr 3, read-only: every chunk verified, no request for a missing one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

try:
    from zarr.abc.store import (
        ByteRequest,
        OffsetByteRequest,
        RangeByteRequest,
        Store,
        SuffixByteRequest,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "staticstore.interop.zarr needs zarr 3, which the extra `zarr` brings", name=error.name
    ) from error

from ..errors import TransportError
from .snapshot_folder import SnapshotFolder

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

    from ..client.live_store import LiveStore

__all__ = ["ZarrStore"]

T = TypeVar("T")


class ZarrStore(Store):  # type: ignore[misc]
    """One snapshot of a site, or a folder of it, as a store of zarr 3.

    Chunks are verified by their digests, and one that the index lacks is missing without a
    request.  What zarr reads at once is fetched together: from packs, by coalesced ranges,
    and by requests in parallel.

    It is of the snapshot that the store had when it was made, so that an array never mixes
    two states: a chunk that the host has replaced since raises `IntegrityError`.  To read the
    next snapshot, make another one and open the array again; that alone requests nothing.

    Parameters
    ----------
    store : StaticStore or view
        The store, connected.  It is not disconnected by this one, which goes on once the
        store is connected again.
    prefix : str, optional
        The folder of the group or array, such as ``"climate/cube.zarr"``; by default the
        whole site.

    Raises
    ------
    TypeError
        The store is none, or the prefix is not text.
    NotConnectedError
        The store is not connected.

    Notes
    -----
    Any thread and event loop may use it; zarr has an event loop in a thread of its own.
    A part of a chunk, which zarr reads of sharded arrays, cannot be verified by the digest
    of the whole; zarr checks the checksums that such an array contains.

    A pickle has what a pickle of the store has, and no secret.  What is unpickled connects at
    its first use, and raises `IntegrityError` if the folder has changed meanwhile.  To pickle
    one takes 2 µs for each value of the folder, once.

    Two are equal if they read the same bytes of the same site.

    Examples
    --------
    >>> import zarr
    >>> from staticstore import publish
    >>> cube = zarr.create_array(sample_site / "data" / "cube.zarr", shape=(4, 4), dtype="i2")
    >>> cube[:2] = 7
    >>> _ = publish(sample_site), sample_store.update_index()
    >>> cube = zarr.open_array(ZarrStore(sample_store, "cube.zarr"), mode="r")
    >>> cube[1:3, 0]
    array([7, 0], dtype=int16)
    """

    supports_writes: bool = False
    supports_deletes: bool = False
    supports_listing: bool = True

    def __init__(self, store: LiveStore, prefix: str = "") -> None:
        super().__init__(read_only=True)
        self._folder = SnapshotFolder(store, prefix)

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return another one of the same snapshot.

        Raises
        ------
        NotImplementedError
            It is to be writable.
        """
        if not read_only:
            raise NotImplementedError(
                f"with_read_only is not implemented for the {type(self)} store type.  A site is "
                "read-only: write into the folder that it is published from, and publish that"
            )
        other = type(self).__new__(type(self))
        Store.__init__(other, read_only=True)
        other._folder = self._folder
        return other

    def __eq__(self, other: object) -> bool:
        """Return whether both read the same bytes of the same site."""
        return isinstance(other, ZarrStore) and self._folder == other._folder

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        """Return the URL of the folder; no secret."""
        return str(self._folder)

    def __repr__(self) -> str:
        """Show the URL of the folder; no secret."""
        return f"<ZarrStore: {self._folder}>"

    def __dask_tokenize__(self) -> Any:
        """Return what dask tells stores apart by: the site, and the bytes of the snapshot."""
        folder = self._folder
        return "staticstore.ZarrStore", folder.root_url, folder.prefix, folder.digest

    # -- reading ---------------------------------------------------------------------------

    async def get(
        self,
        key: str,
        prototype: BufferPrototype,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read a value or a part of it.

        Parameters
        ----------
        key : str
            The path below the prefix.
        prototype : BufferPrototype
            Makes the buffer.
        byte_range : RangeByteRequest, OffsetByteRequest or SuffixByteRequest, optional
            The part; by default the whole value, verified.  What is beyond the end is left
            out.

        Returns
        -------
        Buffer or None
            None if the index lacks the key; nothing is requested then.

        Raises
        ------
        ValueError
            `byte_range` is something else, or has a negative number.
        TransportError, IntegrityError
            The bytes could not be fetched, or differ from the index.
        """
        bounds, folder = _bounds(byte_range), self._folder
        site = folder.taken or await folder.site_async()
        key = folder.prefix + key
        try:
            if bounds is None:
                body = await site.read_async(key)
            else:
                body = await site.get_range_async(key, *bounds)
        except KeyError:
            if await site.looked_up(lambda: key in site):
                raise  # by no means a missing chunk, which zarr would fill
            return None
        return prototype.buffer.from_bytes(body)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Read many values or parts of values together, as `get`, in the order given."""
        return await _gathered(self.get(key, prototype, part) for key, part in key_ranges)

    async def get_ranges(
        self,
        key: str,
        byte_ranges: Sequence[ByteRequest | None],
        *,
        prototype: BufferPrototype,
        max_concurrency: int = 10,
        max_gap_bytes: int = 1 << 20,
        max_coalesced_bytes: int = 16 << 20,
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Read many parts of a value together; used by zarr 3.2 for shards.

        Parameters
        ----------
        key : str
            The path below the prefix.
        byte_ranges : sequence
            The parts, as in `get`.
        prototype : BufferPrototype
            Makes the buffers.
        max_concurrency : int, optional
            Not used: the store has a limit for all its requests.
        max_gap_bytes : int, optional
            The most bytes between two parts that share a request.
        max_coalesced_bytes : int, optional
            The most bytes of a request that parts share.

        Yields
        ------
        sequence of (int, Buffer)
            Numbers of the parts, and their bytes.

        Raises
        ------
        BaseExceptionGroup
            Of a FileNotFoundError, which zarr expects: the index lacks the key.
        TransportError, IntegrityError
            The bytes could not be fetched, or the value has changed on the host.
        """
        site = await self._folder.site_async()
        path = self._folder.prefix + key
        parts = [_bounds(one) or (None, None) for one in byte_ranges]
        if not await site.looked_up(lambda: path in site):
            raise BaseExceptionGroup("no such value", [FileNotFoundError(key)])
        found = await site.get_ranges_async(
            path, parts, max_gap=max_gap_bytes, max_size=max_coalesced_bytes
        )
        yield list(enumerate(map(prototype.buffer.from_bytes, found)))

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncIterator[tuple[str, Buffer | None]]:
        wanted = list(requests)
        found = await _gathered(self.get(*one) for one in wanted)
        for (key, *_), buffer in zip(wanted, found, strict=True):
            yield key, buffer

    async def exists(self, key: str) -> bool:
        """Return whether the index has a key, without a request."""
        site = await self._folder.site_async()
        return await site.looked_up(lambda: self._folder.prefix + key in site)

    async def getsize(self, key: str) -> int:
        """Return the bytes of a value, from the index; if it does not say, from its host.

        Raises
        ------
        FileNotFoundError
            The index lacks the key.
        TransportError
            Neither the index nor the host says the size.
        """
        [(_, size)] = await self._sizes([key])
        return size

    async def getsize_prefix(self, prefix: str) -> int:
        """Return the bytes of all values of a folder, as `getsize`."""
        site = await self._folder.site_async()
        paths = await site.looked_up(lambda: list(self._folder.paths(_folder_of(prefix))))
        return sum(size for _, size in await self._sizes(paths))

    async def _sizes(self, paths: Sequence[str]) -> list[tuple[str, int]]:
        site = await self._folder.site_async()
        known = await site.looked_up(lambda: dict(self._folder.contents(paths)))
        if missing := [path for path in paths if path not in known]:
            raise FileNotFoundError(missing[0])
        sizes: list[tuple[str, int]] = []
        for path in paths:
            size = known[path].size
            if size is None:
                value = await site.head_async(self._folder.prefix + path)
                if (size := value.size) is None:
                    raise TransportError("neither the index nor the host says the size", key=path)
            sizes.append((path, size))
        return sizes

    # -- listing ---------------------------------------------------------------------------

    async def is_empty(self, prefix: str) -> bool:
        """Return whether a folder has no values, by a bisection."""
        site = await self._folder.site_async()
        folder = _folder_of(prefix)
        return await site.looked_up(lambda: next(self._folder.paths(folder), None) is None)

    async def list(self) -> AsyncIterator[str]:
        """Iterate over all paths, in order."""
        async for path in self.list_prefix(""):
            yield path

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over the paths that begin with a text, in order."""
        site = await self._folder.site_async()
        for path in await site.looked_up(lambda: self._folder.paths(prefix)):
            yield path

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over the names in a folder, by a bisection for each."""
        site = await self._folder.site_async()
        folder = _folder_of(prefix)
        for path in await site.looked_up(lambda: self._folder.level(folder)):
            yield path.removeprefix(folder).removesuffix("/")

    # -- writing ---------------------------------------------------------------------------

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write: ValueError, as zarr's own stores that are read-only."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse to delete: ValueError, as zarr's own stores that are read-only."""
        self._check_writable()


async def _gathered(reads: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    # Not `asyncio.TaskGroup`: zarr wants the error of a read, not a group of one.
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _folder_of(prefix: str) -> str:
    return prefix if prefix == "" or prefix.endswith("/") else f"{prefix}/"


def _bounds(part: ByteRequest | None) -> tuple[int, int | None] | None:
    """Return a part as the bounds of a slice; None for the whole."""
    match part:
        case None:
            return None
        case RangeByteRequest(start=start, end=end) if min(start, end) >= 0:
            return start, end
        case OffsetByteRequest(offset=offset) if offset >= 0:
            return offset, None
        case SuffixByteRequest(suffix=suffix) if suffix >= 0:
            return (-suffix, None) if suffix else (0, 0)
    raise ValueError(f"Unexpected byte_range, got {part}.")
