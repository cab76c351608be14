"""All that the awaited reads of one store have in common."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ...errors import NotConnectedError
from .turns import Reads, TurnReads

if TYPE_CHECKING:
    from ..site_snapshot import Values
    from ..view_values import ViewValues
    from .calls import AsyncCalls

__all__ = ["AwaitedReads"]


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
