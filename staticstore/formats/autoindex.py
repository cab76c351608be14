"""Directory listings of nginx, Apache, Caddy, lighttpd and Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from html import unescape
from itertools import zip_longest
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ..index.codec import decode_objects
from ..index.fields import time_text
from . import Document, Entry, Link

__all__ = ["is_likely", "read"]

# All take linear time, as html.parser does not: they pass no "<" at which a match may begin.
_UNSEEN = re.compile(rb"(?is)<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1|\Z)")
_LINK = re.compile(r"""(?i)<a\s(?:[^<>"']|"[^"<]*"|'[^'<]*')*+>""")
_HREF = re.compile(r"""(?i)\shref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_ROW = re.compile(r"(?is)</a\s*>(.*?)(?:</?(?:tr|li|ul|pre|hr|table|tbody|body)\b|\Z)")
_TAG = re.compile(r"<[^<>]*>")
_TITLE = re.compile(
    rb"(?i)<(?:title|h1)\b[^<>]*>\s*(?:index of|directory listing)|<a\s[^<>]*//caddyserver\.com\b"
)
_EXACT_SIZE = re.compile(r"""\sdata-(?:size|order)=["'](\d{1,18})["']""")
_EXACT_TIME = re.compile(r"""<time\sdatetime=["']([^"'<>]{1,40})["']""")
# "1.2K" is rounded, and a number behind a description is no size.
_LISTED_SIZE = re.compile(r"[\w-]{10,11} \d\d:\d\d(?::\d\d)? (\d{1,18})")
_MOST_LISTED_CHARACTERS = 200
_Listed = Iterator[tuple[str, bool, dict[str, Any]]]


def read(document: Document) -> Iterator[Entry | Link | str]:
    """Yield the files of a folder, and links to the folders in it.

    Parameters
    ----------
    document : Document
        The listing; its note is the path of its folder below the first one.

    Raises
    ------
    ValueError
        It is no listing, or not a whole one.

    Examples
    --------
    >>> body = b'<title>Index of /</title><a href="../">../</a> <a href="a%20b.txt">a b.txt</a>'
    >>> list(read(Document("https://data.example.org/", body, "text/html", None)))
    [Entry(key='a b.txt', metadata={}, href=None)]
    """
    body, before = document.body, document.note or ""
    is_json = body.lstrip().startswith(b"[")
    if not is_json and b"<html" in body[:1000].lower() and b"</html" not in body[-1000:].lower():
        raise ValueError("the page is cut short")
    if not is_json and not _TITLE.search(body):
        if not before:
            raise ValueError("it is no listing of a folder")
        yield "a page stands in the place of the listing of a folder"
        return
    listed = _of_json(body) if is_json else _of_html(document.url, _UNSEEN.sub(b"", body))
    found: dict[tuple[str, bool], dict[str, Any]] = {}
    for name, is_folder, metadata in listed:
        # Nothing but what is in the folder itself, also in disguise.
        if name not in ("", ".", "..") and "/" not in name:
            found[name, is_folder] = metadata or found.get((name, is_folder), {})
    for (name, is_folder), metadata in found.items():
        path, href = before + name, "./" + quote(name, errors="surrogateescape")
        entry = Entry(path, metadata, href if before else None)
        yield Link(f"{href}/", f"{path}/") if is_folder else entry


def is_likely(document: Document) -> bool:
    """Return whether a document looks like a listing of one of these servers."""
    body = document.body
    return _TITLE.search(body) is not None or any("mtime" in row for row in decode_objects(body))


def _of_json(body: bytes) -> _Listed:
    for row in decode_objects(body.decode("utf-8", "replace").encode()):  # some names are no text
        if not isinstance(row.get("name"), str):
            raise ValueError("a row of the listing has no name")
        metadata = {"size": row["size"]} if "size" in row else {}
        if isinstance(row.get("mtime"), str):
            with suppress(ValueError, OverflowError):  # not a time of nginx
                metadata["modified"] = time_text(parsedate_to_datetime(row["mtime"]))
        yield row["name"].replace("\ufffd", "\udcff"), row.get("type") == "directory", metadata


def _of_html(url: str, body: bytes) -> _Listed:
    page = body.decode("utf-8-sig", "surrogateescape")
    scheme, host, path, *_ = urlsplit(url)
    folder = unquote(path[: path.rfind("/") + 1], errors="surrogateescape")
    beginnings = (f"{scheme}://{host}{folder}", f"//{host}{folder}", folder, "./")
    links = list(_LINK.finditer(page))
    for link, after in zip_longest(links, links[1:]):
        found = _HREF.search(link[0])
        href = unescape(found[found.lastindex or 0]).strip() if found else ""
        text = unquote(href, errors="surrogateescape")
        start = next((start for start in beginnings if text.startswith(start)), "")
        # "?" is of a link that sorts, ":" of another scheme.
        if not re.search(r"[?#]" if start else r"[?#:]", href):
            is_folder, name = href.endswith("/"), text.removeprefix(start)
            row = page[link.end() : after.start() if after else None]
            yield name[:-1] if is_folder else name, is_folder, _of_row(row)


def _of_row(text: str) -> dict[str, Any]:
    row = found[1] if (found := _ROW.search(text)) else ""
    shown = " ".join(unescape(_TAG.sub(" ", row)).split())[:_MOST_LISTED_CHARACTERS]
    metadata: dict[str, Any] = {"listed": shown} if shown else {}
    if size := _EXACT_SIZE.search(row) or _LISTED_SIZE.fullmatch(shown):
        metadata["size"] = int(size[1])
    if time := _EXACT_TIME.search(row):
        metadata["modified"] = time[1]
    return metadata
