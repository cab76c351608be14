"""Indexes of conda channels: ``repodata.json``, as it is or compressed, and shards (CEP 16)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator
from itertools import islice, repeat
from typing import Any, cast
from urllib.parse import quote

import msgspec

from .. import tuning
from . import Document, Entry, Link
from .conda_shards import is_message_pack, packages_of_shard, shard_links
from .zstandard import decompressed, is_compressed

__all__ = ["is_likely", "read"]

_HEX_DIGITS = {"md5": 32, "sha256": 64}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LIKELY_BYTES = 4096


def read(document: Document) -> Iterator[Entry | Link]:
    """Yield the packages of a subdirectory of a channel, or links to its shards.

    Parameters
    ----------
    document : Document
        ``repodata.json``, ``repodata.json.zst``, ``repodata_shards.msgpack.zst`` or a shard.

    Raises
    ------
    ValueError
        It is none of these, or not the shard that the list of shards names.

    Examples
    --------
    >>> body = b'{"packages.conda":{"a-1.0-0.conda":{"size":7}}}'
    >>> [entry] = read(Document("https://conda.example.org/noarch/repodata.json", body, None, None))
    >>> entry.key, bytes(entry.metadata)
    ('a-1.0-0.conda', b'{"size":7}')
    """
    if document.note is not None:
        return packages_of_shard(document)
    body = decompressed(document) if is_compressed(document.body) else document.body
    if is_message_pack(body):
        return shard_links(document.url, body)
    return _packages(body.removeprefix(_BYTE_ORDER_MARK))


def is_likely(document: Document) -> bool:
    """Return whether a document begins like one of a channel, or is named like one."""
    begin = document.body[:_LIKELY_BYTES]
    is_json = begin.lstrip().startswith(b"{") and (b'"packages' in begin or b'"subdir"' in begin)
    return is_json or (is_compressed(begin) and "repodata" in document.url)


def _packages(body: bytes) -> Iterator[Entry]:
    key = Hashable if len(body) > tuning.CONDA_PATIENT_BYTES else str
    found = _decoder(key).decode(body)
    if found.packages is None and found.conda is None:
        raise ValueError('it has neither "packages" nor "packages.conda"')
    base = found.info.get("base_url") if isinstance(found.info, dict) else None
    if not isinstance(base, str | None):
        raise ValueError("its base_url is not a text")
    for packages in filter(None, (found.packages, found.conda)):
        for name in found.removed or ():
            packages.pop(name, None)
        names, texts = iter(list(packages)), iter(list(packages.values()))
        packages.clear()
        while some := list(islice(texts, tuning.CONDA_BATCH_ENTRIES)):
            keys = list(islice(names, len(some)))
            hrefs = [f"{base.rstrip('/')}/{quote(key)}" for key in keys] if base else repeat(None)
            yield from map(Entry, keys, _lowered(some), hrefs)


@functools.cache
def _decoder(key: type) -> msgspec.json.Decoder[Any]:
    """Return a decoder that leaves packages raw, as views of the document.

    With `Hashable` it calls Python for each key, so that other threads have their turn.
    """
    packages = dict[key, msgspec.Raw] | None  # type: ignore[valid-type]
    fields: list[Any] = [("info", Any, None), ("removed", list[str] | None, None)]
    fields += [("packages", packages, None), ("conda", packages, None)]
    repodata = msgspec.defstruct("Repodata", fields, rename={"conda": "packages.conda"})
    return msgspec.json.Decoder(repodata, dec_hook=lambda kind, name: name)


def _lowered(texts: list[msgspec.Raw]) -> list[bytes]:
    """Return the texts; those with digests in upper case are made anew."""
    some = cast("list[bytes]", texts)
    try:  # it skips all else, which takes half the time of a search.  benchmark: conda
        digests = _digests_decoder()(b"[%b]" % b",".join(some))
    except msgspec.DecodeError:  # one is no object, say
        return list(map(_lowered_text, some))
    joined = "".join([(one.md5 or "") + (one.sha256 or "") for one in digests])
    return some if joined == joined.lower() else list(map(_lowered_text, some))


@functools.cache
def _digests_decoder() -> Callable[[bytes], list[Any]]:
    fields = [(name, str | None, "") for name in _HEX_DIGITS]
    digests: Any = msgspec.defstruct("Digests", fields, gc=False)
    return msgspec.json.Decoder(list[digests]).decode


def _lowered_text(text: bytes) -> bytes:
    try:
        package = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:  # who reads it leaves it out
        return text
    lowered = dict(package)
    for name, length in _HEX_DIGITS.items():
        if isinstance(digest := package.get(name), str) and len(digest) == length:
            lowered[name] = digest.lower()
    return text if lowered == package else msgspec.json.encode(lowered)
