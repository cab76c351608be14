"""All forms of credentials, and the authentication objects made from them."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from requests import Request
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth, HTTPProxyAuth

from staticstore import StoreError
from staticstore.transport.http.arguments import authentication, exposes_password
from staticstore.transport.http.root import Root

ROOT = Root("https://data.example/")


def sent(auth: AuthBase | None) -> str | None:
    """Return the Authorization header field that is sent."""
    request = Request("GET", "https://data.example/").prepare()
    assert auth is not None
    return auth(request).headers.get("Authorization")


@pytest.mark.parametrize(
    "auth",
    [
        ("ali", "sesame"),
        ["ali", "sesame"],
        {"username": "ali", "password": "sesame"},
        {"username": "ali", "password": "sesame", "realm": "site"},
        MappingProxyType({"username": "ali", "password": "sesame"}),
        HTTPBasicAuth("ali", "sesame"),
    ],
)
def test_user_and_password_become_basic_authentication(auth: Any) -> None:
    assert sent(authentication(auth, ROOT)) == "Basic YWxpOnNlc2FtZQ=="


def test_basic_authentication_uses_utf_8() -> None:
    # The example of RFC 7617, section 2.1.
    assert sent(authentication(("test", "123£"), ROOT)) == "Basic dGVzdDoxMjPCow=="


def test_a_password_may_have_colons() -> None:
    assert sent(authentication(("ali", "a:b:"), ROOT)) == "Basic YWxpOmE6Yjo="


def test_an_auth_object_of_requests_is_used_unchanged() -> None:
    auth = HTTPDigestAuth("ali", "sesame")
    assert authentication(auth, ROOT) is auth


def test_without_credentials_no_authorization_is_sent() -> None:
    assert authentication(None, ROOT) is None


def test_without_credentials_those_of_the_root_are_used() -> None:
    root = Root("https://ali:sesame@data.example/")
    assert sent(authentication(None, root)) == "Basic YWxpOnNlc2FtZQ=="


def test_credentials_take_precedence_over_those_of_the_root() -> None:
    root = Root("https://eve:trap@data.example/")
    assert sent(authentication(("ali", "sesame"), root)) == "Basic YWxpOnNlc2FtZQ=="


@pytest.mark.parametrize("auth", ["", "ali:sesame", "NETRC", "basic"])
def test_a_string_other_than_netrc_is_a_value_error(auth: Any) -> None:
    with pytest.raises(ValueError, match="netrc"):
        authentication(auth, ROOT)


@pytest.mark.parametrize(
    ("auth", "missing"),
    [
        ({}, "password and username"),
        ({"username": "ali"}, "lacks password"),
        ({"user": "ali", "password": "sesame"}, "lacks username"),
    ],
)
def test_the_error_for_a_mapping_names_what_is_missing(auth: Any, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        authentication(auth, ROOT)


@pytest.mark.parametrize(
    "auth",
    [
        5,
        b"netrc",
        (),
        ("ali",),
        ("ali", "sesame", "site"),
        {"ali", "sesame"},
        ("ali", None),
        (None, "sesame"),
        ("ali", b"sesame"),
        {"username": "ali", "password": 1234},
        lambda request: request,
    ],
)
def test_any_other_type_is_a_type_error(auth: Any) -> None:
    with pytest.raises(TypeError):
        authentication(auth, ROOT)


def test_a_user_name_with_a_colon_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="must not contain a colon"):
        authentication(("ali:baba", "sesame"), ROOT)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("login ali password sesame", "Basic YWxpOnNlc2FtZQ=="),
        ("password sesame login ali account x", "Basic YWxpOnNlc2FtZQ=="),
        ("login ali", "Basic YWxpOg=="),
        ("password sesame", "Basic OnNlc2FtZQ=="),
        ('login "ali" password "open sesame"', "Basic YWxpOm9wZW4gc2VzYW1l"),
    ],
)
def test_a_netrc_entry_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: str
) -> None:
    (tmp_path / "netrc").write_text(f"# mine\nmachine data.example {line}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert sent(authentication("netrc", ROOT)) == expected


def test_the_last_netrc_entry_for_a_host_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "machine data.example login eve password trap\n" * 2
    text += "machine data.example login ali password sesame\ndefault login x password y\n"
    (tmp_path / "netrc").write_text(text)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert sent(authentication("netrc", ROOT)) == "Basic YWxpOnNlc2FtZQ=="


def test_netrc_without_a_home_folder_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(
        StoreError, match=r"no netrc file has an entry for the host 'data\.example'"
    ):
        authentication("netrc", ROOT)


def test_a_netrc_given_by_path_needs_no_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "netrc").write_text("machine data.example login ali password sesame\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(Path, "home", homeless)
    assert sent(authentication("netrc", ROOT)) == "Basic YWxpOnNlc2FtZQ=="


@pytest.mark.parametrize(
    ("auth", "readable"),
    [
        (HTTPBasicAuth("ali", "sesame"), True),
        (HTTPProxyAuth("ali", "sesame"), True),
        (HTTPDigestAuth("ali", "sesame"), False),
        (None, False),
    ],
)
def test_basic_authentication_sends_a_readable_password(
    auth: AuthBase | None, readable: bool
) -> None:
    assert exposes_password(auth, Root("http://data.example/")) is readable
