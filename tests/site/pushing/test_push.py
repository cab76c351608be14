"""Pushing a site: to a server that speaks S3, and to a folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from staticstore import StaticStore, publish, serve
from staticstore.disk.atomic import TEMPORARY_PATTERN
from staticstore.errors import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    IntegrityError,
    StoreError,
    TransportError,
)
from staticstore.index.snapshot import Index
from staticstore.site.folder.data_file import inert_type
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.predecessor import PublishedAt
from staticstore.site.push import PushReport, push
from staticstore.site.pushing.cloud import CloudTarget, Served
from staticstore.site.pushing.destination import NOTE, PushNote
from staticstore.site.pushing.source import PushSource
from staticstore.site.pushing.target import FolderTarget
from staticstore.transport.buckets.profile import aws_settings
from tests.killing import killed
from tests.servers import RawServer, S3Server
from tests.servers.wire import Request, Wire

from ..sitefolder import fill, index_of, make_site, tree

LARGE = bytes(range(256)) * (36 << 10)  # 9 MiB: more than goes by one request
FILES = {
    "a.csv": b"x\n1\n",
    "b/c d%2f é#1.bin": b"123",
    "large.tif": LARGE,
    "empty": b"",
}
MANY = {f"{number:02}.txt": b"value %d" % number for number in range(40)}
OTHER = b"x\n1\n2\n"  # of another size, for the publisher's notes know sizes and times


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ali")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")


class Bucket:
    """A bucket with a prefix, for one test."""

    def __init__(self, server: S3Server, name: str) -> None:
        self.name = name
        self.target = f"s3://{name}/some/site"
        self.url = server.bucket(name) + "/some/site/"
        self.server = server

    def push(self, site: Path, **options: Any) -> PushReport:
        return push(site, self.target, endpoint=self.server.url, region="eu-central-1", **options)

    def head(self, href: str) -> Any:
        return requests.head(self.url + href, timeout=10).headers

    def written(self) -> list[str]:
        """Return what was written so far, in order."""
        prefix = "some/site/"
        return [
            path.partition("?")[0].removeprefix(prefix)
            for method, path in self.server.requests(self.name)
            if method == "PUT" and "uploadId" not in path
        ]


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest) -> Bucket:
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    return Bucket(server, name)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    publish(folder, pack=True)
    return folder


def values_of(root: str) -> dict[str, bytes]:
    with StaticStore(root, poll_interval=0) as store:
        return {key: store[key].read() for key in store}


def change(site: Path, files: dict[str, bytes], *gone: str) -> None:
    fill(site / "data", files)
    for key in gone:
        (site / "data" / key).unlink()
    publish(site, pack=True, force={"shrink"})


# To S3


def test_a_store_reads_back_what_was_pushed(site: Path, bucket: Bucket) -> None:
    bucket.push(site)
    assert values_of(bucket.url) == FILES


def test_a_checkout_goes_on_from_a_bucket(site: Path, bucket: Bucket, tmp_path: Path) -> None:
    bucket.push(site)
    checkout = tmp_path / "checkout"
    shutil.copytree(site / "data", checkout / "data")
    fill(checkout / "data", {"new.txt": b"new"})
    place = PublishedAt(bucket.target, endpoint=bucket.server.url, region="eu-central-1")
    assert publish(checkout, pack=True, after=place).generation == 2
    assert bucket.push(checkout).failed == []
    assert values_of(bucket.url) == {**FILES, "new.txt": b"new"}


def test_f11_the_sites_own_words_are_text_on_a_bucket(site: Path, bucket: Bucket) -> None:
    (site / "about.toml").write_text('title = "Ilvar"\n')
    (site / "README.md").write_text("<script>alert(1)</script>")
    publish(site, pack=True)
    bucket.push(site)
    with StaticStore(bucket.url, poll_interval=0) as store:
        about = store.about()
    assert about is not None
    assert about["title"] == "Ilvar"
    (href,) = [name for name in bucket.written() if name.startswith("about/")]
    served = {name: bucket.head(name) for name in ("README.md", "about.json", href)}
    assert {name: fields["Content-Type"] for name, fields in served.items()} == {
        "README.md": "text/plain; charset=utf-8",
        "about.json": "application/json",
        href: "application/json",
    }
    assert served["README.md"]["Cache-Control"] == served["about.json"]["Cache-Control"]
    assert "immutable" in served[href]["Cache-Control"]
    assert "immutable" not in served["README.md"]["Cache-Control"]
    assert bucket.push(site).uploaded == []


def test_many_values_are_read_back_from_packs(site: Path, bucket: Bucket) -> None:
    bucket.push(site)
    with StaticStore(bucket.url, poll_interval=0) as store:
        assert dict(store.read_many(store)) == FILES


def test_a_second_push_uploads_nothing(site: Path, bucket: Bucket) -> None:
    bucket.push(site)
    before = bucket.written()
    report = bucket.push(site)
    assert (report.uploaded, report.bytes) == ([], 0)
    assert bucket.written() == before


def test_a_store_that_polls_sees_what_is_pushed(site: Path, bucket: Bucket) -> None:
    change(site, MANY)
    bucket.push(site)
    with StaticStore(bucket.url, poll_interval=0) as store:
        change(site, {"a.csv": OTHER})
        bucket.push(site)
        # moto says "not modified" in the second of a change, but nobody is asked so for ever.
        changes = next(found for _ in range(30) if (found := store.update_index()))
        assert [one.key for one in changes] == ["a.csv"]
        assert store["a.csv"].read() == OTHER
        assert store["large.tif"].range(-7).read() == LARGE[-7:]
    hrefs = {path for method, path in bucket.server.requests(bucket.name) if method == "GET"}
    assert any(path.startswith("some/site/changes/") for path in hrefs)


def test_an_endpoint_of_the_environment_may_be_plain_http(
    site: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.server.url)
    push(site, bucket.target)
    assert values_of(bucket.url) == FILES


def test_a_push_uploads_what_changed_alone(site: Path, bucket: Bucket) -> None:
    bucket.push(site)
    change(site, {"a.csv": OTHER, "new.txt": b"new"})
    data = [href for href in bucket.push(site).uploaded if href.startswith("data/")]
    assert data == ["data/a.csv", "data/new.txt"]
    assert values_of(bucket.url) == {**FILES, "a.csv": OTHER, "new.txt": b"new"}


def test_data_is_written_first_and_the_head_last(site: Path, bucket: Bucket) -> None:
    change(site, MANY)
    bucket.push(site)
    before = len(bucket.written())
    change(site, {"new.txt": b"new"})
    bucket.push(site)
    kinds = [path.partition("/")[0] for path in bucket.written()[before:]]
    assert list(dict.fromkeys(kinds)) == [
        ".staticstore",
        "data",
        "packs",
        "changes",
        "blocks",
        "index",
        "index.json",
        "index.head.json",
    ]


@pytest.mark.parametrize(
    ("href", "media_type", "cache_control"),
    [
        ("data/a.csv", "text/csv", "no-cache"),
        ("data/large.tif", "image/tiff", "no-cache"),
        ("data/empty", "application/octet-stream", "no-cache"),
        ("index.json", "application/json", "no-cache"),
        ("index.head.json", "application/json", "no-cache"),
        ("packs/*", "application/zip", "public, max-age=31536000, immutable"),
        ("index/*", "application/json", "public, max-age=31536000, immutable"),
    ],
)
def test_files_are_served_as_what_they_are(
    site: Path, bucket: Bucket, href: str, media_type: str, cache_control: str
) -> None:
    bucket.push(site)
    if href.endswith("*"):
        (found,) = site.glob(href)
        href = found.relative_to(site).as_posix()
    headers = bucket.head(href)
    assert (headers["Content-Type"], headers["Cache-Control"]) == (media_type, cache_control)


def test_what_is_said_of_the_media_type_in_the_index_counts(tmp_path: Path, bucket: Bucket) -> None:
    site = make_site(tmp_path / "site", {"a.geojson": b"{}"})
    publish(site)
    bucket.push(site)
    said = index_of(site)["a.geojson"]["media_type"]
    assert bucket.head("data/a.geojson")["Content-Type"] == said


ACTIVE = {"a.html": b"<p>", "a.svg": b"<svg/>", "a.xml": b"<a/>", "a.js": b"1", "a.kml": b"<k/>"}
TEXT = "text/plain; charset=utf-8"


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "pages", {**ACTIVE, "a.png": b"1", "a.csv": b"1"})
    publish(folder, browse=True)
    return folder


def test_f11_a_push_serves_what_browsers_run_as_text(pages: Path, bucket: Bucket) -> None:
    report = bucket.push(pages)
    assert {bucket.head(f"data/{key}")["Content-Type"] for key in ACTIVE} == {TEXT}
    assert bucket.head("data/a.png")["Content-Type"] == "image/png"
    assert bucket.head("data/a.csv")["Content-Type"] == "text/csv"
    assert sorted(report.inert) == sorted(f"data/{key}" for key in ACTIVE)
    assert values_of(bucket.url).keys() == index_of(pages).keys()


def test_f11_but_as_what_it_is_if_that_is_asked_for(pages: Path, bucket: Bucket) -> None:
    report = bucket.push(pages, active=True)
    assert bucket.head("data/a.html")["Content-Type"] == "text/html"
    assert bucket.head("data/a.svg")["Content-Type"] == "image/svg+xml"
    assert report.inert == []


def test_f11_the_page_of_the_site_is_no_value(pages: Path, bucket: Bucket) -> None:
    bucket.push(pages)
    assert bucket.head("index.html")["Content-Type"].startswith("text/html")


def test_f11_a_value_that_stands_there_keeps_its_type(pages: Path, bucket: Bucket) -> None:
    bucket.push(pages)
    assert bucket.push(pages, active=True).uploaded == []
    assert bucket.head("data/a.html")["Content-Type"] == TEXT


def test_a_dry_run_tells_what_would_be_text(pages: Path, bucket: Bucket) -> None:
    assert len(bucket.push(pages, dry_run=True).inert) == len(ACTIVE)


def test_the_host_of_a_folder_chooses_types_itself(pages: Path, tmp_path: Path) -> None:
    assert push(pages, tmp_path / "host").inert == []


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html", "TEXT/HTML", "text/html; charset=utf-8", "text/html ;x", "text/html\t;x",
        "application/xhtml+xml", "image/svg+xml", "Image/SVG+xml;x=y", "text/xml",
        "application/xml", "application/gml+xml", "application/vnd.google-earth.kml+xml",
        "application/rss+xml", "x/y+xml", "text/xsl", "application/xml-external-parsed-entity",
        "text/javascript", "application/javascript", "application/x-javascript", "text/ecmascript",
        "application/ecmascript", "text/javascript1.5", "text/jscript", "text/livescript",
        "text/x-ecmascript",
    ],
)  # fmt: skip
def test_f11_what_browsers_run_is_text(media_type: str) -> None:
    assert inert_type(media_type) == TEXT


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain;x, text/html", "image/png; a=b,text/html", "*/*", "unknown/unknown",
        "application/unknown", "multipart/x-mixed-replace; boundary=x", "multipart/related",
        "message/rfc822",
    ],
)  # fmt: skip
def test_f11_what_browsers_guess_at_is_bytes(media_type: str) -> None:
    assert inert_type(media_type) == "application/octet-stream"


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain", "text/csv; header=present", "application/json", "application/geo+json",
        "image/png", "image/tiff; application=geotiff", "application/x-netcdf", "application/pdf",
        "text/markdown", "application/vnd.ms-excel", "application/wasm", "text/css",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ],
)  # fmt: skip
def test_other_types_stay_as_they_are(media_type: str) -> None:
    assert inert_type(media_type) == media_type


def test_a_dry_run_tells_all_and_writes_nothing(site: Path, bucket: Bucket) -> None:
    told = bucket.push(site, dry_run=True)
    assert bucket.written() == []
    done = bucket.push(site)
    assert (told.uploaded, told.bytes) == (done.uploaded, done.bytes)


def test_what_the_site_has_no_more_stays_unless_it_is_to_be_deleted(
    site: Path, bucket: Bucket
) -> None:
    bucket.push(site)
    change(site, {}, "a.csv")
    report = bucket.push(site)
    assert (report.deleted, report.left) == ([], 1)
    assert requests.get(bucket.url + "data/a.csv", timeout=10).content == FILES["a.csv"]


def test_what_was_left_by_one_push_is_deleted_by_a_later_one(site: Path, bucket: Bucket) -> None:
    bucket.push(site)
    change(site, {}, "a.csv")
    bucket.push(site)
    assert bucket.push(site, delete=True).deleted == ["data/a.csv"]
    assert requests.get(bucket.url + "data/a.csv", timeout=10).status_code == 404
    note = PushNote.parse(requests.get(bucket.url + NOTE, timeout=10).content)
    assert not note.overwritten | note.left


@pytest.mark.parametrize("large", [False, True])
def test_a_large_file_that_is_another_than_the_index_says_is_not_uploaded(
    site: Path, bucket: Bucket, large: bool
) -> None:
    key = "large.tif" if large else "a.csv"
    bend(site, key)
    report = bucket.push(site)
    ((href, reason),) = report.failed
    assert href == f"data/{key}"
    assert "sha256" in reason
    assert requests.get(bucket.url + href, timeout=10).status_code == 404
    assert requests.get(bucket.url + "index.json", timeout=10).status_code == 404


@pytest.mark.parametrize("count", range(12))
def test_a_push_that_breaks_off_leaves_a_site_that_can_be_read(
    site: Path, bucket: Bucket, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.push(site)
    change(site, {"new.txt": b"new"}, "empty")
    with monkeypatch.context() as patch, contextlib.suppress(TransportError):
        break_off(patch, count)
        bucket.push(site, delete=True, workers=1)
    wanted = {**FILES, "new.txt": b"new"}
    del wanted["empty"]
    assert values_of(bucket.url) in (FILES, wanted)
    bucket.push(site, delete=True)
    assert values_of(bucket.url) == wanted
    assert requests.get(bucket.url + "data/empty", timeout=10).status_code == 404


def break_off(patch: pytest.MonkeyPatch, count: int) -> None:
    """Let the line be cut before a write."""
    original = CloudTarget.write
    writes = iter(range(1000))

    def write(self: CloudTarget, *arguments: Any) -> None:
        if next(writes) == count:
            raise TransportError("cut")
        original(self, *arguments)

    patch.setattr(CloudTarget, "write", write)


def bend(site: Path, key: str) -> None:
    """Change a byte of a file so that size and time, which the notes know, stay."""
    path = site / "data" / key
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# What is said when it cannot be done


def test_no_bucket_is_told(site: Path, server: S3Server) -> None:
    with pytest.raises(HTTPStatusError, match="NoSuchBucket") as caught:
        push(site, "s3://nowhere/site", endpoint=server.url)
    assert caught.value.status == 404


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (401, "Unauthorized")])
def test_no_permission_is_an_authorization_error_without_a_secret(
    site: Path, start: Any, status: int, code: str
) -> None:
    def refuse(request: Request, wire: Wire) -> None:
        body = f"<Error><Code>{code}</Code><Message>open-sesame</Message></Error>".encode()
        wire.response(status, body)

    server: RawServer = start(refuse)
    with pytest.raises(AuthorizationError) as caught:
        push(site, "s3://bucket/site", endpoint=server.url)
    assert caught.value.status == status
    assert code in str(caught.value)
    assert "sesame" not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None


def test_a_host_that_is_not_there_is_a_transport_error(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.CLOUD_RETRIES", 0)
    with pytest.raises(TransportError, match="cannot be reached"):
        push(site, "s3://bucket/site", endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize(
    "target",
    [
        "ftp://host/site",
        "s3:/bucket/site",
        "s3:bucket/site",
        "ali@host.example.org:/srv/site",
        "s3://key:open-sesame@bucket/site",
        "s3://bucket/site?sig=open-sesame",
        "s3:///site",
        "gs://[bucket",
    ],
)
def test_what_is_no_target_is_refused_without_showing_a_secret(site: Path, target: str) -> None:
    with pytest.raises(StoreError, match="target") as caught:
        push(site, target)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("gs://bucket/site", {"endpoint": "http://127.0.0.1"}),
        ("az://container/site", {"region": "here"}),
        ("folder", {"anonymous": True}),
        ("az://container/site", {}),
    ],
)
def test_options_that_a_target_does_not_have_are_refused(
    site: Path, target: str, options: dict[str, Any]
) -> None:
    with pytest.raises(StoreError):
        push(site, target, **options)


def test_without_obstore_the_error_names_the_extra(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreError, match="the extra `cloud` brings"):
        push(site, "s3://bucket/site")


# Who we are


def test_keys_are_found_in_the_files_of_a_profile(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = other\n"
        "[ali]\naws_access_key_id = ali\naws_secret_access_key = open%sesame\n"
    )
    (tmp_path / ".aws" / "config").write_text("[profile ali]\nregion = eu-central-1\n")
    assert aws_settings({"HOME": str(tmp_path), "AWS_PROFILE": "ali"}) == {
        "access_key_id": "ali",
        "secret_access_key": "open%sesame",
        "region": "eu-central-1",
    }


def test_the_environment_goes_before_the_files(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\naws_access_key_id = other\n")
    assert aws_settings({"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "ali"}) == {}


def test_a_file_that_cannot_be_understood_is_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("open-sesame")
    with pytest.raises(StoreError, match="cannot be parsed") as caught:
        aws_settings({"HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": str(file)})
    assert "sesame" not in str(caught.value)
    assert caught.value.__cause__ is None


# To a folder


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return tmp_path / "host" / "site"


def test_a_store_follows_from_push_to_push_by_the_change_files(site: Path, host: Path) -> None:
    change(site, MANY)
    push(site, host)
    with serve(host, port=0) as server, StaticStore(server.url, poll_interval=0) as store:
        change(site, {"a.csv": OTHER})
        push(site, host)
        assert [one.key for one in store.update_index()] == ["a.csv"]
        assert store["a.csv"].read() == OTHER


def test_a_folder_is_a_site_after_a_push(site: Path, host: Path) -> None:
    push(site, host)
    assert values_of(str(host)) == FILES
    assert (host / ".nojekyll").exists()


def test_a_file_url_is_a_folder(site: Path, host: Path) -> None:
    push(site, host.as_uri())
    assert values_of(str(host)) == FILES


def test_nothing_private_but_the_lock_stands_there_after_a_push(site: Path, host: Path) -> None:
    push(site, host)
    assert [path.name for path in (host / ".staticstore").iterdir()] == ["lock"]


def test_nothing_is_written_when_nothing_has_changed(site: Path, host: Path) -> None:
    push(site, host)
    before = tree(host)
    push(site, host)
    assert tree(host) == before


def test_the_page_is_pushed_when_it_changes(site: Path, host: Path) -> None:
    push(site, host)
    (site / "index.html").write_text("<title>page</title>")
    assert push(site, host).uploaded == ["index.html"]
    assert push(site, host).uploaded == []


def test_a_page_of_somebody_else_stays_where_no_site_stands_yet(site: Path, host: Path) -> None:
    publish(site, pack=True, browse=True)
    host.mkdir(parents=True)
    (host / "index.html").write_text("<title>Welcome</title>")
    with pytest.raises(StoreError, match=r"index\.html"):
        push(site, host)
    assert (host / "index.html").read_text() == "<title>Welcome</title>"
    assert not (host / "data").exists()
    push(site, host, force=True)
    assert (host / "index.html").read_bytes() == (site / "index.html").read_bytes()


def test_a_file_that_cannot_be_written_is_told_and_the_others_are_done(
    site: Path, host: Path
) -> None:
    (host / "data" / "a.csv").mkdir(parents=True)
    report = push(site, host)
    ((href, reason),) = report.failed
    assert (href, "cannot be written" in reason) == ("data/a.csv", True)
    assert (host / "data" / "large.tif").exists()
    assert not (host / "index.json").exists()


def test_a_value_of_a_push_that_broke_off_is_deleted_if_it_never_came_to_be_named(
    site: Path, host: Path
) -> None:
    push(site, host)
    change(site, {"new.txt": b"new", "a.csv": OTHER})
    bend(site, "a.csv")
    assert push(site, host).failed
    assert PushNote.parse((host / NOTE).read_bytes()).stored.keys() == {"data/new.txt"}
    assert (host / "data" / "new.txt").exists()
    change(site, {"a.csv": b"x\n"}, "new.txt")
    assert push(site, host, delete=True).deleted == ["data/new.txt"]
    assert not (host / "data" / "new.txt").exists()
    assert noted(host) == set()


def noted(host: Path) -> frozenset[str]:
    """Return the keys of which an index at a target does not tell all."""
    note = PushNote.parse((host / NOTE).read_bytes())
    return note.overwritten | note.left


def digest_named(host: Path) -> set[str]:
    folders = ("index", "blocks", "changes", "packs")
    return {
        path.relative_to(host).as_posix() for name in folders for path in host.glob(f"{name}/*")
    }


def pass_by(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    now = time.time() + hours * 3600
    monkeypatch.setattr(time, "time", lambda: now)


def test_what_no_index_names_any_more_is_deleted_a_day_later(
    site: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(site, MANY)
    push(site, host)
    first = digest_named(host)
    change(site, {key: value * 2 for key, value in MANY.items()})
    push(site, host)
    old = first - {one.href for one in PushSource.open(site).digest_named()}
    assert {href.partition("/")[0] for href in old} == {"index", "blocks", "packs"}
    assert push(site, host, delete=True).deleted == []
    pass_by(monkeypatch, 25)
    report = push(site, host)
    assert (report.left, report.uploaded) == (len(old), [])
    assert push(site, host, delete=True, dry_run=True).deleted == sorted(old)
    assert old <= digest_named(host)
    assert push(site, host, delete=True).deleted == sorted(old)
    assert digest_named(host) == {one.href for one in PushSource.open(site).digest_named()}
    assert not (host / NOTE).exists()


def test_what_was_uploaded_and_never_named_is_deleted_too(
    site: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(site, host)
    change(site, {"a.csv": OTHER})
    push_and_break_off(monkeypatch, site, host, "index.json")
    change(site, {"a.csv": b"x\n"})
    push(site, host)
    pass_by(monkeypatch, 25)
    push(site, host, delete=True)
    assert digest_named(host) == {one.href for one in PushSource.open(site).digest_named()}


def test_the_day_begins_when_the_new_head_stands(
    site: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push broke off long ago; the target's head still named what it was to forget."""
    push(site, host)
    old = digest_named(host)
    change(site, {"a.csv": OTHER})
    push_and_break_off(monkeypatch, site, host, "index.json")
    pass_by(monkeypatch, 25)
    assert push(site, host, delete=True).deleted == []
    assert old <= digest_named(host)


