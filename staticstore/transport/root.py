"""The root of a site: where it is, and the URL of everything below it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ..errors import raise_alone, without_secrets

__all__ = ["Location", "Origin", "Origins", "Root", "checked_origins", "origin_of", "roots_of"]

#: What says where a root is.
Location = str | os.PathLike[str]
#: Other origins that a site may lead to: none but its own, any, or those named.
Origins = Literal["own", "any"] | tuple[str, ...]

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:"  # two letters at least: C: is a drive
_LONE_PERCENT = r"%(?![0-9A-Fa-f]{2})"
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"  # RFC 3986, section 3.3
_DEFAULT_PORT = {"http": 80, "https": 443}
_HOST = r"[^\s*%\\]+"  # no pattern, and nothing quoted


class Origin(NamedTuple):
    """Scheme, host and port (RFC 6454); two URLs of one origin may share secrets."""

    scheme: str
    host: str
    port: int | None


def origin_of(url: str) -> Origin:
    """Return the origin of a URL; an error of `ValueError` if it has a port that is none."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").rstrip(".")
    return Origin(scheme, host, parts.port or _DEFAULT_PORT.get(scheme))


class Root:
    """The place below which everything of a site stands.

    Parameters
    ----------
    location : str or path
        An http(s) URL, a ``file:`` URL or a local path.  A user and password
        in the URL are taken out of it into `userinfo`; a query (a shared
        access signature, say) is put behind every URL below the root.

    Raises
    ------
    ValueError
        It is none of these.

    Attributes
    ----------
    url : str
        The root URL, without secrets, ending in a slash.
    userinfo : (str, str) or None
        User and password, if the URL had them.
    is_local : bool
        Whether it is a folder of this machine.

    Examples
    --------
    >>> root = Root("https://ali:sesame@data.example.org/site")
    >>> root
    <Root: https://data.example.org/site/>
    >>> root.join("data/a%20b")
    'https://data.example.org/site/data/a%20b'
    """

    def __init__(self, location: Location) -> None:
        text = os.fspath(location)
        if not isinstance(text, str):
            raise TypeError(f"a root is a text or a path, not {type(text).__name__}")
        if not text:
            raise ValueError("a root is a URL or a path, not an empty text")
        self.userinfo: tuple[str, str] | None = None
        self._query = ""
        if not re.match(_SCHEME, text):
            self.url = _folder_url(text)
        else:
            self.url = self._from_url(text)
        self.is_local = self.url.startswith("file:")
        self.origin = origin_of(self.url)

    def _from_url(self, text: str) -> str:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            # The parser's error quotes what it took for a port: perhaps a password.
            raise_alone(ValueError("the root URL cannot be read: look at its host and port"))
        scheme = parts.scheme.lower()
        if scheme == "file":
            if parts.hostname not in (None, "localhost"):
                raise ValueError(f"a file: root is on this machine, not on {parts.hostname!r}")
            from urllib.request import url2pathname  # 20 ms, and rarely needed

            return _folder_url(url2pathname(parts.path))
        if scheme not in _DEFAULT_PORT:
            raise ValueError(
                f"a root is an http(s) URL, a file: URL or a local path, not {scheme}:"
            )
        if not parts.hostname:
            raise ValueError("the root URL names no host")
        if parts.fragment:
            raise ValueError("a root URL has no fragment: leave out what follows '#'")
        self._query = parts.query
        self.userinfo = _userinfo(parts)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port_text = "" if port is None else f":{port}"
        path = parts.path if parts.path.endswith("/") else parts.path + "/"
        # The path of a URL is quoted already, but for what its writer forgot.
        path = re.sub(_LONE_PERCENT, "%25", path)
        return f"{scheme}://{host}{port_text}{quote(path, safe=_PATH_CHARACTERS)}"

    @property
    def has_query(self) -> bool:
        """Whether the root has a query, which every request carries."""
        return bool(self._query)

    @property
    def folder(self) -> str | None:
        """The path of a local root; None of one on the network."""
        if not self.is_local:
            return None
        from urllib.request import url2pathname  # 20 ms, and rarely needed

        return url2pathname(urlsplit(self.url).path)

    def join(self, url_path: str) -> str:
        """Return the URL of a quoted path below the root; nothing is resolved."""
        return f"{self.url}{url_path}{'?' + self._query if self._query else ''}"

    def shares_origin(self, url: str) -> bool:
        """Tell whether a URL is of the root's own origin, so that it may see secrets."""
        return origin_of(url) == self.origin

    def __repr__(self) -> str:
        """Show the URL without secrets."""
        return f"<Root: {without_secrets(self.url)}>"


def roots_of(locations: Location | Iterable[Location]) -> tuple[Root, ...]:
    """Return the root, or the roots, of a site.

    Raises
    ------
    TypeError, ValueError
        One is no root, or two are the same, or there is none.
    """
    if isinstance(locations, str | os.PathLike):
        return (Root(locations),)
    if not isinstance(locations, Iterable):
        raise TypeError(f"a root is a text or a path, not {type(locations).__name__}")
    roots = tuple(map(Root, locations))
    if not roots:
        raise ValueError("a list of roots has one at least: where the site is")
    for number, root in enumerate(roots):
        if root.url in (other.url for other in roots[:number]):
            raise ValueError(f"the root {without_secrets(root.url)} is given twice")
    return roots


def checked_origins(origins: str | Iterable[str]) -> Origins:
    """Return which origins a site may lead to; those that are named as ``scheme://host:port``.

    Raises
    ------
    TypeError, ValueError
        It is neither "own" nor "any", and no sequence of origins.

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
            f"not the text {without_secrets(origins)!r}"
        )
    if not isinstance(origins, Iterable) or isinstance(origins, Mapping | bytes | bytearray):
        raise TypeError(f"origins is 'own', 'any' or a list of texts, not {type(origins).__name__}")
    return tuple(dict.fromkeys(map(_origin_text, origins)))


def _origin_text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"an origin is a text, not {type(text).__name__}")
    shown = f"{without_secrets(text)!r} in origins"
    try:
        parts = urlsplit(text)
        origin, is_usable = origin_of(text), parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError(f"{shown} cannot be read: look at its host and port")
    if origin.scheme not in _DEFAULT_PORT:
        raise ValueError(f"{shown} does not begin with http:// or https://")
    if not re.fullmatch(_HOST, origin.host):
        raise ValueError(f"{shown} names no host")
    if "@" in parts.netloc or parts.path not in ("", "/") or re.search(r"[?#\s]", text):
        raise ValueError(f"{shown} is more than scheme, host and port")
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{origin.scheme}://{host}:{origin.port}"


def _folder_url(folder: str) -> str:
    from pathlib import Path  # only here

    url = Path(folder).absolute().as_uri()
    return url if url.endswith("/") else url + "/"


def _userinfo(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None and parts.password is None:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")
