"""`publish(after=...)`: a fresh checkout goes on from the head that is published."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    AuthorizationError,
    IndexFormatError,
    IntegrityError,
    StaticStore,
    StoreError,
    TransportError,
    publish,
    push,
    serve,
)
from staticstore.cli import run as cli
from staticstore.index.head import Head
from staticstore.site.guards import RefusedError
from staticstore.site.predecessor import PublishedAt
from staticstore.site.publisher import verify_site
from tests.servers import RawServer, Request, Wire, serve_files
from tests.transport.buckets.conftest import environment  # noqa: F401

from .sitefolder import fill, make_site, tree

FILES = {f"{number:02}.txt": b"%d" % number * 50 for number in range(40)}


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """What is published: the third generation of a site."""
    site = make_site(tmp_path / "origin", FILES)
    publish(site)
    for value in (b"second", b"third"):
        fill(site / "data", {"00.txt": value})
        publish(site)
    return site


@pytest.fixture
def checkout(origin: Path, tmp_path: Path) -> Path:
    """The data alone, at other times."""
    checkout = tmp_path / "checkout"
    shutil.copytree(origin / "data", checkout / "data", copy_function=shutil.copyfile)
    return checkout


@pytest.fixture
def url(origin: Path) -> Iterator[str]:
    with serve(origin, port=0) as server:
        yield server.url


def head_of(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def edit_head(site: Path, **fields: Any) -> None:
    head = json.loads((site / "index.head.json").read_bytes())
    (site / "index.head.json").write_text(json.dumps({**head, **fields}))


# What goes on


@pytest.mark.parametrize("generation", [2**63 - 2, 2**63 - 1])
def test_f1_after_the_last_generation_a_lineage_begins(
    origin: Path, checkout: Path, generation: int
) -> None:
    edit_head(origin, generation=generation)
    fill(checkout / "data", {"new.txt": b"new"})
    publish(checkout, after=origin)
    is_last = generation == 2**63 - 1
    assert head_of(checkout).generation == (1 if is_last else generation + 1)
    assert (head_of(checkout).lineage != head_of(origin).lineage) == is_last
    assert verify_site(checkout).wrong == []


@pytest.mark.parametrize("where", ["url", "path", "file"])
def test_a_fresh_checkout_keeps_lineage_and_counts_on(
    origin: Path, checkout: Path, url: str, where: str
) -> None:
    fill(checkout / "data", {"new.txt": b"new"})
    after = {"url": url, "path": str(origin), "file": origin.as_uri()}[where]
    report = publish(checkout, after=after)
    head, before = head_of(checkout), head_of(origin)
    assert (report.set, report.updated, report.deleted) == (["new.txt"], [], [])
    assert (head.lineage, head.generation) == (before.lineage, before.generation + 1)
    assert verify_site(checkout).wrong == []


def test_a_reader_goes_on_by_a_change_file(origin: Path, checkout: Path) -> None:
    fill(checkout / "data", {"new.txt": b"new"})
    publish(checkout, after=origin)
    with StaticStore(origin, poll_interval=0) as store:
        push(checkout, origin)
        shutil.rmtree(origin / "index")  # so that there is no other way
        (origin / "index.json").write_bytes(b"gone")
        shutil.rmtree(origin / "blocks")
        assert [change.key for change in store.update_index()] == ["new.txt"]


def test_older_readers_still_find_their_change_file(origin: Path, checkout: Path) -> None:
    before = head_of(origin)
    fill(checkout / "data", {"new.txt": b"new"})
    publish(checkout, after=origin)
    origins = {one for span in head_of(checkout).change_files for one in span.origins}
    assert {one for span in before.change_files for one in span.origins} < origins


def test_a_checkout_that_is_as_published_has_the_same_head_and_documents(
    origin: Path, checkout: Path
) -> None:
    report = publish(checkout, after=origin)
    assert (report.set, report.updated, report.deleted) == ([], [], [])
    assert head_of(checkout) == head_of(origin)
    assert (checkout / "index.json").read_bytes() == (origin / "index.json").read_bytes()
    assert verify_site(checkout).wrong == []


@pytest.mark.parametrize("said", ["carried", "absent", "false"])
@pytest.mark.parametrize("changes", [True, False])
def test_the_sum_is_right_whatever_the_published_head_says(
    origin: Path, checkout: Path, said: str, changes: bool
) -> None:
    index = json.loads((origin / "index.head.json").read_bytes())["index"]
    total = index.pop("sum")
    edit_head(
        origin, index=index | {"carried": {"sum": total}, "false": {"sum": "0" * 32}}.get(said, {})
    )
    if changes:
        fill(checkout / "data", {"new.txt": b"new"})
    publish(checkout, after=origin)
    assert head_of(checkout).sum is not None
    assert verify_site(checkout).wrong == []


def test_words_go_on_as_well(origin: Path, checkout: Path) -> None:
    for site in (origin, checkout):
        (site / "about.toml").write_text('title = "Ilvar"\n')
    publish(origin)
    assert publish(checkout, after=origin).generation == 4
    assert head_of(checkout) == head_of(origin)
    assert verify_site(checkout).wrong == []


def test_other_words_alone_make_a_generation_with_the_change_files(
    origin: Path, checkout: Path
) -> None:
    (checkout / "about.toml").write_text('title = "Ilvar"\n')
    assert publish(checkout, after=origin).generation == 4
    before, after = head_of(origin), head_of(checkout)
    assert (after.lineage, after.index, after.change_files) == (
        before.lineage,
        before.index,
        before.change_files,
    )
    assert verify_site(checkout).wrong == []
    assert push(checkout, origin).failed == []


def test_a_push_to_where_it_went_on_from_is_no_other_lineage(
    origin: Path, checkout: Path, url: str
) -> None:
    fill(checkout / "data", {"new.txt": b"new"})
    with pytest.raises(RefusedError, match="--after"):
        publish(checkout)
        push(checkout, origin)
    (checkout / "index.head.json").unlink()
    publish(checkout, after=url)
    assert push(checkout, origin).failed == []
    assert verify_site(origin).wrong == []


def test_an_empty_site_goes_on_too(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {})
    publish(site)
    checkout = make_site(tmp_path / "checkout", {})
    publish(checkout, after=site)
    assert head_of(checkout) == head_of(site)


@pytest.mark.parametrize("gone", ["index", "blocks", "changes"])
def test_what_the_host_has_lost_is_done_without(origin: Path, checkout: Path, gone: str) -> None:
    shutil.rmtree(origin / gone)
    fill(checkout / "data", {"new.txt": b"new"})
    publish(checkout, after=origin)
    assert head_of(checkout).generation == 4
    assert verify_site(checkout).wrong == []


def test_the_folders_own_later_head_counts(origin: Path, tmp_path: Path) -> None:
    later = Path(shutil.copytree(origin, tmp_path / "later"))
    fill(later / "data", {"new.txt": b"new"})
    publish(later)
    fill(later / "data", {"newer.txt": b"newer"})
    report = publish(later, after=origin)
    assert (report.set, report.generation) == (["newer.txt"], 5)


def test_a_later_published_head_counts_before_the_folders_own(origin: Path, tmp_path: Path) -> None:
    earlier = Path(shutil.copytree(origin, tmp_path / "earlier"))
    fill(origin / "data", {"new.txt": b"new"})
    publish(origin)
    fill(earlier / "data", {"new.txt": b"new", "newer.txt": b"newer"})
    report = publish(earlier, after=origin)
    assert (report.set, report.generation) == (["newer.txt"], 5)
    assert verify_site(earlier).wrong == []


def test_nothing_there_is_a_first_publish_and_said(checkout: Path, tmp_path: Path) -> None:
    report = publish(checkout, after=tmp_path / "nothing")
    assert report.generation == 1
    assert any("there is no published site" in warning for warning in report.warnings)


def test_credentials_are_for_the_host(checkout: Path, origin: Path) -> None:
    with serve(origin, port=0, auth=("ali", "sesame")) as server:
        before = tree(checkout)
        with pytest.raises(AuthorizationError) as caught:
            publish(checkout, after=PublishedAt(server.url, auth=("ali", "wrong-secret")))
        assert tree(checkout) == before
        assert "secret" not in str(caught.value)
        publish(checkout, after=PublishedAt(server.url, auth=("ali", "sesame")))
    assert "sesame" not in repr(PublishedAt("x", auth=("ali", "sesame")))
    assert head_of(checkout) == head_of(origin)


KEY = ("AKIDEXAMPLE", "open-sesame")


@pytest.fixture
def bucket(origin: Path) -> Iterator[RawServer]:
    """A host with a bucket that takes signed requests only."""
    files = {
        f"maps/site/{path.relative_to(origin).as_posix()}": path.read_bytes()
        for path in origin.rglob("*")
        if path.is_file()
    }
    site = serve_files(files)

    def signed(request: Request, wire: Wire) -> None:
        is_signed = "Credential=AKIDEXAMPLE/" in request.headers.get("Authorization", "")
        (site if is_signed else _refuse)(request, wire)

    with RawServer(signed, heads=True) as server:
        yield server


def _refuse(request: Request, wire: Wire) -> None:
    wire.response(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>")


def test_a_bucket_is_read_as_by_a_store_with_the_credentials_given(
    checkout: Path, origin: Path, bucket: RawServer
) -> None:
    place: dict[str, Any] = {"endpoint": bucket.url, "region": "eu-west-3"}
    before = tree(checkout)
    with pytest.raises(AuthorizationError, match="does not know the access key"):
        publish(checkout, after=PublishedAt("s3://maps/site", auth=("other", "key"), **place))
    with pytest.raises(AuthorizationError, match="no credentials were found"):
        publish(checkout, after=PublishedAt("s3://maps/site", **place))
    assert tree(checkout) == before
    publish(checkout, after=PublishedAt("s3://maps/site", auth=KEY, **place))
    assert head_of(checkout) == head_of(origin)


def test_the_command_reads_a_bucket_with_the_credentials_given(
    checkout: Path, origin: Path, bucket: RawServer
) -> None:
    arguments = ["publish", str(checkout), "--after", "s3://maps/site", "--auth", ":".join(KEY)]
    assert cli([*arguments, "--endpoint", bucket.url, "--region", "eu-west-3"]) == 0
    assert head_of(checkout) == head_of(origin)


# What is refused, and then nothing is written


def test_another_lineage_in_the_folder_is_refused(origin: Path, checkout: Path) -> None:
    publish(checkout)
    before = tree(checkout)
    with pytest.raises(RefusedError, match=r"remove index\.head\.json"):
        publish(checkout, after=origin)
    assert tree(checkout) == before
    publish(checkout, after=origin, force={"lineage"})
    assert head_of(checkout) == head_of(origin)


def test_f13_an_empty_checkout_is_refused_by_what_is_published(
    origin: Path, tmp_path: Path
) -> None:
    empty = make_site(tmp_path / "empty", {})
    with pytest.raises(RefusedError, match="would leave 0 of 40 entries"):
        publish(empty, after=origin)
    assert not (empty / "index.json").exists()


def test_a_dry_run_writes_nothing(origin: Path, checkout: Path) -> None:
    before = tree(checkout)
    assert publish(checkout, after=origin, dry_run=True).generation == 3
    assert tree(checkout) == before


def _page(site: Path) -> None:
    (site / "index.head.json").write_bytes(b"<html>every path has this page</html>")


def _large(site: Path) -> None:
    (site / "index.head.json").write_bytes(b" " * 5000)


def _other_index(site: Path) -> None:
    shutil.rmtree(site / "index")
    (site / "index.json").unlink()
    (site / "index.json").write_bytes(b"{}")


def _path_as_href(site: Path) -> None:
    head = json.loads((site / "index.head.json").read_bytes())
    edit_head(site, index={**head["index"], "href": "../../secret"})


def _huge_index(site: Path) -> None:
    head = json.loads((site / "index.head.json").read_bytes())
    edit_head(site, index={**head["index"], "size": 10})


@pytest.mark.parametrize("lie", [_page, _large, _other_index, _path_as_href, _huge_index])
def test_what_cannot_be_believed_is_an_error_and_nothing_is_written(
    origin: Path, checkout: Path, lie: Callable[[Path], None]
) -> None:
    lie(origin)
    before = tree(checkout)
    with pytest.raises((IndexFormatError, IntegrityError)):
        publish(checkout, after=origin)
    assert tree(checkout) == before


@pytest.mark.parametrize("after", ["http://127.0.0.1:9/", "ftp://host/", "s3:bucket"])
def test_a_host_that_cannot_be_asked_is_an_error(
    checkout: Path, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.PREDECESSOR_RETRIES", 0)
    with pytest.raises(StoreError) as caught:
        publish(checkout, after=after)
    assert isinstance(caught.value, TransportError) == after.startswith("http")
    assert not (checkout / "index.json").exists()


def test_a_change_file_that_leads_elsewhere_is_not_carried_on(origin: Path, checkout: Path) -> None:
    """Its digest is right, but what it says of the index is not."""
    head = json.loads((origin / "index.head.json").read_bytes())
    false = b'{"key":"00.txt","metadata":{"size":1}}\n'
    sha256 = hashlib.sha256(false).hexdigest()
    (origin / "changes" / f"{sha256}.jsonl").write_bytes(false)
    said = {"href": f"changes/{sha256}.jsonl", "size": len(false), "sha256": sha256, "count": 1}
    edit_head(origin, changes=[{**head["changes"][0], **said}])
    fill(checkout / "data", {"new.txt": b"new"})
    publish(checkout, after=origin)
    assert sum(len(span.origins) for span in head_of(checkout).change_files) == 1
