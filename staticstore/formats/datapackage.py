"""Data packages (``datapackage.json``, versions 1 and 2).

The key is the path if it is relative, else the name of the resource, with a number if it has
several paths: ``prices/2``.  The metadata are the resource's fields, but for where it is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from . import Document, Entry, Link

__all__ = ["is_likely", "read"]

# Of a digest, its hex digits.
_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_PLACES = ("path", "data", "url")  # `url` before version 1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read(document: Document) -> Iterator[Entry | Link | str]:
    """Yield the values of a data package.

    A resource that is given by the path of its descriptor is read from there, and one with
    inline ``data`` is a value of up to 64 KiB.

    Parameters
    ----------
    document : Document
        The package, or the descriptor of one resource.

    Raises
    ------
    ValueError
        It is neither.

    Examples
    --------
    >>> body = b'{"resources":[{"name":"prices","path":"data/a.csv","hash":"sha1:2B","bytes":3}]}'
    >>> list(read(Document("https://data.example.org/datapackage.json", body, None, None)))
    [Entry(key='data/a.csv', metadata={'name': 'prices', 'hash': 'sha1:2B', 'bytes': 3, 'size': 3},
    href=None)]
    """
    package = msgspec.json.decode(document.body.removeprefix(_BYTE_ORDER_MARK))
    resources = None
    if isinstance(package, dict):
        is_resource = any(name in package for name in _PLACES)
        resources = package.get("resources", [package] if is_resource else None)
    if not isinstance(resources, list):
        raise ValueError("it is no data package: it has no list of resources")
    for number, resource in enumerate(resources, 1):
        if isinstance(resource, str):
            yield Link(resource)
        elif isinstance(resource, dict) and any(resource.get(name) for name in _PLACES):
            yield from _values(resource, number)
        else:
            yield f"resource {number} is left out: it has neither a path nor data"


def is_likely(document: Document) -> bool:
    """Return whether a document has a list of resources."""
    body = document.body.removeprefix(_BYTE_ORDER_MARK).lstrip()
    return body[:1] == b"{" and re.search(rb'"resources"\s*:\s*\[', body) is not None


def _values(resource: dict[str, Any], number: int) -> Iterator[Entry | str]:
    name = resource.get("name")
    metadata = {field: value for field, value in resource.items() if field not in _PLACES}
    if isinstance(media_type := resource.get("mediatype"), str):
        metadata["media_type"] = media_type
    place = resource.get("path") or resource.get("url")
    is_inline = place is None
    place = _data_url(resource.get("data")) if is_inline else place
    paths = place if isinstance(place, list) else [place]
    if len(paths) == 1 and not is_inline:  # of several, size and digest would be those of all
        metadata |= _content(resource)
    for count, path in enumerate(paths, 1):
        if not isinstance(path, str):
            yield f"resource {number} is left out: a path is text, not {type(path).__name__}"
        elif not is_inline and "://" not in path:
            yield Entry(path.removeprefix("./"), metadata)
        elif not isinstance(name, str):
            yield f"resource {number} is left out: it has neither a relative path nor a name"
        else:
            yield Entry(f"{name}/{count}" if len(paths) > 1 else name, metadata, path)


def _data_url(data: Any) -> str:
    body = data.encode() if isinstance(data, str) else msgspec.json.encode(data)
    return f"data:;base64,{base64.b64encode(body).decode()}"


def _content(resource: dict[str, Any]) -> dict[str, Any]:
    # What it says of its bytes, in the fields that a store understands.
    found: dict[str, Any] = {}
    if type(resource.get("bytes")) is int:
        found["size"] = resource["bytes"]
    if isinstance(digest := resource.get("hash"), str):
        algorithm, _, digits = digest.rpartition(":")
        algorithm = algorithm.lower().replace("-", "") or "md5"
        if re.fullmatch(rf"[0-9A-Fa-f]{{{_DIGITS.get(algorithm, 0)}}}", digits):
            found[algorithm] = digits
    return found
