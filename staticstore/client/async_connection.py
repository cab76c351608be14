"""Connecting a store within an event loop of asyncio."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from .tasks.connection import AsyncConnection

if TYPE_CHECKING:
    import os

    from ..transport.http.arguments import Credentials
    from .following.connection import Begun

__all__ = ["AsyncConnectable", "default_arguments"]


class AsyncConnectable:
    """The half of `StaticStore` that connects, and connects within an event loop."""

    @abstractmethod
    def disconnect(self) -> None:
        """Disconnect; see `StaticStore.disconnect`."""

    @abstractmethod
    def _connect(
        self, arguments: dict[str, Any], poll_interval: float | None, begun: Begun | None = None
    ) -> None:
        """Connect, with the arguments of `connect`; None for the interval of the store."""

    def connect_async(
        self,
        auth: Credentials = None,
        *,
        proxies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | os.PathLike[str] = True,
        cert: str | tuple[str, str] | None = None,
        timeout: float | tuple[float, float] = (5.0, 30.0),
        retries: int = 4,
        max_index_bytes: int = 1 << 30,
        index_deadline: float = 300.0,
        min_rate: float = 1024,
        anonymous: bool = False,
    ) -> AsyncConnection[Self, None]:
        """Connect as `connect`, without blocking the event loop.

        Parameters
        ----------
        auth, proxies, headers, verify, cert, timeout, retries : optional
            As of `connect`; a function given as `auth` is called in a thread.
        max_index_bytes, index_deadline, min_rate, anonymous : optional
            As of `connect`.

        Returns
        -------
        AsyncConnection
            ``store = await store.connect_async()`` connects and returns the store;
            ``async with store.connect_async() as store:`` disconnects at the end of the
            block, too.

        Raises
        ------
        TypeError, ValueError, TransportError, IndexFormatError, StoreError
            As of `connect`, when it is awaited.

        Notes
        -----
        If it is canceled, it ends at once, and the store is not connected.  Call it from any
        event loop of asyncio; the store may be used from others, too.

        Examples
        --------
        >>> import asyncio
        >>> from staticstore import StaticStore
        >>> async def main():
        ...     store = await StaticStore(sample_site).connect_async()
        ...     try:
        ...         return len(store)
        ...     finally:
        ...         await store.disconnect_async()
        >>> asyncio.run(main())
        16
        """
        arguments = dict(locals())
        del arguments["self"]
        connect = partial(self._connect, arguments, None)
        return AsyncConnection(self, connect, lambda _: self.disconnect())


def default_arguments() -> dict[str, Any]:
    """Return the arguments of `StaticStore.connect` that are used by default."""
    parameters = inspect.signature(AsyncConnectable.connect_async).parameters
    return {name: one.default for name, one in parameters.items() if name != "self"}
