"""What the library says while a command runs, by `logging` and `warnings`, as lines of ours."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TextIO

from ..terminal import Output

__all__ = ["told"]

_OURS = "staticstore"
_REQUESTS = "urllib3"
_LEVELS = {0: logging.WARNING, 1: logging.INFO}


@contextlib.contextmanager
def told(output: Output) -> Iterator[None]:
    """Show log records and warnings by `output` while the block lasts.

    Parameters
    ----------
    output : Output
        Its ``verbose`` decides, whenever something is said: warnings alone,
        ``INFO``, or ``DEBUG`` with every request.
    """

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        output.warning(str(message))

    handler = _Lines(output)
    loggers = [logging.getLogger(name) for name in (_OURS, _REQUESTS)]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)


class _Lines(logging.Handler):
    """Shows records as lines; those of the transport only where everything is wanted."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record, if it is one that was asked for."""
        wanted = _LEVELS.get(self._output.verbose, logging.DEBUG)
        if record.name.partition(".")[0] == _REQUESTS:
            if wanted == logging.DEBUG:
                self._output.log(record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._output.warning(record.getMessage())
        elif record.levelno >= wanted:
            self._output.log(record.getMessage())
