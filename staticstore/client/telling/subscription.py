"""Subscriptions to the changes of a store, by a callback or by iterating."""

from __future__ import annotations

import functools
import logging
import weakref
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    NoReturn,
    TypeVar,
    get_args,
    overload,
)

from ...errors import quoted
from ...index.changes import Action, Change, Changes
from ...loop_calls import LoopCalls, calls_of_running_loop, is_coroutine_function
from ...query.conditions import Conditions
from ...signals import logged_failure
from .watch import OpenWatch, Subscribe, Watch

if TYPE_CHECKING:
    from ...index.fields_of_changes import ChangedFields
    from ...index.snapshot import Index
    from ...query.conditions import Where

__all__ = [
    "ChangeSource",
    "Dispatch",
    "Subscribable",
    "Subscription",
    "SubscriptionOptions",
    "SubscriptionOwner",
]

W = TypeVar("W", bound=OpenWatch)

_LOG = logging.getLogger("staticstore")

# As conditions they would match nothing, and the iteration would wait for ever.
_OF_SUBSCRIBE = frozenset({"actions", "batch", "dispatch", "initial"})

#: Passes a call without arguments to an event loop, such as ``loop.call_soon_threadsafe``.
#: The call returns an awaitable where the callback is a coroutine function.
Dispatch = Callable[[Callable[[], Any]], object]


class SubscriptionOptions(NamedTuple):
    """What `StaticStore.subscribe` is given."""

    callback: Callable[[Any], object]
    conditions: Conditions
    actions: Iterable[Action] = get_args(Action)
    dispatch: Dispatch | None = None
    initial: bool = False
    batch: bool = False