def test_a_note_deletes_nothing_that_is_not_named_by_its_digest(site: Path, host: Path) -> None:
    push(site, host)
    (host / NOTE).write_text(
        '{"format":"staticstore-push/1","forgotten":{"index.json":0,"data/a.csv":0,"../x":0,'
        f'"index/{"0" * 64}.json":"yesterday"}}}}'
    )
    assert push(site, host, delete=True).deleted == []
    assert values_of(str(host)) == FILES


def refuse(patch: pytest.MonkeyPatch, prefix: str) -> None:
    """Let a push to a folder break off where it comes to some file."""
    original = FolderTarget.write

    def write(self: FolderTarget, href: str, *arguments: Any) -> None:
        if href.startswith(prefix):
            raise TransportError("cut")
        original(self, href, *arguments)

    patch.setattr(FolderTarget, "write", write)


def push_and_break_off(
    monkeypatch: pytest.MonkeyPatch, site: Path, host: Path, prefix: str, *, workers: int = 8
) -> None:
    """Push, and break off at some file."""
    with monkeypatch.context() as patch:
        refuse(patch, prefix)
        with pytest.raises(TransportError):
            push(site, host, workers=workers)


def test_progress_comes_to_its_end(site: Path, host: Path) -> None:
    seen: list[tuple[int, int]] = []
    push(site, host, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] >= len(LARGE)


