"""Values that are not below ``data/``: their places, checked, and URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit, urlunsplit

from .hidden import is_placed

__all__ = [
    "Placed",
    "data_of",
    "href_problem",
    "is_data_url",
    "place_problem",
    "placed_of",
    "resolved_url",
]

_MOST_HREF_CHARACTERS = 2048
_MOST_DATA_URL_BYTES = 1 << 16

# White space, controls, the backslash, which some readers take for a slash, characters that
# change the writing direction, and surrogates.
_REFUSED = r"[\s\\\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_HOST = r"[^%*]+\Z"
_LONE_PERCENT = r"%(?![0-9A-Fa-f]{2})"
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"  # RFC 3986, section 3.3
_QUERY_CHARACTERS = _PATH_CHARACTERS + "?[]"
_DOTS = (".", "..")


class Placed(NamedTuple):
    """Where a value is, as its entry says it.

    The reference is resolved when the value is requested, not before.
    """

    #: A URI reference (RFC 3986, section 4.1) that `href_problem` accepts.
    href: str
    #: The URL of the document that says it, after redirects; None for the root of the site.
    base: str | None = None


def placed_of(value: Any) -> Placed | None:
    """Return where the field ``placed`` says a value is; None if malformed.

    Examples
    --------
    >>> placed_of({"href": "../other/dem.tif"})
    Placed(href='../other/dem.tif', base=None)
    >>> placed_of("../other/dem.tif") is None
    True
    """
    return Placed(value["href"]) if is_placed(value) else None


def is_data_url(href: str) -> bool:
    """Return whether a reference is a ``data:`` URL (RFC 2397)."""
    return href[:5].lower() == "data:"


def href_problem(href: str, *, https_only: bool = False) -> str | None:
    """Return why an entry with this reference is left out; None if it is accepted.

    Parameters
    ----------
    href : str
        A URI reference.
    https_only : bool, optional
        Whether the document that says it was fetched by https.

    Notes
    -----
    Some microseconds; nothing is resolved.

    Examples
    --------
    >>> href_problem("//cdn.example.org/a b")
    'its place has a space or another character that no URL has'
    >>> href_problem("http://cdn.example.org/a", https_only=True)
    'its place leads from https to http'
    """
    if is_data_url(href):
        return _data_problem(href)
    if len(href) > _MOST_HREF_CHARACTERS:
        return f"its place has more than {_MOST_HREF_CHARACTERS} characters"
    if re.search(_REFUSED, href):
        return "its place has a space or another character that no URL has"
    try:
        parts = urlsplit(href)
        is_usable = parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        return "its place is not a URL"
    return _part_problem(parts, https_only)


def place_problem(metadata: Mapping[str, Any], *, https_only: bool) -> str | None:
    """Return why an entry may not say where its value is; None if it may, or does not."""
    placed = placed_of(metadata.get("placed"))
    return None if placed is None else href_problem(placed.href, https_only=https_only)


def _part_problem(parts: SplitResult, https_only: bool) -> str | None:
    if parts.scheme not in ("", "http", "https"):
        return f"its place is at {parts.scheme}:, not at http: or https:"
    if "@" in parts.netloc:
        return "its place has a user or a password"
    if (parts.scheme or parts.netloc) and not re.match(_HOST, parts.hostname or ""):
        return "its place names no host"
    if https_only and parts.scheme == "http":
        return "its place leads from https to http"
    return None


def _data_problem(href: str) -> str | None:
    most = _MOST_DATA_URL_BYTES
    if len(href) > most or len(href.encode("utf-8", "surrogatepass")) > most:
        return f"its data: URL has more than {most >> 10} KiB"
    try:
        data_of(href)
    except ValueError:
        return "its data: URL cannot be read"
    return None


def data_of(href: str) -> tuple[bytes, str | None]:
    """Return the bytes that a ``data:`` URL holds, and their media type.

    Parameters
    ----------
    href : str
        The URL.

    Returns
    -------
    (bytes, str or None)
        The type is None if the URL does not say it.

    Raises
    ------
    ValueError
        It is not such a URL (RFC 2397).

    Examples
    --------
    >>> data_of("data:text/plain;base64,aGk=")
    (b'hi', 'text/plain')
    """
    import base64  # seldom needed

    head, comma, text = href[5:].partition(",")
    if not comma:
        raise ValueError("a data: URL without a comma")
    data = unquote_to_bytes(text)
    media_type, mark, coding = head.rpartition(";")
    if mark and coding.strip().lower() == "base64":
        data = base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    else:
        media_type = head
    return data, media_type.strip() or None


def resolved_url(placed: Placed, root_url: str) -> str:
    """Return the URL of a value (RFC 3986, 5.2), quoted, without fragment.

    Parameters
    ----------
    placed : Placed
        What its entry says; `href_problem` accepts it.
    root_url : str
        The URL of the root, for a place that is relative to it.

    Raises
    ------
    ValueError
        The reference cannot be read.

    Examples
    --------
    >>> resolved_url(Placed("../b//é?v=1#part"), "https://data.example.org/site/")
    'https://data.example.org/b//%C3%A9?v=1'
    """
    base = urlsplit(root_url if placed.base is None else placed.base)
    given = urlsplit(placed.href)
    # Not `urljoin`, which drops empty segments of a path: keys of S3 may have them.
    if given.scheme or given.netloc:
        scheme, netloc, path, query = given.scheme or base.scheme, given.netloc, *given[2:4]
    else:
        scheme, netloc, path, query = base.scheme, base.netloc, *given[2:4]
        if not path:
            path, query = base.path, query or base.query
        elif not path.startswith("/"):
            path = base.path.rpartition("/")[0] + "/" + path
    return urlunsplit(
        (
            scheme,
            netloc,
            _quoted(_without_dots(path), _PATH_CHARACTERS),
            _quoted(query, _QUERY_CHARACTERS),
            "",
        )
    )


def _without_dots(path: str) -> str:
    # RFC 3986, section 5.2.4.
    if not path.startswith("/"):
        path = "/" + path
    if "/." not in path:
        return path
    segments = path[1:].split("/")
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in _DOTS:
        kept.append("")
    return "/" + "/".join(kept)


def _quoted(text: str, characters: str) -> str:
    return quote(re.sub(_LONE_PERCENT, "%25", text), safe=characters)
