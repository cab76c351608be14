"""Shards of a conda channel (CEP 16): a list of them, and one for each name of a package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urljoin

import msgspec

from . import Document, Entry, Link
from .zstandard import decompressed, is_compressed

__all__ = ["is_message_pack", "packages_of_shard", "shard_links"]

# The first byte of a map: with less than 16 members; with their number in two bytes; in four.
_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
_DIGEST_BYTES = 32
# Of one name of a package, decompressed: eight of them are read at the same time.
_MOST_SHARD_BYTES = 32 << 20

_Packages = dict[str, dict[str, Any]]


class Shards(msgspec.Struct):
    """A document of CEP 16: the list of shards, or one of them."""

    info: dict[str, Any] | None = None
    shards: dict[str, bytes | None] | None = None
    packages: _Packages | None = None
    conda: _Packages | None = msgspec.field(default=None, name="packages.conda")
    removed: list[str] | None = None


def is_message_pack(body: bytes) -> bool:
    """Return whether a document begins as a map of MessagePack, and not as JSON."""
    return bool(body) and body[0] in _MAPS


def shard_links(url: str, body: bytes) -> Iterator[Link]:
    """Yield links to the shards that a list names.

    A shard is named by its digest: it never changes, and is a leaf.  The note of its link is
    that digest, and where packages are.

    Parameters
    ----------
    url : str
        Where the list was found.
    body : bytes
        The list, decompressed.

    Raises
    ------
    ValueError
        It is no list of shards.

    Examples
    --------
    >>> body = msgspec.msgpack.encode({"shards": {"numpy": bytes(32)}})
    >>> [link] = shard_links("https://conda.example.org/noarch/repodata_shards.msgpack.zst", body)
    >>> link.href == f"{bytes(32).hex()}.msgpack.zst"
    True
    """
    found = msgspec.msgpack.decode(body, type=Shards)
    if found.shards is None:
        raise ValueError("it lists no shards")
    bases = [(found.info or {}).get(name) or "" for name in ("base_url", "shards_base_url")]
    if not all(isinstance(base, str) for base in bases):
        raise ValueError("its base_url or shards_base_url is not a text")
    packages, shards = (f"{base.rstrip('/')}/" if base else "" for base in bases)
    packages = urljoin(url, packages or ".")
    for name, digest in found.shards.items():
        if digest is not None:  # the package was removed
            if len(digest) != _DIGEST_BYTES:
                raise ValueError(f"the digest of the shard {name!r} is not a sha256")
            yield Link(f"{shards}{digest.hex()}.msgpack.zst", f"{digest.hex()} {packages}", True)


def packages_of_shard(document: Document) -> Iterator[Entry]:
    """Yield the packages of a shard.

    Parameters
    ----------
    document : Document
        The shard, with the note of `shard_links`.

    Raises
    ------
    ValueError
        It is not the shard with this digest; its bytes were not looked at.
    """
    digest, _, base = (document.note or "").partition(" ")
    if hashlib.sha256(document.body).hexdigest() != digest:
        raise ValueError("it is not the shard with the digest that the list of shards names")
    body = document.body
    if is_compressed(body):
        body = decompressed(document, _MOST_SHARD_BYTES)
    found = msgspec.msgpack.decode(body, type=Shards)
    removed = set(found.removed or ())
    for packages in filter(None, (found.packages, found.conda)):
        for key, package in packages.items():
            if key not in removed:
                # Digests are bytes here, and text in repodata.json.
                texts = {n: v.hex() for n, v in package.items() if isinstance(v, bytes)}
                yield Entry(key, {**package, **texts}, base + quote(key))
