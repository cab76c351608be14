"""Which addresses libcurl may connect to, and send requests to."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pycurl

# Missing below libcurl 7.80: the ImportError makes threads do the work.
from pycurl import PREREQFUNC_ABORT, PREREQFUNC_OK, PREREQFUNCTION

from ...errors import InnerAddressError

if TYPE_CHECKING:
    from ..http.template import PeerCheck

__all__ = ["check_peers"]


def check_peers(handle: pycurl.Curl, check: PeerCheck | None) -> None:
    """Have a handle check the addresses of its next requests.

    An address is checked before it is connected to, so that no TLS handshake begins; and
    before each request, since its connection may be an older one.

    Parameters
    ----------
    handle : Curl
        The handle.
    check : PeerCheck or None
        None to check no more.
    """
    if check is None:
        handle.setopt(pycurl.OPENSOCKETFUNCTION, None)
        handle.unsetopt(PREREQFUNCTION)
    else:
        handle.setopt(pycurl.OPENSOCKETFUNCTION, partial(_open, check))
        handle.setopt(PREREQFUNCTION, partial(_judge, check))


class _LentSocket(socket.socket):
    # pycurl duplicates its descriptor, and drops it.

    def __del__(self) -> None:
        self.close()


def _open(check: PeerCheck, purpose: int, address: Any) -> Any:
    try:
        check(address.addr[0], is_connected=False)
        return _LentSocket(address.family, address.socktype, address.protocol)
    except (InnerAddressError, OSError):
        return pycurl.SOCKET_BAD


def _judge(check: PeerCheck, address: str, *others: str | int) -> int:
    try:
        check(address)
    except InnerAddressError:
        return PREREQFUNC_ABORT
    return PREREQFUNC_OK
