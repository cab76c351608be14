"""Where entries lead: which session requests a placed value, and by which path (FAULTS D19)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import TransportError
from staticstore.index.placed import Placed
from staticstore.transport.http.arguments import SessionOptions
from staticstore.transport.http.elsewhere import Location, locate
from staticstore.transport.http.root import Root, checked_origins
from staticstore.transport.http.session import Session
from tests.servers import RawServer, Request, Wire

ROOT = "https://data.example.org/site/"
CDN = "https://cdn.example.org"
OURS: dict[str, Any] = {"auth": ("ali", "open sesame"), "headers": {"X-Api-Key": "sesame"}}


@pytest.fixture
def session_of() -> Iterator[Callable[..., Session]]:
    """Make the session of a first root."""
    with ExitStack() as stack:

        def session_of(root: str = ROOT, *, origins: Any = "any", **options: Any) -> Session:
            chosen = SessionOptions(origins=checked_origins(origins), proxies={}, **options)
            session = Session(Root(root), chosen)
            stack.callback(session.close)
            return session

        yield session_of


@pytest.mark.parametrize(
    ("href", "base", "root", "url_path"),
    [
        ("a/b", None, ROOT, "a/b"),
        ("/site/a?", None, ROOT, "a"),
        ("//data.example.org/site/a", None, ROOT, "a"),
        ("https://DATA.example.org:443/site/a", None, "https://data.example.org/", "site/a"),
        ("../a", None, "https://data.example.org/", "a"),
        ("a?v=1", None, "https://data.example.org/", "site/a?v=1"),
        ("a", f"{CDN}/x/y.json", f"{CDN}/", "x/a"),
        (f"{CDN}:8443/a?b", None, f"{CDN}:8443/", "a?b"),
    ],
)
def test_a_value_is_requested_below_a_root_of_its_origin(
    session_of: Callable[..., Session], href: str, base: str | None, root: str, url_path: str
) -> None:
    session, path = locate(Placed(href, base), session_of())
    assert (session.root.url, path) == (root, url_path)


def test_a_session_of_another_origin_has_no_secret(session_of: Callable[..., Session]) -> None:
    first = session_of(**OURS)
    other = locate(Placed(f"{CDN}/a"), first).session
    assert first.sender.auth is not None
    assert other.sender.auth is None
    assert (other.options.headers, other.options.cert) == (None, None)
    template = other.template()
    assert template is not None
    assert not {"Authorization", "X-Api-Key"}.intersection(template.headers)
    assert locate(Placed("//data.example.org/a"), first).session.sender.auth is first.sender.auth


def test_an_origin_keeps_its_session(session_of: Callable[..., Session]) -> None:
    first = session_of()
    one, two = (locate(Placed(f"{CDN}/{name}"), first).session for name in "ab")
    assert one is two


def test_an_index_that_names_many_origins_makes_few_sessions(
    session_of: Callable[..., Session],
) -> None:
    first = session_of()
    found = [locate(Placed(f"https://h{n}.example.org/"), first).session for n in range(40)]
    again = [locate(Placed(f"https://h{n}.example.org/"), first).session for n in range(39, 20, -1)]
    assert sum(one in found for one in again) == 16


@pytest.mark.parametrize(
    "href", [f"{CDN}/a", "http://data.example.org/a", "//data.example.org:8/a"]
)
@pytest.mark.parametrize("origins", ["own", [], ["https://other.example.org"]])
def test_other_origins_are_refused_unless_named(
    session_of: Callable[..., Session], href: str, origins: Any
) -> None:
    with pytest.raises(TransportError, match="refused: ") as caught:
        locate(Placed(href), session_of(origins=origins), "the key")
    assert caught.value.key == "the key"


def test_a_named_origin_may_be_written_in_unicode(session_of: Callable[..., Session]) -> None:
    for named in ("https://bücher.example", "https://xn--bcher-kva.example"):
        for href in ("https://bücher.example/a", "https://xn--bcher-kva.example/a"):
            found = locate(Placed(href), session_of(origins=[named]))
            assert found.url == "https://xn--bcher-kva.example/a"


@pytest.mark.parametrize("base", ["file:///etc/", "ftp://h/", "http:///x", "no url"])
def test_a_base_that_is_no_web_page_is_refused(
    session_of: Callable[..., Session], base: str
) -> None:
    with pytest.raises(TransportError, match="refused: "):
        locate(Placed("passwd", base), session_of())


def test_a_site_in_a_folder_leads_to_its_files(
    session_of: Callable[..., Session], tmp_path: Path
) -> None:
    first = session_of(str(tmp_path))
    assert locate(Placed("a/b%20c"), first) == Location(first, "a/b%20c")
    with pytest.raises(TransportError, match="not in the folder"):
        locate(Placed("a", "file:///etc/"), first)


def test_d10_through_a_proxy_a_host_is_judged_as_it_is_written(
    start: Callable[..., RawServer],
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, b"x")

    proxy = start(answer)
    options = SessionOptions(origins="any", proxies={"http": proxy.url}, retries=0)
    first = Session(Root("http://data.example.org/"), options)
    first.request("GET", "a").close()
    for host in ("10.1.2.3", "[::ffff:10.0.0.1]", "[2002:a00:1::]", "[64:ff9b::a00:1]", "0x7f.1"):
        session, url_path = locate(Placed(f"http://{host}/x"), first)
        with pytest.raises(TransportError, match="the inner address"):
            session.request("GET", url_path)
        assert session.template() is None
    assert [one.target for one in proxy.requests] == ["http://data.example.org/a"]
    first.close()
