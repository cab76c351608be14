"""STAC 0.6 to 1.1: items, item collections, catalogs and collections.

An asset is a value: ``collection/item/asset``, or ``item/asset`` without a collection; that of
a collection itself is ``collection/asset``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from . import Document, Entry, Link
from .stac_assets import values_of
from .stac_documents import StacItem, document_of

__all__ = ["is_likely", "read"]

# The links that are followed.  Items lead no further: they may be asked for in turn.
_IS_LEAF = {"child": False, "item": True, "items": False, "next": False}

# What may stand where a link should.
_Other = str | float | bool | list[Any] | None


class _StacLink(msgspec.Struct):
    rel: Any = None
    href: Any = None
    type: Any = None
    method: Any = None


_links = msgspec.json.Decoder(list[_StacLink | _Other]).decode


def read(document: Document) -> Iterator[Entry | Link | str]:
    """Yield the assets of a document, and links to children, items and pages.

    A relative asset in an item collection is relative to its item's own link, if it has one.

    Parameters
    ----------
    document : Document
        An item, item collection, catalog or collection, or a list of collections.

    Raises
    ------
    ValueError
        It is none of these, or a link has to be asked for by POST.

    Examples
    --------
    >>> body = b'{"type":"Feature","id":"a","assets":{"dem":{"href":"a.tif","gsd":30}}}'
    >>> [entry] = read(Document("https://data.example.org/a.json", body, None, None))
    >>> entry.key, bytes(entry.metadata), entry.href
    ('a/dem', b'{"gsd":30,"item":"a"}', 'a.tif')
    """
    found = document_of(document.body.removeprefix(b"\xef\xbb\xbf"))
    if found.type == "Feature":
        yield from values_of(found)
        return
    if found.features is None and found.collections is None and not bytes(found.links):
        raise ValueError("it is no STAC item, item collection, catalog or collection")
    for item in found.features or ():
        if isinstance(item, StacItem):
            yield from values_of(item, base=partial(_own_link, item))
        else:
            yield "an item is left out: it is no object"
    for one in (found, *(found.collections or ())):
        if isinstance(one, StacItem):
            if found.features is None:
                yield from values_of(one, is_item=False)
            yield from _followed(one)


def is_likely(document: Document) -> bool:
    """Return whether a document says which version of STAC it follows."""
    return document.body.lstrip()[:1] == b"{" and b'"stac_version"' in document.body


def _followed(found: StacItem) -> Iterator[Link]:
    for link in _links_of(found):
        kind = link.type.partition(";")[0] if isinstance(link.type, str) else "json"
        # The same page as HTML, JSON-LD or Parquet is no other one.
        if link.rel in tuple(_IS_LEAF) and kind.endswith("json") and "ld+" not in kind:
            if isinstance(link.method, str) and link.method.upper() != "GET":
                raise ValueError(f"its {link.rel} link has to be asked for by {link.method[:8]}")
            yield Link(link.href, leaf=_IS_LEAF[link.rel])


def _own_link(item: StacItem) -> str:
    is_list = bytes(item.links).startswith(b"[")  # if not, only this link is missing
    links = _links_of(item) if is_list else []
    return next((link.href for link in links if link.rel == "self"), "")


def _links_of(found: StacItem) -> list[_StacLink]:
    links = _links(found.links) if bytes(found.links) else []
    return [one for one in links if isinstance(one, _StacLink) and isinstance(one.href, str)]
