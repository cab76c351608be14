"""Mapping of foreign errors to ours, with messages that contain no secrets."""

from __future__ import annotations

import http.client
import pickle
import re
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from requests import exceptions as requests_errors
from urllib3 import exceptions as urllib3_errors

from staticstore import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    IntegrityError,
    NotConnectedError,
    StoreError,
    TransportError,
    TransportTimeout,
)
from staticstore.errors import ForeignError
from staticstore.transport.http.failures import (
    mapped,
    may_heal,
    parse_retry_after,
    status_error,
    was_dropped,
)
from staticstore.transport.http.wire import Wire

URL = "https://ali:sesame@data.example/index.json?sig=sesame"


def map_error(error: BaseException, *, cut: bool = False) -> StoreError:
    """Return the error that a foreign error is mapped to."""
    wire = Wire()
    if cut:
        wire.close()
    with pytest.raises(StoreError) as caught, mapped(wire, key="a", url=URL):
        raise error
    return caught.value


def bad_certificate() -> ssl.SSLCertVerificationError:
    """Return the error of a failed TLS handshake."""
    error = ssl.SSLCertVerificationError(1, "verify failed")
    error.verify_message = "certificate has expired"
    return error


def nested(innermost: Exception) -> requests.ConnectionError:
    """Wrap an error in the way urllib3 and requests do."""
    pool = urllib3.HTTPSConnectionPool("data.example")
    reason = urllib3_errors.ProtocolError("Connection aborted.", innermost)
    outer = urllib3_errors.MaxRetryError(pool, "/index.json?sig=sesame", reason)
    return requests.ConnectionError(outer)


FOREIGN: list[Exception] = [
    requests.ConnectionError("sesame"),
    requests.Timeout("sesame"),
    requests.TooManyRedirects("sesame"),
    requests_errors.ChunkedEncodingError("sesame"),
    requests_errors.ContentDecodingError("sesame"),
    requests_errors.InvalidURL("sesame"),
    requests_errors.RetryError("sesame"),
    urllib3_errors.DecodeError("sesame"),
    urllib3_errors.LocationParseError("sesame"),
    urllib3_errors.ReadTimeoutError(urllib3.HTTPConnectionPool("h"), "/?sesame", "sesame"),
    urllib3_errors.InvalidChunkLength(urllib3.HTTPResponse(), b"sesame"),
    http.client.BadStatusLine("sesame"),
    http.client.LineTooLong("sesame"),
    http.client.RemoteDisconnected("sesame"),
    ConnectionResetError(104, "Connection reset by peer"),
    BrokenPipeError(32, "Broken pipe"),
    socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    TimeoutError("timed out"),
    ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
    OSError("sesame"),
    UnicodeError("sesame"),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_foreign_errors_become_transport_errors_with_key_and_url(error: Exception) -> None:
    ours = map_error(error)
    assert isinstance(ours, TransportError)
    assert (ours.key, ours.url) == ("a", "https://data.example/index.json?…")
    assert "sesame" not in str(ours)
    assert isinstance(ours.__cause__, ForeignError)
    assert type(error) in ours.__cause__.kinds
    assert ours.__context__ is None


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_a_nested_error_is_mapped_too(error: Exception) -> None:
    ours = map_error(nested(error))
    assert isinstance(ours, TransportError)
    assert "sesame" not in str(ours)


@pytest.mark.parametrize("error", [*FOREIGN, nested(OSError("x"))], ids=lambda e: type(e).__name__)
def test_after_disconnect_every_error_says_not_connected(error: Exception) -> None:
    ours = map_error(error, cut=True)
    assert type(ours) is NotConnectedError
    assert ours.key == "a"


@pytest.mark.parametrize(
    "error",
    [IntegrityError("x"), IndexFormatError("x"), NotConnectedError("x"), TransportError("x")],
)
def test_our_own_errors_are_raised_unchanged(error: StoreError) -> None:
    assert map_error(error) is error
    assert map_error(error, cut=True) is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError("a"), MemoryError(), SystemExit()])
