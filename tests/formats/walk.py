"""Reads a foreign index from a server, without a store: each document once, breadth first."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urljoin

import requests

from staticstore.formats import Document, Entry, Link, Read

__all__ = ["walk"]

_PATIENCE = 10.0
_MOST_DOCUMENTS = 100


def walk(read: Read, url: str, **options: Any) -> dict[str, tuple[Any, str]]:
    """Return the metadata and the URL of each entry; options are those of requests."""
    found: dict[str, tuple[Any, str]] = {}
    waiting: list[tuple[str, str | None]] = [(url, None)]
    for count, (address, note) in enumerate(waiting):
        assert count < _MOST_DOCUMENTS
        answer = requests.get(address, timeout=_PATIENCE, **options)
        answer.raise_for_status()
        for one in read(Document(answer.url, answer.content, None, note)):
            if isinstance(one, Link):
                if (place := urljoin(answer.url, one.href)) not in dict(waiting):
                    waiting.append((place, one.note))
            elif isinstance(one, Entry):
                href = quote(one.key) if one.href is None else one.href
                found[one.key] = (one.metadata, urljoin(answer.url, href))
    return found
