"""Follows the index of a site at its root or roots, poll after poll."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import IntegrityError, StoreError, TransportError
from ...index.freshness import Freshness
from ...transport.http.document import Absent
from ...transport.http.failures import status_error
from ...transport.http.wire import Deadline
from ...transport.values.remote_value import PASSED_OVER, Sources
from .direct_follower import DirectFollower
from .documents import Documents, RootReader, Sighting
from .held import IndexParts
from .index_reader import Held, IndexReader, parsed

if TYPE_CHECKING:
    from ...disk.part_file import PartFolder
    from ...index.head import Head, Role
    from ...transport.http.session import Session
    from ...transport.values.download import WholeValues

__all__ = ["SiteFollower", "absence_error"]

_LOG = logging.getLogger("staticstore")

# A host without a head is asked for one again at every tenth poll.
_HEAD_EVERY_POLLS = 10

# Asks a root for its current state: for the head until the first deadline, for all else
# until the second.
_Ask = Callable[[RootReader, Deadline, Deadline], Held | None]


class SiteFollower(DirectFollower):
    """Fetches the index of a site, or what has changed in it.

    It holds no snapshot.  On a site with a head, a poll asks for the head alone; else for
    ``index.json``, conditionally.  The first of several roots is the site and decides.  The
    others are copies: they serve documents whose digests the first has named, and an index
    only to a store that holds none.

    Parameters
    ----------
    sessions : sequence of Session
        One for each root.
    index_path : str
        Path of the index below the roots, not quoted.
    parts : PartFolder, optional
        Where interrupted documents are kept.
    **bounds
        As in `DirectFollower`.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        index_path: str,
        *,
        parts: PartFolder | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__(sessions, **bounds)
        self._part_folder = parts
        self._has_head = index_path == "index.json"
        self._roots = [
            RootReader(session, index_path, self.max_bytes, self.freshness) for session in sessions
        ]
        self._reader = IndexReader(index_path, self.max_bytes)
        self._polls = 0
        self._passed_over: str | None = None
        self._served: set[Role] = set()
        self._wholes: WholeValues | None = None
        if len(sessions) > 1:
            from ...transport.values.download import WholeValues  # seldom needed

            self._wholes = WholeValues(self.session.wires)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the roots and their documents, for people."""
        passed_over = () if self._passed_over is None else (self._passed_over,)
        return (*passed_over, *self._reader.warnings, *self.freshness.warnings())

    def close(self) -> None:
        """Cut the connections to all roots, if they are its own; never blocks."""
        super().close()
        if self._wholes is not None:
            self._wholes.close()

    def sources(self, held: Held) -> Sources:
        """Return where the values of a snapshot can be read."""
        own = self._root_of(held).session
        others = (root.session for root in self._roots if root.session is not own)
        return Sources((own,), tuple(others), self._wholes)

    def documents(self, held: Held) -> Documents:
        """Return the documents that the head of a snapshot names."""
        return self._documents(self._root_of(held), Deadline(self._seconds))

    def fetch(
        self,
        held: Held | None,
        *,
        seconds: float | None = None,
        anew: bool = False,
        every: bool = False,
    ) -> Held | None:
        """Return the current index, whole; None if it is the one that is held.

        Parameters
        ----------
        held : Held or None
            What is held, whole or in parts.
        seconds : float, optional
            A lower time limit than usual.
        anew : bool, optional
            Whether to read the index whole even if it is the one that is held.
        every : bool, optional
            Not used: nothing here is asked for in turn.

        Raises
        ------
        TransportError
            The index could not be fetched; or the head, which was there before, is absent.
        IndexFormatError
            The document is no index.
        IntegrityError
            The host has other bytes than its head says, twice.
        """
        self._polls += 1
        base = held if held is not None and held.is_whole and not anew else None
        return self._fetch(held, base, self._deadline(seconds))

    def part(self, held: Held | None) -> Held | None:
        """Return the current index, in parts; None if the site serves none.

        Raises
        ------
        TransportError
            The head could not be fetched.
        """
        self._polls += 1
        return self._fetch_part(held, Deadline(self._seconds))

    def whole(self, held: Held) -> Held:
        """Return the index that the head of a snapshot names, read whole.

        It replaces parts, or a snapshot that changes led to.

        Raises
        ------
        IntegrityError
            The host has it no longer.
        TransportError, IndexFormatError
            As `fetch`.
        """
        assert held.head is not None, "only a head names parts, or changes"
        sighting = Sighting(held.head, held.validators)
        before = held if held.is_whole else None
        new = self._reader.whole(before, sighting, self.documents(held))
        return dataclasses.replace(new, source=held.source)

    # -- which root ----------------------------------------------------------------

    def _fetch(self, held: Held | None, base: Held | None, deadline: Deadline) -> Held | None:
        ask = partial(self._polled, base, held is None)
        return self._first(held, ask, deadline, anew=base is None)

    def _fetch_part(self, held: Held | None, deadline: Deadline) -> Held | None:
        return self._first(held, partial(self._sighted, held), deadline, anew=held is None)

    def _first(
        self, held: Held | None, ask: _Ask, deadline: Deadline, *, anew: bool
    ) -> Held | None:
        first, *copies = self._roots
        if held is None or anew:
            first.forget()
        elif held.source is None:
            first.recall(held.validators, of_head=held.head is not None)
        if held is None and copies and self.freshness.sha256 is None:
            return self.session.retried(partial(self._first_or_copy, ask, deadline), deadline)
        found = ask(first, deadline, deadline)
        self._passed_over = None
        return found

    def _first_or_copy(self, ask: _Ask, deadline: Deadline) -> Held | None:
        first, *copies = self._roots
        patience = deadline.within(tuning.FIRST_ROOT_PATIENCE_SECONDS)
        try:
            return ask(first, patience, deadline)
        except PASSED_OVER as error:
            for copy in copies:
                with contextlib.suppress(*PASSED_OVER):
                    # Of its own, and empty: what a copy says is not known of the site.
                    copy.freshness = Freshness()
                    found = ask(copy, deadline, deadline)
                    if found is not None:
                        passed, url = first.session.root.url, copy.session.root.url
                        self._passed_over = f"{passed} is passed over, and {url} read: {error}"
                        _LOG.warning("%s", self._passed_over)
                        return dataclasses.replace(found, source=url)
            raise

    def _root_of(self, held: Held) -> RootReader:
        roots = (root for root in self._roots if root.session.root.url == held.source)
        return next(roots, self._roots[0])

    def _sessions_from(self, root: RootReader) -> tuple[Session, ...]:
        return (root.session, *(one.session for one in self._roots if one is not root))

    def _documents(self, root: RootReader, deadline: Deadline) -> Documents:
        # The other roots serve them, too: a digest says whether a document is the right one.
        sessions = self._sessions_from(root)
        return Documents(sessions, deadline, self.max_bytes, self._served, self._part_folder)

    # -- what a root says --------------------------------------------------------------

    def _polled(
        self,
        base: Held | None,
        accepts_all: bool,
        root: RootReader,
        patience: Deadline,
        deadline: Deadline,
    ) -> Held | None:
        """Return the index that a root has now; None if that is not newer than `base`.

        Older answers count only with `accepts_all`, where a store holds nothing.
        """
        if self._asks_head(base, root.freshness):
            found = self._head(root, patience)
            if found is None:
                return None
            if isinstance(found, Sighting):
                if root.freshness.accepts_head(found.head) or accepts_all:
                    return self._followed(root, base, found, deadline)
                return None
        return self._plain(root, base, deadline, accepts_all=accepts_all)

    def _sighted(
        self, held: Held | None, root: RootReader, patience: Deadline, _: Deadline
    ) -> Held | None:
        if not self._has_head:
            return None
        found = self._head(root, patience)
        if isinstance(found, Absent):
            return None
        if found is not None:
            is_known = held is not None or root.freshness.sha256 is not None
            if root.freshness.accepts_head(found.head) or not is_known:
                return self._part_of(root, held, found)
        return None if held is None else self._renewed(root, held)

    def _part_of(self, root: RootReader, held: Held | None, sighting: Sighting) -> Held | None:
        head, validators = sighting
        if head.blocks is None:
            return None
        self._take(root, sighting)
        is_same = held is not None and held.head is not None and head.index == held.head.index
        if held is not None and is_same and held.source is None:
            return self._renewed(root, dataclasses.replace(held, head=head, validators=validators))
        return Held(self._parts(root, head), validators, head.index.sha256, head)

    def _renewed(self, root: RootReader, held: Held) -> Held:
        # Parts of an earlier connection are read by sessions that are closed.
        parts, head = held.content, held.head
        assert isinstance(parts, IndexParts)
        assert head is not None
        if root.session in parts.sessions:
            return held
        return dataclasses.replace(held, content=self._parts(root, head))

    def _parts(self, root: RootReader, head: Head) -> IndexParts:
        sessions = self._sessions_from(root)
        return IndexParts(sessions, head, self._seconds, self.max_bytes, self._served)

    def _asks_head(self, base: Held | None, freshness: Freshness) -> bool:
        if not self._has_head:
            return False
        was_there = freshness.head is not None and not freshness.is_headless
        is_expected = base is None or base.head is not None or was_there
        # At the first poll, too: a head may be new since the index was cached.
        return is_expected or self._polls == 1 or self._polls % _HEAD_EVERY_POLLS == 0

    def _head(self, root: RootReader, deadline: Deadline) -> Sighting | Absent | None:
        freshness = root.freshness
        is_known = freshness.head is not None
        found = root.head(deadline, is_known=is_known, is_doubtful=freshness.is_doubtful)
        if found is None:
            freshness.repeat(of_head=True)
        elif isinstance(found, Absent) and not freshness.tolerates_absence():
            raise absence_error(found)
        return found

    def _followed(
        self, root: RootReader, base: Held | None, sighting: Sighting, deadline: Deadline
    ) -> Held:
        documents = self._documents(root, deadline)
        try:
            new = self._reader.follow(base, sighting, documents)
        except IntegrityError:
            # The site was being published, or a cache has an old part of it: try once more.
            again = root.head(deadline, is_known=True, is_doubtful=True)
            if not isinstance(again, Sighting) or root.freshness.is_older_head(again.head):
                raise
            sighting = again
            new = self._reader.follow(base, sighting, documents)
        self._take(root, sighting)
        return new

    def _take(self, root: RootReader, sighting: Sighting) -> None:
        root.freshness.know_head(sighting.head)
        root.confirm(sighting.validators, of_head=True)

    def _plain(
        self, root: RootReader, base: Held | None, deadline: Deadline, *, accepts_all: bool
    ) -> Held | None:
        freshness = root.freshness
        found = root.index(deadline, is_doubtful=freshness.is_doubtful)
        if found is None:
            freshness.repeat(of_head=False)
            return None
        modified, validators = found.response.last_modified, found.response.validators
        if base is not None and base.sha256 == found.sha256:
            new = dataclasses.replace(base, validators=validators, head=None, source=None)
        else:  # parsed first: a document that is no index is an error, not an older answer
            before = None if base is None else base.index
            index = parsed(found, root.session.root.url, before)
            new = Held(index, validators, found.sha256, size=len(found.body))
        if not freshness.accepts_index(found.sha256, modified) and not accepts_all:
            return None
        freshness.know_index(found.sha256, modified)
        root.confirm(validators, of_head=False)
        return new


def absence_error(found: Absent) -> StoreError:
    """Return the error of a poll that finds no head where there was one."""
    if found.status in (401, 403):
        return status_error(found.status, key=None, url=found.url)
    message = "the head of the site, which was there before, is absent"
    if found.problem is not None:
        message = f"{message}: {found.problem}"
    return TransportError(message, url=found.url, status=found.status)
