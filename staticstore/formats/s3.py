"""Listings of S3 and compatible buckets: ListObjectsV2 and ListObjects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlencode, urlsplit
from xml.parsers import expat

from . import Document, Entry, Link

__all__ = ["is_likely", "read"]

_FIELDS = {"LastModified": "modified", "ETag": "etag", "StorageClass": "storage_class"}
_MOST_LEVELS, _LIKELY_BYTES = 16, 4096
# expat goes over an unfinished token again with each piece: without a bound, quadratic time.
_PIECE_BYTES, _MOST_TOKEN_BYTES = 1 << 16, 1 << 20


def read(document: Document) -> Iterator[Entry | Link]:
    """Yield the objects of a page of a listing, and a link to the next page.

    A listing with a ``delimiter`` is of one level: its ``CommonPrefixes`` are not followed.
    Empty objects that stand for folders are left out.

    Parameters
    ----------
    document : Document
        The page; its note is the prefix that was asked for.

    Raises
    ------
    ValueError
        It is no listing, has a DOCTYPE, or an object that was not asked for.

    Examples
    --------
    >>> body = b"<ListBucketResult><Contents><Key>a/1</Key><Size>7</Size></Contents>"
    >>> url = "https://data.example.org/?list-type=2&prefix=a/"
    >>> list(read(Document(url, body + b"</ListBucketResult>", "application/xml", None)))
    [Entry(key='1', metadata={'size': 7}, href='./a/1')]
    """
    page, objects = _parsed(document.body)
    *_, path, parameters, _ = urlsplit(document.url)
    query = dict(parse_qsl(parameters, keep_blank_values=True))
    prefix = query.get("prefix", "") if document.note is None else document.note
    folder = prefix[: prefix.rfind("/") + 1]
    # A bucket is a host, or the last part of the path, perhaps without a slash behind it.
    last = path.rpartition("/")[2]
    bucket = f"{last}/" if last and unquote(last) == page.get("Name") else ""
    name = ""
    for one in objects:
        name = _decoded(one.get("Key", ""), page)
        if not name.startswith(prefix):
            raise ValueError(f"the object {name!r} is not below the prefix {prefix!r}")
        if not (name.endswith("/") and one.get("Size") == "0"):
            path = f"./{bucket}{quote(name, errors='surrogateescape')}"
            href = path if bucket or folder else None
            yield Entry(name.removeprefix(folder), _metadata(one), href)
    if page.get("IsTruncated") == "true":
        if token := page.get("NextContinuationToken"):
            query["continuation-token"] = token
        elif "list-type" in query:
            raise ValueError("it says that there are more objects, but not how to ask for them")
        else:
            query["marker"] = _decoded(page.get("NextMarker", ""), page) or name
        yield Link("?" + urlencode(query, errors="surrogateescape", quote_via=quote), prefix)


def is_likely(document: Document) -> bool:
    """Return whether a document begins as a listing of a bucket."""
    return b"<ListBucketResult" in document.body[:_LIKELY_BYTES]


def _decoded(name: str, page: dict[str, str]) -> str:
    is_encoded = page.get("EncodingType") == "url"
    return unquote_plus(name, errors="surrogateescape") if is_encoded else name


def _metadata(one: dict[str, str]) -> dict[str, Any]:
    # An ETag changes with its object; only in some buckets it is a digest.
    found: dict[str, Any] = {_FIELDS[name]: one[name].strip('"') for name in _FIELDS if name in one}
    if (size := one.get("Size", "")).isdecimal() and len(size) < 20:
        found["size"] = int(size)
    return found


def _parsed(body: bytes) -> tuple[dict[str, str], list[dict[str, str]]]:
    page, objects, names, texts = dict[str, str](), list[dict[str, str]](), list[str](), list[str]()

    def refuse(*_: object) -> None:
        raise ValueError("it has a DOCTYPE, which no listing has")

    def begin(name: str, _: object) -> None:
        names.append(name.rpartition(" ")[2])
        if names[0] != "ListBucketResult" or len(names) > _MOST_LEVELS:
            raise ValueError(f"it is no listing of a bucket: it has a <{names[-1][:80]}>")
        if len(names) == 2 and names[1] == "Contents":
            objects.append({})
        texts.clear()

    def end(_: str) -> None:
        depth, name = len(names), names.pop()
        if depth == 2:
            page[name] = "".join(texts)
        elif depth == 3 and names[1] == "Contents":
            objects[-1][name] = "".join(texts)
        texts.clear()

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.buffer_text = texts.append, True
    # In pieces: expat goes on to the end of one after a handler has raised.
    for start in range(0, len(body), _PIECE_BYTES):
        parser.Parse(body[start : start + _PIECE_BYTES], False)
        if start - parser.CurrentByteIndex > _MOST_TOKEN_BYTES:
            raise ValueError("it is no listing of a bucket: a tag of it is too long")
    parser.Parse(b"", True)
    return page, objects
