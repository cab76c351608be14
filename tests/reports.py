"""The contents of an error report: all texts that can be reached from an error."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FrameType, FunctionType, ModuleType, TracebackType

# Classes and modules are the program's own; the contents of frames belong to no error.
_NOT_FOLLOWED = (type, ModuleType, TracebackType, FrameType)


def texts_behind(error: BaseException) -> Iterator[str]:
    """Yield each text that an error refers to by causes, contexts, arguments and attributes.

    The objects behind them are followed recursively, whatever their attributes
    are called; tracebacks are not.
    """
    seen: dict[int, object] = {}
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _NOT_FOLLOWED):
            continue
        seen[id(one)] = one
        if isinstance(one, str):
            yield one
        elif isinstance(one, bytes | bytearray):
            yield one.decode("latin-1")
        elif isinstance(one, FunctionType):
            waiting += [one.__closure__, one.__defaults__, one.__kwdefaults__]
        else:
            # An operating system error hides some of its attributes from the collector.
            waiting += [getattr(one, "filename", None)] if isinstance(one, OSError) else []
            waiting += [getattr(one, "object", None)] if isinstance(one, UnicodeError) else []
            waiting += gc.get_referents(one)
