"""What is read of the documents of STAC.

What stands where something else should counts as missing, and is not made an object: a list
of empty lists would take twenty times its text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

__all__ = ["Asset", "StacDocument", "StacItem", "asset_of", "document_of"]

_Scalar = str | int | float | bool | None
# Where something else stands in these, what older versions had in its place does not count.
_WRONG = {"id": False, "collection": False, "checksum": ""}
Decode = Callable[[msgspec.Raw], Any]
T = TypeVar("T", bound=msgspec.Struct)


class StacItem(msgspec.Struct):
    """An item or another object of STAC; any of it may be missing."""

    stac_version: _Scalar = None
    id: _Scalar = None
    collection: _Scalar = None
    bbox: msgspec.Raw = msgspec.Raw()
    properties: msgspec.Raw = msgspec.Raw()
    assets: dict[str, msgspec.Raw] | None = None
    links: msgspec.Raw = msgspec.Raw()


class StacDocument(StacItem):
    """One such object, or many in a list; what is none is None there."""

    type: _Scalar = None
    features: list[StacItem | None] | None = None
    collections: list[StacItem | None] | None = None


class Asset(msgspec.Struct, gc=False):
    """What is read of an asset."""

    href: str | None = None
    type: str | None = None
    updated: str | None = None
    size: int | None = msgspec.field(default=None, name="file:size")
    checksum: str | None = msgspec.field(default=None, name="file:checksum")
    multihash: str | None = msgspec.field(default=None, name="checksum:multihash")  # before 1.0
    key: str | None = msgspec.field(default=None, name="staticstore:key")  # of our own exports


class _Lists(msgspec.Struct):
    features: list[msgspec.Raw] | None = None
    collections: list[msgspec.Raw] | None = None


_document = msgspec.json.Decoder(StacDocument).decode
_lists = msgspec.json.Decoder(_Lists).decode
_asset = msgspec.json.Decoder(Asset).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def document_of(body: bytes) -> StacDocument:
    """Read a document.

    Raises
    ------
    ValueError
        It is no object, or its features or collections are no list.
    """
    try:
        return _document(body)
    except msgspec.ValidationError:
        lists, found = _lists(body), StacDocument()
        for name in lists.__struct_fields__:
            if (raws := getattr(lists, name)) is not None:
                setattr(found, name, [_item_of(raw) for raw in raws])
        return _regular(found, body)


def asset_of(raw: msgspec.Raw) -> Asset | None:
    """Read an asset; None if it is no object."""
    try:
        return _asset(raw)
    except msgspec.ValidationError:
        return _regular(Asset(), raw) if _is_object(raw) else None


def _item_of(raw: msgspec.Raw) -> StacItem | None:
    return _regular(StacItem(), raw) if _is_object(raw) else None


def _is_object(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"


def _regular(found: T, text: msgspec.Raw | bytes) -> T:
    # Member by member; what is set already stays.
    members = _members(text)
    for field, decode in _fields(type(found)):
        if field.encode_name in members and getattr(found, field.name) == field.default:
            try:
                value = decode(members[field.encode_name])
            except msgspec.ValidationError:
                value = _WRONG.get(field.name, field.default)
            setattr(found, field.name, value)
    return found


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[msgspec.structs.FieldInfo, Decode]]:
    fields = msgspec.structs.fields(kind)
    return [(field, msgspec.json.Decoder(field.type).decode) for field in fields]
