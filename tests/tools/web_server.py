"""What docs/hosting.md says of web servers: one suite, run against each with its own lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import requests

from staticstore import StaticStore, publish
from tests.servers import PythonServer
from tests.servers.daemon import Daemon

if TYPE_CHECKING:
    from playwright.sync_api import Page

LINES = Path(__file__).parents[2] / "docs" / "hosting"
TIMEOUT = 10.0
ORIGIN = "https://elsewhere.example"
IMMUTABLE = "public, max-age=31536000, immutable"

TEXT = b"station;temperature\n" + b"Ilvar;11.5\n" * 20_000
SMALL = {f"small/{number:03}.txt": b"value %d\n" % number * 50 for number in range(100)}
VALUES = {
    "tables/weather 2025.csv": TEXT,
    "karten/übersicht 日本 100%.txt": TEXT[:70_000],
    "notes/index.html": b"<p>" + b"a page that is a value " * 4_000,
    "notes/map.var": b"URI: index.html\n" * 5_000,
    "cube.zarr/.zattrs": b'{"units": "K"}' * 5_000,
    # In `data/` nothing is named by its digest, whatever it looks like.
    f"packs/{'0' * 64}.zip": b"PK" * 40_000,
    **SMALL,
}


class Host(NamedTuple):
    """A site on a server that has the lines of docs/hosting."""

    folder: Path
    server: Daemon
    url: str


def _named_by_digest(site: Path) -> list[str]:
    folders = ("index", "blocks", "changes", "packs")
    return [
        path.relative_to(site).as_posix()
        for name in folders
        for path in sorted((site / name).iterdir())
    ]


def listed(answer: requests.Response, name: str) -> set[str]:
    """Return the items of a header field that is a list, in lower case."""
    return {part.strip().lower() for part in answer.headers[name].split(",")}


def ask_for_gzip(session: requests.Session, url: str) -> tuple[Any, Any]:
    """Ask for a value and for a part of it, as a client that takes gzip."""
    url = f"{url}data/tables/weather%202025.csv"
    session.headers["Accept-Encoding"] = "gzip"
    whole = session.get(url, timeout=TIMEOUT)
    assert (whole.headers["Content-Encoding"], whole.content) == ("gzip", TEXT)
    part = session.get(url, headers={"Range": "bytes=100-199"}, stream=True, timeout=TIMEOUT)
    return whole, part


SCRIPT = """
async (url) => {
    const part = await fetch(url, {headers: {"Range": "bytes=-11"}});
    const bytes = await part.text();
    const tag = part.headers.get("ETag");
    const same = await fetch(url, {headers: {"If-None-Match": tag}, cache: "no-store"});
    const none = await fetch(url + ".not", {cache: "no-store"});
    return [location.origin !== new URL(url).origin, part.status, bytes,
            part.headers.get("Content-Range"), same.status, none.status];
}
"""


class WebServerSuite:
    """What a server with the lines of docs/hosting does; the test class of each inherits it."""

    @pytest.mark.parametrize("key", [key for key in VALUES if not key.startswith("small/")])
    def test_a_value_comes_as_its_bytes_whatever_the_client_accepts(
        self, host: Host, session: requests.Session, key: str
    ) -> None:
        with StaticStore(host.url, poll_interval=0) as store:
            url = store[key].url
        answer = session.get(url, timeout=TIMEOUT)
        assert (answer.status_code, answer.content) == (200, VALUES[key])
        assert "Content-Encoding" not in answer.headers
        assert answer.headers["Content-Length"] == str(len(VALUES[key]))
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert not answer.headers["ETag"].startswith("W/")
        part = session.get(url, headers={"Range": "bytes=50000-50009"}, timeout=TIMEOUT)
        assert (part.status_code, part.content) == (206, VALUES[key][50_000:50_010])
        assert part.headers["Content-Range"] == f"bytes 50000-50009/{len(VALUES[key])}"

    def test_head_tells_the_size_of_the_bytes(self, host: Host, session: requests.Session) -> None:
        answer = session.head(f"{host.url}data/tables/weather%202025.csv", timeout=TIMEOUT)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(TEXT))
        assert answer.headers["Cache-Control"] == "no-cache"

    def test_the_site_has_every_kind_of_file_that_is_named_by_its_digest(self, host: Host) -> None:
        names = _named_by_digest(host.folder)
        kinds = {(name.partition("/")[0], Path(name).suffix) for name in names}
        assert kinds == {
            ("index", ".json"),
            ("blocks", ".json"),
            ("blocks", ".jsonl"),
            ("changes", ".jsonl"),
            ("packs", ".zip"),
        }

    def test_what_is_named_by_its_digest_may_be_kept_for_ever(
        self, host: Host, session: requests.Session
    ) -> None:
        for name in _named_by_digest(host.folder):
            whole = session.get(host.url + name, timeout=TIMEOUT)
            part = session.get(host.url + name, headers={"Range": "bytes=2-5"}, timeout=TIMEOUT)
            assert (whole.status_code, part.status_code) == (200, 206)
            assert whole.headers["Cache-Control"] == part.headers["Cache-Control"] == IMMUTABLE

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "index.html",
            "index.json",
            "index.head.json",
            "data/tables/weather%202025.csv",
            f"data/packs/{'0' * 64}.zip",
        ],
    )
    def test_what_can_change_is_kept_only_by_caches_that_ask(
        self, host: Host, session: requests.Session, path: str
    ) -> None:
        answer = session.get(host.url + path, timeout=TIMEOUT)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"
        again = session.get(
            host.url + path, headers={"If-None-Match": answer.headers["ETag"]}, timeout=TIMEOUT
        )
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"
        assert again.headers["Access-Control-Allow-Origin"] == "*"

    @pytest.mark.parametrize("path", [f"packs/{'1' * 64}.zip", "data/nothing", "nothing"])
    def test_that_a_file_is_not_there_is_not_kept_for_ever(
        self, host: Host, session: requests.Session, path: str
    ) -> None:
        answer = session.get(host.url + path, timeout=TIMEOUT)
        assert answer.status_code == 404
        assert "immutable" not in answer.headers.get("Cache-Control", "")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"

    def test_a_page_of_another_origin_may_ask_for_ranges_and_conditions(
        self, host: Host, session: requests.Session
    ) -> None:
        asked = ["cache-control", "if-modified-since", "if-none-match", "if-range", "range"]
        answer = session.options(
            f"{host.url}data/tables/weather%202025.csv",
            headers={
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": ",".join(asked),
            },
            timeout=TIMEOUT,
        )
        assert answer.ok
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert listed(answer, "Access-Control-Allow-Methods") >= {"get", "head"}
        assert listed(answer, "Access-Control-Allow-Headers") >= set(asked)
        assert int(answer.headers["Access-Control-Max-Age"]) > 0

    def test_a_page_of_another_origin_sees_what_it_needs_of_an_answer(
        self, host: Host, session: requests.Session
    ) -> None:
        answer = session.get(
            f"{host.url}data/small/000.txt", headers={"Range": "bytes=0-3"}, timeout=TIMEOUT
        )
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert listed(answer, "Access-Control-Expose-Headers") >= {
            "accept-ranges",
            "content-length",
            "content-range",
            "etag",
            "last-modified",
        }
        # In each answer they would cost.
        assert "Access-Control-Allow-Methods" not in answer.headers

    def test_a_browser_lets_a_page_of_another_origin_read_ranges(
        self, host: Host, page: Page, tmp_path: Path
    ) -> None:
        (tmp_path / "elsewhere.html").write_text("<!DOCTYPE html>")
        with PythonServer(tmp_path) as elsewhere:
            page.goto(f"{elsewhere.url}elsewhere.html")
            found = page.evaluate(SCRIPT, f"{host.url}data/tables/weather%202025.csv")
        size = len(TEXT)
        span = f"bytes {size - 11}-{size - 1}/{size}"
        assert found == [True, 206, "Ilvar;11.5\n", span, 304, 404]

    def test_what_the_publisher_keeps_for_itself_is_not_served(
        self, host: Host, session: requests.Session
    ) -> None:
        notes = [path.name for path in (host.folder / ".staticstore").iterdir()]
        assert "lock" in notes
        for before in (
            ".staticstore/",
            "%2estaticstore/",
            "/.staticstore/",
            "data/%2e%2e/.staticstore/",
        ):
            for name in notes:
                url = f"{host.url}{before}{name}"
                prepared = session.prepare_request(requests.Request("GET", url))
                prepared.url = url  # as it is, not as requests would tidy it
                assert session.send(prepared, timeout=TIMEOUT).status_code in (403, 404)

    def test_a_store_reads_polls_ranges_and_packs(self, host: Host) -> None:
        with StaticStore(host.url, poll_interval=0) as store:
            for key in set(VALUES) - set(SMALL):
                assert store[key].read() == VALUES[key]
            with store.get_data_range("tables/weather 2025.csv", -11) as stream:
                assert stream.read() == b"Ilvar;11.5\n"
            before = len(host.server.requests())
            assert dict(store.read_many(SMALL)) == SMALL
            asked = [one.target for one in host.server.requests()[before:]]
            assert asked
            assert all(target.startswith("/packs/") for target in asked)
            assert not store.update_index()
            (poll,) = host.server.requests()[before + len(asked) :]
            assert (poll.target, poll.status) == ("/index.head.json", 304)

    def test_a_store_follows_a_change_by_its_change_file(self, host: Host) -> None:
        with StaticStore(host.url, poll_interval=0) as store:
            before = len(host.server.requests())
            new = f"as read from {host.url}".encode()
            (host.folder / "data/small/new.txt").write_bytes(new)
            publish(host.folder, pack=True, browse=True)
            assert [change.key for change in store.update_index()] == ["small/new.txt"]
            asked = [one.target for one in host.server.requests()[before:]]
            assert [target.partition("/")[2].partition("/")[0] for target in asked] == [
                "index.head.json",
                "changes",
            ]
            assert store.to_bytes("small/new.txt") == new
