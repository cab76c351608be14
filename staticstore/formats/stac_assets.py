"""The assets of a STAC item as values: their keys, metadata and places.

Metadata are joined from raw pieces of the document, in which the last of a name counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import msgspec

from . import Entry

__all__ = ["Other", "StacItem", "values_of"]

#: What may stand where an object should.
Other = str | float | bool | list[Any] | None
# Multihashes in hex by their length: how they begin, and which digest it is.
_SHA = {68: ("1220", "sha256"), 132: ("1340", "sha512"), 44: ("1114", "sha1")}
_MULTIHASHES = _SHA | {38: ("d50110", "md5")}
# Fields that say something of a value's bytes, and in an item something else.
_OF_BYTES = re.compile(rb'"(?:size|sha\d+|md5|modified|media_type|packed|placed|stored)"')
_HREF = re.compile(rb'"href"\s*+:\s*+"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+,', re.DOTALL)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class StacItem(msgspec.Struct):
    """What is read of an item or another object of STAC; any of it may be missing."""

    stac_version: Any = None
    id: Any = None
    collection: Any = None
    bbox: msgspec.Raw = msgspec.Raw()
    properties: msgspec.Raw = msgspec.Raw()
    assets: dict[str, msgspec.Raw] | Other = None
    links: msgspec.Raw = msgspec.Raw()


class _Asset(msgspec.Struct, gc=False):
    href: Any = None
    type: Any = None
    updated: Any = None
    size: Any = msgspec.field(default=None, name="file:size")
    checksum: Any = msgspec.field(default=None, name="file:checksum")
    multihash: Any = msgspec.field(default=None, name="checksum:multihash")  # before 1.0
    key: Any = msgspec.field(default=None, name="staticstore:key")  # of a site that exported it


_asset = msgspec.json.Decoder(_Asset | Other).decode
_decoded, _encoded = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


def values_of(
    item: StacItem, *, is_item: bool = True, base: Callable[[], str] = str
) -> Iterator[Entry | str]:
    """Yield the assets of an item or a collection, resolved against `base()`."""
    if not isinstance(item.assets, dict):
        return
    names, head = _own(item, is_item=is_item)
    above, own_url, named = "/".join(map(str, names.values())), None, _encoded(names)[1:-1]
    if type(item.id) not in (str, int):
        yield f"an item {f'of {above} ' if above else ''}is left out: it has no id"
        return
    for name, raw in item.assets.items():
        key, asset = f"{above}/{name}", _asset(raw)
        if type(asset) is not _Asset or type(href := asset.href) is not str:
            yield f"{key} is left out: it has no href"
            continue
        if not href.startswith(("https:", "http:")) and not _ABSOLUTE.match(href):
            href = urljoin(own_url := base() if own_url is None else own_url, href)
        key = asset.key if type(asset.key) is str else key
        # The names last: they count.
        last = (b",", _encoded(content)[1:]) if (content := _content_of(asset)) else (b"}",)
        yield Entry(key, b"".join((head, *_without_href(bytes(raw)), named, *last)), href)


def _own(item: StacItem, *, is_item: bool) -> tuple[dict[str, str | int], bytes]:
    # Its names, which the keys of its assets begin with, and how their metadata begin.
    bbox, fields = bytes(item.bbox), bytes(item.properties)
    fields = fields if fields.startswith(b"{") else b"{}"
    collection = item.collection if is_item else item.id
    if collection is None and str(item.stac_version).startswith("0."):
        collection = _decoded(fields).get("collection")  # so in 0.6
    if _OF_BYTES.search(fields):
        read = ((_OF_BYTES.match(_encoded(k)), k, v) for k, v in _decoded(fields).items())
        fields = _encoded({f"properties.{k}" if found else k: v for found, k, v in read})
    head = b"{" + (fields[1:-1].strip() + b",").lstrip(b",")
    head += b'"bbox":%b,' % bbox if bbox.startswith(b"[") else b""
    names = {"collection": collection, "item": item.id if is_item else None}
    return {field: name for field, name in names.items() if type(name) in (str, int)}, head


def _without_href(text: bytes) -> tuple[bytes, ...]:
    # The members of an asset, with a comma; where it is, its value's URL says.  Decoded only if
    # the href is the last one, is written with escapes, or there is another inside.
    found = _HREF.search(text)
    if found is None or not (found.start() == 1 or text.count(b'"href"') == 1):
        fields = {name: value for name, value in _decoded(text).items() if name != "href"}
        return (_encoded(fields)[1:-1], b",") if fields else ()
    return text[1 : found.start()], text[found.end() : -1], b","


def _content_of(asset: _Asset) -> dict[str, Any]:
    # What it says of its bytes, in the fields that a store understands.
    found: dict[str, Any] = {}
    if type(asset.type) is str:
        found["media_type"] = asset.type
    if type(asset.updated) is str:
        found["modified"] = asset.updated
    if type(asset.size) is int:
        found["size"] = asset.size
    checksum = asset.multihash if asset.checksum is None else asset.checksum
    if type(checksum) is str and (kind := _MULTIHASHES.get(len(checksum))):
        start, _, digest = checksum.lower().partition(kind[0])
        if not start:
            found[kind[1]] = digest
    return found