def test_errors_that_are_not_of_the_transport_are_raised_unchanged(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, mapped(Wire(), key=None, url=None):
        raise error
    assert caught.value is error


def test_a_cause_has_types_and_system_messages_but_no_text_of_a_library() -> None:
    ours = map_error(
        requests_errors.InvalidURL("what it quotes", ConnectionResetError(104, "reset"))
    )
    assert str(ours.__cause__) == "InvalidURL from ConnectionResetError: reset"
    assert was_dropped(ours)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("timed out"),
        TimeoutError(),
        TimeoutError(110, "Connection timed out"),
        requests.ReadTimeout(TimeoutError("The read operation timed out")),
        urllib3_errors.ProtocolError("broken", TimeoutError("the answer took too long")),
    ],
    ids=repr,
)
def test_a_silent_host_is_a_timeout(error: Exception) -> None:
    ours = map_error(error)
    assert type(ours) is TransportTimeout
    assert isinstance(ours, TimeoutError)
    assert "silent or too slow for too long" in str(ours)


def test_a_timeout_names_the_bound_that_was_exceeded() -> None:
    assert "long: slower than 5 bytes a second" in str(
        map_error(TimeoutError("slower than 5 bytes a second"))
    )
    assert "long (key 'a'" in str(map_error(TimeoutError("timed out")))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (nested(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (nested(socket.gaierror(-2, "Name or service not known")), "Name or service not known"),
        (urllib3_errors.IncompleteRead(7, 3), "broke after 7 bytes"),
        (requests.ConnectionError("secret"), "failed: ConnectionError"),
        (nested(http.client.BadStatusLine("secret")), "failed: BadStatusLine"),
    ],
)
def test_the_message_is_that_of_the_innermost_cause_that_has_one(
    error: Exception, words: str
) -> None:
    assert words in str(map_error(error))


def test_a_bad_certificate_is_named_in_the_message() -> None:
    ours = map_error(requests_errors.SSLError(urllib3_errors.SSLError(bad_certificate())))
    assert "the host's certificate is not trusted: certificate has expired" in str(ours)
    assert not may_heal(ours)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(407, AuthorizationError), (403, AuthorizationError), (502, HTTPStatusError)],
)
def test_a_tunnel_refused_by_a_proxy_has_the_status_of_the_proxy(
    status: int, kind: type[Exception]
) -> None:
    refused = OSError(f"Tunnel connection failed: {status} Some Words")
    proxy_error = urllib3_errors.ProxyError("Unable to connect to proxy", refused)
    ours = map_error(requests_errors.ProxyError(proxy_error))
    assert type(ours) is kind
    assert ours.status == status


HANDLED: list[Exception] = [
    TimeoutError("timed out"),
    TransportTimeout("the host was silent or too slow for too long"),
    bad_certificate(),
    OSError("Tunnel connection failed: 407 Proxy Authentication Required"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]


@pytest.mark.parametrize("handled", HANDLED, ids=lambda error: type(error).__name__)
def test_an_exception_that_the_caller_is_handling_is_not_the_cause(handled: Exception) -> None:
    try:
        raise handled
    except Exception:
        ours = map_error(nested(ConnectionRefusedError(111, "Connection refused")))
    assert type(ours) is TransportError
    assert "Connection refused" in str(ours)
    assert may_heal(ours)


@pytest.mark.parametrize("handled", [ConnectionResetError(), TimeoutError(), OSError(5, "broken")])
def test_an_exception_that_the_caller_is_handling_allows_no_retry(handled: Exception) -> None:
    try:
        raise handled
    except OSError:
        try:
            raise TransportError("the host redirects to an invalid URL")
        except TransportError as error:
            refused = error
    assert not may_heal(refused)
    assert not was_dropped(refused)


def test_causes_that_form_a_circle_do_not_hang() -> None:
    first, second = OSError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first
    assert isinstance(map_error(first), TransportError)


# -- what is retried -------------------------------------------------------------------


def error_from(cause: Exception) -> TransportError:
    error = TransportError("it failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_temporary_status_is_retried(status: int) -> None:
    assert may_heal(status_error(status, key=None, url=None))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 410, 412, 451, 501, 505, 511])
def test_a_permanent_status_is_not_retried(status: int) -> None:
    assert not may_heal(status_error(status, key=None, url=None))


@pytest.mark.parametrize(
    "error",
    [
        error_from(ConnectionResetError()),
        error_from(TimeoutError("timed out")),
        error_from(nested(socket.gaierror(-3, "Temporary failure in name resolution"))),
        error_from(urllib3_errors.IncompleteRead(7, 3)),
    ],
)
def test_a_network_failure_is_retried(error: Exception) -> None:
    assert may_heal(error)


