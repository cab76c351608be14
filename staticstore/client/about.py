"""The site's own words, as a store reads them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..errors import IndexFormatError, IntegrityError
from ..index.about import MOST_ABOUT_BYTES, About
from ..transport.sources import anywhere
from .documents import exactly

if TYPE_CHECKING:
    from ..index.head import Head
    from ..transport.sources import Sources

__all__ = ["read_about"]

_SECONDS = 300.0  # that the document may take, from all roots together


def read_about(head: Head, sources: Sources) -> dict[str, Any] | None:
    """Fetch what a head names as the site's own words; see `StaticStore.about`.

    Parameters
    ----------
    head : Head
        The head that is held.
    sources : Sources
        The ways to all roots; any of them may have the document.
    """
    document = head.about
    if document is None:
        return None
    deadline = time.monotonic() + _SECONDS
    try:
        found = anywhere(
            (*sources.alike, *sources.unlike),
            lambda session: exactly(session, document, deadline, MOST_ABOUT_BYTES),
            deadline,
        )
        if found is None or len(found.body) != document.size:
            return None
        return About.parse(bytes(found.body)).as_json()
    except (IndexFormatError, IntegrityError):
        return None
