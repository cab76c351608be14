"""Reading one snapshot of a store, whatever polls bring meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..client.async_reading import AsyncReading
from ..client.reading import Reading
from ..client.view_values import ViewValues

if TYPE_CHECKING:
    from ..client.following.held import LazyIndex
    from ..client.live_store import LiveStore
    from ..client.pickles.partitions import ReadMany
    from ..client.site_snapshot import Values
    from ..client.tasks.calls import AsyncCalls
    from ..index.snapshot import Index

__all__ = ["SnapshotReading"]

T = TypeVar("T")


class SnapshotReading(Reading, AsyncReading):
    """The reading half of a store, of the snapshot that the store has now.

    It reads by the connection of the store, and after a disconnect by the next one.  What
    is awaited is read by the threads of the store.

    Parameters
    ----------
    store : StaticStore or view
        The store.

    Raises
    ------
    NotConnectedError
        The store is not connected.
    """

    def __init__(self, store: LiveStore) -> None:
        self._store = store  # kept: a store that is garbage is disconnected
        self._snapshot_values = store._values()

    def _values(self) -> Values | ViewValues:
        if self._snapshot_values.is_cut:
            current: Any = self._store._values()  # raises unless the store is connected again
            self._snapshot_values = self._snapshot_values.read_by(current)
        return self._snapshot_values

    def _index(self) -> Index | LazyIndex:
        return (self._snapshot_values if self.is_in_memory else self._values()).index

    def _reader(self) -> ReadMany:
        return self._store._reader()

    def _is_in_memory(self) -> bool:
        return self.is_in_memory

    @property
    def _calls(self) -> AsyncCalls:
        assert isinstance(self._store, AsyncReading), "stores and views are"
        return self._store._calls

    @property
    def is_in_memory(self) -> bool:
        """Whether looking a key up requests nothing."""
        return self._snapshot_values.is_in_memory

    @property
    def snapshot(self) -> Index | LazyIndex:
        """The snapshot; of a lazy store what reads parts of it."""
        return self._index()

    @property
    def data_path(self) -> str | None:
        """What is between the root and a key in a URL; None for a view."""
        values = self._snapshot_values
        return None if isinstance(values, ViewValues) else values.data_path

    async def called(self, call: Callable[[], T]) -> T:
        """Make a call that reads in a thread, and await it; if canceled, it is cut."""
        return await self._calls.read(call)

    async def looked_up(self, look: Callable[[], T]) -> T:
        """Call what looks into the snapshot, in a thread if that may request parts of it."""
        return look() if self.is_in_memory else await self._called(look)
