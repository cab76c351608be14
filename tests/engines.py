"""The engines that send many requests at once, with the extra ``fast`` and without it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from staticstore import tuning
from staticstore.transport.many import threads

__all__ = ["ENGINES", "sending_by"]

#: By name; the second comes with the extra.
ENGINES = ["threads", "curl"] if importlib.util.find_spec("pycurl") else ["threads"]


@contextmanager
def sending_by(engine: str) -> Iterator[None]:
    """Send many requests, and single ones that could be many, with one engine."""
    if engine == "curl":
        from staticstore.transport.many.curl import by_curl as chosen
    else:
        chosen = threads.by_threads
    with patch.object(tuning, "FEW_REQUESTS", 0), patch.object(threads, "engine", lambda: chosen):
        yield
