"""No secret in a log: what urllib3 writes of our requests."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sockets import Wire

__all__ = ["hide_queries"]

_URLLIB3 = logging.getLogger("urllib3.connectionpool")


def hide_queries(wire: Wire) -> None:
    """Have the debug messages of urllib3 show no query of what goes over a wire.

    A query may be a signature that is as good as a password.  Messages about
    anybody else's requests are left alone, told by the thread.
    """
    discretion = _Discretion(weakref.ref(wire))
    _URLLIB3.addFilter(discretion)
    weakref.finalize(wire, _URLLIB3.removeFilter, discretion)


class _Discretion(logging.Filter):
    def __init__(self, wire: weakref.ref[Wire]) -> None:
        super().__init__()
        self._wire = wire

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the queries off the arguments of a message; it is always logged."""
        wire = self._wire()
        if wire is not None and wire.is_busy_here and isinstance(record.args, tuple):
            record.args = tuple(map(_without_query, record.args))
        return True


def _without_query(argument: object) -> object:
    if isinstance(argument, str) and "?" in argument:
        return argument.partition("?")[0] + "?…"
    return argument
