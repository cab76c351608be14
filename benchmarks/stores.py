"""How those contenders that are stores connect."""

from __future__ import annotations

import urllib.request
from typing import Any

__all__ = ["a_key", "connect_encore", "connect_ours"]


def connect_ours(url: str, *, lazy: bool = False) -> Any:
    """Connect a store of ours that does not poll by itself."""
    from staticstore import StaticStore

    return StaticStore(url, poll_interval=0, lazy=lazy).connect()


def connect_encore(url: str) -> Any:
    """Connect a store of encore that does not poll by itself."""
    assert urllib.request  # encore uses it without importing it
    from encore.storage.static_url_store import StaticURLStore

    store = StaticURLStore(url, "data/", "index.json", poll=0)
    store.connect()
    return store


def a_key(count: int) -> str:
    """Return a key from the middle of the index."""
    from .indexes import _PLACES

    number = count // 2
    return f"{_PLACES[number % 7]}/{number // 1000:04}/scene-{number:07}.tif"
