"""Where a host may send a reader on to."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit, urlunsplit

from ..errors import TransportError, raise_alone
from .root import origin_of

__all__ = ["MOST_HOPS", "REDIRECTS", "next_hop"]

#: Redirects that are followed for one request.
MOST_HOPS = 5
#: The statuses that say so (RFC 9110, section 15.4).
REDIRECTS = frozenset({301, 302, 303, 307, 308})


def next_hop(url: str, location: str, key: str | None) -> str:
    """Return where a redirect leads, if it may lead there."""
    try:
        # A header field is read as Latin-1, while hosts send UTF-8.
        target = urlsplit(urljoin(url, location.encode("latin-1").decode("utf-8", "replace")))
        # User and password of a redirect are the host's, and nobody's business.
        next_url = urlunsplit((*target[:1], target.netloc.rpartition("@")[2], *target[2:4], ""))
        origin = origin_of(next_url)
    except ValueError:
        raise_alone(TransportError("the host redirects to what is no URL", key=key, url=url))
    if origin.scheme not in ("http", "https") or not origin.host:
        raise TransportError(
            f"refused: the host redirects to {origin.scheme or 'no'}:", key=key, url=url
        )
    if origin.scheme == "http" and urlsplit(url).scheme == "https":
        raise TransportError("refused: the host redirects from https to http", key=key, url=url)
    return next_url
