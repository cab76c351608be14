"""Reads awaited in one turn of an event loop, begun together at the next."""

from __future__ import annotations

import asyncio
import copy
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ...errors import NotConnectedError, StoreError
from ...transport.values.ranges import WantedParts, checked_bounds
from .calls import AsyncCalls, LoopReplies, resolve

if TYPE_CHECKING:
    from ...index.fields import Content
    from ..site_snapshot import Values
    from ..view_values import ViewValues
    from .requests import Found

__all__ = ["AskedRead", "AwaitedReads", "BegunReads", "Reads", "TurnReads", "results"]


class BegunReads(Protocol):
    """Reads of one snapshot that are begun together."""

    def begin(self) -> None:
        """Request what is needed."""

    def cancel(self, number: int) -> None:
        """Give one of them up."""


#: Makes the reads of one site from the threads, its values, what is wanted, and a `Found`.
Reads = Callable[
    ["AsyncCalls", "Values", Sequence[tuple[str, "Content", Any]], "Found"], BegunReads
]


class AskedRead:
    """A read that somebody awaits: what is asked, and the future of its result.

    Parameters
    ----------
    key : str
        The key of the value.
    detail : object
        What is asked of it.
    values : Values, ViewValues or None
        The snapshot; None for the current one.
    future : asyncio.Future
        Of the loop that awaits it.
    replies : LoopReplies
        Of that loop.
    """

    __slots__ = ("_begun", "_number", "_replies", "detail", "future", "key", "values")

    def __init__(
        self,
        key: str,
        detail: Any,
        values: Values | ViewValues | None,
        future: asyncio.Future[Any],
        replies: LoopReplies,
    ) -> None:
        self.key = key
        self.detail = detail
        self.values = values
        self.future: asyncio.Future[Any] | None = future
        self._replies = replies
        self._begun: BegunReads | None = None
        self._number = 0

    def begun(self, reads: BegunReads, number: int) -> None:
        """Note where it is read."""
        self._begun, self._number = reads, number

    async def result(self) -> Any:
        """Wait for the result; if canceled, cancel what no other read needs."""
        assert self.future is not None, "it is awaited once"
        try:
            return await self.future
        except asyncio.CancelledError:
            if self._begun is not None:
                self._begun.cancel(self._number)
            raise
        finally:
            self._forget()

    def give_up(self) -> None:
        """Cancel it: nobody awaits it any more."""
        if self.future is None:  # it has been awaited
            return
        if self.future.cancel():
            if self._begun is not None:
                self._begun.cancel(self._number)
        else:
            self.future.exception()  # which nobody misses
        self._forget()

    def answer(self, found: object) -> None:
        """Have the loop resolve the future; for any thread."""
        if isinstance(found, StoreError) and found.key not in (None, self.key):
            found = _of_key(found, self.key)  # that of the view
        if (future := self.future) is not None:
            self._replies.put(partial(resolve, future, found))

    def _forget(self) -> None:
        # The others of the turn may take long yet, and hold this.
        self._begun = self.future = None

    @property
    def is_awaited(self) -> bool:
        """Whether it has neither a result nor been canceled."""
        future = self.future
        return future is not None and not future.done()


def _of_key(error: StoreError, key: str) -> StoreError:
    # A copy: others may get the same error, with their own keys.
    new = copy.copy(error)
    new.key, new.__cause__ = key, error.__cause__
    return new


async def results(asked: Sequence[AskedRead]) -> list[Any]:
    """Wait for reads that were asked together; if one fails, give the others up."""
    try:
        return [await one.result() for one in asked]
    except BaseException:
        for one in asked:
            one.give_up()
        raise


class _Turn(NamedTuple):
    """What is awaited in one turn of a loop."""

    replies: LoopReplies
    asked: list[AskedRead]


class _OfSite(NamedTuple):
    """The reads of one site, and the keys there."""

    values: Values
    asked: list[AskedRead]
    keys: list[str]