class SubscriptionOwner:
    """What a subscription belongs to: the subscribers of a store."""

    @abstractmethod
    def is_open(self) -> bool:
        """Return whether the store is connected."""

    @abstractmethod
    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription that is closed."""


class Subscription:
    """Calls back with the changes of a store; ends with `close`, or a ``with`` block.

    Made by `StaticStore.subscribe`.  It goes on after a `disconnect` and `connect`.
    """

    def __init__(
        self, options: SubscriptionOptions, known: Index, owner: weakref.ref[SubscriptionOwner]
    ) -> None:
        callback, dispatch = options.callback, options.dispatch
        if not callable(callback):
            raise TypeError(f"callback is a function of a change, not {type(callback).__name__}")
        if dispatch is None and is_coroutine_function(callback):
            dispatch = calls_of_running_loop()
            if dispatch is None:
                raise TypeError(
                    "a coroutine function needs an event loop: subscribe within a coroutine,"
                    " or give dispatch=asyncio_dispatch(loop)"
                )
        self.is_batch = options.batch  #: whether the callback gets all changes of a poll together
        #: The snapshot whose changes were delivered last.
        self.known = known
        self._callback = callback
        self._actions = _checked_actions(options.actions)
        self._conditions = options.conditions
        self._dispatch = dispatch
        self._owner = owner
        self._closed = False
        # Deliveries that a loop has yet to call for; its calls while the store was disconnected.
        self._waiting: deque[Change | Changes] = deque()
        self._skipped_calls = 0

    @property
    def is_closed(self) -> bool:
        """Whether the subscription has ended."""
        return self._closed

    def close(self) -> None:
        """End the subscription; no callback begins after this.  Idempotent."""
        self._closed = True
        if (owner := self._owner()) is not None:
            owner.remove(self)

    def after_fork(self, known: Index | None) -> None:
        """Continue in a forked child from a snapshot; close if there is a `dispatch`."""
        if self._dispatch is not None or known is None:
            self.close()
        else:
            self.known = known

    def __reduce__(self) -> NoReturn:
        """Refuse: the callback is in this process."""
        raise TypeError("a subscription cannot be pickled or copied: subscribe in each process")

    def __enter__(self) -> Subscription:
        """Return the subscription."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def deliver(self, change: Change) -> None:
        """Call back with a change, if it matches."""
        if self._wants(change):
            self._call_back(change)

    def deliver_found(self, change: Change) -> None:
        """Call back with a change that fulfills the conditions, if its action is wanted."""
        if change.action in self._actions:
            self._call_back(change)

    def deliver_batch(self, changes: Changes) -> None:
        """Call back once with the matching changes of a poll."""
        if wanted := self._wanted(changes):
            self._call_back(wanted)

    def candidates(self, fields: ChangedFields) -> tuple[Sequence[int], bool]:
        """Return the numbers of the changes that may match, and whether these all do."""
        return fields.matching(self._conditions)

    def deliver_changes(self, changes: Changes) -> None:
        """Call back with changes, together or one by one."""
        if self.is_batch:
            self.deliver_batch(changes)
        else:
            for change in changes:
                self.deliver(change)

    def deliver_all(self, index: Index, is_cut: Callable[[], bool]) -> None:
        """Call back with all entries of a snapshot, as sets; close if disconnected."""
        if is_cut():
            self.close()
            return
        if "set" not in self._actions:
            return
        everything = (Change(key, None, index.raw(key)) for key in index)
        if self.is_batch:  # an empty batch, too: it says that all has come
            self._call_back(self._wanted(Changes(everything, index)))
        else:
            for change in everything:
                self.deliver(change)

    def _wanted(self, changes: Changes) -> Changes:
        if not self._conditions and self._actions.issuperset(get_args(Action)):
            return changes
        return Changes(filter(self._wants, changes), changes.index)

    def _wants(self, change: Change) -> bool:
        with logged_failure(
            f"a condition raised an exception for {quoted(change.key)}; the subscription goes on"
        ):
            if self._closed or change.action not in self._actions:
                return False
            return not self._conditions or any(
                metadata is not None and self._conditions.match(metadata)
                for metadata in (change.metadata, change.previous)
            )
        return False

    def _call_back(self, delivery: Change | Changes) -> None:
        with logged_failure("a callback raised an exception; the subscription goes on"):
            if self._closed:
                return
            if self._dispatch is None:
                self._callback(delivery)
                return
            self._waiting.append(delivery)
            try:
                self._dispatch(self._call_next)
            except BaseException:  # the loop will not call for it
                if self._waiting and self._waiting[-1] is delivery:
                    self._waiting.pop()
                if not isinstance(self._dispatch, LoopCalls) or not self._dispatch.is_closed:
                    raise
                _LOG.exception("the event loop of a subscription is closed; the subscription ends")
                self.close()

    def _call_next(self) -> object:
        # Called by the loop, which reports or awaits in its own way.  Each call is for the
        # oldest delivery: those skipped while disconnected come first after the next connect.
        owner = self._owner()
        if self._closed:
            self._waiting.clear()
        elif owner is None or not owner.is_open():
            self._skipped_calls += 1
        elif self._waiting:
            return self._callback(self._waiting.popleft())
        return None

    def catch_up(self) -> None:
        """Have the loop repeat the calls that it made while the store was disconnected."""
        if (dispatch := self._dispatch) is not None and not self._closed:
            with logged_failure("a dispatch raised an exception; the subscription goes on"):
                dispatch(functools.partial(self._repeat_calls, dispatch))

    def _repeat_calls(self, dispatch: Dispatch) -> None:
        # The counter is changed by the loop's thread alone, so no call is lost.
        calls, self._skipped_calls = self._skipped_calls, 0
        for _ in range(calls):
            dispatch(self._call_next)


class ChangeSource:
    """What notifies subscriptions: the live index of a store."""

    @abstractmethod
    def subscribe(self, options: SubscriptionOptions) -> tuple[Subscription, Index]:
        """Return a subscription, and the snapshot from which it starts."""

    @abstractmethod
    def end_at_disconnect(self, watch: OpenWatch) -> None:
        """End a watch when the store is disconnected."""

    def watch(
        self,
        kind: Callable[[float | None, Subscribe], W],
        timeout: float | None,
        *,
        where: Where | None,
        equals: Mapping[str, Any],
    ) -> W:
        """Return a watch of the changes from now on, until a timeout or a disconnect."""
        if of_subscribe := sorted(_OF_SUBSCRIBE & equals.keys()):
            name = of_subscribe[0]
            text = f"{name!r} is an argument of subscribe, not of watch; a field of that name is"
            raise TypeError(f"{text} where={{{name!r}: ...}}")
        match = Conditions(where, equals)
        watch = kind(timeout, lambda put: self.subscribe(SubscriptionOptions(put, match))[0].close)
        self.end_at_disconnect(watch)
        return watch


