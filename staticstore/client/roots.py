"""The index of a site that has several roots: an origin, and mirrors of it."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Literal

from ..errors import NotConnectedError, StoreError, TransportError, TransportTimeout
from ..transport.daemons import Daemons
from ..transport.session import Session
from ..transport.sources import Sources, from_any, least_failing
from .feed import UNCONDITIONAL_EVERY, Feed, Held, Sighting, is_stale
from .lazy import Partial

__all__ = ["Roots"]

_log = logging.getLogger("staticstore")

# How long the others are waited for once one root has answered.
_PATIENCE = 1.0  # seconds
_LOOK_UP = 0.2  # seconds; how often a wait looks whether the store was disconnected

_Answer = Sighting | Literal["absent"]


class _Root:
    """One root, and what it has last answered."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.asked: Future[_Answer] | None = None
        #: Of the index that stands there, as far as is known.
        self.sha256: str | None = None
        self.problem: str | None = None
        self._seen: Sighting | None = None

    def look(self, deadline: float) -> _Answer:
        """Ask for the head, and note what comes of it."""
        try:
            found = self.feed.look(self._seen, deadline)
        except StoreError as error:
            if self.problem is None and not isinstance(error, NotConnectedError):
                _log.warning("%s is passed over: %s", self.feed.session.root.url, error)
            self.problem = str(error)
            raise
        self.problem = None
        self._seen = found if isinstance(found, Sighting) else None
        if isinstance(found, Sighting):
            self.sha256 = found.head.index.sha256
        return found


