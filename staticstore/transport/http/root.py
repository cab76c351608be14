"""The root of a site, the URLs below it, and the origins it may lead to."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, cast
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from ...errors import TransportError, quoted, raise_alone, without_secrets

if TYPE_CHECKING:
    from ..buckets.location import BucketLocation

__all__ = [
    "MOST_REDIRECTS",
    "REDIRECT_STATUSES",
    "Location",
    "Origin",
    "Origins",
    "Root",
    "checked_origins",
    "is_loopback",
    "origin_of",
    "redirect_target",
    "roots_of",
]

#: The address of a root: a URL or a path.
Location = str | os.PathLike[str]
#: The origins that a site may lead to: only its own, any, or its own and those named.
Origins = Literal["own", "any"] | tuple[str, ...]
#: Redirects that are followed for one request.
MOST_REDIRECTS = 5
#: RFC 9110, section 15.4.
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:"  # two letters at least: C: is a drive
_LONE_PERCENT = r"%(?![0-9A-Fa-f]{2})"
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"  # RFC 3986, section 3.3
_DEFAULT_PORTS = {"http": 80, "https": 443}
_BUCKET_SCHEMES = ("s3", "gs", "az")
_HOST = r"[^\s*%\\]+"  # neither a pattern nor quoted characters
# What may be a URL without its scheme: a host with a dot, an address or localhost, and a path.
_BARE_URL = re.compile(
    r"((localhost|127(\.\d+){3})|([\w-]+\.)+[A-Za-z]{2,}|\d+(\.\d+){3})"
    r"(:\d+)?(/[^?#@]*)?(?=[?#]|$)"
)
_INDEX_NAME = re.compile(r"(?:^|(?<=[/\\]))index(\.head)?\.json$")


class Origin(NamedTuple):
    """Scheme, host and port (RFC 6454); URLs of one origin may share secrets."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        """Write it as ``scheme://host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Return the origin of a URL.

    Raises
    ------
    ValueError
        The port is not a number from 0 to 65535.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").rstrip(".")
    return Origin(scheme, host, parts.port or _DEFAULT_PORTS.get(scheme))


