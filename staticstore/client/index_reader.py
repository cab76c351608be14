"""The index that a head names: reached from an older one by what changed, or read whole."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import IndexFormatError, IntegrityError, unforeseen_as_refusal
from ..index import codec
from ..index.head import Head, parse_change_lines
from ..index.snapshot import Index
from ..index.sums import changed_sum, sum_text
from ..transport.response import Fetched, SizeLimit
from .documents import Documents, explained
from .held import Held, Sighting

if TYPE_CHECKING:
    from .by_blocks import Difference

__all__ = ["IndexReader", "parsed"]

_LOG = logging.getLogger("staticstore")

# A head whose sums were wrong so often in a row counts as one without.
_MOST_WRONG_SUMS = 2
# Without a sum, an index up to this size is hashed after changes: in a millisecond.
_HASHED_BELOW_BYTES = 1 << 20
_MOST_WARNINGS = 20


class IndexReader:
    """Follows heads to the indexes that they name.

    Only one poll at a time may use it.

    Parameters
    ----------
    index_path : str
        Where plain clients look for the index, relative to the root, not quoted.
    max_bytes : int
        The most that an index may have.
    """

    def __init__(self, index_path: str, max_bytes: int) -> None:
        self._index_path = index_path
        self.limit = SizeLimit(max_bytes, "the index", "max_index_bytes")
        self._wrong_sums = 0
        #: What was wrong in documents that the host gave, for people.
        self.warnings: dict[str, None] = {}

    def follow(self, held: Held | None, sighting: Sighting, documents: Documents) -> Held:
        """Return what a head names.

        Raises
        ------
        IntegrityError
            What stands there is not what the head says.
        IndexFormatError
            It is no index, or too large.
        TransportError
            It could not be had.
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
        """Return what a head names, read whole: under its digest, or where plain clients look.

        Raises
        ------
        IntegrityError, IndexFormatError, TransportError
            As `follow`.
        """
        head = sighting.head
        self.limit.check(head.index.size, documents.url)
        try:
            found = documents.fetch(head.index)
        except IntegrityError:  # a page, say
            found = None
        found = found or documents.fetch(head.index, path=self._index_path)
        if found is None:
            raise documents.missing(head.index)
        before = None if held is None else held.index
        index = parsed(found, documents.url, before, vouched_entries=head.entries)
        return Held(index, sighting.validators, found.sha256, head, size=len(found.body))

    def _derived(self, held: Held, head: Head, documents: Documents) -> Held | None:
        """Return the index made of an older one; None if there is no good way to it."""
        from .by_blocks import by_blocks  # not needed to connect

        for way in (self._by_changes, by_blocks):
            try:
                difference = way(documents, held, head)
            except (IndexFormatError, IntegrityError) as error:
                _LOG.info("the whole index may have to be fetched: %s", error)
                continue
            if difference is not None and difference.states:
                with unforeseen_as_refusal("what has changed cannot be applied"):
                    return self._applied(held, head, difference, documents.url)
        return None

    def _by_changes(self, documents: Documents, held: Held, head: Head) -> Difference | None:
        """Return what the change files say that lead to the current index; None without a way."""
        from .by_blocks import Difference

        left = min(self.limit.most_bytes, held.size)
        difference = Difference({}, list(held.index.warnings))
        for span in head.way_from(held.sha256) or ():
            found = documents.fetch(span.document, max_bytes=left)
            if found is None:
                return None
            left -= len(found.body)
            with unforeseen_as_refusal("a change file cannot be read"):
                states = parse_change_lines(bytes(found.body))
            difference.states.update(states)
            if len(states) != span.count:
                self._warn(f"a change file has {len(states)} keys where the head says {span.count}")
        return difference

    def _applied(self, held: Held, head: Head, difference: Difference, url: str) -> Held | None:
        """Apply a difference; None if it leads elsewhere than to the index that the head names."""
        size = held.size + _growth(held.index, difference.states)
        self.limit.check(size, url)
        index = held.index.changed_by(difference.states, difference.warnings)
        if not self._is_named(held, head, difference, index):
            self._warn("what has changed leads to another index than the head names: ignored")
            return None
        return Held(index, {}, head.index.sha256, head, size=size, is_derived=True)

    def _is_named(self, held: Held, head: Head, difference: Difference, index: Index) -> bool:
        """Return whether an index is the one that a head names, as far as can be told cheaply."""
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
    """Return whether an index may be the one of a head that says no sum which could be believed."""
    if not index.is_canonical or head.index.size > _HASHED_BELOW_BYTES:
        return index.is_canonical
    return head.index.describes(index.canonical())


def _growth(index: Index, states: Mapping[str, bytes | None]) -> int:
    """Return by how many bytes an index becomes longer; what a head says is no bound."""
    growth = 0
    for key, raw in states.items():
        before = _canonical(index, key)
        around = len(codec.encode(key)) + len(b":,\n")
        growth += 0 if raw is None else around + len(raw)
        growth -= 0 if before is None else around + len(before)
    return growth


def _canonical(index: Index, key: str) -> bytes | None:
    """Return a raw entry as it stands in a canonical line."""
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
        The root that it came from, for people.
    before : Index, optional
        An older snapshot: entries that are the same bytes there are not checked again.
    vouched_entries : int, optional
        As in `Index.parse`.

    Raises
    ------
    IndexFormatError
        It is none; the error says what the host sent in its place.
    """
    try:
        with unforeseen_as_refusal("the index cannot be read"):
            index = Index.parse(
                fetched.body,
                vouched_entries=vouched_entries,
                before=before,
                newlines=fetched.newlines,
            )
    except IndexFormatError as error:
        answer = fetched.response
        text = explained(error, fetched)
        raise IndexFormatError(text, url=answer.url, status=answer.status) from error
    if index.warnings:
        more = f" and {len(index.warnings) - 1} more" if len(index.warnings) > 1 else ""
        _LOG.warning("in the index of %s: %s%s", root_url, index.warnings[0], more)
    return index
