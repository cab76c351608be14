"""Connections of libcurl."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

pycurl = pytest.importorskip("pycurl")

from staticstore.transport.many.curl_connection import _open  # noqa: E402 - needs pycurl


def test_e23_a_socket_that_cannot_be_opened_is_none() -> None:
    """Nor does its finalizer print anything: here, a warning would be an error."""
    address = SimpleNamespace(
        addr=("127.0.0.1", 80), family=12345, socktype=socket.SOCK_STREAM, protocol=0
    )
    assert _open(lambda address, *, is_connected=True: None, 0, address) == pycurl.SOCKET_BAD
