"""The index of a site, followed through its one root or several, poll after poll."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import IndexFormatError, IntegrityError, StoreError, TransportError
from ..index.freshness import Freshness
from ..transport.failures import status_error
from ..transport.response import Absent
from ..transport.sources import Sources
from .documents import Documents
from .held import Held, Sighting
from .index_reader import IndexReader, parsed
from .lazy import Partial, Parts
from .root_reader import RootReader

if TYPE_CHECKING:
    from ..index.head import Head, Role
    from ..transport.copies import WholeValues
    from ..transport.part_file import PartFolder
    from ..transport.session import Session

__all__ = ["SiteFollower", "absence_error"]

_LOG = logging.getLogger("staticstore")

T = TypeVar("T", Held, Partial)
T_co = TypeVar("T_co", Held, Partial, covariant=True)

# How often a host without a head is asked whether it has one by now, in polls.
_HEAD_EVERY = 10
# The first of several roots is waited for so long before a copy is asked, by a
# store that holds nothing.
_PATIENCE_SECONDS = 10.0
_PASSED_OVER = (IntegrityError, IndexFormatError, TransportError)


class _Ask(Protocol[T_co]):
    """What asks one root for its current state."""

    def __call__(
        self,
        root: RootReader,
        held: Any,
        freshness: Freshness,
        patience: float,
        deadline: float,
        /,
    ) -> T_co | None:
        """Ask for the head until `patience`, and for all else until `deadline`."""
        ...


class SiteFollower:
    """Fetches the index of a site: what has changed, or the whole, or word that nothing has.

    It holds no snapshot itself.  Where the site has a head, that is asked for
    alone; where it has none, ``index.json`` conditionally.  Of several roots the
    first is the site and decides: the others, its copies, give documents that the
    first has named by their digests, and an index only to a store that holds none.

    Parameters
    ----------
    sessions : sequence of Session
        The ways to the roots.
    index_path : str
        Where the index stands, relative to the roots, not quoted.
    freshness : Freshness
        What the first root has said before.
    max_bytes : int
        The most that an index may have.
    seconds : float
        How long one fetch may take in all.
    parts : PartFolder, optional
        Where the beginnings of documents stay that break off.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        index_path: str,
        *,
        freshness: Freshness,
        max_bytes: int,
        seconds: float,
        parts: PartFolder | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self._part_folder = parts
        self.freshness = freshness
        self._seconds = seconds
        self._has_head = index_path == "index.json"
        self._roots = [RootReader(session, index_path, max_bytes) for session in sessions]
        self._reader = IndexReader(index_path, max_bytes)
        self._polls = 0
        self._passed_over: str | None = None
        self._served: set[Role] = set()
        self._wholes: WholeValues | None = None
        if len(sessions) > 1:
            from ..transport.copies import WholeValues  # seldom needed

            self._wholes = WholeValues(self.session.wires)

    @property
    def session(self) -> Session:
        """The way to the first root."""
        return self._roots[0].session

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the roots and what they gave, for people."""
        passed_over = () if self._passed_over is None else (self._passed_over,)
        return (*passed_over, *self._reader.warnings, *self.freshness.warnings())

    def close(self) -> None:
        """Cut the connections to all roots; never blocks."""
        for root in self._roots:
            root.session.close()
        if self._wholes is not None:
            self._wholes.close()

    def sources(self, held: Held | Partial) -> Sources:
        """Return where the values of a snapshot can be had."""
        own = self._root_of(held).session
        others = (root.session for root in self._roots if root.session is not own)
        return Sources((own,), tuple(others), self._wholes)

    def documents(self, held: Held | Partial, seconds: float | None = None) -> Documents:
        """Return the documents that the head of a snapshot names, to be read within a time."""
        deadline = time.monotonic() + (self._seconds if seconds is None else seconds)
        return self._documents(self._root_of(held), deadline)

    def fetch(
        self, held: Held | Partial | None, *, seconds: float | None = None, anew: bool = False
    ) -> Held | None:
        """Return the current index; None if nothing newer than what is held is there.

        Parameters
        ----------
        held : Held, Partial or None
            What is held.
        seconds : float, optional
            How long it may take in all, if that is less than usual.
        anew : bool, optional
            Whether the index is wanted whole even if it is the one that is held.

        Raises
        ------
        TransportError
            It could not be had; or the head, which was there before, is absent.
        IndexFormatError
            What came is no index.
        IntegrityError
            What came is not what the head says, twice.
        """
        deadline = time.monotonic() + min(self._seconds, seconds or self._seconds)
        base = None if anew or isinstance(held, Partial) else held

        def ask(
            root: RootReader,
            held: Held | Partial | None,
            freshness: Freshness,
            patience: float,
            deadline: float,
        ) -> Held | None:
            accepts_all = held is None
            return self._polled(root, base, freshness, patience, deadline, accepts_all=accepts_all)

        return self._first(held, ask, deadline, anew=base is None)

    def part(self, held: Partial | None) -> Partial | None:
        """Return by what parts of the current index can be read; None if the site has no blocks.

        Raises
        ------
        TransportError
            The head could not be had.
        """
        return self._first(held, self._sighted, time.monotonic() + self._seconds, anew=held is None)

    def whole(self, partial: Partial) -> Held | None:
        """Return the whole of an index of which parts were read; None if it is no longer there.

        Raises
        ------
        TransportError
            It could not be had.
        IndexFormatError
            It is no index.
        """
        sighting = Sighting(partial.head, partial.validators)
        try:
            held = self._reader.whole(None, sighting, self.documents(partial))
        except IntegrityError:
            return None
        return dataclasses.replace(held, source=partial.source)

    def whole_again(self, held: Held) -> Held:
        """Return what the head of a snapshot names, in place of what was made of changes.

        Raises
        ------
        TransportError, IndexFormatError, IntegrityError
            As `fetch`.
        """
        assert held.head is not None, "only a head leads to changes"
        sighting = Sighting(held.head, held.validators)
        return self._reader.whole(held, sighting, self.documents(held))

    # -- which root ----------------------------------------------------------------

    def _first(
        self, held: Held | Partial | None, ask: _Ask[T], deadline: float, *, anew: bool
    ) -> T | None:
        """Ask the first root; a copy only where nothing is held and the first fails."""
        self._polls += 1
        first, *copies = self._roots
        if held is None or anew:
            first.forget()
        elif held.source is None:
            first.recall(held.validators, of_head=held.head is not None)
        if held is None and copies and self.freshness.sha256 is None:
            return self.session.repeated(partial(self._first_or_copy, ask, deadline), deadline)
        found = ask(first, held, self.freshness, deadline, deadline)
        self._passed_over = None
        return found

    def _first_or_copy(self, ask: _Ask[T], deadline: float) -> T | None:
        first, *copies = self._roots
        patience = min(deadline, time.monotonic() + _PATIENCE_SECONDS)
        try:
            return ask(first, None, self.freshness, patience, deadline)
        except _PASSED_OVER as error:
            for copy in copies:
                with contextlib.suppress(*_PASSED_OVER):
                    # What a copy says is not what is known of the site.
                    found = ask(copy, None, Freshness(), deadline, deadline)
                    if found is not None:
                        url = copy.session.root.url
                        self._pass_over(first, error, url)
                        return dataclasses.replace(found, source=url)
            raise

    def _pass_over(self, root: RootReader, error: StoreError, url: str) -> None:
        self._passed_over = f"{root.session.root.url} is passed over, and {url} read: {error}"
        _LOG.warning("%s", self._passed_over)

    def _root_of(self, held: Held | Partial) -> RootReader:
        """Return the root that a snapshot came from."""
        urls = (root for root in self._roots if root.session.root.url == held.source)
        return next(urls, self._roots[0])

    def _documents(self, root: RootReader, deadline: float) -> Documents:
        """Return the documents of a root; any other has them, too, by their digests."""
        others = (one.session for one in self._roots if one is not root)
        sessions = (root.session, *others)
        return Documents(sessions, deadline, self.max_bytes, self._served, self._part_folder)

    # -- what a root says --------------------------------------------------------------

    def _polled(
        self,
        root: RootReader,
        held: Held | None,
        freshness: Freshness,
        patience: float,
        deadline: float,
        *,
        accepts_all: bool,
    ) -> Held | None:
        """Return the index that a root has now; None if it has none that is newer.

        What is held serves to find out what has changed; where nothing is, older answers
        are accepted, too.
        """
        if self._asks_head(held, freshness):
            found = self._head(root, freshness, patience)
            if found is None:
                return None
            if isinstance(found, Sighting):
                if freshness.accepts_head(found.head) or accepts_all:
                    return self._followed(root, held, found, freshness, deadline)
                return None
        return self._plain(root, held, freshness, deadline, accepts_all=accepts_all)

    def _sighted(
        self,
        root: RootReader,
        held: Partial | None,
        freshness: Freshness,
        patience: float,
        deadline: float,
    ) -> Partial | None:
        """Return the head that a root has now, as `part` does."""
        if not self._has_head:
            return None
        found = self._head(root, freshness, patience)
        if found is None:
            return None if held is None else self._renewed(root, held)
        if isinstance(found, Absent):
            return None
        is_known = freshness.sha256 is not None
        if not freshness.accepts_head(found.head) and (held is not None or is_known):
            return None if held is None else self._renewed(root, held)
        return self._part_of(root, held, found, freshness)

    def _part_of(
        self, root: RootReader, held: Partial | None, sighting: Sighting, freshness: Freshness
    ) -> Partial | None:
        """Return by what parts of the index of a head can be read; None if it has no blocks."""
        head, validators = sighting
        if head.blocks is None:
            return None
        self._take(root, sighting, freshness)
        if held is not None and head.index == held.head.index and held.source is None:
            return self._renewed(root, dataclasses.replace(held, head=head, validators=validators))
        return Partial(head, validators, self._parts(root, head))

    def _renewed(self, root: RootReader, held: Partial) -> Partial:
        """Return what is held, read by this connection."""
        if held.parts.is_read_by(root.session):
            return held
        return dataclasses.replace(held, parts=self._parts(root, held.head))

    def _parts(self, root: RootReader, head: Head) -> Parts:
        sessions = (root.session, *(one.session for one in self._roots if one is not root))
        return Parts(sessions, head, self._seconds, self.max_bytes, self._served)

    def _asks_head(self, held: Held | None, freshness: Freshness) -> bool:
        """Return whether the head is asked for: at the first time, too, as it may be new."""
        if not self._has_head:
            return False
        was_there = freshness.head is not None and not freshness.is_headless
        is_expected = held is None or held.head is not None or was_there
        return is_expected or self._polls == 1 or self._polls % _HEAD_EVERY == 0

    def _head(
        self, root: RootReader, freshness: Freshness, deadline: float
    ) -> Sighting | Absent | None:
        """Return the head of a root; None if that has not changed.

        Raises
        ------
        TransportError
            There is none, and there was one a moment ago.
        """
        is_known = freshness.head is not None
        found = root.head(deadline, is_known=is_known, is_doubtful=freshness.is_doubtful)
        if found is None:
            freshness.repeat(of_head=True)
        elif isinstance(found, Absent) and not freshness.tolerates_absence():
            raise absence_error(found)
        return found

    def _followed(
        self,
        root: RootReader,
        held: Held | None,
        sighting: Sighting,
        freshness: Freshness,
        deadline: float,
    ) -> Held:
        """Return the index that a head names, or the one that the next head does."""
        documents = self._documents(root, deadline)
        try:
            new = self._reader.follow(held, sighting, documents)
        except IntegrityError:
            # The head is older than what it names, or newer: it may be right by now.
            again = root.head(deadline, is_known=True, is_doubtful=True)
            if not isinstance(again, Sighting) or freshness.is_older_head(again.head):
                raise
            sighting = again
            new = self._reader.follow(held, sighting, documents)
        self._take(root, sighting, freshness)
        return new

    def _take(self, root: RootReader, sighting: Sighting, freshness: Freshness) -> None:
        freshness.know_head(sighting.head)
        root.confirm(sighting.validators, of_head=True)

    def _plain(
        self,
        root: RootReader,
        held: Held | None,
        freshness: Freshness,
        deadline: float,
        *,
        accepts_all: bool,
    ) -> Held | None:
        """Return the index of a root without a head; None if it has none that is newer."""
        found = root.index(deadline, is_doubtful=freshness.is_doubtful)
        if found is None:
            freshness.repeat(of_head=False)
            return None
        modified, validators = found.response.last_modified, found.response.validators
        if held is not None and held.sha256 == found.sha256:
            new = dataclasses.replace(held, validators=validators, head=None, source=None)
        else:  # what is no index is an error, and not an older one
            before = None if held is None else held.index
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
