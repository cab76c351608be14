"""The index that a head names: made of an older one by its changes, or read whole."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ... import tuning
from ...errors import IndexFormatError, IntegrityError, quoted, unforeseen_as_refusal
from ...index import codec
from ...index.blocks import Stretch, read_root
from ...index.changes import changed_sum, parse_change_lines, sum_text
from ...index.forms.lines import Lines, split_line
from ...index.forms.piece import Piece, key_at
from ...index.snapshot import Index
from ...transport.http.document import Fetched
from ...transport.http.wire import SizeLimit
from .documents import Documents, Sighting, with_excerpt, with_hint

if TYPE_CHECKING:
    from ...index.head import Head
    from ...trust.documents import TrustState

__all__ = ["Held", "IndexReader", "ReadParts", "parsed"]

_LOG = logging.getLogger("staticstore")

# After so many wrong sums in a row a head counts as one without a sum.
_MOST_WRONG_SUMS = 2
_MOST_WARNINGS = 20

# Whole lines, in the memory of the snapshot.
_Text = Sequence[bytes | memoryview]
_Pair = tuple[Stretch, _Text]


class _Difference(NamedTuple):
    """What turns an older index into the current one."""

    #: The raw entry of each key that is new or changed, None for a deleted one.
    states: dict[str, bytes | None]
    #: What is wrong with the new lines, after the warnings of the older index.
    warnings: list[str]


class ReadParts(Protocol):
    """The parts of an index that were read: `IndexParts`."""

    @property
    def warnings(self) -> Iterable[str]:
        """What was left out."""

    def __len__(self) -> int:
        """Return how many entries the index has, by its head."""


@dataclass(frozen=True)
class Held:
    """An index, whole or in parts, and what is needed to ask whether it is current."""

    #: The snapshot; in a lazy store, the parts of the index that were read.
    content: Index | ReadParts
    #: Header fields of a conditional request for the head, or else the index (RFC 9110, 13.1).
    validators: Mapping[str, str]
    #: Digest of the index, lowercase hex, to recognize it and to choose change files.
    sha256: str
    #: The head that named the index; None on a site without one.
    head: Head | None = None
    #: Bytes of the index as the host sent it.
    size: int = 0
    #: The root that it came from, if not the first.
    source: str | None = None
    #: Whether it was made of an older index, so that its bytes were never hashed.
    is_derived: bool = False
    #: Of how many documents it was made, in a foreign format; why it lacks what one of them says.
    documents: int | None = None
    unread: str | None = None
    #: The signatures of the head, and when they expire (seconds since 1970); None without them.
    expires: float | None = None
    signatures: TrustState | None = None

    @property
    def is_from_copy(self) -> bool:
        """Whether it came from a root that does not decide: any does with signatures."""
        return self.source is not None and self.expires is None

    @property
    def is_whole(self) -> bool:
        """Whether the whole index is held."""
        return isinstance(self.content, Index)

    @property
    def index(self) -> Index:
        """The snapshot; only where the whole index is held."""
        assert isinstance(self.content, Index), "only parts of the index were read"
        return self.content

    @property
    def entries(self) -> int:
        """Number of entries; where parts are held, the head's claim."""
        return len(self.content)

    @property
    def problems(self) -> tuple[str, ...]:
        """Entries that were left out, and a wrong count in the head."""
        warnings = tuple(self.content.warnings)
        if self.head is None or self.head.entries == self.entries:
            return warnings
        counts = f"the head counts {self.head.entries} entries where the index has {self.entries}"
        return (*warnings, counts)