class Roots:
    """Fetches the index of a site from several roots, as `Feed` does from one.

    At each poll all roots are asked for their heads at once, but for those
    that failed a moment ago.  The first that answers is enough, though the
    others get a second more.  Of the heads of the first root's lineage that
    with the highest generation wins, so that a root that lags behind is never
    believed.  Where the first root has no head, the index of the first that
    answers without one is taken.

    Parameters
    ----------
    feeds : sequence of Feed
        One for each root, in the order of their preference.
    seconds : float
        How long one fetch may take in all.
    """

    def __init__(self, feeds: Sequence[Feed], *, seconds: float) -> None:
        self._roots = [_Root(feed) for feed in feeds]
        self._seconds = seconds
        self._threads = Daemons(len(feeds), "staticstore roots")
        self._count = itertools.count(1)
        # Where the index that is held came from, if it has no head.
        self._served: _Root | None = None

    @property
    def max_bytes(self) -> int:
        """The most that an index may have."""
        return self._roots[0].feed.max_bytes

    @property
    def session(self) -> Session:
        """The way to the first root."""
        return self._roots[0].feed.session

    def close(self) -> None:
        """Cut the connections to all roots; never blocks."""
        for root in self._roots:
            root.feed.close()
        self._threads.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with roots that others stand in for."""
        return tuple(
            f"{root.feed.session.root.url} is passed over: {root.problem}"
            for root in self._roots
            if root.problem is not None
        )

    def sources(self, sha256: str) -> Sources:
        """Return where the values of the snapshot with some digest can be had."""
        alike = [root.feed.session for root in self._roots if root.sha256 == sha256]
        alike = alike or [self.session]
        sessions = [root.feed.session for root in self._roots]
        return Sources(tuple(alike), tuple(one for one in sessions if one not in alike))

    def fetch(self, held: Held | None, *, seconds: float | None = None) -> Held | None:
        """Return the current index, as `Feed.fetch` does; raise what the first root raises."""
        deadline = time.monotonic() + min(self._seconds, seconds or self._seconds)
        return self.session.repeated(lambda: self._fetched(held, deadline), deadline)

    def part(self, held: Partial | None) -> Partial | None:
        """Return by what parts of the current index can be read, as `Feed.part` does."""
        deadline = time.monotonic() + self._seconds
        return self.session.repeated(lambda: self._part(held, deadline), deadline)

    def whole(self, partial: Partial) -> Held | None:
        """Return the whole of an index of which parts were read, as `Feed.whole` does."""
        sources = self.sources(partial.head.index.sha256)
        feeds = {root.feed.session: root.feed for root in self._roots}
        sessions = least_failing((*sources.alike, *sources.unlike))
        return from_any(sessions, lambda session: feeds[session].whole(partial))

    # -- what the roots answer -----------------------------------------------------

    def _fetched(self, held: Held | None, deadline: float) -> Held | None:
        answers = self._look(deadline)
        heads = self._heads(held, answers)
        if heads:
            new = [one for one in heads if held is None or not is_stale(one[1].head, held.head)]
            follow = partial(self._followed, held, deadline)
            return from_any(new, follow) if new else None
        plain = [root for root, answer in answers.items() if answer == "absent"]
        return from_any(plain, partial(self._plain, held, deadline))

    def _part(self, held: Partial | None, deadline: float) -> Partial | None:
        heads = self._heads(held, self._look(deadline))
        if not heads:
            return None
        root, sighting = heads[0]
        return root.feed.part_of(held, sighting, [one.feed.session for one in self._roots])

    def _followed(self, held: Held | None, deadline: float, one: tuple[_Root, Sighting]) -> Held:
        root, sighting = one
        new = root.feed.follow(held, sighting, deadline)
        root.sha256, self._served = new.sha256, None
        return new

    def _plain(self, held: Held | None, deadline: float, root: _Root) -> Held:
        """Return the index of a root without a head; the one held, if it is not modified."""
        conditional = self._served is root and next(self._count) % UNCONDITIONAL_EVERY != 0
        new = root.feed.plain(held, deadline, conditional=conditional) or held
        assert new is not None, "only a conditional request is answered with 304"
        root.sha256, self._served = new.sha256, root
        return new

    def _heads(
        self, held: Held | Partial | None, answers: dict[_Root, _Answer]
    ) -> list[tuple[_Root, Sighting]]:
        """Return the heads that are believed, the highest generation first; none without a head.

        Raises
        ------
        TransportError
            All that answer are of other lineages.
        """
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

    def _lineage(self, held: Held | Partial | None, answers: dict[_Root, _Answer]) -> str | None:
        """Return the lineage that counts: of the first root, as it is or was, or of any."""
        first = answers.get(self._roots[0])
        if isinstance(first, Sighting):
            return first.head.lineage
        if first is None and held is not None and held.head is not None:
            return held.head.lineage
        if first == "absent":
            return None
        heads = (answer.head for answer in answers.values() if isinstance(answer, Sighting))
        return next((head.lineage for head in heads), None)

    def _look(self, deadline: float) -> dict[_Root, _Answer]:
        """Ask the roots for their heads; return what has come, in the order of the roots.

        Raises
        ------
        StoreError
            Nothing has; what the first root raised.
        """
        due = [root for root in self._roots if not root.feed.session.is_failing] or self._roots
        asked: dict[_Root, Future[_Answer]] = {}
        for root in due:
            if root.asked is None or root.asked.done():
                root.asked = self._threads.submit(partial(root.look, deadline))
            asked[root] = root.asked
        self._wait_for_answers(set(asked.values()), deadline)
        done = {root: future for root, future in asked.items() if future.done()}
        answers = {root: one.result() for root, one in done.items() if one.exception() is None}
        if not answers:
            for future in done.values():
                future.result()
            raise TransportTimeout("no root answers in time", url=self.session.root.url)
        return answers

    def _wait_for_answers(self, waiting: set[Future[_Answer]], deadline: float) -> None:
        """Wait for the first answer, and a little for the others."""
        cut = self.session.wire.cut
        while waiting and not cut.is_set() and (left := deadline - time.monotonic()) > 0:
            done, waiting = wait(waiting, min(left, _LOOK_UP), FIRST_COMPLETED)
            if any(one.exception() is None for one in done):
                deadline = min(deadline, time.monotonic() + _PATIENCE)
        if cut.is_set():
            raise NotConnectedError("the store was disconnected")
