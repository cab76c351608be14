"""The site's own words, as a store reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import IndexFormatError, IntegrityError
from ..index.about import About

if TYPE_CHECKING:
    from ..index.head import Head
    from .documents import Documents

__all__ = ["read_about"]


def read_about(head: Head, documents: Documents) -> dict[str, Any] | None:
    """Fetch what a head names as the site's own words; see `StaticStore.about`.

    Parameters
    ----------
    head : Head
        The head that is held.
    documents : Documents
        What it names.
    """
    if head.about is None:
        return None
    try:
        body = documents.read(head.about)
        return None if body is None else About.parse(body).as_json()
    except (IndexFormatError, IntegrityError):
        return None
