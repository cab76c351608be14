"""Which addresses a site may lead to: no inner one, if its root is a public one.

A host on the internet must not be able to point a reader at machines that
only the reader can reach: a router, a cloud's metadata service, a program
that listens on loopback.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import socket
from collections.abc import Iterator
from urllib.parse import unquote

import requests

from .root import Origin, Origins, origin_of

__all__ = ["InnerAddressError", "Perimeter", "address_in", "is_inner"]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


class InnerAddressError(Exception):
    """A connection that must not be used.

    No `OSError` and nothing else that urllib3 and requests know: it passes
    them as it is, and `failures.mapped` turns it into a `TransportError`.
    """


class Perimeter:
    """Where the connections of one session may lead.

    A root is public if its first connection went to a public address, or if a
    later one does; it never becomes inner again.  So a host whose name is
    given another address meanwhile (DNS rebinding) is refused, while a root
    that was inner from the beginning may lead anywhere.

    Parameters
    ----------
    origins : "own", "any" or sequence of str
        As in `StaticStore`; those that are named may be inner.
    """

    def __init__(self, origins: Origins) -> None:
        self._named = frozenset[Origin]() if isinstance(origins, str) else _as_sent(origins)
        # Each is only ever set, so that threads cannot undo what others have seen.
        self._was_inner = self._was_public = False

    def check(self, address: str, url: str, is_root: bool) -> None:
        """Refuse a connection that leads inward from a public root.

        Parameters
        ----------
        address : str
            The address that the connection has; through a proxy, the host
            that is asked for.
        url : str
            What is asked for.
        is_root : bool
            Whether that is of the root's own origin.

        Raises
        ------
        InnerAddressError
            It does.
        """
        inner = is_inner(address)
        if is_root and inner:
            self._was_inner = True
        elif is_root:
            self._was_public = True
        if not inner or (self._was_inner and not self._was_public):
            return
        origin = origin_of(url)
        if origin in self._named:
            return
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        what = "has become" if is_root else "leads to"
        raise InnerAddressError(
            f"refused: this public site {what} the inner address {address}; if that is meant, "
            f"name '{origin.scheme}://{host}:{origin.port}' in the store's origins"
        )


def _as_sent(origins: tuple[str, ...]) -> frozenset[Origin]:
    """Return origins with their hosts spelled as requests sends them: IDNA, not Unicode."""
    sent = set()
    for origin in origins:
        with contextlib.suppress(requests.exceptions.InvalidURL):  # no request can go there
            sent.add(origin_of(str(requests.Request("GET", origin).prepare().url)))
    return frozenset(sent)


@functools.lru_cache(maxsize=256)  # asked for each request, of the same few addresses
def is_inner(address: str) -> bool:
    """Return whether an address is not reachable from the whole internet.

    Parameters
    ----------
    address : str
        An address; a host name counts as public.

    Examples
    --------
    >>> [is_inner(a) for a in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1", "data.example.org")]
    [False, True, True, False]
    """
    literal = address_in(address)
    return literal is not None and any(
        not one.is_global or one.is_reserved or (one.version == 6 and one.is_site_local)
        for one in _embedded(ipaddress.ip_address(literal))
    )


def address_in(host: str) -> str | None:
    """Return the address that a host is written as, in any notation; None for a name.

    Examples
    --------
    >>> address_in("0x7f.1"), address_in("localhost"), address_in("data.example.org")
    ('127.0.0.1', '127.0.0.1', None)
    """
    host = unquote(host).rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return "127.0.0.1"
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    with contextlib.suppress(OSError, ValueError):
        return socket.inet_ntoa(socket.inet_aton(host))  # 127.1, 0x7f000001, 0177.0.0.1
    return None


def _embedded(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Yield the addresses that a connection to this one may lead to in the end."""
    if address.version == 4:
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address in _NAT64:
        yield ipaddress.IPv4Address(address.packed[12:])
    elif address in _LOCAL_NAT64:
        yield from _translated(address.packed)
    else:
        yield address


def _translated(packed: bytes) -> Iterator[ipaddress.IPv4Address]:
    """Yield what a NAT64 with a prefix of 48 or of 96 bits makes of an address (RFC 6052, 2.2).

    Nobody but the network knows which it is.  A reading of 0.0.0.0/8 is none,
    unless both are.
    """
    readings = [ipaddress.IPv4Address(p) for p in (packed[6:8] + packed[9:11], packed[12:])]
    yield from [one for one in readings if one not in _THIS_NETWORK] or readings
