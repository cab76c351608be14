"""An index of which only parts are read, until the whole of it is needed."""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import LRUCache

from ..errors import IndexFormatError, IntegrityError, quoted
from ..index import codec
from ..index.blocks import BlockRoot, Stretch, holding, read_root
from ..index.entries import line_problem, visible_metadata
from ..index.fields import Content
from ..index.lines import Lines
from ..index.piece import Piece
from ..index.snapshot import Index
from ..processes import PerProcess, is_held
from .documents import Documents

if TYPE_CHECKING:
    from ..index.head import Document, Head, Role
    from ..transport.session import Session

__all__ = ["LazyIndex", "Partial", "Parts"]

_PROBLEMS_KEPT = 100
_MOST_MEMORY = 16 << 20  # bytes, for parts that were read
_PARSED = 4  # times as much memory as its text, at most: what was parsed

T = TypeVar("T")


class Parts:
    """The parts of one index that were read, each held against the digest that named it.

    Any thread may look keys up; two that look for the same at once may both
    fetch it.

    Parameters
    ----------
    sessions : sequence of Session
        The ways to all roots of the site; any may have them.
    head : Head
        What names the index and its blocks.
    seconds : float
        How long one look-up may take in all.
    max_bytes : int
        The most that an index may have.
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
        self._sessions = tuple(sessions)
        self._served = served
        self._head = head
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._root: BlockRoot | None = None
        self._known = PerProcess(_Known, after_fork=_Known.or_new)
        #: What was found wrong in entries that were looked up, and left out.
        self.problems: dict[str, None] = {}

    def is_read_by(self, session: Session) -> bool:
        """Return whether parts come by a session: those of another connection are cut."""
        return session in self._sessions

    def find(self, key: str) -> bytes | None:
        """Return the raw entry of a key, or None; by root, one page and one block at most.

        Raises
        ------
        LookupError
            The host gives no parts, or others than the head says.
        TransportError, NotConnectedError
            They could not be had.
        """
        deadline = time.monotonic() + self._seconds
        try:
            block = self._block_of(key, deadline)
            if block is None:
                return None
            raw = self._lines_of(block, deadline).get(key)
        except (IndexFormatError, IntegrityError) as error:
            raise LookupError("the parts of the index cannot be read") from error
        except UnicodeEncodeError:  # half of a surrogate pair, which no key can have
            return None
        problem = None if raw is None else line_problem(key, raw)
        if problem is not None:
            if len(self.problems) < _PROBLEMS_KEPT:
                self.problems[f"{quoted(key)} is left out: {problem}"] = None
            return None
        return raw

    def _block_of(self, key: str, deadline: float) -> Stretch | None:
        if self._root is None:
            self._root = self._read_root(deadline)
        page = holding(self._root.pages, key)
        if page is None:
            return None
        return holding(self._blocks_of(self._root, page, deadline), key)

    def _blocks_of(self, root: BlockRoot, page: Stretch, deadline: float) -> Sequence[Stretch]:
        end = self._head.index.size - 2
        return self._read(root.lines, page, deadline, lambda text: root.blocks_of(text, 2, end))

    def _lines_of(self, block: Stretch, deadline: float) -> Lines:
        def parse(text: bytes) -> Lines:
            # The last line of an index has no comma.
            text = b"\n" + (text if text.endswith(b",\n") else text.removesuffix(b"\n") + b",\n")
            # What is not in canonical form is for who reads the whole.
            return Lines([Piece(text, 1, len(text), block.first)], None, is_checked=False)

        return self._read(self._head.index, block, deadline, parse)

    def _read_root(self, deadline: float) -> BlockRoot:
        root = read_root(self._head, self._documents(deadline).read)
        if root is None:
            raise LookupError("the root of the blocks is not there")
        return root

    def _read(
        self,
        document: Document,
        stretch: Stretch,
        deadline: float,
        parse: Callable[[bytes], T],
    ) -> T:
        """Read and parse a stretch of a document, unless that was done before."""
        kept = self._known.get()
        with kept.lock:
            known = kept.parsed.get((document, stretch))
        if known is None:
            text = self._documents(deadline).read_stretch(document, stretch)
            if text is None:
                raise LookupError("the host gives no parts of documents")
            known = _PARSED * len(text), parse(text)
            with kept.lock:
                kept.parsed[document, stretch] = known
        parsed: T = known[1]
        return parsed

    def _documents(self, deadline: float) -> Documents:
        return Documents(self._sessions, deadline, self._max_bytes, self._served)


class _Known:
    """What was parsed, under a lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        # What was parsed of a document, and about how many bytes of memory it takes.
        self.parsed: LRUCache[tuple[Document, Stretch], tuple[int, Any]] = LRUCache(
            _MOST_MEMORY, getsizeof=operator.itemgetter(0)
        )

    def or_new(self) -> _Known:
        """Return this, or an empty one in a child forked while a thread was changing it."""
        return _Known() if is_held(self.lock) else self


@dataclass(frozen=True)
class Partial:
    """What a lazy store holds: a head, and the parts of its index that were read."""

    head: Head
    #: Header fields of a conditional request for the head.
    validators: Mapping[str, str]
    parts: Parts = field(compare=False)
    #: The root that it came from, if that is not the first, which decides.
    source: str | None = None

    @property
    def sha256(self) -> str:
        """The digest of the index, lowercase hex."""
        return self.head.index.sha256

    @property
    def entries(self) -> int:
        """How many entries the index has, by what the head says."""
        return self.head.entries

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out of the parts that were read."""
        return tuple(self.parts.problems)


class LazyIndex:
    """Looks like an `Index`; reads parts for single keys, and becomes whole for all else.

    Parameters
    ----------
    partial : Partial
        What is held.
    whole : callable
        Fetches and returns the whole index.
    """

    def __init__(self, partial: Partial, whole: Callable[[], Index]) -> None:
        self._partial = partial
        self._whole = whole

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the metadata of a key, a copy of the caller's own."""
        raw = self._raw(key)
        if raw is None:
            raise KeyError(key)
        return visible_metadata(raw)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key; anything at all may be asked for."""
        return self._raw(key) is not None

    def _raw(self, key: object) -> Any:
        if not isinstance(key, str):
            return None
        try:
            return self._partial.parts.find(key)
        except LookupError:
            return self._whole().raw(key)

    def contents_of(self, keys: Iterable[str]) -> dict[str, Content]:
        """Tell what some entries say of the bytes of their values: `Index.contents_of`."""
        wanted = dict.fromkeys(key for key in keys if isinstance(key, str))
        raws = ((key, self._raw(key)) for key in wanted)
        return {key: Content.of(codec.decode(raw)) for key, raw in raws if raw is not None}

    def __len__(self) -> int:
        """Count the keys, by what the head says."""
        return self._partial.entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self._whole())

    def query(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        **equals: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Find entries by their metadata: `Index.query`."""
        return self._whole().query(select, where=where, **equals)

    def query_keys(self, *, where: Mapping[str, Any] | None = None, **equals: Any) -> Iterator[str]:
        """Find keys by their metadata: `Index.query_keys`."""
        return self._whole().query_keys(where=where, **equals)

    def glob(self, pattern: str) -> Iterator[str]:
        """Find keys by a shell pattern: `Index.glob`."""
        return self._whole().glob(pattern)
