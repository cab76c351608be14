"""The index of a site, as it is fetched again and again."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from urllib.parse import quote

from ..errors import IndexFormatError, IntegrityError, TransportError
from ..index.head import HEAD_PATH, MOST_HEAD_BYTES, Head, parse_change_lines
from ..index.snapshot import Index
from ..transport.fetched import Fetched, SizeLimit
from ..transport.response import Response
from ..transport.session import Session
from ..transport.sources import Sources
from .catching_up import by_blocks
from .documents import ABSENT, exactly, missing
from .lazy import Partial, Parts

__all__ = ["UNCONDITIONAL_EVERY", "Feed", "Held", "Sighting", "is_stale"]

_log = logging.getLogger("staticstore")

#: How often a document is asked for as if none were held, counted in requests.
# Servers whose validators are made of size and whole seconds (nginx, Apache,
# Caddy) miss a change within the same second, so that now and then the index
# is asked for as if none were held.
UNCONDITIONAL_EVERY = 24
# How often a host without a head is asked whether it has one by now.
_HEAD_EVERY = 10
# An index older than the one held is an edge of a CDN that lags behind, until
# it has come so many times in a row.
_BELIEVED_AFTER = 3
_EXCERPT = 80  # characters


@dataclass(frozen=True)
class Held:
    """A snapshot, and what is needed to ask whether it is still the current one."""

    index: Index
    #: Header fields of a conditional request for the head, or for the index where
    #: there is none (RFC 9110, section 13.1).
    validators: Mapping[str, str]
    #: Of the index, lowercase hex: so that one without validators is not parsed in
    #: vain, and change files can be chosen.
    sha256: str
    #: The head that named the index; None where the site has none.
    head: Head | None = None
    #: When a host without a head says that the index was changed.
    modified: datetime | None = None
    #: How often something older than this was answered, and ignored.
    ignored: int = 0

    @property
    def entries(self) -> int:
        """How many entries the index has."""
        return len(self.index)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out of the index."""
        return self.index.warnings


class Sighting(NamedTuple):
    """A head, and the header fields of a conditional request for it."""

    head: Head
    validators: Mapping[str, str]


