"""The addresses that a site may lead to: no inner ones, if its root is public.

A host on the internet must not be able to send a reader to machines that only
the reader can reach: a router, a cloud's metadata service, a program that
listens on loopback.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import socket
from collections.abc import Iterator
from urllib.parse import unquote

import requests

from .failures import InnerAddressError
from .root import Origin, Origins, origin_of

__all__ = ["Perimeter", "address_in", "is_inner"]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


class Perimeter:
    """The check of the addresses that one session connects to.

    A root is public as soon as a connection to it had a public address, and
    never becomes inner again.  So a host whose name later gets another address
    (DNS rebinding) is refused, while a root that was inner from the start may
    lead anywhere.  Any thread may use it.

    Parameters
    ----------
    origins : "own", "any" or sequence of str
        As in `StaticStore`; those that are named may have inner addresses.
    """

    def __init__(self, origins: Origins) -> None:
        self._named = frozenset[Origin]() if isinstance(origins, str) else _as_sent(origins)
        # Each is only ever set, so that no thread can undo what another has seen.
        self._was_inner = self._was_public = False

    def check(self, address: str, url: str, is_root: bool) -> None:
        """Refuse a connection from a public root to an inner address.

        Parameters
        ----------
        address : str
            The peer address of the connection; through a proxy, the host in
            the URL.
        url : str
            The requested URL.
        is_root : bool
            Whether the URL has the root's own origin.

        Raises
        ------
        InnerAddressError
            The address is inner and not allowed.
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
        what = "has become" if is_root else "leads to"
        raise InnerAddressError(
            f"refused: this public site {what} the inner address {address}; if that is right, "
            f"add '{origin}' to the store's origins"
        )


def _as_sent(origins: tuple[str, ...]) -> frozenset[Origin]:
    # requests sends hosts in IDNA, not in Unicode.
    sent = set()
    for origin in origins:
        with contextlib.suppress(requests.exceptions.InvalidURL):  # no request can go there
            sent.add(origin_of(str(requests.Request("GET", origin).prepare().url)))
    return frozenset(sent)


@functools.lru_cache(maxsize=256)  # called for each request, with the same few addresses
def is_inner(address: str) -> bool:
    """Return whether an address is not public.

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
    """Return the address that a host stands for, in any notation; None for a name.

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
    # A connection to this address may end at any of those that it embeds.
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
    # The NAT64 may have a prefix of 48 or of 96 bits (RFC 6052, section 2.2); only the
    # network knows.  A reading in 0.0.0.0/8 is impossible, unless both are there.
    readings = [ipaddress.IPv4Address(p) for p in (packed[6:8] + packed[9:11], packed[12:])]
    yield from [one for one in readings if one not in _THIS_NETWORK] or readings
