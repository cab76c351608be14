"""FAULTS D10: internal addresses, and which addresses a public root may lead to."""

from __future__ import annotations

import ipaddress
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.errors import InnerAddressError
from staticstore.transport.http.adapter import Perimeter
from staticstore.transport.http.wire import address_in, is_inner

SITE = "https://data.example.org/index.json"
ELSEWHERE = "http://intranet.example/index.json"

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "2606:4700:4700::1111",
    "2a00:1450:4001::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "64:ff9b:1:808:8:800::",
    "64:ff9b:1::808:808",
    "2002:808:808::1",
]
INNER = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.2.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:10.0.0.1",
    "100::1",
    "2001::1",
    "2001:0:808:808:0:ffff:f7f7:f7f7",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2002:c0a8:101::1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::",
    "64:ff9b:1::",
    "64:ff9b:1::10.0.0.1",
    "64:ff9b:1:a00:0:100::",
    "64:ff9b:1:a00:0:100:808:808",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_d10_a_public_address_is_not_internal(address: str) -> None:
    assert not is_inner(address)


@pytest.mark.parametrize("address", INNER)
def test_d10_an_internal_address_is_recognized(address: str) -> None:
    assert is_inner(address)


@given(st.ip_addresses(v=4))
def test_d10_an_embedded_ipv4_address_is_judged_like_itself(
    address: ipaddress.IPv4Address,
) -> None:
    number = int(address)
    wrapped = [
        (0xFFFF << 32) | number,
        (0x64FF9B << 96) | number,
        (0x2002 << 112) | (number << 80) | 1,
    ]
    judged = {is_inner(str(ipaddress.IPv6Address(one))) for one in wrapped}
    assert judged == {is_inner(str(address))}


@given(st.ip_addresses())
def test_d10_an_address_that_ipaddress_does_not_call_global_is_internal(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    is_wrapped = address.version == 6 and (
        address.ipv4_mapped is not None or str(address).startswith(("64:ff9b:", "2002:"))
    )
    assert is_wrapped or address.is_global or is_inner(str(address))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.0.0.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("10.256", "10.0.1.0"),
        ("0", "0.0.0.0"),
        ("127.0.0.1.", "127.0.0.1"),
        ("%31%32%37.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("LocalHost.", "127.0.0.1"),
        ("site.localhost", "127.0.0.1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("FE80::1%25eth0", "fe80::1%eth0"),
        ("data.example.org", None),
        ("localhost.example.org", None),
        ("127.0.0.1.example.org", None),
        ("10.0.0.0.1", None),
        ("256.1.1.1", None),
        ("", None),
        ("é", None),
        ("\x00", None),
    ],
)
def test_d10_an_address_is_recognized_in_any_notation(host: str, address: str | None) -> None:
    assert address_in(host) == address


# -- the class of a root ---------------------------------------------------------------


def allowed(perimeter: Perimeter, address: str, *, to: str = ELSEWHERE) -> bool:
    """Return whether a connection is allowed."""
    try:
        perimeter.check(address, to, to == SITE)
    except InnerAddressError:
        return False
    return True


@pytest.mark.parametrize("origins", ["own", "any", ()])
def test_d10_a_public_root_leads_only_to_public_addresses(
    origins: Literal["own", "any"] | tuple[str, ...],
) -> None:
    perimeter = Perimeter(origins)
    assert allowed(perimeter, "8.8.8.8", to=SITE)
    assert [allowed(perimeter, address) for address in ("1.1.1.1", "10.0.0.1")] == [True, False]


def test_d10_an_internal_root_leads_anywhere() -> None:
    perimeter = Perimeter("own")
    assert allowed(perimeter, "10.0.0.1", to=SITE)
    assert allowed(perimeter, "127.0.0.1")
    assert allowed(perimeter, "8.8.8.8")
    assert allowed(perimeter, "127.0.0.1")


def test_d10_a_public_root_stays_public() -> None:
    perimeter = Perimeter("own")
    assert allowed(perimeter, "8.8.8.8", to=SITE)
    assert not allowed(perimeter, "10.0.0.1", to=SITE)
    assert not allowed(perimeter, "10.0.0.1")
    assert allowed(perimeter, "1.1.1.1", to=SITE)


def test_d10_an_internal_root_becomes_public() -> None:
    perimeter = Perimeter("own")
    assert allowed(perimeter, "10.0.0.1", to=SITE)
    assert allowed(perimeter, "8.8.8.8", to=SITE)
    assert not allowed(perimeter, "10.0.0.1", to=SITE)
    assert not allowed(perimeter, "127.0.0.1")


def test_d10_no_internal_address_is_allowed_before_the_root_is_known() -> None:
    assert not allowed(Perimeter("own"), "10.0.0.1")


def test_d10_a_named_origin_is_matched_by_scheme_host_and_port() -> None:
    perimeter = Perimeter(("http://intranet.example:80", "http://bücher.example:80"))
    assert allowed(perimeter, "8.8.8.8", to=SITE)
    assert allowed(perimeter, "10.0.0.1")
    assert allowed(perimeter, "10.0.0.1", to="http://xn--bcher-kva.example/a")
    assert not allowed(perimeter, "10.0.0.1", to="https://intranet.example:80/")
    assert not allowed(perimeter, "10.0.0.1", to="http://intranet.example:8080/")
    assert not allowed(perimeter, "10.0.0.1", to="http://x.intranet.example/")


def test_d10_a_named_origin_with_an_impossible_host_allows_nothing() -> None:
    perimeter = Perimeter((f"http://{'x' * 64}.example:80",))
    assert allowed(perimeter, "8.8.8.8", to=SITE)
    assert not allowed(perimeter, "10.0.0.1")
