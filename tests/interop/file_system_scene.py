"""Shared by the tests of file systems: a protected site, and file systems of it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from tests.client.scene import MemorySite
from tests.servers import Request, Wire
from tests.sites import entry

__all__ = ["PASSWORD", "USER", "VALUES", "fill", "protect", "who"]

USER, PASSWORD = "ali", "open sesame"

VALUES = {
    "a.txt": b"first",
    "maps/dem.tif": bytes(range(200)),
    "maps/old/1900.tif": b"old map",
    "maps/old/1950.tif": b"newer map",
    "stations/2024.csv": b"2024",
    "stations/2025.csv": b"2025",
}


def who() -> tuple[str, str]:
    """Return the credentials of the protected site; named by its module in pickles."""
    return USER, PASSWORD


def fill(site: MemorySite, **values: bytes) -> None:
    """Publish `VALUES`, and others instead."""
    files = {**VALUES, **values}
    fields = {"modified": "2026-01-02T03:04:05Z", "bbox": [1, 2, 3, 4]}
    site.write({key: entry(value, **fields) for key, value in files.items()})
    site.files.update({f"data/{key}": value for key, value in files.items()})


def protect(site: MemorySite) -> None:
    """Demand the credentials for every request."""
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    good: Callable[[Request, Wire], Any] = site.good

    def answer(request: Request, wire: Wire) -> None:
        if request.headers.get("Authorization") == f"Basic {pair}":
            good(request, wire)
        else:
            wire.response(401, headers={"WWW-Authenticate": 'Basic realm="site"'})

    site.server.answer = answer