@pytest.mark.parametrize(
    "error",
    [
        IntegrityError("x"),
        IndexFormatError("x"),
        NotConnectedError("x"),
        StoreError("x"),
        TransportError("the host redirects to an invalid URL"),
        KeyError("x"),
        error_from(nested(ssl.SSLCertVerificationError(1, "no"))),
        error_from(requests_errors.InvalidURL()),
        error_from(requests_errors.InvalidSchema()),
        error_from(requests_errors.MissingSchema()),
        error_from(requests_errors.InvalidHeader()),
        error_from(requests_errors.InvalidProxyURL()),
        error_from(UnicodeError()),
    ],
)
def test_a_permanent_failure_is_not_retried(error: Exception) -> None:
    assert not may_heal(error)


@pytest.mark.parametrize(
    ("cause", "dropped"),
    [
        (ConnectionResetError(), True),
        (BrokenPipeError(), True),
        (http.client.RemoteDisconnected("x"), True),
        (ConnectionRefusedError(), False),
        (TimeoutError(), False),
        (http.client.BadStatusLine("x"), False),
    ],
)
def test_a_dropped_connection_is_distinguished_from_other_failures(
    cause: Exception, dropped: bool
) -> None:
    assert was_dropped(error_from(nested(cause))) is dropped


# -- statuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "the host refused with 401 Unauthorized: the right user and password are needed"),
        (403, "the host refused with 403 Forbidden"),
        (407, "the proxy refused with 407 Proxy Authentication Required: the right user"),
        (404, "the host answered 404 Not Found"),
        (503, "the host answered 503 Service Unavailable"),
        (599, "the host answered 599"),
    ],
)
def test_a_status_is_explained_in_words(status: int, words: str) -> None:
    error = status_error(status, key=None, url=URL)
    assert str(error).startswith(words)
    assert (error.status, error.url) == (status, "https://data.example/index.json?…")
    assert isinstance(error, AuthorizationError) is (status in (401, 403, 407))


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_value_hints_at_an_outdated_index(status: int) -> None:
    assert "older than what the host has" in str(status_error(status, key="a", url=URL))
    assert "older" not in str(status_error(status, key=None, url=URL))


@pytest.mark.parametrize(
    "error",
    [
        status_error(503, key="a", url=URL, retry_after="7"),
        status_error(401, key=None, url=URL),
        map_error(nested(TimeoutError("sesame"))),
        IntegrityError("x", expected=1, actual=2, key="a", url=URL),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: StoreError) -> None:
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert (str(copied), copied.__dict__) == (str(error), error.__dict__)


# -- Retry-After -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("120", 120.0),
        ("121", 121.0),
        ("10000000", 10000000.0),
        ("9" * 5000, 999999999999.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("+5", None),
        ("5.5", None),
        ("1e3", None),
        ("5 s", None),
        ("\u0665", None),  # a digit of another script
        ("²", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Mon, 32 Jan 2024 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +9999", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
        ("Mon, 99999999999999999999 Jan 2024 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_in_seconds_and_invalid_ones_are_ignored(
    text: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(text) == seconds


@pytest.mark.parametrize("form", [format_datetime, lambda date: format_datetime(date, usegmt=True)])
def test_retry_after_may_be_a_date(form: Callable[[datetime], str]) -> None:
    seconds = parse_retry_after(form(datetime.now(UTC) + timedelta(seconds=60)))
    assert seconds is not None
    assert 30 < seconds <= 60


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 +0000",
        "Fri, 31 Dec 9999 23:59:59",
        "Friday, 31-Dec-60 23:59:59 GMT",
    ],
)
def test_retry_after_may_be_a_date_in_another_century(text: str) -> None:
    seconds = parse_retry_after(text)
    assert seconds is not None
    assert seconds > 1e8


_dateish = st.from_regex(
    re.compile(r"(Mon, )?[0-9]{1,30} Jan [0-9]{1,30} [0-9:]{1,30} [+-]?[0-9A-Z]{1,30}", re.ASCII),
    fullmatch=True,
)


@settings(deadline=None)
@given(st.text() | _dateish)
def test_any_retry_after_is_parsed_without_an_exception(text: str) -> None:
    seconds = parse_retry_after(text)
    assert seconds is None or 0 <= seconds < 1e12


def test_the_status_error_has_the_retry_after() -> None:
    def retry_after(status: int, text: Any) -> float | None:
        return status_error(status, key=None, url=None, retry_after=text).retry_after

    assert retry_after(503, "7") == 7.0
    assert retry_after(429, "10000000") == 10000000.0
    assert retry_after(503, "soon") is None