class IndexReader:
    """Reads the indexes that heads name, for one poll at a time.

    Parameters
    ----------
    index_path : str
        Where plain clients look for the index, below the root, not quoted.
    max_bytes : int
        The most bytes that an index may have.
    """

    def __init__(self, index_path: str, max_bytes: int) -> None:
        self._index_path = index_path
        self._limit = SizeLimit(max_bytes, "the index", "max_index_bytes")
        self._wrong_sums = 0
        #: What was wrong in documents of the host, for people; the latest ones.
        self.warnings: dict[str, None] = {}

    def follow(self, held: Held | None, sighting: Sighting, documents: Documents) -> Held:
        """Return the index that a head names, by changes to what is held where possible.

        Raises
        ------
        IntegrityError
            The host has other bytes than the head says.
        IndexFormatError
            The document is no index, or too large.
        TransportError
            The index could not be fetched.
        """
        head, validators = sighting
        if held is not None and head.index.sha256 == held.sha256:
            return dataclasses.replace(held, head=head, validators=validators, source=None)
        if held is not None and (held.head is None or held.head.lineage == head.lineage):
            derived = self._derived(held, head, documents)
            if derived is not None:
                return dataclasses.replace(derived, validators=validators)
        return self.whole(held, sighting, documents)

    def whole(self, held: Held | None, sighting: Sighting, documents: Documents) -> Held:
        """Return the index that a head names, read whole from either of its paths.

        Raises
        ------
        IntegrityError, IndexFormatError, TransportError
            As `follow`.
        """
        head = sighting.head
        self._limit.check(head.index.size, documents.url)
        try:
            found = documents.fetch(head.index)
        except IntegrityError:  # a page, for example
            found = None
        found = found or documents.fetch(head.index, path=self._index_path)
        if found is None:
            raise documents.missing(head.index)
        before = None if held is None else held.index
        index = parsed(found, documents.url, before, vouched_entries=head.entries)
        return Held(index, sighting.validators, found.sha256, head, size=len(found.body))

    def _derived(self, held: Held, head: Head, documents: Documents) -> Held | None:
        for difference_of in (self._by_changes, _by_blocks):
            try:
                difference = difference_of(documents, held, head)
            except (IndexFormatError, IntegrityError) as error:
                _LOG.info("the whole index may have to be fetched: %s", error)
                continue
            if difference is not None and difference.states:
                with unforeseen_as_refusal("what has changed cannot be applied"):
                    return self._applied(held, head, difference, documents.url)
        return None

    def _by_changes(self, documents: Documents, held: Held, head: Head) -> _Difference | None:
        left = min(self._limit.most_bytes, held.size)
        difference = _Difference({}, list(held.index.warnings))
        for span in head.way_from(held.sha256) or ():
            found = documents.fetch(span.document, max_bytes=left)
            if found is None:
                return None
            left -= len(found.body)
            with unforeseen_as_refusal("a change file cannot be read"):
                states = parse_change_lines(bytes(found.body), https_only=_is_https(documents.url))
            difference.states.update(states)
            if len(states) != span.count:
                self._warn(f"a change file has {len(states)} keys where the head says {span.count}")
        return difference

    def _applied(self, held: Held, head: Head, difference: _Difference, url: str) -> Held | None:
        size = held.size + _growth(held.index, difference.states)
        self._limit.check(size, url)
        index = held.index.changed_by(difference.states, difference.warnings)
        if not self._is_named(held, head, difference, index):
            self._warn("the changes lead to another index than the head names, and are ignored")
            return None
        return Held(index, {}, head.index.sha256, head, size=size, is_derived=True)

    def _is_named(self, held: Held, head: Head, difference: _Difference, index: Index) -> bool:
        # The sum costs a hash for each changed line; the digest would cost one of the whole.
        before = None if held.head is None else held.head.sum
        if before is None or head.sum is None:
            return _is_surely(head, index)
        total = changed_sum(
            int(before, 16),
            ((key, _canonical(held.index, key), raw) for key, raw in difference.states.items()),
        )
        if sum_text(total) == head.sum:
            self._wrong_sums = 0
            return True
        self._wrong_sums += 1
        return self._wrong_sums > _MOST_WRONG_SUMS and _is_surely(head, index)

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            _LOG.warning("%s", warning)
        self.warnings = {**dict(list(self.warnings.items())[-_MOST_WARNINGS:]), warning: None}


def _is_surely(head: Head, index: Index) -> bool:
    if not index.is_canonical or head.index.size > tuning.HASHED_INDEX_BYTES:
        return index.is_canonical
    return head.index.describes(index.canonical())


def _growth(index: Index, states: Mapping[str, bytes | None]) -> int:
    # Counted here, since the size that a head claims is not to be relied on as a limit.
    growth = 0
    for key, raw in states.items():
        before = _canonical(index, key)
        around = len(codec.encode(key)) + len(b":,\n")
        growth += 0 if raw is None else around + len(raw)
        growth -= 0 if before is None else around + len(before)
    return growth


def _canonical(index: Index, key: str) -> bytes | None:
    raw = index.raw(key)
    if raw is None:
        return None
    return bytes(raw) if index.is_canonical else codec.encode(codec.decode(raw))