class Root:
    """The place that contains all files of a site.

    Parameters
    ----------
    location : str or path
        An http(s) URL, a ``file:`` URL or a local path.  A user and password
        in the URL are moved into `userinfo`; a query (a shared access
        signature, say) is appended to every URL below the root.  ``s3://``, ``gs://``
        and ``az://`` are turned into https.
    endpoint, region : str, optional
        As in `StaticStore`, for a root in a bucket.

    Raises
    ------
    TypeError
        It is neither a str nor a path.
    ValueError
        The URL or path cannot be used, or looks like a mistake: it ends in ``index.json``,
        or is a URL without ``https://`` and no folder that is there.

    Attributes
    ----------
    url : str
        The root URL, without secrets, ending in a slash.
    userinfo : (str, str) or None
        User and password, if the URL had them.
    bucket : BucketLocation or None
        The bucket, whose requests are signed; None for any other root.
    is_local : bool
        Whether it is a folder on this machine.
    origin : Origin
        The origin of `url`.
    join : callable
        Takes a quoted path below the root, and returns its URL, without resolving dots.
    query : str
        What ends every URL below the root, with its question mark; it may be a secret.

    Examples
    --------
    >>> root = Root("https://ali:sesame@data.example.org/site")
    >>> root
    <Root: https://data.example.org/site/>
    >>> root.join("data/a%20b")
    'https://data.example.org/site/data/a%20b'
    """

    def __init__(
        self, location: Location, *, endpoint: str | None = None, region: str | None = None
    ) -> None:
        text = os.fspath(location)
        if not isinstance(text, str):
            raise TypeError(f"a root is a str or a path, not {type(text).__name__}")
        if not text:
            raise ValueError("a root is a URL or a path, and must not be empty")
        self.userinfo: tuple[str, str] | None = None
        self.bucket: BucketLocation | None = None
        self.query = ""
        if isinstance(location, str):
            _check_spelling(text)
        if not re.match(_SCHEME, text):
            self._settle(_folder_url(os.path.expanduser(text)))
        else:
            self._settle(self._from_url(self._resolved(text, endpoint, region)))

    def _settle(self, url: str) -> None:
        self.url = url
        self.is_local = self.url.startswith("file:")
        self.origin = origin_of(self.url)
        # A bound method of `str`, the quickest way, since each request is joined.
        self.join = (_unbraced(self.url) + "{}" + _unbraced(self.query)).format

    def _resolved(self, text: str, endpoint: str | None, region: str | None) -> str:
        if text.partition(":")[0].lower() not in _BUCKET_SCHEMES:
            return text
        from ..buckets.location import BucketLocation  # seldom needed

        self.bucket = BucketLocation.parse(text, endpoint, region)
        return self.bucket.url

    def of_bucket(self, bucket: BucketLocation) -> Root:
        """Return the root of the same site in a bucket that is elsewhere."""
        other = copy.copy(self)
        other.bucket = bucket
        other._settle(bucket.url)
        return other

    @property
    def location(self) -> str:
        """What the root can be made of again, in another process, too; it may be a secret."""
        return self.join("") if self.bucket is None else self.bucket.location

    @property
    def shown(self) -> str:
        """What people can type for the root, without secrets."""
        return self.url if self.bucket is None else self.bucket.location

    def _from_url(self, text: str) -> str:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            # The parser's error quotes the supposed port: perhaps a password.
            raise_alone(ValueError("the root URL cannot be read: look at its host and port"))
        scheme = parts.scheme.lower()
        if scheme == "file":
            if parts.hostname not in (None, "localhost"):
                raise ValueError(f"a file: root is on this machine, not on {parts.hostname!r}")
            from urllib.request import url2pathname  # 20 ms to import

            return _folder_url(url2pathname(parts.path))
        if scheme not in _DEFAULT_PORTS:
            raise ValueError(
                "a root is an http(s) URL, a file: URL, a local path, or a bucket's s3:, gs: or "
                f"az: URL, not {scheme}:"
            )
        if not parts.hostname or re.search(r"\s", parts.hostname):
            raise ValueError("the root URL names no host")
        if parts.fragment:
            raise ValueError("a root URL has no fragment: leave out what follows '#'")
        self.query = f"?{parts.query}" if parts.query else ""
        self.userinfo = _userinfo(parts)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port_text = "" if port is None else f":{port}"
        path = parts.path if parts.path.endswith("/") else parts.path + "/"
        # The path of a URL is quoted already; quote what its author forgot to.
        path = re.sub(_LONE_PERCENT, "%25", path)
        return f"{scheme}://{host}{port_text}{quote(path, safe=_PATH_CHARACTERS)}"

    @property
    def folder(self) -> str | None:
        """The path of a local root; None for one on the network."""
        if not self.is_local:
            return None
        from urllib.request import url2pathname  # 20 ms to import

        return url2pathname(urlsplit(self.url).path)

    def of_whole_origin(self, *, has_query: bool) -> Root:
        """Return the root of all URLs of this origin, for the same credentials.

        Parameters
        ----------
        has_query : bool
            Whether the query of this root is appended to those URLs, too.
        """
        other = copy.copy(self)
        other.url = urlunsplit((*urlsplit(self.url)[:2], "/", "", ""))
        other.query = self.query if has_query else ""
        other.join = (_unbraced(other.url) + "{}" + _unbraced(other.query)).format
        return other

    def shares_origin(self, url: str) -> bool:
        """Return whether a URL has the root's own origin, so that it may see secrets."""
        return origin_of(url) == self.origin

    def __repr__(self) -> str:
        """Show the URL without secrets."""
        return f"<Root: {without_secrets(self.url)}>"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or address."""
    import ipaddress  # not needed to import staticstore

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def roots_of(
    locations: Location | Iterable[Location],
    *,
    endpoint: str | None = None,
    region: str | None = None,
) -> tuple[Root, ...]:
    """Return the root or roots of a site.

    Raises
    ------
    TypeError, ValueError
        There is no root, one cannot be used, or two are the same; or there is an endpoint
        or a region, and no root is in a bucket.
    """
    if isinstance(locations, str | os.PathLike):
        locations = (locations,)
    if not isinstance(locations, Iterable):
        raise TypeError(f"a root is a str or a path, not {type(locations).__name__}")
    roots = tuple(Root(one, endpoint=endpoint, region=region) for one in locations)
    if not roots:
        raise ValueError("a list of roots needs at least one")
    if (endpoint or region) and not any(root.bucket for root in roots):
        raise ValueError("endpoint and region are for roots in buckets: s3://, gs:// or az://")
    if region and not any(root.bucket and root.bucket.scheme == "s3" for root in roots):
        raise ValueError("region is for roots at S3: s3://")
    for number, root in enumerate(roots):
        if root.url in (other.url for other in roots[:number]):
            raise ValueError(f"the root {without_secrets(root.url)} is given twice")
    return roots


def checked_origins(origins: str | Iterable[str]) -> Origins:
    """Return the origins that a site may lead to, each as ``scheme://host:port``.

    Raises
    ------
    TypeError, ValueError
        It is not "own", "any" or a sequence of origins.

    Examples
    --------
    >>> checked_origins(["https://CDN.example.org/"])
    ('https://cdn.example.org:443',)
    """
    if isinstance(origins, str):
        if origins in ("own", "any"):
            return cast(Literal["own", "any"], origins)
        raise ValueError(
            "origins is 'own', 'any' or a list such as ['https://cdn.example.org'], "
            f"not {without_secrets(origins)!r}"
        )
    if not isinstance(origins, Iterable) or isinstance(origins, Mapping | bytes | bytearray):
        raise TypeError(f"origins is 'own', 'any' or a list of str, not {type(origins).__name__}")
    return tuple(dict.fromkeys(map(_origin_text, origins)))


def _origin_text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"an origin is a str, not {type(text).__name__}")
    shown = f"{without_secrets(text)!r} in origins"
    try:
        parts = urlsplit(text)
        origin, is_usable = origin_of(text), parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError(f"{shown} cannot be read: look at its host and port")
    if origin.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"{shown} does not begin with http:// or https://")
    if not re.fullmatch(_HOST, origin.host):
        raise ValueError(f"{shown} names no host")
    if "@" in parts.netloc or parts.path not in ("", "/") or re.search(r"[?#\s]", text):
        raise ValueError(f"{shown} is more than scheme, host and port")
    return str(origin)


def redirect_target(url: str, location: str, key: str | None) -> str:
    """Return the URL that a redirect from `url` leads to.

    Raises
    ------
    TransportError
        It is not a URL, leads from https to http, or to another scheme.
    """
    try:
        # Header fields are read as Latin-1, but hosts send UTF-8.
        target = urlsplit(urljoin(url, location.encode("latin-1").decode("utf-8", "replace")))
        # A user and password that the host puts there are never sent.
        next_url = urlunsplit((*target[:1], target.netloc.rpartition("@")[2], *target[2:4], ""))
        origin = origin_of(next_url)
    except ValueError:
        raise_alone(TransportError("the host redirects to an invalid URL", key=key, url=url))
    if origin.scheme not in ("http", "https") or not origin.host:
        raise TransportError(
            f"refused: the host redirects to {origin.scheme or 'no'}:", key=key, url=url
        )
    if origin.scheme == "http" and urlsplit(url).scheme == "https":
        raise TransportError("refused: the host redirects from https to http", key=key, url=url)
    return next_url


def _check_spelling(text: str) -> None:
    if os.path.exists(os.path.expanduser(text)) and not os.path.isfile(text):
        return
    path = text.partition("?")[0] if re.match(_SCHEME, text) else text
    if named := _INDEX_NAME.search(path):
        folder = without_secrets(path[: named.start()]) or "."
        raise ValueError(f"leave {named[0]} out: the root is what contains it, {quoted(folder)}")
    if bare := _BARE_URL.match(text):
        url = f"{'http' if bare[2] else 'https'}://{bare[0]}"
        raise ValueError(f"there is no folder {quoted(bare[0])}: did you mean {quoted(url)}?")


def _unbraced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _folder_url(folder: str) -> str:
    from pathlib import Path  # slow to import

    url = Path(folder).absolute().as_uri()
    return url if url.endswith("/") else url + "/"


def _userinfo(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None and parts.password is None:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")