def test_a_site_that_was_never_published_is_refused(tmp_path: Path, host: Path) -> None:
    site = make_site(tmp_path / "other", {"a.txt": b"a"})
    with pytest.raises(StoreError, match="publish it first"):
        push(site, host)
    assert not host.exists()


@pytest.mark.parametrize(("key", "value"), [("a.csv", OTHER), ("new.txt", b"new"), ("empty", None)])
def test_a_site_that_changed_since_it_was_published_is_refused(
    site: Path, host: Path, key: str, value: bytes | None
) -> None:
    if value is None:
        (site / "data" / key).unlink()
    else:
        (site / "data" / key).write_bytes(value)
    with pytest.raises(StoreError, match=rf"data/{key}.*Publish it again"):
        push(site, host)
    assert not host.exists()


def test_a_site_whose_head_names_another_index_is_refused(site: Path, host: Path) -> None:
    old = (site / "index.head.json").read_bytes()
    change(site, {"a.csv": OTHER})
    (site / "index.head.json").write_bytes(old)
    with pytest.raises(StoreError, match="another index"):
        push(site, host)


def test_a_pack_that_leads_out_of_the_site_is_not_pushed(site: Path) -> None:
    outside = Index.from_entries({"a": {"packed": ["../secret.zip", 0]}})
    assert list(replace(PushSource.open(site), index=outside).packs()) == []


