"""Credentials in all forms that `connect` accepts, as schemes of requests."""

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

#: The argument ``auth`` of `connect`.
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
    # Without any authentication requests would look into the user's netrc file.
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


#: Authentication that sends nothing, for a host that must not see a secret.
NO_AUTH = _NoAuth()


def called(auth: Credentials) -> Credentials:
    """Return the result of a function given as ``auth``; anything else unchanged."""
    return auth if isinstance(auth, AuthBase) or not callable(auth) else auth()


def authentication(auth: Credentials, root: Root) -> AuthBase:
    """Return the authentication of requests to the root's origin.

    Parameters
    ----------
    auth : (str, str), mapping, AuthBase, "netrc" or None
        User and password; a mapping with ``username`` and ``password``; an
        authentication of requests; the user's netrc file; or the user and
        password of the root URL.  Not a function: see `called`.

    Raises
    ------
    TypeError, ValueError
        It has another form, or lacks something.
    StoreError
        The netrc file has no entry for the host.
    """
    if auth is None:
        return NO_AUTH if root.userinfo is None else _basic(*root.userinfo)
    if isinstance(auth, AuthBase):
        return auth
    if isinstance(auth, str):
        if auth != "netrc":
            raise ValueError(f"auth must be {_FORMS}")
        return NO_AUTH if root.is_local else _basic(*_netrc_entry(root.origin.host))
    if isinstance(auth, Mapping):
        if missing := {"username", "password"} - auth.keys():
            raise ValueError(f"the mapping for auth lacks {' and '.join(sorted(missing))}")
        return _basic(auth["username"], auth["password"])
    if isinstance(auth, tuple | list) and len(auth) == 2:
        return _basic(*auth)
    raise TypeError(f"auth must be {_FORMS}")


def authentication_elsewhere(auth: Credentials, root: Root) -> AuthBase:
    """Return the authentication for another root than the one that `auth` is for.

    It is made of the user and password of its own URL, or of its own entry in the
    netrc file if `auth` is ``"netrc"``: no host gets the secret of another.
    """
    if auth == "netrc":
        with contextlib.suppress(StoreError):
            return _basic(*_netrc_entry(root.origin.host))
    return authentication(None, root)


def sends_password(auth: AuthBase) -> bool:
    """Return whether the password can be read in the request."""
    return isinstance(auth, HTTPBasicAuth)


def is_of_requests(call: object) -> bool:
    """Return whether requests itself defines a method or hook, not a subclass."""
    return getattr(call, "__module__", None) == AuthBase.__module__


def is_fixed(auth: AuthBase) -> bool:
    """Return whether every request gets the same fields, regardless of answers."""
    return auth is NO_AUTH or (
        isinstance(auth, HTTPBasicAuth) and is_of_requests(type(auth).__call__)
    )


def renewed(auth: AuthBase) -> AuthBase:
    """Return the same credentials, without the challenge of a host.

    Digest authentication keeps the last challenge; a malformed one would fail
    every request from then on.
    """
    if not isinstance(auth, HTTPDigestAuth):
        return auth
    again = copy.copy(auth)
    HTTPDigestAuth.__init__(again, auth.username, auth.password)
    return again


def _basic(user: object, password: object) -> HTTPBasicAuth:
    if not isinstance(user, str) or not isinstance(password, str):
        raise TypeError("user and password must be str")
    if ":" in user:
        raise ValueError("a user name must not contain a colon (RFC 7617, section 2)")
    # Bytes, since requests encodes str as Latin-1; browsers and servers use UTF-8.
    try:
        return HTTPBasicAuth(user.encode(), password.encode())
    except UnicodeEncodeError:  # which contains the secret
        raise_alone(ValueError("user and password must be valid Unicode, without lone surrogates"))


def _netrc_entry(host: str) -> tuple[str, str]:
    # For exactly this host: a `default` entry would give a password to any host.
    for name in _netrc_files():
        try:
            entry = netrc.netrc(name).hosts.get(host)
        except FileNotFoundError:
            continue
        except (netrc.NetrcParseError, OSError, UnicodeError) as error:
            # The parser's message may quote the token it failed at: a password.
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
            "there is no home folder with a netrc file: set NETRC to the path of one"
        ) from None
