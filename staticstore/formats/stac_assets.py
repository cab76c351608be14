"""The assets of a STAC item as values: their keys, metadata and places."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import msgspec

from ..errors import quoted_begin
from . import Entry
from .stac_documents import StacItem, asset_of
from .stac_texts import AssetText, Common

__all__ = ["values_of"]

# Fields that say something of a value's bytes, and in an item something else.
_OF_BYTES = re.compile(rb'"(?:size|sha\d+|md5|modified|media_type|packed|placed|stored)"')
_HREF = re.compile(rb'"href"\s*+:\s*+"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+,', re.DOTALL)
_AFTER_HREF = re.compile(rb"\{" + _HREF.pattern + rb"(.*)\}", re.DOTALL).fullmatch
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_decoded, _encoded = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


def values_of(
    item: StacItem, *, is_item: bool = True, base: Callable[[], str] = str
) -> Iterator[Entry | str]:
    """Yield the assets of an item or a collection, resolved against `base()`."""
    if item.assets is None:
        return
    common, own_url = _common_of(item, is_item=is_item), None
    names = common.collection, common.item
    above = "/".join(str(name) for name in names if name is not None)
    if type(item.id) not in (str, int):
        yield f"an item {f'of {above} ' if above else ''}is left out: it has no id"
        return
    size = len(common.head) + len(above)  # which each asset repeats
    for name, raw in item.assets.items():
        key, asset = f"{above}/{name}", asset_of(raw)
        if asset is None or (href := asset.href) is None:
            yield f"{quoted_begin(key)} is left out: it has no href"
            continue
        if not href.startswith(("https:", "http:")) and not _ABSOLUTE.match(href):
            href = urljoin(own_url := base() if own_url is None else own_url, href)
        if asset.key is not None:
            key = asset.key
        found = _AFTER_HREF(raw)
        own = _without_href(bytes(raw)) if found is None else found[1]
        metadata: Any = AssetText(size + len(raw), None, common, own, asset)
        yield Entry(key, metadata, href)


def _common_of(item: StacItem, *, is_item: bool) -> Common:
    bbox, fields = bytes(item.bbox), bytes(item.properties)
    fields = fields if fields.startswith(b"{") else b"{}"
    collection: Any = item.collection if is_item else item.id
    if collection is None and str(item.stac_version).startswith("0."):
        collection = _decoded(fields).get("collection")  # so in 0.6
    if _OF_BYTES.search(fields):
        read = ((_OF_BYTES.match(_encoded(k)), k, v) for k, v in _decoded(fields).items())
        fields = _encoded({f"properties.{k}" if found else k: v for found, k, v in read})
    head = b"{" + (fields[1:-1].strip() + b",").lstrip(b",")
    head += b'"bbox":%b,' % bbox if bbox.startswith(b"[") else b""
    return Common(_name(collection), _name(item.id) if is_item else None, head)


def _name(value: Any) -> str | int | None:
    return value if type(value) in (str, int) else None


def _without_href(text: bytes) -> bytes:
    # The members of an asset; where it is, its value's URL says.  Decoded only if the href is
    # the last one, is written with escapes, or there is another inside.
    found = _HREF.search(text)
    if found is None or text.count(b'"href"') != 1:
        fields = {name: value for name, value in _decoded(text).items() if name != "href"}
        return _encoded(fields)[1:-1]
    return text[1 : found.start()] + text[found.end() : -1]