class Feed:
    """Fetches the index of a site: what has changed, or the whole, or word that nothing has.

    It holds no snapshot itself.  Where the site has a head, that is asked
    for alone; where it has none, ``index.json`` conditionally.

    Parameters
    ----------
    session : Session
        The way to the site.
    index_path : str
        Where the index stands, relative to the root, not quoted.
    max_bytes : int
        The most that an index may have.
    seconds : float
        How long one fetch may take in all.
    """

    def __init__(self, session: Session, index_path: str, *, max_bytes: int, seconds: float):
        self.session = session
        self._index_path = index_path
        self.max_bytes = max_bytes
        self._seconds = seconds
        self._count = itertools.count(1)
        self._older_in_a_row = 0
        self._sources = Sources((session,))

    def close(self) -> None:
        """Cut every connection; never blocks."""
        self.session.close()

    def sources(self, sha256: str) -> Sources:
        """Return where the values of the snapshot with some digest can be had."""
        return self._sources

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with roots that others stand in for."""
        return ()

    def fetch(self, held: Held | None, *, seconds: float | None = None) -> Held | None:
        """Return the current index; None if the host says that it is the one held.

        Parameters
        ----------
        held : Held or None
            What is held.
        seconds : float, optional
            How long it may take in all, if that is less than usual.

        Raises
        ------
        TransportError
            It could not be had.
        IndexFormatError
            What came is no index.
        IntegrityError
            What came is not what the head says, twice.
        """
        deadline = time.monotonic() + min(self._seconds, seconds or self._seconds)
        count = next(self._count)
        conditional = held is not None and count % UNCONDITIONAL_EVERY != 0
        # At the first time, too, since what is held may be old.
        is_asked = count == 1 or count % _HEAD_EVERY == 0
        if held is None or held.head is not None or is_asked:
            found = self._by_head(held, deadline, conditional=conditional)
            if found != "absent":
                return found
        return self.plain(held, deadline, conditional=conditional)

    def part(self, held: Partial | None) -> Partial | None:
        """Return by what parts of the current index can be read; None if the site has no blocks.

        Raises
        ------
        TransportError
            The head could not be had.
        """
        deadline = time.monotonic() + self._seconds
        found = self.look(None if held is None else Sighting(held.head, held.validators), deadline)
        return None if found == "absent" else self.part_of(held, found, [self.session])

    def part_of(
        self, held: Partial | None, sighting: Sighting, sessions: Sequence[Session]
    ) -> Partial | None:
        """Return by what parts of the index of a head can be read; None if it has no blocks."""
        head, validators = sighting
        if held is not None and is_stale(head, held.head):
            return dataclasses.replace(held, ignored=held.ignored + 1)
        if head.blocks is None:
            return None
        is_same = held is not None and head.index == held.head.index
        parts = held.parts if held is not None and is_same else None
        return Partial(
            head,
            validators,
            parts or Parts(sessions, head, self._seconds, self.max_bytes),
            0 if held is None else held.ignored,
        )

    def whole(self, partial: Partial) -> Held | None:
        """Return the whole of an index of which parts were read; None if it is no longer there.

        Raises
        ------
        TransportError
            It could not be had.
        IndexFormatError
            It is no index.
        """
        head = partial.head
        try:
            fetched = self._whole(head, time.monotonic() + self._seconds)
        except IntegrityError:
            return None
        index = self._parsed(fetched, None, vouched_entries=head.entries)
        return Held(index, partial.validators, head.index.sha256, head, ignored=partial.ignored)

    # -- by a head -----------------------------------------------------------------

    def look(self, seen: Sighting | None, deadline: float) -> Sighting | Literal["absent"]:
        """Return the current head; the one that was seen, if the host says that it still is.

        Raises
        ------
        TransportError
            It could not be had.
        """
        is_conditional = seen is not None and next(self._count) % UNCONDITIONAL_EVERY != 0
        found = self._head(seen.validators if seen is not None and is_conditional else {}, deadline)
        if found is None:
            assert seen is not None, "only a conditional request is answered with 304"
            return seen
        return found

    def _by_head(
        self, held: Held | None, deadline: float, *, conditional: bool
    ) -> Held | Literal["absent"] | None:
        """Ask for the head, and for what it takes to follow it; None if it is not modified."""
        validators: Mapping[str, str] = {}
        if conditional and held is not None and held.head is not None:
            validators = held.validators
        found = self._head(validators, deadline)
        return self.follow(held, found, deadline) if isinstance(found, Sighting) else found

    def follow(self, held: Held | None, sighting: Sighting, deadline: float) -> Held:
        """Return the index that a head names, or the one that the next head does.

        Raises
        ------
        TransportError, IndexFormatError, IntegrityError
            As `fetch`.
        """
        try:
            return self._followed(held, *sighting, deadline)
        except IntegrityError:
            # The head is older than what it names, or newer: it may be right by now.
            found = self._head({"Cache-Control": "no-cache"}, deadline)
            if not isinstance(found, Sighting):
                raise
            return self._followed(held, *found, deadline)

    def _head(
        self, headers: Mapping[str, str], deadline: float
    ) -> Sighting | Literal["absent"] | None:
        """Return the head and its validators; None if it is not modified."""
        try:
            limit = SizeLimit(MOST_HEAD_BYTES, "the head")
            answer = self._current(HEAD_PATH, headers, deadline, limit, ABSENT)
            if not isinstance(answer, Fetched):
                return answer
            return Sighting(Head.parse(bytes(answer.body)), _validators(answer.response))
        except IndexFormatError:  # a page from a host that answers every path
            return "absent"

    def _followed(
        self, held: Held | None, head: Head, validators: Mapping[str, str], deadline: float
    ) -> Held:
        """Return the index that a head names."""
        if held is not None and is_stale(head, held.head):
            return dataclasses.replace(held, ignored=held.ignored + 1)
        if held is not None and head.index.sha256 == held.sha256:
            return dataclasses.replace(held, head=head, validators=validators, modified=None)
        index = None
        if held is not None and (held.head is None or held.head.lineage == head.lineage):
            index = self._by_changes(held, head, deadline)
            if index is None:
                index = by_blocks(self.session, held.index, head, deadline, self.max_bytes)
        if index is None:
            whole = self._whole(head, deadline)
            index = self._parsed(whole, held, vouched_entries=head.entries)
        ignored = 0 if held is None else held.ignored
        return Held(index, validators, head.index.sha256, head, ignored=ignored)

    def _by_changes(self, held: Held, head: Head, deadline: float) -> Index | None:
        """Apply the change files that lead to the current index; None if there is no such way."""
        states: dict[str, bytes | None] = {}
        left = self.max_bytes
        try:
            for document in head.way_from(held.sha256) or ():
                found = exactly(self.session, document, deadline, left)
                if found is None:
                    return None
                left -= len(found.body)
                states.update(parse_change_lines(bytes(found.body)))
        except (IndexFormatError, IntegrityError) as error:
            _log.info("a change file cannot be used, the whole index is fetched: %s", error)
            return None
        index = held.index.changed_by(states, held.index.warnings)
        return index if states and len(index) == head.entries else None

    def _whole(self, head: Head, deadline: float) -> Fetched:
        """Fetch the index under its digest, or where plain clients look for it."""
        limit = SizeLimit(self.max_bytes, "the index", "max_index_bytes")
        limit.check(head.index.size, self.session.root.url)
        for path in (None, self._index_path):
            found = exactly(self.session, head.index, deadline, self.max_bytes, path=path)
            if found is not None:
                return found
        raise missing(self.session, head.index)

    # -- without a head ----------------------------------------------------------------

    def plain(self, held: Held | None, deadline: float, *, conditional: bool) -> Held | None:
        """Ask for ``index.json``; None if the host says that it is the one held.

        Raises
        ------
        TransportError, IndexFormatError
            As `fetch`.
        """
        validators: Mapping[str, str] = {}
        if conditional and held is not None and held.head is None:
            validators = held.validators
        limit = SizeLimit(self.max_bytes, "the index", "max_index_bytes")
        answer = self._current(self._index_path, validators, deadline, limit)
        if not isinstance(answer, Fetched):
            self._older_in_a_row = 0
            return None
        modified, validators = answer.response.last_modified, _validators(answer.response)
        if held is not None and held.sha256 == answer.sha256:
            self._older_in_a_row = 0
            return dataclasses.replace(held, validators=validators, head=None, modified=modified)
        if held is not None and self._is_older(modified, held):
            return dataclasses.replace(held, ignored=held.ignored + 1)
        index = self._parsed(answer, held)
        ignored = 0 if held is None else held.ignored
        return Held(index, validators, answer.sha256, modified=modified, ignored=ignored)

    def _is_older(self, modified: datetime | None, held: Held) -> bool:
        """Tell whether an index comes from an edge that lags behind, and must be ignored."""
        if modified is None or held.modified is None or modified >= held.modified:
            self._older_in_a_row = 0
            return False
        self._older_in_a_row = (self._older_in_a_row + 1) % _BELIEVED_AFTER
        return self._older_in_a_row != 0

    # -- requests ------------------------------------------------------------------

    def _current(
        self,
        path: str,
        headers: Mapping[str, str],
        deadline: float,
        limit: SizeLimit,
        absent: frozenset[int] = frozenset(),
    ) -> Fetched | Literal["absent"] | None:
        """Fetch a document that changes; None if the validators are still those of it."""
        for fields in (headers, {"Cache-Control": "no-cache"}):
            found = self._get(path, fields, deadline, limit, absent)
            if found is None:
                return "absent"
            response = found.response
            if response.status == 200:
                return found
            if response.status == 304 and any(name.startswith("If-") for name in fields):
                return None
            # Not what was asked for: a cache that is confused, perhaps.
        raise TransportError(
            f"the host answered {response.status} to a request for the whole index",
            url=response.url,
            status=response.status,
        )

    def _get(
        self,
        path: str,
        headers: Mapping[str, str],
        deadline: float,
        limit: SizeLimit,
        absent: frozenset[int] = frozenset(),
    ) -> Fetched | None:
        return self.session.fetch(
            quote(path, safe="/"),
            headers={"Accept-Encoding": "gzip, deflate", **headers},
            deadline=deadline,
            limit=limit,
            absent=absent,
        )

    def _parsed(
        self, fetched: Fetched, held: Held | None, *, vouched_entries: int | None = None
    ) -> Index:
        before = None if held is None else held.index
        try:
            index = Index.parse(fetched.body, vouched_entries=vouched_entries, before=before)
        except IndexFormatError as error:
            raise _explained(error, fetched) from error
        if index.warnings:
            more = f" and {len(index.warnings) - 1} more" if len(index.warnings) > 1 else ""
            _log.warning("in the index of %s: %s%s", self.session.root.url, index.warnings[0], more)
        return index


def is_stale(head: Head, held: Head | None) -> bool:
    """Tell whether a head is older than one that was seen already: a CDN's edge lags behind."""
    return held is not None and head.lineage == held.lineage and head.generation < held.generation


def _explained(error: IndexFormatError, fetched: Fetched) -> IndexFormatError:
    """Say what the host sent in the place of an index."""
    excerpt = ascii(fetched.body[: 4 * _EXCERPT].decode("utf-8", "replace")[:_EXCERPT])
    content_type = fetched.response.header("Content-Type")
    sent = "a document of no type" if content_type is None else ascii(content_type)
    return IndexFormatError(
        f"{error}; the host sent {sent}, which begins {excerpt}",
        url=fetched.response.url,
        status=fetched.response.status,
    )


def _validators(response: Response) -> dict[str, str]:
    fields = {"If-None-Match": response.etag, "If-Modified-Since": response.header("Last-Modified")}
    return {name: value for name, value in fields.items() if value}
