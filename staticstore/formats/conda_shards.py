"""Shards of a conda channel (CEP 16): a list of them, and one for each name of a package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urljoin

import msgspec

from . import Document, Entry, Link

__all__ = ["is_message_pack", "read_shards"]

# The first byte of a map: with less than 16 members; with their number in two bytes; in four.
_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
_DIGEST_BYTES = 32

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


def read_shards(document: Document, body: bytes) -> Iterator[Entry | Link]:
    """Yield links to shards, or the packages of one.

    A shard is named by its digest: it never changes, and is a leaf.

    Parameters
    ----------
    document : Document
        The document; the note that leads to a shard is its digest, and where packages are.
    body : bytes
        Its bytes, decompressed.

    Raises
    ------
    ValueError
        It is not such a document, or not the shard with this digest.

    Examples
    --------
    >>> body = msgspec.msgpack.encode({"shards": {"numpy": bytes(32)}})
    >>> url = "https://conda.example.org/noarch/repodata_shards.msgpack.zst"
    >>> [link] = read_shards(Document(url, body, None, None), body)
    >>> link.href == f"{bytes(32).hex()}.msgpack.zst"
    True
    """
    found = msgspec.msgpack.decode(body, type=Shards)
    if document.note is None:
        yield from _links(document.url, found)
        return
    digest, _, base = document.note.partition(" ")
    if hashlib.sha256(document.body).hexdigest() != digest:
        raise ValueError("it is not the shard with the digest that the list of shards names")
    removed = set(found.removed or ())
    for packages in filter(None, (found.packages, found.conda)):
        for key, package in packages.items():
            if key not in removed:
                # Digests are bytes here, and text in repodata.json.
                texts = {n: v.hex() for n, v in package.items() if isinstance(v, bytes)}
                yield Entry(key, {**package, **texts}, base + quote(key))


def _links(url: str, found: Shards) -> Iterator[Link]:
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
