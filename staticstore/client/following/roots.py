"""Follows a site whose roots are all trusted alike, or none: by a signed head."""

from __future__ import annotations

import dataclasses
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
)
from ...transport.http.document import Absent
from ...transport.http.wire import Deadline
from ...transport.values.remote_value import Sources, from_any
from .documents import RootReader, Sighting
from .follower import SiteFollower, absence_error

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ...transport.http.session import Session
    from ...trust.documents import VerifiedHead
    from ..cache.trust_state import TrustedSite
    from .index_reader import Held

__all__ = ["EqualRootsFollower", "SignedFollower", "follower_class"]

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
        alike = [r.session for r in self._roots if self._sha256.get(r) == held.sha256]
        alike = alike or [self.session]
        unlike = tuple(one for one in self._sessions if one not in alike)
        return Sources(tuple(alike), unlike, self._wholes)

    def _fetch(self, held: Held | None, base: Held | None, deadline: Deadline) -> Held | None:
        return self._retried(partial(self._newest, held, base, deadline), deadline)

    def _fetch_part(self, held: Held | None, deadline: Deadline) -> Held | None:
        return self._retried(partial(self._newest_part, held, deadline), deadline)

    def _retried(self, attempt: Callable[[], Held | None], deadline: Deadline) -> Held | None:
        if len(self._roots) == 1:  # its session retries each request
            return attempt()
        return self.session.retried(attempt, deadline)

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


class SignedFollower(EqualRootsFollower):
    """Fetches the index of a site whose head is signed.

    The head comes from ``trust/`` alone, never from ``index.head.json`` or ``index.json``.
    Of several roots the newest valid timestamp counts, whichever root has it; the others
    serve documents and whole values by their digests.  Generations are not compared.

    Parameters
    ----------
    sessions : sequence of Session
        One for each root.
    index_path : str
        Path of the index below the roots.
    site : TrustedSite
        The pinned root document, and what was verified before.
    equal_roots : bool
        Whether parts of values may come from any root that has the same index.
    **options
        As in `SiteFollower`.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        index_path: str,
        *,
        site: TrustedSite,
        equal_roots: bool,
        **options: Any,
    ) -> None:
        super().__init__(sessions, index_path, **options)
        self._site = site
        self._are_equal = equal_roots
        from .signatures import SignedRootReader  # it imports python-tuf, of an extra

        self._roots = [SignedRootReader(session, site) for session in sessions]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the roots, their documents and the signatures, for people."""
        return (*self._site.warnings, *super().problems)

    def sources(self, held: Held) -> Sources:
        """Return where the values of a snapshot can be read."""
        return super().sources(held) if self._are_equal else SiteFollower.sources(self, held)

    def whole(self, held: Held) -> Held:
        """Return the index that the head of a snapshot names; see `SiteFollower.whole`."""
        whole = super().whole(held)
        return dataclasses.replace(whole, expires=held.expires, signatures=held.signatures)

    def _newest(self, held: Held | None, base: Held | None, deadline: Deadline) -> Held | None:
        root, sighting = self._newest_sighting(deadline)
        return self._signed(root, self._followed(root, base, sighting, deadline))

    def _newest_part(self, held: Held | None, deadline: Deadline) -> Held | None:
        root, sighting = self._newest_sighting(deadline)
        before = None if held is None else dataclasses.replace(held, source=None)
        part = self._part_of(root, before, sighting)
        return None if part is None else self._signed(root, part)

    def _newest_sighting(self, deadline: Deadline) -> tuple[RootReader, Sighting]:
        if len(self._roots) == 1:
            root = self._roots[0]
            sighting = root.head(deadline, is_known=True, is_doubtful=False)
            assert isinstance(sighting, Sighting)
            return root, sighting
        answers = self._look(deadline)
        found = [(root, one) for root, one in answers.items() if isinstance(one, Sighting)]
        return max(found, key=lambda one: _signed_head(one[0]).rank)

    def _signed(self, root: RootReader, held: Held) -> Held:
        source = None if root is self._roots[0] else root.session.root.url
        signed = _signed_head(root)
        return dataclasses.replace(
            held, source=source, expires=signed.expires, signatures=signed.state
        )

    def _take(self, root: RootReader, sighting: Sighting) -> None:
        self.freshness.forget()
        self.freshness.know_head(sighting.head)


def _signed_head(root: RootReader) -> VerifiedHead:
    signed: VerifiedHead | None = getattr(root, "signed", None)
    assert signed is not None, "it has answered"
    return signed


def follower_class(
    options: Mapping[str, Any], count: int, site: TrustedSite | None
) -> Callable[..., SiteFollower]:
    """Return what follows a site.

    Parameters
    ----------
    options : mapping
        Those of the store.
    count : int
        The number of its roots.
    site : TrustedSite or None
        What is known of a site that must be signed.
    """
    if site is not None:
        return partial(SignedFollower, site=site, equal_roots=options["equal_roots"])
    return EqualRootsFollower if options["equal_roots"] and count > 1 else SiteFollower
