"""Credentials: in what forms they come, and what requests shall send."""

from __future__ import annotations

import contextlib
import copy
import netrc
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from ..errors import StoreError, raise_alone
from .root import Root

if TYPE_CHECKING:
    from requests import PreparedRequest

__all__ = [
    "NO_AUTH",
    "Credentials",
    "authentication",
    "authentication_elsewhere",
    "called",
    "is_fixed",
    "is_of_requests",
    "renewed",
    "sends_password",
]

#: What `connect` takes as ``auth``.
Credentials = (
    tuple[str, str]
    | Mapping[str, str]
    | AuthBase
    | Literal["netrc"]
    | Callable[[], tuple[str, str] | Mapping[str, str] | AuthBase | Literal["netrc"] | None]
    | None
)

_FORMS = '(user, password), a mapping, an AuthBase, "netrc" or a function that returns one of these'


class _NoAuth(AuthBase):
    """Sends nothing; given where nothing is wanted, lest requests look for something."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


#: Authentication for a host that shall learn no secret.
NO_AUTH = _NoAuth()


def called(auth: Credentials) -> Credentials:
    """Return what a function given as ``auth`` returns; anything else as it is."""
    return auth if isinstance(auth, AuthBase) or not callable(auth) else auth()


def authentication(auth: Credentials, root: Root) -> AuthBase:
    """Return what authenticates requests to the root's origin.

    Parameters
    ----------
    auth : (str, str), mapping, AuthBase, "netrc" or None
        User and password; a mapping with ``username`` and ``password``;
        anything of requests; the user's netrc file; or what the root URL had.
        Not a function: see `called`.

    Raises
    ------
    TypeError, ValueError
        It is none of these, or lacks something.
    StoreError
        ``"netrc"`` was asked for, and has no entry for the host.
    """
    if auth is None:
        return NO_AUTH if root.userinfo is None else _basic(*root.userinfo)
    if isinstance(auth, AuthBase):
        return auth
    if isinstance(auth, str):
        if auth != "netrc":
            raise ValueError(f"auth is {_FORMS}")
        return NO_AUTH if root.is_local else _basic(*_netrc_entry(root.origin.host))
    if isinstance(auth, Mapping):
        if missing := {"username", "password"} - auth.keys():
            raise ValueError(f"the mapping for auth lacks {' and '.join(sorted(missing))}")
        return _basic(auth["username"], auth["password"])
    if isinstance(auth, tuple | list) and len(auth) == 2:
        return _basic(*auth)
    raise TypeError(f"auth is {_FORMS}")


def authentication_elsewhere(auth: Credentials, root: Root) -> AuthBase:
    """Return what authenticates requests to another root than the one that `auth` is for.

    That is what its own URL has, or the user's netrc file, if that was asked
    for: what is for one host is told to no other.
    """
    if auth == "netrc":
        with contextlib.suppress(StoreError):
            return _basic(*_netrc_entry(root.origin.host))
    return authentication(None, root)


def sends_password(auth: AuthBase) -> bool:
    """Tell whether who reads the request can read the password."""
    return isinstance(auth, HTTPBasicAuth)


def is_of_requests(call: object) -> bool:
    """Return whether a method or hook is written in requests, and not by who uses this library.

    A subclass may inherit some of its methods.
    """
    return getattr(call, "__module__", None) == AuthBase.__module__


def is_fixed(auth: AuthBase) -> bool:
    """Return whether every request gets the same fields, whatever was answered before."""
    return auth is NO_AUTH or (
        isinstance(auth, HTTPBasicAuth) and is_of_requests(type(auth).__call__)
    )


def renewed(auth: AuthBase) -> AuthBase:
    """Return the same credentials without what a host has said to them.

    Digest authentication keeps the last challenge, and would stumble over one
    that makes no sense at each request from then on.
    """
    if not isinstance(auth, HTTPDigestAuth):
        return auth
    again = copy.copy(auth)
    HTTPDigestAuth.__init__(again, auth.username, auth.password)
    return again


def _basic(user: object, password: object) -> HTTPBasicAuth:
    if not isinstance(user, str) or not isinstance(password, str):
        raise TypeError("user and password are texts")
    if ":" in user:
        raise ValueError("a user name for basic authentication has no colon (RFC 7617, section 2)")
    # Bytes, since requests would write Latin-1; browsers and servers take UTF-8.
    try:
        return HTTPBasicAuth(user.encode(), password.encode())
    except UnicodeEncodeError:  # which holds the text
        raise_alone(ValueError("user and password are Unicode texts, without lone surrogates"))


def _netrc_entry(host: str) -> tuple[str, str]:
    """Return user and password for exactly this host; a ``default`` entry is for nobody."""
    for name in _netrc_files():
        try:
            entry = netrc.netrc(name).hosts.get(host)
        except FileNotFoundError:
            continue
        except (netrc.NetrcParseError, OSError, UnicodeError) as error:
            # The parser's message may quote the token it stumbled on: a password.
            raise_alone(StoreError(f"{name} cannot be read: {type(error).__name__}"))
        if host != "default" and entry is not None:
            return entry[0], entry[2] or ""
    raise StoreError(f"no netrc file has an entry for the host {host!r}")


def _netrc_files() -> list[str]:
    if named := os.environ.get("NETRC"):
        return [os.path.expanduser(named)]
    try:
        return [str(Path.home() / name) for name in (".netrc", "_netrc")]
    except RuntimeError:
        raise StoreError(
            "the user has no home folder with a netrc file: name the file in NETRC"
        ) from None
