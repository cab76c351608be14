"""The documents of a foreign index, fetched breadth first and within bounds."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ...errors import (
    AuthorizationError,
    IndexFormatError,
    NotConnectedError,
    StoreError,
    TransportError,
    TransportTimeout,
    without_secrets,
)
from ...formats import Document
from ...formats.parsing import MOST_PROBLEMS, ParsedDocument, parse
from ...index.placed import Placed, is_data_url
from ...transport.http.document import Absent
from ...transport.http.elsewhere import Location, locate, placed_url
from ...transport.http.failures import status_error
from ...transport.http.root import origin_of
from .current_document import CurrentDocument
from .documents import excerpt_of
from .many_documents import Budget, Received, ask_many, received

if TYPE_CHECKING:
    from ...formats import Link, Read
    from ...formats.late_text import LateText
    from ...index.codec import Raw
    from ...transport.http.root import Origin
    from ...transport.http.session import Session
    from ...transport.http.wire import Deadline, SizeLimit
    from ...transport.many.request import SizedAnswer

__all__ = ["DocumentTree", "MergedEntries"]

_MOST_DOCUMENTS = 100_000
_MOST_LEVELS = 64
_MOST_ORIGINS = 256  # each has a session, of some 30 KB
_PARALLEL_REQUESTS = 8
_LEAF_POLLS = 24  # polls in which each leaf is asked for once
_GONE = frozenset({404, 410})


class MergedEntries(NamedTuple):
    """What all documents say together."""

    #: Raw entries by key; of a key that is there twice the last.
    entries: Mapping[str, Raw | LateText]
    unchecked: list[str]
    warnings: tuple[str, ...]


class _Said(NamedTuple):
    """What a document said last."""

    sha256: str
    size: int
    #: None once a snapshot has the entries, and nothing else does.
    parsed: ParsedDocument | None
    #: Where it leads, without what is refused.
    links: tuple[tuple[Location, Link], ...]
    warnings: tuple[str, ...]


class _Node:
    """A document, and what is known of it."""

    def __init__(self, location: Location) -> None:
        self.document = CurrentDocument(*location)
        #: Where it is asked for.
        self.url = location.url
        self.origin = location.session.root.origin
        self.depth = 0
        self.note: str | None = None
        self.is_leaf = False
        #: The number of the poll that asked for it last.
        self.asked = 0
        self.said: _Said | None = None
        #: Why it could not be had when it was last asked for; and whether it is gone for good.
        self.error: StoreError | None = None
        self.is_gone = False

    def problem(self) -> str | None:
        """Return what is wrong with it, for people."""
        if self.error is None:
            return None
        what = "its entries are left out" if self.said is None else "what it said last counts"
        return f"a document of the index cannot be read, and {what}: {self.error}"


class DocumentTree:
    """The documents of a foreign index, from the first one on.

    For one poll at a time.

    Parameters
    ----------
    session : Session
        The session of the root, whose `document` is the first one.
    read : callable
        The form.
    max_bytes : int
        The most bytes of all documents together, decoded.
    """

    def __init__(self, session: Session, read: Read, max_bytes: int) -> None:
        root = session.root
        assert root.document is not None, "the root of a foreign index names one"
        self._session = session
        self._read = read
        self._max_bytes = max_bytes
        self._first = _Node(Location(session, root.document))
        self._nodes = {self._first.url: self._first}
        self._origins: set[Origin] = set()
        self._polls = 0

    def __len__(self) -> int:
        """Return how many documents there are, as far as they are known."""
        return len(self._nodes)

    @property
    def problems(self) -> tuple[str, ...]:
        """Which documents could not be had, and why; the first hundred."""
        texts = [text for node in list(self._nodes.values()) if (text := node.problem())]
        more = len(texts) - MOST_PROBLEMS
        return (*texts[:MOST_PROBLEMS], *([f"and {more} more documents"] if more > 0 else ()))

    @property
    def unread(self) -> str | None:
        """Why a document that is there never said anything; None if there is no such document."""
        for node in list(self._nodes.values()):
            if node.said is None and node.error is not None and not node.is_gone:
                return f"a document of the index cannot be read: {node.error}"
        return None

    @property
    def validators(self) -> Mapping[str, str]:
        """The validators that confirm all that was said; none if there are more documents."""
        return self._first.document.validators if len(self._nodes) == 1 else {}

    @property
    def size(self) -> int:
        """The bytes of all documents."""
        return sum(said.size for said in self._all_said())

    @property
    def sha256(self) -> str | None:
        """A digest of all that was said; None if that is not known in this process."""
        said = [(node.url, node.said.sha256) for node in self._nodes.values() if node.said]
        if len(said) < 2:
            return said[0][1] if said else None
        lines = "".join(f"{digest} {url}\n" for url, digest in said)
        return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()

    def recall(self, validators: Mapping[str, str]) -> None:
        """Use the validators of a snapshot from before the first request."""
        first = self._first.document
        # Some hosts compare a date alone by order, and would never give an older file.
        if not first.requests and "If-None-Match" in validators:
            first.validators = validators

    def forget(self) -> None:
        """Make the next requests unconditional."""
        for node in self._nodes.values():
            node.document.validators = {}

    def poll(self, deadline: Deadline, *, every: bool) -> None:
        """Ask for the documents, and for those that they lead to.

        Parameters
        ----------
        deadline : Deadline
            When all requests must have ended.
        every : bool
            Whether to ask for all leaves, not for a part of them.

        Raises
        ------
        StoreError
            One that never said anything cannot be had and is no leaf; or more than half
            cannot be had; or they are too many, too large together, or too deep.
        """
        self._polls += 1
        due = self._leaves_due(every)
        self._origins = {node.origin for node in self._nodes.values()}
        sizes = {node.url: node.said.size for node in self._nodes.values() if node.said is not None}
        budget = Budget(self._max_bytes, sizes)
        reached = {self._first.url: self._first}
        level = [self._first]
        try:
            while level:
                some = [node for node in level if not (node.is_leaf and node.asked) or node in due]
                self._ask_all(some, deadline, budget)
                level = list(self._next_level(level, reached))
        except BaseException:
            self._nodes |= reached  # what has come is not fetched again
            raise
        self._nodes = reached
        asked = [node for node in reached.values() if node.asked == self._polls]
        _check_failures(asked)

    def merged(self) -> MergedEntries | None:
        """Return what all documents say; None if some of it is with a snapshot alone."""
        said = list(self._all_said())
        parsed = [one.parsed for one in said if one.parsed is not None]
        if len(parsed) < len(said):
            return None
        warnings = tuple(text for one in said for text in one.warnings)[:MOST_PROBLEMS]
        if len(parsed) == 1:
            if len(self._nodes) == 1:  # they are not needed again: a change brings all
                self._first.said = said[0]._replace(parsed=None)
            return MergedEntries(parsed[0].entries, parsed[0].unchecked, warnings)
        entries: dict[str, Raw | LateText] = {}
        unchecked: dict[str, None] = {}
        for one in parsed:
            entries.update(one.entries)
            unchecked.update(dict.fromkeys(one.unchecked))
        return MergedEntries(entries, list(unchecked), warnings)

    def _all_said(self) -> Iterator[_Said]:
        return (node.said for node in self._nodes.values() if node.said is not None)

    # -- which documents -----------------------------------------------------------------

    def _leaves_due(self, every: bool) -> set[_Node]:
        leaves = [node for node in self._nodes.values() if node.is_leaf]
        if every:
            return set(leaves)
        count = -(-len(leaves) // _LEAF_POLLS)
        return set(heapq.nsmallest(count, leaves, key=lambda node: node.asked))

    def _next_level(self, level: Iterable[_Node], reached: dict[str, _Node]) -> Iterator[_Node]:
        for node in level:
            for location, link in () if node.said is None else node.said.links:
                if (url := location.url) in reached:
                    continue
                # Further pages of one list are no deeper.
                is_page = url.partition("?")[0] == node.url.partition("?")[0]
                other = self._nodes.get(url) or _Node(location)
                other.depth = node.depth + (not is_page)
                other.note, other.is_leaf = link.note, link.leaf
                if len(reached) == _MOST_DOCUMENTS or other.depth > _MOST_LEVELS:
                    bound = f"more than {_MOST_DOCUMENTS} documents"
                    if other.depth > _MOST_LEVELS:
                        bound = f"documents more than {_MOST_LEVELS} deep"
                    raise IndexFormatError(f"the index has {bound}", url=url)
                reached[url] = other
                yield other

    # -- one document --------------------------------------------------------------------

    def _ask_all(self, nodes: list[_Node], deadline: Deadline, budget: Budget) -> None:
        if len(nodes) > 1:
            self._ask_singly(self._ask_together(nodes, deadline, budget), deadline, budget)
        else:
            self._ask_singly(nodes, deadline, budget)
        if budget.error is not None:
            raise budget.error
        if any(node.error for node in nodes) and deadline.left <= 0:
            raise TransportTimeout(
                "the documents of the index took longer than index_deadline", url=self._first.url
            )

    def _ask_together(
        self, nodes: Iterable[_Node], deadline: Deadline, budget: Budget
    ) -> list[_Node]:
        """Ask for documents by the carrier; return those that have to be asked for singly."""
        own, others = {}, []
        for node in nodes:
            if node.document.session.root.origin == self._session.root.origin:
                own[node.document] = node
            else:
                others.append(node)
        with contextlib.closing(ask_many(own, deadline, at_once=_PARALLEL_REQUESTS)) as answers:
            for document, answer in answers:
                node = own[document]
                if answer is None or not self._take(node, answer, budget):
                    others.append(node)
                if budget.error is not None:
                    break
        return others

    def _take(self, node: _Node, answer: SizedAnswer, budget: Budget) -> bool:
        limit = budget.limit(node.url)
        self._begin(node)
        try:
            if answer.status == 200:
                found = received(node.document, answer, limit)
                if found is None:
                    return False
                self._hear(node, found, limit)
        except StoreError as error:
            node.error = error
        node.document.requests += 1
        return True

    def _ask_singly(self, nodes: list[_Node], deadline: Deadline, budget: Budget) -> None:
        ask = partial(self._ask, deadline=deadline, budget=budget)
        if len(nodes) < 2:
            for node in nodes:
                ask(node)
        else:
            from ...workers import Workers  # slow to import: concurrent.futures

            with Workers(_PARALLEL_REQUESTS, "staticstore documents") as threads:
                for one in [threads.submit(partial(ask, node)) for node in nodes]:
                    one.result()

    def _ask(self, node: _Node, *, deadline: Deadline, budget: Budget) -> None:
        if deadline.left <= 0 or budget.error is not None:
            node.error = TransportTimeout("there was no time left for it", url=node.url)
            return
        self._begin(node)
        absent = _GONE if node.is_leaf else frozenset[int]()
        try:
            limit = budget.limit(node.url)
            found = node.document.ask(deadline, limit, absent)
            if isinstance(found, Absent):
                node.said, node.document.validators = None, {}
                node.error, node.is_gone = status_error(found.status, key=None, url=found.url), True
            elif found is not None:
                response, body = found.response, bytes(found.body)
                content_type = response.header("Content-Type")
                of_response = response.url, body, found.sha256, content_type, response.validators
                self._hear(node, Received(*of_response), limit)
        except NotConnectedError:
            raise
        except StoreError as error:
            if isinstance(error, AuthorizationError) and node is self._first:
                raise
            node.error = error

    def _begin(self, node: _Node) -> None:
        node.asked, node.error, node.is_gone = self._polls, None, False

    def _hear(self, node: _Node, found: Received, limit: SizeLimit) -> None:
        said = self._parsed(node, found, partial(limit.check, url=node.url))
        limit.check(said.size, node.url)
        node.said = said
        node.document.validators = found.validators

    def _parsed(self, node: _Node, found: Received, check: Callable[[int], object]) -> _Said:
        root_url, (url, body) = self._session.root.url, found[:2]
        media_type = (found.content_type or "").partition(";")[0].strip().lower()
        document = Document(url, body, media_type or None, node.note)
        try:
            parsed = parse(self._read, document, root_url, check)
        except IndexFormatError as error:
            error.args = (f"{error.args[0]}; {excerpt_of(found.content_type, body)}",)
            raise
        # A form may have decompressed it.
        size = max(len(body), parsed.size)
        links, problems = [], list(parsed.warnings)
        for link in parsed.links:
            try:
                links.append((self._location(Placed(link.href, url)), link))
            except (TransportError, ValueError) as error:
                problems.append(f"a link is not followed: {error.args[0]}")
        shown = without_secrets(url)
        warnings = tuple(f"{shown}: {text}" for text in problems)
        return _Said(found.sha256, size, parsed, tuple(links), warnings)

    def _location(self, placed: Placed) -> Location:
        # A session takes a millisecond and much memory: do not make one to refuse it.
        is_full = len(self._origins) >= _MOST_ORIGINS and not is_data_url(placed.href)
        if is_full and origin_of(placed_url(placed, self._session.root)) not in self._origins:
            raise TransportError(f"the index has documents at {_MOST_ORIGINS} origins already")
        location = locate(placed, self._session)
        self._origins.add(location.session.root.origin)
        return location


def _check_failures(asked: list[_Node]) -> None:
    failed = [node for node in asked if node.error is not None and not node.is_gone]
    lost = [node for node in failed if node.said is None and not node.is_leaf]
    if not lost and 2 * len(failed) <= len(asked):
        return
    first = (lost or failed)[0]
    assert first.error is not None
    if len(asked) == 1:
        raise first.error
    error = copy.copy(first.error)  # of the same class
    why = ": " if len(failed) == 1 else ", one of them because "
    counted = f"{len(failed)} of {len(asked)} documents of the index cannot be read"
    error.args = (f"{counted}{why}{error.args[0]}",)
    raise error from first.error
