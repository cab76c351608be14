"""The streams of many values, opened before their turns come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .values import Values

__all__ = ["opened_ahead"]

_AHEAD = 8  # streams that are open, or are being opened, before they are asked for


def opened_ahead(values: Values, keys: Iterable[str]) -> Iterator[BinaryIO]:
    """Yield the stream of each key; see `StaticStore.multiget_data`."""
    from ..transport.daemons import Workers

    waiting: deque[Future[BinaryIO]] = deque()
    pool = Workers(_AHEAD, "staticstore multiget_data")

    def opened(key: str) -> BinaryIO:
        return values[key].data

    try:
        for key in keys:
            waiting.append(pool.submit(partial(opened, key)))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.close()
        for one in waiting:
            one.add_done_callback(_close)


def _close(opened: Future[BinaryIO]) -> None:
    """Close a stream that nobody will get."""
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()