class TurnReads:
    """Collects the reads of one turn of a loop, and begins them together.

    Any number of loops may use it.

    Parameters
    ----------
    calls : AsyncCalls
        The threads.
    values : callable
        Returns the values of the current snapshot.
    is_in_memory : callable
        Returns whether `values` and look-ups request nothing.
    reads : callable
        As `Reads`.
    """

    def __init__(
        self,
        calls: AsyncCalls,
        values: Callable[[], Values | ViewValues],
        is_in_memory: Callable[[], bool],
        reads: Reads,
    ) -> None:
        self._calls = calls
        self._values = values
        self._is_in_memory = is_in_memory
        self._reads = reads
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn]
        self._turns = weakref.WeakKeyDictionary()
        # Sessions that are set up, and whose requests are begun without blocking.
        self._quick: weakref.WeakSet[Any] = weakref.WeakSet()

    def ask(
        self, key: str, detail: Any = None, values: Values | ViewValues | None = None
    ) -> AskedRead:
        """Return a read that begins at the next turn of the running loop."""
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = _Turn(self._calls.replies(loop), [])
            loop.call_soon(self._begin_turn, loop)
        asked = AskedRead(key, detail, values, loop.create_future(), turn.replies)
        turn.asked.append(asked)
        return asked

    def _begin_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        asked = [one for one in self._turns.pop(loop).asked if one.is_awaited]
        if self._is_in_memory():
            asked = self._begin(asked, only_quick=True)
        try:
            if asked:
                self._calls.patient.submit(partial(self._begin, asked))
        except RuntimeError as error:  # no more threads
            for one in asked:
                one.answer(error)

    def _begin(self, asked: list[AskedRead], *, only_quick: bool = False) -> list[AskedRead]:
        """Begin reads; with `only_quick`, return those of which that may block."""
        slow: list[AskedRead] = []
        try:
            sites = self._by_site(asked)
        except BaseException as error:
            for one in asked:
                one.answer(error)
            return slow
        for site in sites:
            if only_quick and site.values.access.session not in self._quick:
                slow += site.asked
            else:
                self._begin_site(site)
        return slow

    def _by_site(self, asked: list[AskedRead]) -> list[_OfSite]:
        current: Values | ViewValues | None = None
        sites: dict[int, _OfSite] = {}
        for one in asked:
            if one.values is None and current is None:
                current = self._values()
            values = current if one.values is None else one.values
            assert values is not None
            place = values.located(one.key) if isinstance(one.key, str) else None
            if place is None:
                one.answer(KeyError(one.key))
                continue
            own, key = place
            if (site := sites.get(id(own))) is None:
                site = sites[id(own)] = _OfSite(own, [], [])
            site.asked.append(one)
            site.keys.append(key)
        return list(sites.values())

    def _begin_site(self, site: _OfSite) -> None:
        values, asked, keys = site
        try:
            contents = values.index.contents_of(keys)
            known, wanted = [], []
            for one, key in zip(asked, keys, strict=True):
                if (content := contents.get(key)) is None:
                    one.answer(KeyError(one.key))
                else:
                    known.append(one)
                    wanted.append((key, content, one.detail))
            if not known:
                return
            reads = self._reads(
                self._calls, values, wanted, lambda number, found: known[number].answer(found)
            )
            for number, one in enumerate(known):
                one.begun(reads, number)
            reads.begin()
            for number, one in enumerate(known):
                if not one.is_awaited:  # canceled before it was begun
                    reads.cancel(number)
            self._note_quick(values)
        except BaseException as error:
            for one in asked:
                one.answer(error)

    def _note_quick(self, values: Values) -> None:
        session = values.access.session
        if session in self._quick or values.access.cache.folder is not None:
            return
        template = session.template()
        if template is None or template.signer is None:
            self._quick.add(session)


class AwaitedReads(NamedTuple):
    """The threads of a store for coroutines, and the reads that its coroutines await."""

    calls: AsyncCalls
    #: Of whole values.
    whole: TurnReads
    #: Of parts of values.
    parts: TurnReads

    @classmethod
    def of(
        cls,
        calls: AsyncCalls,
        values: Callable[[], Values | ViewValues],
        is_in_memory: Callable[[], bool],
        *,
        whole_reads: Reads,
        part_reads: Reads,
    ) -> AwaitedReads:
        """Return those of a store, which they do not keep alive.

        Parameters
        ----------
        calls : AsyncCalls
            The threads.
        values, is_in_memory : callable
            Methods of the store, as of `TurnReads`.
        whole_reads, part_reads : callable
            Make the reads of one site.
        """
        current, knows = weakref.WeakMethod(values), weakref.WeakMethod(is_in_memory)

        def current_values() -> Values | ViewValues:
            method = current()
            if method is None:
                raise NotConnectedError("the store is gone: keep a reference to it")
            return method()

        def has_all() -> bool:
            method = knows()
            return method is None or method()

        whole = TurnReads(calls, current_values, has_all, whole_reads)
        return cls(calls, whole, TurnReads(calls, current_values, has_all, part_reads))

    def ask_part(self, key: str, start: Any, end: Any) -> AskedRead:
        """Return a read of one part, with bounds as in a slice.

        Raises
        ------
        TypeError
            A bound is neither a whole number nor None.
        """
        return self.parts.ask(key, WantedParts([checked_bounds(start, end)], is_single=True))
