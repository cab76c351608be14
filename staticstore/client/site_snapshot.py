"""One snapshot of a site: its values, and the documents that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..errors import IndexFormatError, IntegrityError, NotConnectedError, StoreError
from ..index.queries import DelegatedQueries
from .value import URLValue

if TYPE_CHECKING:
    from datetime import datetime

    from ..disk.part_file import PartFolder
    from ..index.about import NamedFile
    from ..index.head import Head, NamedDocument
    from ..index.snapshot import Index
    from ..transport.http.session import Session
    from .access import Access
    from .following.connection import Follower
    from .following.held import LazyIndex
    from .following.index_reader import Held

__all__ = ["SiteSnapshot", "Values", "read_about"]

T = TypeVar("T")


class Values(Mapping[str, URLValue]):
    """The values of one snapshot, whatever polls bring meanwhile.

    Parameters
    ----------
    index : Index or LazyIndex
        The snapshot.
    access : Access
        The way to its values.  Both are attributes, too.
    """

    def __init__(self, index: Index | LazyIndex, access: Access) -> None:
        self.index = index
        self.access = access

    def located(self, key: str) -> tuple[Values, str] | None:
        """Return these values and the key; those of a view say where a key really is."""
        return self, key

    def read_or_error(self, key: str) -> bytes | StoreError:
        """Read a value by itself; return it, or why it cannot be read."""
        try:
            return self[key].read()
        except StoreError as error:
            return error

    @property
    def is_in_memory(self) -> bool:
        """Whether looking a key up requests nothing."""
        return not isinstance(self.index, DelegatedQueries)

    @property
    def is_cut(self) -> bool:
        """Whether the connection that reads them is closed."""
        return self.access.session.wire.cut.is_set()

    def read_by(self, current: Values) -> Values:
        """Return the same snapshot, read by the connection that other values are read by."""
        index, sources = self.index, current.access.sources
        if isinstance(index, DelegatedQueries):
            index = index.read_by((*sources.alike, *sources.unlike))
        return Values(index, current.access)

    @property
    def data_path(self) -> str:
        """What is between a root and the key in the URL of a value."""
        return self.access.data_path

    @property
    def folders(self) -> list[str]:
        """The roots that are folders of this machine, in order of preference."""
        sources = self.access.sources
        roots = (session.root for session in (*sources.alike, *sources.unlike))
        return [root.folder for root in roots if root.folder is not None]

    def only(self, keys: Iterable[str]) -> Values:
        """Return the values of some keys alone; of a snapshot that is held whole."""
        assert not isinstance(self.index, DelegatedQueries)
        return Values(self.index.only(keys), self.access)

    def __getitem__(self, key: str) -> URLValue:
        """Return a value; nothing is requested."""
        metadata, content = self.index.described(key)
        return URLValue(key, metadata, content, self.access)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self.index)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.index)

    def __contains__(self, key: object) -> bool:
        """Return whether the index has a key."""
        return key in self.index


class SiteSnapshot(NamedTuple):
    """A whole snapshot, and what its host said with it, for copies of the site."""

    values: Values
    held: Held
    follower: Follower
    #: Where plain clients look for the index; below the root, not quoted.
    index_path: str
    #: When the index was changed, as a host without a head says it.
    modified: datetime | None = None
    #: Whether the store took an older index because the host insisted on it.
    was_believed: bool = False
    #: The bytes of the head, if it is the signed one.
    head_text: bytes | None = None

    def of_signed_head(self, held: Held, text: bytes) -> SiteSnapshot:
        """Return the snapshot that a signed head names; its bytes are `text`."""
        values = Values(held.index, self.values.access)
        return self._replace(values=values, held=held, head_text=text)

    @property
    def snapshot(self) -> Index:
        """The snapshot."""
        return self.held.index

    @property
    def sha256(self) -> str:
        """Digest of the index as the host sent it, lowercase hex."""
        return self.held.sha256

    @property
    def head(self) -> Head | None:
        """The head that named the index; None on a site without one."""
        return self.held.head

    @property
    def is_foreign(self) -> bool:
        """Whether the index is one that others publish, in a format of theirs."""
        return self.session.root.document is not None

    @property
    def pinned(self) -> bytes | None:
        """The root document under which the signatures were verified; None without."""
        pinned: bytes | None = dict(self.values.access.settings.options)["trust"]
        return pinned

    @property
    def session(self) -> Session:
        """The session of the root that is asked first."""
        return self.values.access.session

    def read(self, document: NamedDocument, parts: PartFolder | None = None) -> bytes | None:
        """Fetch a document by its digest; None if it cannot be fetched.

        Parameters
        ----------
        document : NamedDocument
            Which one.
        parts : PartFolder, optional
            Where it is kept if interrupted.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        return _or_none(lambda: self.follower.documents(self.held).read(document, parts))

    def read_index(self, parts: PartFolder | None = None) -> bytes | None:
        """Fetch the index as the host sent it; None if it cannot be fetched.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        import hashlib  # not needed to import staticstore

        if self.head is not None and (body := self.read(self.head.index, parts)) is not None:
            return body
        most = self.follower.max_bytes
        body = self._read_current(self.index_path, most, "the index", "max_index_bytes")
        is_right = body is not None and hashlib.sha256(body).hexdigest() == self.sha256
        return body if is_right else None

    def read_signature(self, name: str) -> bytes | None:
        """Fetch a file of ``trust/``, not verified; None if it is not there.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        TransportError
            It cannot be fetched.
        """
        from ..transport.http.wire import SizeLimit
        from ..trust.layout import MOST_DOCUMENT_BYTES, is_trust_name, trust_path

        if not is_trust_name(name):  # it may be made of what a host has said
            return None
        limit = SizeLimit(MOST_DOCUMENT_BYTES, name)
        try:
            return self.follower.documents(self.held).read_current(trust_path(name), limit)
        except IndexFormatError:  # a large page, in its place
            return None

    def read_head(self) -> bytes | None:
        """Fetch the head as the host has it now; None if it cannot be fetched.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        from ..index.head import HEAD_PATH, MOST_HEAD_BYTES

        return self._read_current(HEAD_PATH, MOST_HEAD_BYTES, "the head")

    def read_file(self, path: str, file: NamedFile) -> bytes | None:
        """Fetch a file in the root of the site; None if it is not there as described.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        body = self._read_current(path, file.size, path)
        return body if body is not None and type(file).of(body) == file else None

    def _read_current(
        self, path: str, most_bytes: int, what: str, argument: str | None = None
    ) -> bytes | None:
        from ..transport.http.wire import SizeLimit

        limit = SizeLimit(most_bytes, what, argument)
        return _or_none(lambda: self.follower.documents(self.held).read_current(path, limit))


def read_about(held: Held, follower: Follower) -> dict[str, Any] | None:
    """Fetch the description of a site; see `StaticStore.about`."""
    from ..index.about import About

    if held.head is None or held.head.about is None:
        return None
    try:
        body = follower.documents(held).read(held.head.about)
        return None if body is None else About.parse(body).as_json()
    except (IndexFormatError, IntegrityError):
        return None


def _or_none(read: Callable[[], T | None]) -> T | None:
    try:
        return read()
    except NotConnectedError:
        raise
    except StoreError:
        return None
