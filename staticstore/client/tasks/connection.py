"""A connect that is awaited."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from ..following.connection import Begun, Connection

__all__ = ["AsyncConnection"]

Store = TypeVar("Store")
T = TypeVar("T")


class AsyncConnection(Generic[Store, T]):
    """Connects when awaited; ``async with`` also disconnects.

    Made by `StaticStore.connect_async`; nothing is requested before it is awaited.  If it is
    canceled, it ends at once, and the store is not connected.

    Parameters
    ----------
    store : StaticStore or view
        The store.
    connect : callable
        Connects it; takes what is called with each connection.
    disconnect : callable
        Takes what `connect` returned.

    Examples
    --------
    >>> import asyncio
    >>> from staticstore import StaticStore
    >>> async def main():
    ...     async with StaticStore(sample_site).connect_async() as store:
    ...         return len(await store.read_async("stations/stations.csv"))
    >>> asyncio.run(main())
    438
    """

    def __init__(
        self,
        store: Store,
        connect: Callable[[Begun], T],
        disconnect: Callable[[T], object],
    ) -> None:
        self._store = store
        self._connect = connect
        self._disconnect = disconnect
        self._connected_by_this: list[T] = []

    def __await__(self) -> Generator[Any, None, Store]:
        """Connect, and return the store."""
        return self._connected().__await__()

    async def __aenter__(self) -> Store:
        """Connect, and return the store."""
        return await self._connected()

    async def __aexit__(self, *error: object) -> None:
        """Disconnect, without blocking the loop."""
        from .calls import call_in_thread

        await call_in_thread(partial(self._disconnect, self._connected_by_this.pop()))

    if not TYPE_CHECKING:  # to type checkers these names do not exist

        def __getattr__(self, name: str) -> Any:
            """Raise `AttributeError`: the store is what `await` returns."""
            hint = "connect_async() is awaited first: store = await store.connect_async()"
            raise AttributeError(f"no {name!r} yet: {hint}", name=name, obj=self)

        def __enter__(self) -> Any:
            """Raise `TypeError`: a block that awaits begins with ``async with``."""
            raise TypeError("connect_async() is awaited: write 'async with', not 'with'")

        def __exit__(self, *error: object) -> None:
            """Do nothing: `__enter__` has raised."""

    async def _connected(self) -> Store:
        from .calls import call_in_thread  # slow to import: asyncio

        attempt = _Attempt()
        try:
            connected = await call_in_thread(partial(self._connect, attempt.begun))
        except BaseException:
            attempt.give_up()
            raise
        self._connected_by_this.append(connected)
        return self._store


class _Attempt:
    # The connections that a connect has made: once it is given up, they are closed, and so
    # is each that is made later.  The order of the two steps in each method makes a lock needless.

    def __init__(self) -> None:
        self._connections: list[Connection] = []
        self._is_given_up = False

    def begun(self, connection: Connection) -> None:
        self._connections.append(connection)
        if self._is_given_up:
            connection.close()

    def give_up(self) -> None:
        self._is_given_up = True
        for connection in list(self._connections):
            connection.follower.close()  # never blocks
            threading.Thread(target=connection.close, daemon=True).start()