@pytest.mark.parametrize("below", ["", "data", "not/there/yet", "data/not/there/yet"])
def test_a_target_that_is_the_site_or_in_it_is_refused(site: Path, below: str) -> None:
    before = tree(site)
    with pytest.raises(StoreError, match="the site itself"):
        push(site, site / below)
    assert tree(site) == before


def test_a_push_that_broke_off_goes_on_where_it_was(
    site: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.PUSH_NOTE_SECONDS", 0.0)
    push_and_break_off(monkeypatch, site, host, "data/large", workers=1)
    again = push(site, host)
    assert "data/a.csv" not in again.uploaded
    assert again.kept >= 1
    assert values_of(str(host)) == FILES
    assert not (host / NOTE).exists()


def test_what_a_push_that_broke_off_stored_is_not_believed_after_it_was_replaced(
    site: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.PUSH_NOTE_SECONDS", 0.0)
    push_and_break_off(monkeypatch, site, host, "data/large", workers=1)
    change(site, {"a.csv": OTHER})
    with monkeypatch.context() as patch:
        refuse(patch, "data/large")
        patch.setattr("staticstore.tuning.PUSH_NOTE_SECONDS", 1e9)
        with pytest.raises(TransportError):
            push(site, host, workers=1)
    change(site, {"a.csv": FILES["a.csv"]})
    push(site, host)
    assert values_of(str(host)) == FILES


def test_what_broke_off_and_was_never_named_can_be_deleted_however_often_it_broke_off(
    site: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.PUSH_NOTE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        refuse(patch, "data/large")
        for _ in range(2):
            with pytest.raises(TransportError):
                push(site, host, workers=1)
    change(site, {}, "a.csv")
    assert push(site, host, delete=True).deleted == ["data/a.csv"]


def test_what_a_killed_push_left_half_written_goes(site: Path, host: Path) -> None:
    (host / "data").mkdir(parents=True)
    (host / "data" / TEMPORARY_PATTERN.replace("*", "0123")).write_bytes(b"half")
    push(site, host)
    assert values_of(str(host)) == FILES
    assert not list(host.rglob(TEMPORARY_PATTERN))


def test_two_pushes_to_one_folder_do_not_run_at_once(site: Path, host: Path) -> None:
    (host / ".staticstore").mkdir(parents=True)
    with SiteFolder(host).locked():
        assert push(site, host, dry_run=True).uploaded
        with pytest.raises(StoreError, match="another publish, mirror or push"):
            push(site, host)
    push(site, host)


def test_an_index_that_is_none_is_not_overwritten(site: Path, host: Path) -> None:
    host.mkdir(parents=True)
    (host / "index.json").write_text("<html>")
    with pytest.raises(IndexFormatError):
        push(site, host)
    assert (host / "index.json").read_text() == "<html>"


def test_an_older_copy_is_not_pushed_over_a_newer_one(site: Path, host: Path) -> None:
    push(site, host)
    old = {name: (site / name).read_bytes() for name in ("index.json", "index.head.json")}
    change(site, {"a.csv": OTHER})
    push(site, host)
    fill(site / "data", {"a.csv": FILES["a.csv"]})
    for name, body in old.items():
        (site / name).unlink()
        (site / name).write_bytes(body)
    with pytest.raises(StoreError, match="generation 2"):
        push(site, host)
    push(site, host, force=True)
    assert values_of(str(host)) == FILES


def test_f8_a_push_that_leaves_no_value_is_refused_and_writes_nothing(
    site: Path, host: Path
) -> None:
    push(site, host)
    change(site, {}, *FILES)
    before = tree(host)
    with pytest.raises(StoreError, match=r"leave 0 of 4 entries.*--force=shrink"):
        push(site, host)
    assert tree(host) == before
    assert len(push(site, host, delete=True, force={"shrink"}).deleted) == 4
    assert not (host / "data").exists()


def test_f8_an_empty_index_does_not_delete_in_two_steps_either(site: Path, host: Path) -> None:
    push(site, host)
    change(site, {}, *FILES)
    push(site, host, force={"shrink"})
    with pytest.raises(StoreError, match="would leave 0 of 4 entries"):
        push(site, host, delete=True)


def test_nothing_is_written_through_a_link(site: Path, host: Path, tmp_path: Path) -> None:
    host.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (host / "data").symlink_to(tmp_path / "elsewhere")
    report = push(site, host)
    assert all("link" in reason for _, reason in report.failed)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_push_that_was_killed_is_made_up_for_even_if_the_value_came_back(
    site: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value was replaced at the target, and then the publisher took its change back."""
    push(site, host)
    change(site, {"a.csv": OTHER})
    push_and_break_off(monkeypatch, site, host, "index/")
    with pytest.raises(IntegrityError):
        values_of(str(host))
    change(site, {"a.csv": FILES["a.csv"]})
    push(site, host)
    assert values_of(str(host)) == FILES
    assert noted(host) == set()


def test_killed_at_any_instant_it_leaves_a_site_and_the_next_push_ends_well(
    tmp_path: Path, host: Path, memory_path: Path
) -> None:
    before = {"a.csv": b"x\n1\n", "b": b"b", "c": b"c", "d": b"d"}
    site = make_site(tmp_path / "small", before)
    publish(site, pack=True)
    push(site, host)
    change(site, {"new.txt": b"new"}, "b")
    after = {**before, "new.txt": b"new"}
    del after["b"]
    count = killed("tests.site.killed_push", site, host, memory_path)
    assert count > 20
    for number in range(count + 1):
        copy = memory_path / str(number)
        assert values_of(str(copy)) in (before, after)
        push(site, copy, delete=True)
        assert values_of(str(copy)) == after
        assert not (copy / "data" / "b").exists()


def test_an_interrupt_ends_the_threads(site: Path, host: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(site, host, progress=interrupt)
    for thread in threading.enumerate():
        if thread.name == "staticstore push":
            thread.join(10)
            assert not thread.is_alive()
    assert not (host / "index.json").exists()


def test_b6_a_key_of_many_segments_is_pushed_to_a_folder_and_removed(tmp_path: Path) -> None:
    target, href = FolderTarget(tmp_path), "data/" + "a/" * 1200 + "b"
    target.write(href, 1, iter([b"1"]), Served("text/plain", "no-cache"))
    assert target.read(href) == b"1"
    target.remove([href])
    assert list(tmp_path.iterdir()) == []


# What cannot be done


def test_a_number_of_workers_that_is_none_is_refused(site: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be 1 or more"):
        push(site, tmp_path / "host", workers=0)


def test_a_folder_whose_index_is_no_file_is_not_pushed_to(site: Path, tmp_path: Path) -> None:
    (tmp_path / "host" / "index.json").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"index\.json' cannot be read"):
        push(site, tmp_path / "host")


def test_a_pack_that_is_gone_is_not_pushed(site: Path, tmp_path: Path) -> None:
    for pack in site.glob("packs/*.zip"):
        pack.unlink()
    with pytest.raises(StoreError, match=r"packs/.* cannot be read"):
        push(site, tmp_path / "host")
