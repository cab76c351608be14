"""Open connections to a site, and follow one whose roots are all trusted equally."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import (
    NotConnectedError,
    StoreError,
    TransportError,
    TransportTimeout,
    checked_number,
)
from ...transport.http.arguments import SessionOptions
from ...transport.http.document import Absent
from ...transport.http.session import open_sessions
from ...transport.http.wire import Deadline
from ...transport.values.remote_value import Sources, from_any
from ..access import import_before_forks
from .connection import Connection
from .documents import RootReader, Sighting
from .follower import SiteFollower, absence_error

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ...index.freshness import Freshness
    from ...transport.http.root import Root
    from ...transport.http.session import Session
    from ..access import IndexDownload
    from ..cache.index import CachedIndex
    from .connection import Follower
    from .index_reader import Held

__all__ = ["EqualRootsFollower", "open_connection"]

_LOG = logging.getLogger("staticstore")

_Answer = Sighting | Absent


class EqualRootsFollower(SiteFollower):
    """Fetches the index of a site from several roots that are equally trusted.

    A poll asks all roots for their heads at once, except those that failed a moment
    ago.  One answer is enough, but the others have one more second.  Of the heads of
    the first root's lineage, the one with the highest generation counts.  If the first
    root has no head, the first index of a root without a head is used.
    """

    def __init__(self, sessions: Sequence[Session], index_path: str, **options: Any) -> None:
        super().__init__(sessions, index_path, **options)
        from ...workers import Workers  # slow to import: concurrent.futures

        self._threads = Workers(len(sessions), "staticstore roots")
        self._asked: dict[RootReader, Future[_Answer]] = {}
        self._seen: dict[RootReader, Sighting] = {}
        self._troubles: dict[RootReader, str] = {}
        # The digest of the index at each root, if known.
        self._sha256: dict[RootReader, str] = {}
        # The root from which the current index came, if it has no head.
        self._plain_root: RootReader | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of the roots and their documents, as readable texts."""
        troubles = dict(self._troubles)  # a copy, since a poll may change it meanwhile
        passed_over = (
            f"{root.session.root.url} is passed over: {trouble}"
            for root, trouble in troubles.items()
        )
        return (*passed_over, *super().problems)

    def close(self) -> None:
        """Cut the connections to all roots; never blocks."""
        super().close()
        self._threads.close()

    def sources(self, held: Held) -> Sources:
        """Return where the values of a snapshot can be read."""
        sessions = [root.session for root in self._roots]
        alike = [r.session for r in self._roots if self._sha256.get(r) == held.sha256]
        alike = alike or [self.session]
        unlike = tuple(one for one in sessions if one not in alike)
        return Sources(tuple(alike), unlike, self._wholes)

    def fetch(
        self,
        held: Held | None,
        *,
        seconds: float | None = None,
        anew: bool = False,
        every: bool = False,
    ) -> Held | None:
        """Return the current index, whole; None if it is the one that is held."""
        self._polls += 1
        deadline = self._deadline(seconds)
        base = held if held is not None and held.is_whole and not anew else None
        return self.session.retried(partial(self._newest, held, base, deadline), deadline)

    def part(self, held: Held | None) -> Held | None:
        """Return the current index, in parts; None if the site serves none."""
        self._polls += 1
        deadline = Deadline(self._seconds)
        return self.session.retried(partial(self._newest_part, held, deadline), deadline)

    # -- what the roots answer -----------------------------------------------------

    def _newest(self, held: Held | None, base: Held | None, deadline: Deadline) -> Held | None:
        asks_heads = self._asks_head(base, self.freshness)
        answers = self._look(deadline) if asks_heads else {}
        heads = self._heads(held, answers)
        if heads:
            follow = partial(self._follow_one, base, deadline)
            return from_any(heads, follow) if self._accepts(held, heads) else None
        if any(isinstance(answer, Absent) for answer in answers.values()):
            self._tolerate_absence(answers)
        plain = [
            root for root in self._roots if not answers or isinstance(answers.get(root), Absent)
        ]
        return from_any(plain, partial(self._plain_of, held, base, deadline))

    def _newest_part(self, held: Held | None, deadline: Deadline) -> Held | None:
        if not self._has_head:
            return None
        answers = self._look(deadline)
        heads = self._heads(held, answers)
        if not heads:
            self._tolerate_absence(answers)
            return None
        if not self._accepts(held, heads):
            return held
        root, sighting = heads[0]
        return self._part_of(root, held, sighting)

    def _accepts(self, held: Held | None, heads: list[tuple[RootReader, Sighting]]) -> bool:
        """Return whether the newest head is followed; remove older ones from `heads`."""
        newest = heads[0][1].head
        accepted = self.freshness.accepts_head(newest) or held is None
        heads[1:] = [one for one in heads[1:] if not self.freshness.is_older_head(one[1].head)]
        return accepted

    def _tolerate_absence(self, answers: dict[RootReader, _Answer]) -> None:
        if not self.freshness.tolerates_absence():
            raise absence_error(next(one for one in answers.values() if isinstance(one, Absent)))

    def _follow_one(
        self, held: Held | None, deadline: Deadline, one: tuple[RootReader, Sighting]
    ) -> Held:
        root, sighting = one
        new = self._followed(root, held, sighting, deadline)
        self._sha256[root], self._plain_root = new.sha256, None
        return new

    def _plain_of(
        self, held: Held | None, base: Held | None, deadline: Deadline, root: RootReader
    ) -> Held | None:
        if self._plain_root is not root or base is None:
            root.forget()
        accepts_all = held is None
        new = self._plain(root, base, deadline, accepts_all=accepts_all) or base
        if new is not None and not self.freshness.older:
            self._sha256[root], self._plain_root = new.sha256, root
        return new

    def _heads(
        self, held: Held | None, answers: dict[RootReader, _Answer]
    ) -> list[tuple[RootReader, Sighting]]:
        """Return the heads of the lineage that counts, the highest generation first."""
        lineage = self._lineage(held, answers)
        heads = [
            (root, answer)
            for root, answer in answers.items()
            if isinstance(answer, Sighting) and answer.head.lineage == lineage
        ]
        if lineage is not None and not heads:
            raise TransportError(
                "no root that answers has a copy of this site", url=self.session.root.url
            )
        heads.sort(key=lambda one: -one[1].head.generation)
        return heads

    def _lineage(self, held: Held | None, answers: dict[RootReader, _Answer]) -> str | None:
        """Return the lineage of the first root, now or before; else of any root."""
        first = answers.get(self._roots[0])
        if isinstance(first, Sighting):
            return first.head.lineage
        heads = [answer.head for answer in answers.values() if isinstance(answer, Sighting)]
        known = self.freshness.head if held is None else held.head
        if isinstance(first, Absent):
            is_there = known is not None and known.lineage in {head.lineage for head in heads}
            return known.lineage if known is not None and is_there else None
        if known is not None:
            return known.lineage
        return next((head.lineage for head in heads), None)

    def _look(self, deadline: Deadline) -> dict[RootReader, _Answer]:
        """Return the answers of the roots; raise the error of the first if all failed."""
        due = [root for root in self._roots if not root.session.is_failing] or self._roots
        asked: dict[RootReader, Future[_Answer]] = {}
        for root in due:
            running = self._asked.get(root)
            if running is None or running.done():
                running = self._threads.submit(partial(self._look_at, root, deadline))
            asked[root] = self._asked[root] = running
        self._wait_for_answers(set(asked.values()), deadline)
        done = {root: future for root, future in asked.items() if future.done()}
        answers = {root: one.result() for root, one in done.items() if one.exception() is None}
        if not answers:
            for future in done.values():
                future.result()
            raise TransportTimeout("no root answers in time", url=self.session.root.url)
        return answers

    def _look_at(self, root: RootReader, deadline: Deadline) -> _Answer:
        is_doubtful = self.freshness.is_doubtful
        try:
            found = root.head(deadline, is_known=True, is_doubtful=is_doubtful)
            # Another root may accept the credentials.
            if isinstance(found, Absent) and found.status == 401:
                raise absence_error(found)
        except StoreError as error:
            if root not in self._troubles and not isinstance(error, NotConnectedError):
                _LOG.warning("%s is passed over: %s", root.session.root.url, error)
            self._troubles[root] = str(error)
            raise
        self._troubles.pop(root, None)
        if found is None:
            return self._seen[root]
        if isinstance(found, Sighting):
            root.confirm(found.validators, of_head=True)
            self._seen[root], self._sha256[root] = found, found.head.index.sha256
        return found

    def _wait_for_answers(self, waiting: set[Future[_Answer]], deadline: Deadline) -> None:
        from concurrent import futures

        cut = self.session.wire.cut
        while waiting and not cut.is_set() and (left := deadline.left) > 0:
            done, waiting = futures.wait(
                waiting, min(left, tuning.CUT_CHECK_SECONDS), futures.FIRST_COMPLETED
            )
            if any(one.exception() is None for one in done):
                deadline = deadline.within(tuning.EQUAL_ROOTS_PATIENCE_SECONDS)
        if cut.is_set():
            raise NotConnectedError("the store was disconnected")