class Subscribable:
    """The subscribing half of `StaticStore`."""

    @abstractmethod
    def _opened(self) -> ChangeSource:
        """Return what notifies subscriptions, or raise `NotConnectedError`."""

    @overload
    def subscribe(
        self,
        callback: Callable[[Change], object],
        *,
        actions: Iterable[Action] = ...,
        dispatch: Dispatch | None = ...,
        initial: bool = ...,
        batch: Literal[False] = ...,
        where: Where | None = ...,
        **equals: Any,
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        callback: Callable[[Changes], object],
        *,
        actions: Iterable[Action] = ...,
        dispatch: Dispatch | None = ...,
        initial: bool = ...,
        batch: Literal[True],
        where: Where | None = ...,
        **equals: Any,
    ) -> Subscription: ...
    def subscribe(
        self,
        callback: Callable[[Any], object],
        *,
        actions: Iterable[Action] = ("set", "update", "delete"),
        dispatch: Dispatch | None = None,
        initial: bool = False,
        batch: bool = False,
        where: Where | None = None,
        **equals: Any,
    ) -> Subscription:
        """Call back with each change from now on.

        Unlike a signal, the store holds the callback strongly.  An exception that it raises
        is logged, and later changes are delivered.  It may call any method of the store.

        Parameters
        ----------
        callback : callable
            Called as ``callback(change)``, in key order, one call at a time.
        actions : iterable of {"set", "update", "delete"}, optional
            Which changes.
        dispatch : callable, optional
            Is passed each delivery as a call without arguments, to be made by the thread
            of a window or an event loop; `staticstore.interop.desktop` has those of Qt, Tk
            and asyncio.  By default the polling thread calls back; a coroutine function is
            awaited by the event loop that runs in this thread, one change after the other.
        initial : bool, optional
            Whether to deliver the present entries first, as sets, before any change.
        batch : bool, optional
            Whether to call back once for each poll, as ``callback(changes)`` with the
            matching `Changes`; with `initial`, first with the present entries, even none.
        where, **equals
            As in `query`; the metadata before or after the change must match.

        Returns
        -------
        Subscription
            Close it to end it, or use it in a ``with`` block.

        Raises
        ------
        TypeError
            The callback cannot be called; or it is a coroutine function, no event loop runs
            in this thread, and `dispatch` is missing.
        NotConnectedError
            The store is not connected.

        Examples
        --------
        >>> found = []
        >>> with sample_store.subscribe(found.append, initial=True, type="table"):
        ...     pass
        >>> found[0]
        <Change: set '...csv'>
        >>> with sample_store.subscribe(found.append, initial=True, batch=True):
        ...     pass
        >>> found[-1]
        <Changes: 16 set, 0 update, 0 delete>
        """
        source, conditions = self._opened(), Conditions(where, equals)
        options = SubscriptionOptions(callback, conditions, actions, dispatch, initial, batch)
        return source.subscribe(options)[0]

    def watch(
        self, timeout: float | None = None, *, where: Where | None = None, **equals: Any
    ) -> Iterator[Change]:
        """Iterate over changes since this call, as they come.

        Parameters
        ----------
        timeout : float, optional
            Seconds without a change after which the iteration ends; by default it ends
            at `disconnect`.
        where, **equals
            As in `query`; the metadata before or after the change must match.

        Returns
        -------
        iterator of Change
            For one thread.  It queues the changes until they are taken.

        Raises
        ------
        NotConnectedError
            The store is not connected.
        TypeError, ValueError
            `where` or `timeout` cannot be understood; raised at once.
        """
        return self._opened().watch(Watch, timeout, where=where, equals=equals)


def _checked_actions(actions: Iterable[Action]) -> frozenset[Action]:
    wanted: frozenset[Action] = frozenset(actions)
    # A single text is a set of letters, which are no actions either.
    if unknown := wanted - set(get_args(Action)):
        raise ValueError(f"no such action: {', '.join(sorted(map(repr, unknown)))}")
    return wanted
