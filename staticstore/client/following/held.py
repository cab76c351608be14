"""The parts of an index that were read, and the lazy index that reads them."""

from __future__ import annotations

import copy
import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import LRUCache

from ... import tuning
from ...errors import IndexFormatError, IntegrityError, quoted
from ...index import codec
from ...index.blocks import BlockRoot, Stretch, holding, read_root
from ...index.fields import Content, line_problem, visible_metadata
from ...index.forms.lines import Lines
from ...index.forms.piece import Piece
from ...index.hidden import hide
from ...index.queries import DelegatedQueries
from ...processes import PerProcess, is_held
from ...transport.http.wire import Deadline
from .documents import Documents

if TYPE_CHECKING:
    from ...index.head import Head, NamedDocument, Role
    from ...index.snapshot import Index
    from ...transport.http.session import Session

__all__ = ["IndexParts", "LazyIndex"]

_MOST_PROBLEMS = 100
_PARSED_RATIO = 4  # memory of a parsed part to bytes of its text, at most

T = TypeVar("T")


class IndexParts:
    """The parts of one index that were read, each verified by its digest; thread-safe.

    Two threads that look for the same key at once may both fetch its part.

    Parameters
    ----------
    sessions : sequence of Session
        One for each root of the site; any of them may have the parts.
    head : Head
        Names the index and its blocks.
    seconds : float
        Time limit of one look-up.
    max_bytes : int
        The most bytes that an index may have.
    served : set of Role
        As in `Documents`.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        head: Head,
        seconds: float,
        max_bytes: int,
        served: set[Role],
    ) -> None:
        #: Those that fetch parts; of the connection that made this.
        self.sessions = tuple(sessions)
        self._served = served
        self._head = head
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._root: BlockRoot | None = None
        self._memory = PerProcess(_PartMemory, after_fork=_PartMemory.or_new)
        #: Entries that were looked up and left out, and why.
        self.warnings: dict[str, None] = {}

    def read_by(self, sessions: Sequence[Session]) -> IndexParts:
        """Return the same parts; the sessions fetch what is not here yet."""
        other = copy.copy(self)
        other.sessions = tuple(sessions)
        return other

    @property
    def sha256(self) -> str:
        """Digest of the index whose parts these are, lowercase hex."""
        return self._head.index.sha256

    def __len__(self) -> int:
        """Return the number of entries, as the head claims it."""
        return self._head.entries

    def find(self, key: str) -> bytes | None:
        """Return the raw entry of a key, or None; reads one page and one block at most.

        Raises
        ------
        LookupError
            The host serves no ranges, or other bytes than the head says.
        TransportError, NotConnectedError
            A part could not be fetched.
        """
        deadline = Deadline(self._seconds)
        try:
            block = self._block_of(key, deadline)
            if block is None:
                return None
            raw = self._lines_of(block, deadline).get(key)
        except (IndexFormatError, IntegrityError) as error:
            raise LookupError("the parts of the index cannot be read") from error
        except UnicodeEncodeError:  # half of a surrogate pair, which no key contains
            return None
        https_only = self.sessions[0].root.origin.scheme == "https"
        problem = None if raw is None else line_problem(key, raw, https_only=https_only)
        if problem is not None:
            if len(self.warnings) < _MOST_PROBLEMS:
                self.warnings[f"{quoted(key)} is left out: {problem}"] = None
            return None
        return raw

    def _block_of(self, key: str, deadline: Deadline) -> Stretch | None:
        if self._root is None:
            self._root = read_root(self._head, self._documents(deadline).read)
        root = self._root
        if root is None:
            raise LookupError("the root of the blocks is not there")
        page = holding(root.pages, key)
        if page is None:
            return None
        end = self._head.index.size - 2
        blocks = self._read(root.lines, page, deadline, lambda text: root.blocks_of(text, 2, end))
        return holding(blocks, key)

    def _lines_of(self, block: Stretch, deadline: Deadline) -> Lines:
        def parse(text: bytes) -> Lines:
            # The last line of an index has no comma.
            text = b"\n" + (text if text.endswith(b",\n") else text.removesuffix(b"\n") + b",\n")
            # Lines that are not canonical are found when the whole index is read.
            return Lines([Piece(text, 1, len(text), block.first)], None, is_checked=False)

        return self._read(self._head.index, block, deadline, parse)

    def _read(
        self,
        document: NamedDocument,
        stretch: Stretch,
        deadline: Deadline,
        parse: Callable[[bytes], T],
    ) -> T:
        memory = self._memory.get()
        with memory.lock:
            known = memory.parsed.get((document, stretch))
        if known is None:
            text = self._documents(deadline).read_stretch(document, stretch)
            if text is None:
                raise LookupError("the host gives no parts of documents")
            known = _PARSED_RATIO * len(text), parse(text)
            with memory.lock:
                memory.parsed[document, stretch] = known
        parsed: T = known[1]
        return parsed

    def _documents(self, deadline: Deadline) -> Documents:
        return Documents(self.sessions, deadline, self._max_bytes, self._served)


class _PartMemory:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        # Estimated bytes of memory, and a parsed stretch of a document.
        self.parsed: LRUCache[tuple[NamedDocument, Stretch], tuple[int, Any]] = LRUCache(
            tuning.PARTS_MEMORY_BYTES, getsizeof=operator.itemgetter(0)
        )

    def or_new(self) -> _PartMemory:
        # A child that was forked while a thread held the lock may have half a change.
        return _PartMemory() if is_held(self.lock) else self


class LazyIndex(DelegatedQueries):
    """Reads parts of an index for single keys, and fetches the whole for all else.

    It has those methods of `Index` that a store needs; queries need the whole.  All answers
    are of one index: once parts have given one, `IntegrityError` is raised if the whole is
    another index by then.

    Parameters
    ----------
    parts : IndexParts
        The parts.
    whole : callable
        Fetches the whole index; returns its digest, and the index.
    """

    def __init__(self, parts: IndexParts, whole: Callable[[], tuple[str, Index]]) -> None:
        self._parts = parts
        self._whole = whole
        self._has_answered = False  # by parts
        self._fetched: Index | None = None

    def _index(self) -> Index:
        if self._fetched is None:
            sha256, index = self._whole()
            if self._has_answered and sha256 != self._parts.sha256:
                text = "the site has published another index since this one was read: ask again"
                raise IntegrityError(text, expected=self._parts.sha256, actual=sha256)
            self._fetched = index
        return self._fetched

    def read_by(self, sessions: Sequence[Session]) -> LazyIndex:
        """Return the same snapshot; the sessions fetch parts of it."""
        other = copy.copy(self)
        other._parts = self._parts.read_by(sessions)
        return other

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the metadata of a key, as a copy."""
        raw = self.raw(key)
        if raw is None:
            raise KeyError(key)
        return visible_metadata(raw)

    def described(self, key: str) -> tuple[dict[str, Any], Content]:
        """Return the metadata of a key, and what of the value's bytes: `Index.described`."""
        raw = self.raw(key)
        if raw is None:
            raise KeyError(key)
        entry = codec.decode(raw)
        content = Content.of(entry)
        hide(entry)
        return entry, content

    def __contains__(self, key: object) -> bool:
        """Return whether the index has a key."""
        return self.raw(key) is not None

    def raw(self, key: object) -> Any:
        """Return the JSON text of an entry as it came, or None."""
        if not isinstance(key, str):
            return None
        if self._fetched is None:
            try:
                raw = self._parts.find(key)
            except LookupError:
                pass
            else:
                self._has_answered = True
                return raw
        return self._index().raw(key)

    def contents_of(self, keys: Iterable[str]) -> dict[str, Content]:
        """Return what some entries say of the bytes of their values: `Index.contents_of`."""
        wanted = dict.fromkeys(key for key in keys if isinstance(key, str))
        raws = ((key, self.raw(key)) for key in wanted)
        return {key: Content.of(codec.decode(raw)) for key, raw in raws if raw is not None}

    def __len__(self) -> int:
        """Return the number of keys, as the head claims it unless all were fetched."""
        return len(self._parts if self._fetched is None else self._fetched)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self._index())

    def keys_from(self, start: str) -> Iterator[str]:
        """Iterate over the keys that are not less than a text, in order."""
        return self._index().keys_from(start)

    def prefixes(self, prefix: str = "", *, delimiter: str = "/") -> Iterator[str]:
        """List one level of the keys that begin with a prefix: `Index.prefixes`."""
        return self._index().prefixes(prefix, delimiter=delimiter)