def open_connection(
    roots: Sequence[Root],
    options: Mapping[str, Any],
    arguments: Mapping[str, Any],
    *,
    poll_interval: float,
    hint: str | None,
    freshness: Freshness,
    cached: CachedIndex | None,
    download: IndexDownload,
    sessions: list[Session] | None = None,
) -> tuple[Connection, list[str]]:
    """Make a connection to a site; nothing is requested yet.

    Parameters
    ----------
    roots : sequence of Root
        The roots of the site.
    options, arguments : mapping
        The arguments of a store, and of its `connect`.
    poll_interval : float
        Seconds, 0 for no polling.
    hint : str or None
        What to add to a refusal.
    freshness, cached
        For the follower, and `Connection`.
    download : IndexDownload
        How documents are downloaded.
    sessions : list of Session, optional
        Those of the roots, if they are open already; they stay open.

    Returns
    -------
    Connection, list of str
        The URLs are of roots to which a password is sent in the clear.
    """
    if cached is not None:
        download = download._replace(parts=cached.parts)
    of_session = dict(arguments)
    max_bytes, seconds = of_session.pop("max_index_bytes"), of_session.pop("index_deadline")
    checked_number(max_bytes, "max_index_bytes", least=1)
    checked_number(seconds, "index_deadline", least=0)
    of_sessions = SessionOptions(
        **of_session, origins=options["origins"], hint=hint, progress=download.progress
    )
    owns_sessions = sessions is None
    if sessions is None:
        sessions = open_sessions(roots, of_sessions)
    bounds = {"freshness": freshness, "max_bytes": max_bytes, "seconds": seconds}
    follow: Callable[[], Follower]
    if options["format"] is not None:
        from .format_follower import FormatFollower  # seldom needed

        follow = partial(
            FormatFollower, sessions[0], options["format"], owns_session=owns_sessions, **bounds
        )
    else:
        follow = partial(
            EqualRootsFollower if options["equal_roots"] and len(sessions) > 1 else SiteFollower,
            sessions,
            options["index_path"],
            parts=download.parts,
            owns_sessions=owns_sessions,
            **bounds,
        )
    import_before_forks()
    exposed = [session.root.url for session in sessions if session.exposes_password]
    return Connection(follow, cached, poll_interval), exposed
