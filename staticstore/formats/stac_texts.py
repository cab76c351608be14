"""The metadata of a STAC asset, as a text that is joined when it is looked at."""

from __future__ import annotations

import msgspec

from .late_text import LateText
from .stac_documents import Asset

__all__ = ["AssetText", "Common"]

# Multihashes in hex by their length: how they begin, and which digest it is.
_SHA = {68: ("1220", "sha256"), 132: ("1340", "sha512"), 44: ("1114", "sha1")}
_MULTIHASHES = _SHA | {38: ("d50110", "md5")}


class Common(msgspec.Struct, gc=False):
    """What the assets of an item have in common."""

    collection: str | int | None
    item: str | int | None
    #: How their texts begin: a brace, and members with a comma after each.
    head: bytes


class _Last(msgspec.Struct, omit_defaults=True, gc=False):
    # Of two members with one name the last counts: these, whatever item and asset say.
    collection: str | int | None = None
    item: str | int | None = None
    media_type: str | None = None
    modified: str | None = None
    size: int | None = None
    sha256: str | None = None
    sha512: str | None = None
    sha1: str | None = None
    md5: str | None = None
    placed: dict[str, str] | None = None


_encoded = msgspec.json.Encoder().encode


class AssetText(LateText, gc=False):
    """The metadata: members of the item, of the asset, and what is known of the value's bytes."""

    common: Common
    #: Members as in the document, without a comma after the last.
    own: bytes
    #: The asset; once the text was looked at, the end of the text in its place.
    last: Asset | bytes

    def __bytes__(self) -> bytes:
        """Join the text."""
        last = self.last  # one look, since threads share it
        if not isinstance(last, bytes):
            end = _encoded(self._last_of(last))[1:]
            self.last = last = b"," + end if self.own else end
        return b"".join((self.common.head, self.own, last))

    def _last_of(self, asset: Asset) -> _Last:
        common = self.common
        found = _Last(common.collection, common.item, asset.type, asset.updated, asset.size)
        checksum = (asset.multihash if asset.checksum is None else asset.checksum) or ""
        if multihash := _MULTIHASHES.get(len(checksum)):
            start, digest = multihash
            if (checksum := checksum.lower()).startswith(start):
                setattr(found, digest, checksum[len(start) :])
        if self.place is not None:
            found.placed = {"href": self.place}
        return found
