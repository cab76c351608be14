"""The carriers of many requests, with the extra ``fast`` and without it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from staticstore.transport.many import batch
from staticstore.transport.many.threads import ThreadCarrier

__all__ = ["ENGINES", "sending_by"]

#: By name; the second comes with the extra.
ENGINES = ["threads", "curl"] if importlib.util.find_spec("pycurl") else ["threads"]


@contextmanager
def sending_by(engine: str) -> Iterator[None]:
    """Send many requests, and single ones that could be many, by one kind of carrier."""
    if engine == "curl":
        from staticstore.transport.many.curl import CurlCarrier as chosen
    else:
        chosen = ThreadCarrier  # type: ignore[assignment,misc]
    with patch.object(batch, "fastest_carrier", lambda: chosen):
        yield
