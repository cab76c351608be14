"""What docs/hosting.md tells of web servers holds on them: they run with its own lines."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import boto3
import botocore.session
import botocore.validate
import pytest
import requests
from playwright.sync_api import Page, sync_playwright

from staticstore import StaticStore, publish
from staticstore.site.push import push
from tests.servers import Apache, Caddy, Nginx, PythonServer, S3Server
from tests.servers.daemon import Daemon
from tests.site.sitefolder import fill, make_site

ROOT = Path(__file__).parents[1]
LINES = ROOT / "docs" / "hosting"
PAGE = (ROOT / "docs" / "hosting.md").read_text("utf-8")
TIMEOUT = 10.0
ORIGIN = "https://elsewhere.example"
BUCKET = "my-bucket"
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


class Bucket(NamedTuple):
    """An empty bucket that nobody but its owner may read."""

    endpoint: str
    url: str
    client: Any


def _nginx(site: Path) -> Nginx:
    return Nginx(site, gzip=True, extra=f"include {LINES}/nginx.conf;")


def _apache(site: Path) -> Apache:
    return Apache(site, compression=True, extra=f'Include "{LINES}/apache.conf"')


def _caddy(site: Path) -> Caddy:
    return Caddy(site, extra=f"encode zstd gzip\n    import {LINES}/Caddyfile")


SERVERS: dict[str, Callable[[Path], Nginx | Apache | Caddy]] = {
    "nginx": _nginx,
    "apache": _apache,
    "caddy": _caddy,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_site(tmp_path_factory.mktemp("site"), VALUES)
    publish(root, pack=True, browse=True)
    fill(root / "data", {"small/new.txt": b"new"})
    publish(root, pack=True, browse=True)  # so that there is a change file, too
    return root


@pytest.fixture(scope="module", params=SERVERS)
def host(request: pytest.FixtureRequest, site: Path) -> Iterator[Host]:
    with SERVERS[request.param](site) as server:
        yield Host(site, server, server.url)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
        session.headers["Origin"] = ORIGIN
        yield session


def _named_by_digest(site: Path) -> list[str]:
    folders = ("index", "blocks", "changes", "packs")
    return [
        path.relative_to(site).as_posix()
        for name in folders
        for path in sorted((site / name).iterdir())
    ]


@pytest.mark.parametrize("key", [key for key in VALUES if not key.startswith("small/")])
def test_a_value_comes_as_its_bytes_whatever_the_client_accepts(
    host: Host, session: requests.Session, key: str
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


def test_head_tells_the_size_of_the_bytes(host: Host, session: requests.Session) -> None:
    answer = session.head(f"{host.url}data/tables/weather%202025.csv", timeout=TIMEOUT)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(TEXT))
    assert answer.headers["Cache-Control"] == "no-cache"


def test_the_site_has_every_kind_of_file_that_is_named_by_its_digest(site: Path) -> None:
    kinds = {(name.partition("/")[0], Path(name).suffix) for name in _named_by_digest(site)}
    assert kinds == {
        ("index", ".json"),
        ("blocks", ".json"),
        ("blocks", ".jsonl"),
        ("changes", ".jsonl"),
        ("packs", ".zip"),
    }


def test_what_is_named_by_its_digest_may_be_kept_for_ever(
    host: Host, session: requests.Session
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
    host: Host, session: requests.Session, path: str
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
    host: Host, session: requests.Session, path: str
) -> None:
    answer = session.get(host.url + path, timeout=TIMEOUT)
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("Cache-Control", "")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_page_of_another_origin_may_ask_for_ranges_and_conditions(
    host: Host, session: requests.Session
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
    assert _list(answer, "Access-Control-Allow-Methods") >= {"get", "head"}
    assert _list(answer, "Access-Control-Allow-Headers") >= set(asked)
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


def test_a_page_of_another_origin_sees_what_it_needs_of_an_answer(
    host: Host, session: requests.Session
) -> None:
    answer = session.get(
        f"{host.url}data/small/000.txt", headers={"Range": "bytes=0-3"}, timeout=TIMEOUT
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert _list(answer, "Access-Control-Expose-Headers") >= {
        "accept-ranges",
        "content-length",
        "content-range",
        "etag",
        "last-modified",
    }
    assert "Access-Control-Allow-Methods" not in answer.headers  # in each answer they would cost


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


def test_a_browser_lets_a_page_of_another_origin_read_ranges(
    host: Host, page: Page, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.html").write_text("<!DOCTYPE html>")
    with PythonServer(tmp_path) as elsewhere:
        page.goto(f"{elsewhere.url}elsewhere.html")
        found = page.evaluate(SCRIPT, f"{host.url}data/tables/weather%202025.csv")
    size = len(TEXT)
    span = f"bytes {size - 11}-{size - 1}/{size}"
    assert found == [True, 206, "Ilvar;11.5\n", span, 304, 404]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed: no browser asks from another origin")
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*options, "--disable-gpu"]
        )
        yield browser.new_page()
        browser.close()


def _list(answer: requests.Response, name: str) -> set[str]:
    return {part.strip().lower() for part in answer.headers[name].split(",")}


def test_what_the_publisher_keeps_for_itself_is_not_served(
    host: Host, session: requests.Session
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


def test_a_store_reads_polls_ranges_and_packs(
    site: Path, tmp_path: Path, host: Host, session: requests.Session
) -> None:
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


def test_a_store_follows_a_change_by_its_change_file(host: Host) -> None:
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


class TestWithoutTheLines:
    """What the page says of servers that compress."""

    def get(self, session: requests.Session, server: Nginx | Apache | Caddy) -> tuple[Any, Any]:
        """Ask for a value and for a part of it, as a client that takes gzip."""
        url = f"{server.url}data/tables/weather%202025.csv"
        session.headers["Accept-Encoding"] = "gzip"
        whole = session.get(url, timeout=TIMEOUT)
        assert (whole.headers["Content-Encoding"], whole.content) == ("gzip", TEXT)
        return whole, session.get(
            url, headers={"Range": "bytes=100-199"}, stream=True, timeout=TIMEOUT
        )

    def test_nginx_ignores_ranges_and_its_tags_are_weak(
        self, site: Path, session: requests.Session
    ) -> None:
        with Nginx(site, gzip=True) as server:
            whole, part = self.get(session, server)
        assert "Content-Length" not in whole.headers
        assert whole.headers["ETag"].startswith("W/")
        assert part.status_code == 200

    def test_apache_gives_ranges_of_compressed_bytes_and_downloads_at_each_poll(
        self, site: Path, session: requests.Session
    ) -> None:
        with Apache(site, compression=True) as server:
            whole, part = self.get(session, server)
            tag = whole.headers["ETag"]
            again = session.get(whole.url, headers={"If-None-Match": tag}, timeout=TIMEOUT)
        assert part.status_code == 206
        assert not part.headers["Content-Range"].endswith(f"/{len(TEXT)}")
        assert tag.endswith('-gzip"')
        assert again.status_code == 200

    def test_caddy_gives_ranges_of_the_plain_bytes(
        self, site: Path, session: requests.Session
    ) -> None:
        with Caddy(site, extra="encode zstd gzip\n    file_server") as server:
            _, part = self.get(session, server)
        assert part.status_code == 206
        assert part.headers["Content-Range"].endswith(f"/{len(TEXT)}")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ali")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")
    with S3Server() as server:
        client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield Bucket(server.url, f"{server.url}/{BUCKET}/", client)


def _json(name: str) -> Any:
    return json.loads((LINES / name).read_bytes())


def test_the_policy_opens_the_site_in_a_bucket_and_nothing_else(
    bucket: Bucket, site: Path, session: requests.Session
) -> None:
    push(site, f"s3://{BUCKET}", endpoint=bucket.endpoint, region="us-east-1")
    bucket.client.put_object(Bucket=BUCKET, Key=".staticstore/push.json", Body=b"{}")
    assert session.get(f"{bucket.url}index.json", timeout=TIMEOUT).status_code == 403
    bucket.client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(_json("s3-policy.json")))
    there = bucket.client.list_objects_v2(Bucket=BUCKET)["Contents"]
    for path in {one["Key"] for one in there} - {".nojekyll", ".staticstore/push.json"}:
        assert session.get(bucket.url + quote(path), timeout=TIMEOUT).status_code == 200
    notes = session.get(f"{bucket.url}.staticstore/push.json", timeout=TIMEOUT)
    assert notes.status_code == 403
    with StaticStore(bucket.url, poll_interval=0) as store:
        assert dict(store.read_many(VALUES)) == VALUES
        assert not store.update_index()


def test_the_rules_of_a_bucket_let_other_origins_see_ranges(
    bucket: Bucket, site: Path, session: requests.Session
) -> None:
    push(site, f"s3://{BUCKET}", endpoint=bucket.endpoint, region="us-east-1")
    bucket.client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(_json("s3-policy.json")))
    bucket.client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=_json("s3-cors.json"))
    answer = session.get(
        f"{bucket.url}data/small/000.txt", headers={"Range": "bytes=0-3"}, timeout=TIMEOUT
    )
    assert answer.status_code == 206
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)
    assert _list(answer, "Access-Control-Expose-Headers") >= {"content-range", "etag"}


@pytest.mark.parametrize(
    ("name", "operation", "parameter"),
    [
        ("cloudfront-cache-policy.json", "CreateCachePolicy", "CachePolicyConfig"),
        (
            "cloudfront-response-headers-policy.json",
            "CreateResponseHeadersPolicy",
            "ResponseHeadersPolicyConfig",
        ),
    ],
)
def test_the_policies_for_cloudfront_are_what_its_interface_takes(
    name: str, operation: str, parameter: str
) -> None:
    service = botocore.session.get_session().get_service_model("cloudfront")
    shape = service.operation_model(operation).input_shape
    report = botocore.validate.ParamValidator().validate({parameter: _json(name)}, shape)
    assert not report.has_errors(), report.generate_report()
    for lists in _objects(_json(name)):
        if "Items" in lists:
            assert lists["Quantity"] == len(lists["Items"])


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _objects(part)


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!https?:)[^)#]+)\)", PAGE))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


@pytest.mark.parametrize("name", sorted(path.name for path in LINES.iterdir()))
def test_the_page_shows_the_lines_that_the_tests_run(name: str) -> None:
    shown = re.findall(
        rf"\]\(hosting/{name}\).*?^```\w*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
    assert shown[:1] == [(LINES / name).read_text("utf-8")]