def parsed(
    fetched: Fetched,
    root_url: str,
    before: Index | None = None,
    *,
    vouched_entries: int | None = None,
) -> Index:
    """Parse an index that a host has sent.

    Parameters
    ----------
    fetched : Fetched
        The document.
    root_url : str
        The root that it came from, for the log.
    before : Index, optional
        An older snapshot: entries with the same bytes there are not checked again.
    vouched_entries : int, optional
        As in `Index.parse`.

    Raises
    ------
    IndexFormatError
        It is no index; the error shows the beginning of what the host sent.
    """
    try:
        with unforeseen_as_refusal("the index cannot be read"):
            index = Index.parse(
                fetched.body,
                vouched_entries=vouched_entries,
                before=before,
                newlines=fetched.newlines,
                https_only=_is_https(root_url),
            )
    except IndexFormatError as error:
        answer = fetched.response
        text = with_hint(with_excerpt(error, fetched), fetched)
        raise IndexFormatError(text, url=answer.url, status=answer.status) from error
    if index.warnings:
        more = f"; and {len(index.warnings) - 1} more" if len(index.warnings) > 1 else ""
        _LOG.warning("in the index of %s: %s%s", root_url, index.warnings[0], more)
    return index


def _is_https(root_url: str) -> bool:
    return root_url.startswith("https:")


# -- changes by blocks -------------------------------------------------------------


def _by_blocks(documents: Documents, held: Held, head: Head) -> _Difference | None:
    # Blocks that differ are fetched; all others are verified in the older index.
    lines = held.index.lines()
    if lines is None or not len(lines):
        return None
    blocks = _blocks_of(documents, head)
    with unforeseen_as_refusal("the index cannot be compared with its blocks"):
        missing = _missing_blocks(lines, blocks) if blocks else []
    done, total = 0, sum(block.size for block, _ in missing)
    if not blocks or total > _most_bytes(head):
        return None
    difference = _Difference({}, list(held.index.warnings))
    for block, old in missing:
        new = documents.read_stretch(head.index, block)
        if new is None:
            return None
        done += block.size
        documents.report(done, total)
        with unforeseen_as_refusal("a block of the index cannot be read"):
            changed = _changed_lines(b"".join(old), new, _is_https(documents.url))
        difference.states.update(changed.states)
        difference.warnings.extend(changed.warnings)
    return difference


def _blocks_of(documents: Documents, head: Head) -> tuple[Stretch, ...]:
    most = _most_bytes(head)
    is_small = head.index.size < tuning.BLOCKS_WORTHWHILE_BYTES
    if is_small or head.blocks is None or head.blocks.size > most:
        return ()
    root = read_root(head, documents.read)
    if root is None or root.lines.size > most:
        return ()
    if (text := documents.read(root.lines)) is None:
        return ()
    blocks = root.blocks_of(text, 2, head.index.size - 2)
    if not blocks or (blocks[0].offset, blocks[-1].end) != (2, head.index.size - 2):
        raise IndexFormatError("the blocks are not all of the index")
    return blocks


def _most_bytes(head: Head) -> int:
    return int(head.index.size * tuning.BLOCKS_WORTHWHILE_PART)


def _missing_blocks(lines: Lines, blocks: Sequence[Stretch]) -> list[_Pair]:
    # Each is returned with the lines in its place.
    from concurrent.futures import ThreadPoolExecutor  # seldom needed

    # Lines before the first block belong to it, so that they are deleted.
    texts = lines.cut(["", *(block.first for block in blocks[1:])])
    # Cut all before hashing any: a thread that hashes keeps asking for the interpreter.
    pairs = list(zip(blocks, texts, strict=True))
    size = tuning.HASHED_BATCH_BLOCKS
    shares = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    with ThreadPoolExecutor(tuning.HASHING_THREADS) as pool:
        found = pool.map(lambda share: [pair for pair in share if not _is_block(*pair)], shares)
        return [pair for share in found for pair in share]


def _is_block(block: Stretch, text: _Text) -> bool:
    if sum(map(len, text)) != block.size:
        return False
    digest = hashlib.sha256()
    for one in text:
        digest.update(one)
    return digest.hexdigest() == block.sha256


def _changed_lines(old: bytes, new: bytes, https_only: bool) -> _Difference:
    _check_lines(new)
    before, after = _lines_of(old), _lines_of(new)
    changed = _Difference({split_line(line)[0]: None for line in before - after}, [])
    for line in after - before:
        key, raw, problem = split_line(line, https_only=https_only)
        if problem is None:
            changed.states[key] = raw
        else:
            changed.warnings.append(f"{quoted(key)} is left out: {problem}")
    return changed


def _check_lines(block: bytes) -> None:
    # A line that is not one entry, or a key that stands twice, makes the whole be fetched.
    text = b"\n%b,\n" % block.removesuffix(b"\n").removesuffix(b",")
    piece = Piece(text, 1, len(text), key_at(text, 1))
    piece.keys()
    piece.check_lines()


def _lines_of(text: bytes) -> set[bytes]:
    return {line.removesuffix(b",") for line in text.split(b"\n") if line}
