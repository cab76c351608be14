"""Errors can be pickled completely, and contain no secret."""

from __future__ import annotations

import copy
import pickle

import pytest

import staticstore
from staticstore import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    IntegrityError,
    InvalidKeyError,
    NotConnectedError,
    RefusedError,
    StoreError,
    TransportError,
    TransportTimeout,
    TrustError,
)
from staticstore.errors import quoted, without_secrets

URL = "https://host/data/a"

ERRORS = [
    StoreError("said", key="a", url=URL, status=200),
    NotConnectedError("said"),
    InvalidKeyError("said", key="../x"),
    IndexFormatError("said", url=URL, status=200),
    IntegrityError("said", expected=5, actual="abc", key="a", url=URL),
    TrustError("said", reason="rollback", url=URL),
    TransportError("said", key="a", url=URL),
    TransportTimeout("said", url=URL),
    HTTPStatusError("said", retry_after=2.5, key="a", url=URL, status=503),
    AuthorizationError("said", key="a", url=URL, status=401),
    RefusedError("said"),
]


def test_every_error_class_of_the_package_is_tested_here() -> None:
    public = {getattr(staticstore, name) for name in staticstore.__all__}
    errors = {item for item in public if isinstance(item, type) and issubclass(item, StoreError)}
    assert errors == {type(error) for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_is_pickled_with_all_attributes(error: StoreError, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.args == error.args


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_can_be_copied(error: StoreError) -> None:
    for again in (copy.copy(error), copy.deepcopy(error)):
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (NotConnectedError, RuntimeError),
        (InvalidKeyError, ValueError),
        (IndexFormatError, ValueError),
        (TransportError, OSError),
        (TransportTimeout, TimeoutError),
        (TransportTimeout, TransportError),
        (HTTPStatusError, TransportError),
        (AuthorizationError, HTTPStatusError),
    ],
)
def test_an_error_is_also_the_matching_exception_of_python(
    error: type[StoreError], builtin: type[Exception]
) -> None:
    assert issubclass(error, builtin)
    assert issubclass(error, StoreError)


@pytest.mark.parametrize("error", [IntegrityError, IndexFormatError, InvalidKeyError])
def test_an_error_about_the_site_is_not_a_transport_error(error: type[StoreError]) -> None:
    assert not issubclass(error, OSError)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_unknown_attributes_are_none(error: StoreError) -> None:
    bare = type(error)("said")
    assert (bare.key, bare.url, bare.status) == (None, None, None)
    assert str(bare) == "said"


def test_the_text_ends_with_key_and_url() -> None:
    assert str(StoreError("said", key="a", url=URL)) == f"said (key 'a', {URL})"
    assert str(StoreError("said", key="a")) == "said (key 'a')"
    assert str(StoreError("said", url=URL)) == f"said ({URL})"


def test_an_error_without_a_message_has_a_text_anyway() -> None:
    error = StoreError.__new__(StoreError)
    error.key, error.url, error.status = "a", None, None
    assert str(error) == " (key 'a')"


@pytest.mark.parametrize("key", ["\x1b[31m", "a\nb", "\u202e", "\ud800", "a\u2028b"], ids=ascii)
def test_f10_a_key_in_an_error_is_escaped(key: str) -> None:
    text = str(StoreError("said", key=key))
    assert text.isprintable()
    assert ascii(key) in text


def test_printable_characters_are_not_escaped() -> None:
    assert quoted("Zürich 日本") == "'Zürich 日本'"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ali:sesame@host/a", "https://host/a"),
        ("https://ali:s%40me@host:8443/a", "https://host:8443/a"),
        ("https://token@host/a", "https://host/a"),
        ("https://ali:ses@me@host/a", "https://host/a"),
        ("https://host/a?sig=sesame", "https://host/a?…"),
        ("https://host/a?", "https://host/a"),
        ("https://host/a#sesame", "https://host/a"),
        ("https://ali:sesame@[::1]:80/a?b=sesame#sesame", "https://[::1]:80/a?…"),
        ("http://[sesame/a", "…"),
        ("file:///srv/site/", "file:///srv/site/"),
        ("https://host/@sesame", "https://host/@sesame"),
        ("", ""),
    ],
)
def test_d7_a_url_in_an_error_has_no_user_password_query_or_fragment(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    error = HTTPStatusError("said", url=url, status=500)
    assert error.url == shown
    assert "sesame@" not in repr(error) + str(error)
    assert "sig=" not in pickle.dumps(error).decode("latin-1")
