"""What obspec's stores say of values, and list: from the index of a snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, TypedDict

from ..errors import TransportError
from ..index.fields import Content, parse_time
from .obspec_errors import NotFoundError, by_obspec_names
from .obspec_result import ObjectMeta
from .snapshot_folder import SnapshotFolder

if TYPE_CHECKING:
    from ..client.live_store import LiveStore
    from ..client.value import URLValue

__all__ = ["ListResult", "ObspecListing"]

_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_Found = tuple[str, Content]
# `list` is a method of the class below.
_Page = list[_Found]
_Paths = list[str]


class ListResult(TypedDict):
    """One level of a store, as obspec has it."""

    #: Paths of folders, without a slash at their end.
    common_prefixes: list[str]
    #: The values.
    objects: list[ObjectMeta]


class ObspecListing:
    """The half of `ObspecStore` that reads the index; the parameters are those of it."""

    def __init__(self, store: LiveStore, prefix: str = "") -> None:
        self._folder = SnapshotFolder(store, prefix)

    def __eq__(self, other: object) -> bool:
        """Return whether both read the same bytes of the same site."""
        if not isinstance(other, ObspecListing):
            return NotImplemented
        return self._folder == other._folder

    __hash__ = None  # type: ignore[assignment]

    # -- what is known of values ---------------------------------------------------------

    def head(self, path: str) -> ObjectMeta:
        """Return what is known of a value; nothing is requested if the index says it all.

        Parameters
        ----------
        path : str
            The path of the value.

        Returns
        -------
        ObjectMeta
            A dictionary: ``path``, ``last_modified``, ``size``, ``e_tag`` and ``version``.

        Raises
        ------
        NotFoundError
            The index has no such key.
        TransportError
            The index lacks the size or the time, and the host does not answer.
        """
        return self._meta(path, self._value(path))

    async def head_async(self, path: str) -> ObjectMeta:
        """Return what is known of a value, as `head`."""
        value = await self._value_async(path)
        return await self._meta_async(path, value)

    def _value(self, path: str) -> URLValue:
        key = self._folder.prefix + path
        value: URLValue | None = self._folder.site.get(key, None)
        if value is None:
            raise NotFoundError("there is no such key in the index", key=key)
        return value

    async def _value_async(self, path: str) -> URLValue:
        site = await self._folder.site_async()
        return await site.looked_up(lambda: self._value(path))

    def _meta(self, path: str, value: URLValue) -> ObjectMeta:
        content = Content.of(value.metadata)
        with by_obspec_names():
            return _known(path, content) or _asked(path, value)

    async def _meta_async(self, path: str, value: URLValue) -> ObjectMeta:
        content = Content.of(value.metadata)
        if (known := _known(path, content)) is not None:
            return known
        site = await self._folder.site_async()
        with by_obspec_names():
            return await site.called(lambda: _asked(path, value))

    # -- listing -------------------------------------------------------------------------

    def list(
        self, prefix: str | None = None, *, offset: str | None = None, chunk_size: int = 50
    ) -> Iterator[Sequence[ObjectMeta]]:
        """List all values below a folder, in order.

        Parameters
        ----------
        prefix : str, optional
            The folder; ``"a/b"`` is ``"a/b/"``, as in obspec.  By default all.
        offset : str, optional
            List only paths that are greater than this text.
        chunk_size : int, optional
            Values of each sequence; the last one may be shorter.

        Returns
        -------
        iterator of sequences of ObjectMeta
            What `head` returns; ``e_tag`` is None for a value without a digest.

        Raises
        ------
        ValueError
            `chunk_size` is below 1; raised at once.
        TransportError
            While iterating: the index lacks a size or a time, and the host does not answer.
        """
        _check_chunk_size(chunk_size)
        return (
            [self._listed(*one) for one in some]
            for some in self._pages(prefix, offset or "", chunk_size)
        )

    def list_async(
        self, prefix: str | None = None, *, offset: str | None = None, chunk_size: int = 50
    ) -> AsyncIterator[Sequence[ObjectMeta]]:
        """List all values below a folder, as `list`."""
        _check_chunk_size(chunk_size)
        return self._list_async(prefix, offset or "", chunk_size)

    async def _list_async(
        self, prefix: str | None, offset: str, chunk_size: int
    ) -> AsyncIterator[Sequence[ObjectMeta]]:
        site = await self._folder.site_async()
        pages = await site.looked_up(lambda: self._pages(prefix, offset, chunk_size))
        for some in pages:
            yield [await self._listed_async(*one) for one in some]

    def list_with_delimiter(self, prefix: str | None = None) -> ListResult:
        """List one level of a folder, by a bisection for each entry.

        Parameters
        ----------
        prefix : str, optional
            The folder, as in `list`.

        Returns
        -------
        ListResult
            A dictionary: ``common_prefixes``, the folders, and ``objects``, the values.

        Raises
        ------
        TransportError
            The index lacks a size or a time, and the host does not answer.
        """
        folders, values = self._level(prefix)
        return {"common_prefixes": folders, "objects": [self._listed(*one) for one in values]}

    async def list_with_delimiter_async(self, prefix: str | None = None) -> ListResult:
        """List one level of a folder, as `list_with_delimiter`."""
        site = await self._folder.site_async()
        folders, values = await site.looked_up(lambda: self._level(prefix))
        objects = [await self._listed_async(*one) for one in values]
        return {"common_prefixes": folders, "objects": objects}

    def _pages(self, prefix: str | None, offset: str, size: int) -> Iterator[_Page]:
        found = self._folder.contents(self._folder.paths(_folder_of(prefix), offset))
        return iter(lambda: list(islice(found, size)), [])

    def _level(self, prefix: str | None) -> tuple[_Paths, _Page]:
        level = list(self._folder.level(_folder_of(prefix)))
        values = self._folder.contents(path for path in level if not path.endswith("/"))
        return [path[:-1] for path in level if path.endswith("/")], list(values)

    def _listed(self, path: str, content: Content) -> ObjectMeta:
        return _known(path, content, needs_tag=False) or self.head(path)

    async def _listed_async(self, path: str, content: Content) -> ObjectMeta:
        return _known(path, content, needs_tag=False) or await self.head_async(path)


def _folder_of(prefix: str | None) -> str:
    return "" if not prefix or prefix == "/" else f"{prefix.rstrip('/')}/"


def _check_chunk_size(size: int) -> None:
    if size < 1:
        raise ValueError(f"chunk_size is a number of values, 1 or more, not {size}")


def _known(path: str, content: Content, *, needs_tag: bool = True) -> ObjectMeta | None:
    """Return what the index says of a value; None if that is not all."""
    modified = parse_time(content.modified)
    if content.size is None or modified is None or (needs_tag and content.sha256 is None):
        return None
    return _meta_of(path, content.size, modified, _tag_of(content.sha256))


def _asked(path: str, value: URLValue) -> ObjectMeta:
    """Return what index and host say of a value, by requests for what the index lacks."""
    size = value.size
    if size is None:
        raise TransportError("neither the index nor the host says the size", key=value.key)
    return _meta_of(path, size, value.modified, _tag_of(value.sha256) or value.etag)


def _tag_of(sha256: str | None) -> str | None:
    return None if sha256 is None else f'"{sha256}"'


def _meta_of(path: str, size: int, modified: datetime | None, tag: str | None) -> ObjectMeta:
    return {
        "path": path,
        "last_modified": modified or _UNKNOWN_TIME,
        "size": size,
        "e_tag": tag,
        "version": None,
    }
