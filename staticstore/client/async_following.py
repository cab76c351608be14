"""Following a store within an event loop of asyncio."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from .tasks.connection import AsyncConnection

if TYPE_CHECKING:
    from ..index.changes import Change, Changes
    from ..query.conditions import Where
    from .following.connection import Begun
    from .tasks.change_watch import AsyncWatch
    from .telling.subscription import ChangeSource

__all__ = ["AsyncFollowing"]

T = TypeVar("T")


class AsyncFollowing:
    """The following half of `StaticStore`, within any event loop of asyncio.

    What is awaited does the same as its blocking twin: its parameters, results and errors
    are those, unless it says something else.
    """

    @abstractmethod
    def _is_in_memory(self) -> bool:
        """Whether looking a key up requests nothing."""

    @abstractmethod
    async def _called(self, call: Callable[[], T]) -> T:
        """Make a blocking call in a thread."""

    @abstractmethod
    def _opened(self) -> ChangeSource:
        """Return what notifies of changes."""

    @abstractmethod
    def update_index(self) -> Changes:
        """Poll once, now; see `StaticStore.update_index`."""

    @abstractmethod
    def disconnect(self) -> None:
        """Disconnect; see `StaticStore.disconnect`."""

    @abstractmethod
    def _enter(self, begun: Begun | None = None) -> None:
        """Connect, unless connected; `begun` is called with each connection that is made."""

    @abstractmethod
    def __exit__(self, *error: object) -> None:
        """Disconnect what `_enter` has connected."""

    async def __aenter__(self) -> Self:
        """Connect, unless connected, without blocking the event loop."""
        return await AsyncConnection(self, self._enter, lambda _: None)

    async def __aexit__(self, *error: object) -> None:
        """Disconnect, without blocking the loop."""
        from .tasks.calls import call_in_thread  # slow to import: asyncio

        await call_in_thread(self.__exit__)

    def watch_async(
        self, timeout: float | None = None, *, where: Where | None = None, **equals: Any
    ) -> AsyncIterator[Change]:
        """Iterate over changes since this call, as they come: `watch`, awaited.

        A lazy store that has not fetched its index yet watches from the first step on.

        Parameters
        ----------
        timeout, where, **equals : optional
            As of `watch`.

        Returns
        -------
        asynchronous iterator of Change
            For one task.  It queues the changes until they are taken.

        Raises
        ------
        RuntimeError
            There is no running event loop.

        Examples
        --------
        >>> import asyncio
        >>> async def main():
        ...     return [change async for change in sample_store.watch_async(timeout=0)]
        >>> asyncio.run(main())
        []
        """
        import asyncio

        from .tasks.change_watch import AsyncWatch, watch_later

        kind = partial(AsyncWatch, asyncio.get_running_loop())

        def begin() -> AsyncWatch:
            return self._opened().watch(kind, timeout, where=where, equals=equals)

        return begin() if self._is_in_memory() else watch_later(partial(self._called, begin))

    async def update_index_async(self) -> Changes:
        """Poll once, now: `update_index`, awaited.

        Handlers and callbacks that are no coroutine functions have been called when it
        returns; coroutines follow on their loops.

        Examples
        --------
        >>> import asyncio
        >>> asyncio.run(sample_store.update_index_async())
        <Changes: 0 set, 0 update, 0 delete>
        """
        from .tasks.calls import call_in_thread  # not behind reads from a silent host

        return await call_in_thread(self.update_index)

    async def disconnect_async(self) -> None:
        """Disconnect, as `disconnect`, without blocking the loop."""
        from .tasks.calls import call_in_thread  # slow to import: asyncio

        await call_in_thread(self.disconnect)
