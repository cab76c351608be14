"""The head and the change files that a publish writes, and what it removes."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore.index.blocks import BlockRoot
from staticstore.index.changes import parse_change_lines, sum_of_document, sum_text
from staticstore.index.head import ChangeFile, Head, NamedDocument, Role, bounded, kept_whole
from staticstore.index.snapshot import Index
from staticstore.site.documents.document_files import write_document
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.publisher import publish

from ..sitefolder import fill, make_site, tree

FILES = {f"{number:02}.txt": b"value %d" % number for number in range(40)}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    publish(folder)
    return folder


def head_of(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def change(site: Path, key: str, value: bytes) -> Head:
    fill(site / "data", {key: value})
    publish(site)
    return head_of(site)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_head_names_the_index_by_its_digest(site: Path) -> None:
    head = head_of(site)
    assert sha256_of(site / "index.json") == head.index.sha256


def test_the_index_stands_under_its_digest_too(site: Path) -> None:
    assert (site / head_of(site).index.href).read_bytes() == (site / "index.json").read_bytes()


def test_the_head_counts_the_entries(site: Path) -> None:
    assert head_of(site).entries == 40


def test_a_publish_that_changes_something_is_the_next_generation(site: Path) -> None:
    assert change(site, "00.txt", b"another value").generation == 2


def test_the_lineage_stays(site: Path) -> None:
    assert head_of(site).lineage == change(site, "00.txt", b"another value").lineage


def test_a_publish_that_changes_nothing_writes_nothing(site: Path) -> None:
    before = tree(site)
    publish(site)
    assert tree(site) == before


@pytest.mark.parametrize("damaged", [b"", b"{}", b"<html>", b'{"format":"staticstore-head/2"}'])
def test_a_head_that_cannot_be_read_begins_a_new_lineage(site: Path, damaged: bytes) -> None:
    lineage = head_of(site).lineage
    (site / "index.head.json").write_bytes(damaged)
    publish(site)
    assert head_of(site).lineage != lineage


def test_the_change_file_leads_on_from_the_index_before(site: Path) -> None:
    before = head_of(site)
    (span,) = change(site, "00.txt", b"another value").change_files
    assert span.origins == (before.index.sha256[:16],)


def test_the_change_file_holds_the_line_of_the_index(site: Path) -> None:
    (span,) = change(site, "00.txt", b"another value").change_files
    body = (site / span.document.href).read_bytes()
    raw = parse_change_lines(body)["00.txt"] or b""
    assert b'"00.txt":' + raw in (site / "index.json").read_bytes()


def test_a_key_that_is_gone_stands_there_as_null(site: Path) -> None:
    (site / "data" / "00.txt").unlink()
    publish(site)
    (span,) = head_of(site).change_files
    assert (site / span.document.href).read_bytes() == b'{"key":"00.txt","metadata":null}\n'


def test_a_change_file_is_what_its_digest_says(site: Path) -> None:
    (span,) = change(site, "00.txt", b"another value").change_files
    assert sha256_of(site / span.document.href) == span.document.sha256


def test_no_way_leads_on_from_an_index_that_is_gone(site: Path) -> None:
    (site / head_of(site).index.href).unlink()
    (site / "index.json").unlink()
    assert change(site, "00.txt", b"another value").change_files == ()


def test_a_publish_that_was_killed_before_the_head_is_made_up_for(site: Path) -> None:
    old = (site / "index.head.json").read_bytes()
    change(site, "00.txt", b"another value")
    (site / "index.head.json").write_bytes(old)
    publish(site)
    assert head_of(site).index.sha256 == sha256_of(site / "index.json")


def test_every_older_index_has_a_way_to_the_current_one(site: Path) -> None:
    heads = [head_of(site), *(change(site, f"{n:02}.txt", b"new") for n in range(5))]
    bodies = [(site / head.index.href).read_bytes() for head in heads]
    for head, body in zip(heads[:-1], bodies, strict=False):
        way = heads[-1].way_from(head.index.sha256)
        assert way is not None
        index = Index.parse(body)
        for span in way:
            index = index.changed_by(parse_change_lines((site / span.document.href).read_bytes()))
        assert index.canonical() == bodies[-1]


def test_what_the_head_forgets_stays_for_a_day(site: Path) -> None:
    before = head_of(site)
    change(site, "00.txt", b"another value")
    publish(site)
    assert (site / before.index.href).exists()


def test_what_the_head_has_forgotten_for_a_day_is_removed(site: Path) -> None:
    before = head_of(site)
    change(site, "00.txt", b"another value")
    yesterday = time.time() - 25 * 3600
    os.utime(site / before.index.href, (yesterday, yesterday))
    publish(site)
    assert not (site / before.index.href).exists()


def test_the_day_begins_when_the_head_forgets(site: Path) -> None:
    before = head_of(site)
    long_ago = time.time() - 100 * 3600
    os.utime(site / before.index.href, (long_ago, long_ago))
    change(site, "00.txt", b"another value")
    publish(site)
    assert (site / before.index.href).exists()


def test_what_somebody_else_put_there_stays(site: Path) -> None:
    (site / "index" / "notes.txt").write_bytes(b"mine")
    os.utime(site / "index" / "notes.txt", (0, 0))
    publish(site)
    assert (site / "index" / "notes.txt").exists()


def test_a_head_of_the_same_second_has_another_time(site: Path) -> None:
    before = (site / "index.head.json").stat().st_mtime
    change(site, "00.txt", b"another value")
    assert int((site / "index.head.json").stat().st_mtime) > int(before)


# The bounds


def spans_of(sizes: list[int], origins: int = 1) -> tuple[ChangeFile, ...]:
    return tuple(
        ChangeFile(
            tuple(f"{position:08}{n:08}" for n in range(origins)),
            NamedDocument(Role.CHANGES, size, "0" * 64),
            1,
        )
        for position, size in enumerate(sizes)
    )


def head_with(spans: tuple[ChangeFile, ...], index_size: int = 10**9) -> Head:
    document = NamedDocument(Role.INDEX, index_size, "0" * 64)
    return Head("0" * 32, 1, "2026-11-20T12:00:00Z", document, 1, change_files=spans)


@given(st.lists(st.integers(50, 5000), max_size=60))
@settings(deadline=None)
def test_each_span_is_twice_as_large_as_the_next_newer_one(sizes: list[int]) -> None:
    spans: list[ChangeFile] = []
    for size in sizes:
        kept = kept_whole(spans, size)
        merged = sum(span.document.size for span in spans[kept:])
        spans[kept:] = spans_of([size + merged])
    for older, newer in itertools.pairwise(spans):
        assert older.document.size >= 2 * newer.document.size


def test_change_files_stay_below_a_quarter_of_the_index() -> None:
    head = bounded(head_with(spans_of([200, 50, 20]), index_size=400))
    assert [span.document.size for span in head.change_files] == [50, 20]


@given(st.integers(1, 100), st.integers(1, 20))
@settings(deadline=None)
def test_a_head_lists_64_indexes_and_no_more(origins: int, count: int) -> None:
    head = bounded(head_with(spans_of([10] * count, origins)))
    assert sum(len(span.origins) for span in head.change_files) <= 64


@given(st.integers(1, 100), st.integers(1, 40))
@settings(deadline=None)
def test_a_head_is_below_4_kib(origins: int, count: int) -> None:
    head = bounded(head_with(spans_of([10] * count, origins)))
    assert len(head.encode()) < 4096


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "staticstore-head/9"),
        ("lineage", "x"),
        ("generation", -1),
        ("generation", 1.5),
        ("index", {"href": "../x", "size": 1, "sha256": "0" * 64, "entries": 1}),
        ("index", {"href": "x", "size": True, "sha256": "0" * 64, "entries": 1}),
        ("index", {"href": "x", "size": 1, "sha256": "0" * 63, "entries": 1}),
        ("index", None),
        ("changes", 5),
        ("changes", [{"from": "abc", "href": "x", "size": 1, "sha256": "0" * 64}]),
    ],
)
def test_what_is_no_head_is_refused(field: str, value: Any) -> None:
    from staticstore.errors import IndexFormatError

    said = json.loads(head_with(()).encode())
    with pytest.raises(IndexFormatError):
        Head.parse(json.dumps({**said, field: value}).encode())


def test_fields_that_nobody_knows_are_ignored() -> None:
    head = head_with(spans_of([5]))
    said = json.loads(head.encode())
    assert Head.parse(json.dumps({**said, "expires": "never"}).encode()) == head


def root_of(site: Path) -> BlockRoot:
    blocks = head_of(site).blocks
    assert blocks is not None
    body = (site / blocks.href).read_bytes()
    assert (len(body), hashlib.sha256(body).hexdigest()) == (blocks.size, blocks.sha256)
    return BlockRoot.parse(body)


def test_the_head_names_the_root_of_the_blocks(site: Path) -> None:
    assert root_of(site).pages[0].first == "00.txt"


def test_the_root_names_the_list_of_blocks_of_this_index(site: Path) -> None:
    root, index = root_of(site), (site / "index.json").read_bytes()
    lines = (site / root.lines.href).read_bytes()
    assert hashlib.sha256(lines).hexdigest() == root.lines.sha256
    for block in root.blocks_of(lines, 2, len(index) - 2):
        assert hashlib.sha256(index[block.offset : block.end]).hexdigest() == block.sha256


def test_blocks_that_the_head_no_longer_names_are_removed_after_a_day(site: Path) -> None:
    old = {head_of(site).blocks, root_of(site).lines}
    change(site, "00.txt", b"changed by now")
    a_day_ago = time.time() - 25 * 3600
    for document in old:
        assert document is not None
        assert (site / document.href).is_file()
        os.utime(site / document.href, (a_day_ago, a_day_ago))
    publish(site)
    assert not [one for one in old if one is not None and (site / one.href).exists()]


def test_the_blocks_that_the_head_names_stay(site: Path) -> None:
    root = root_of(site)
    a_week_ago = time.time() - 7 * 24 * 3600
    for path in (site / "blocks").iterdir():
        os.utime(path, (a_week_ago, a_week_ago))
    publish(site)
    assert root_of(site) == root
    assert (site / root.lines.href).is_file()


def test_an_index_without_entries_has_no_blocks(tmp_path: Path) -> None:
    folder = make_site(tmp_path / "site", {})
    publish(folder)
    assert head_of(folder).blocks is None


def test_a_root_that_was_damaged_does_not_stop_a_publish(site: Path) -> None:
    blocks = head_of(site).blocks
    assert blocks is not None
    (site / blocks.href).write_bytes(b"damaged")
    change(site, "00.txt", b"changed by now")
    assert root_of(site).pages


def test_the_index_and_its_copy_are_one_file(site: Path) -> None:
    assert (site / "index.json").samefile(site / head_of(site).index.href)


def test_without_hard_links_the_index_is_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    folder = make_site(tmp_path / "site", FILES)
    publish(folder)
    assert (folder / "index.json").read_bytes() == (
        folder / head_of(folder).index.href
    ).read_bytes()


def test_back_to_an_index_whose_file_is_still_there(site: Path) -> None:
    before = (site / "index.json").read_bytes()
    first = head_of(site)
    change(site, "99.txt", b"new")
    (site / "data" / "99.txt").unlink()
    publish(site)
    assert (site / "index.json").read_bytes() == before
    assert head_of(site).index == first.index
    assert head_of(site).blocks == first.blocks


# One file by two names


def test_a_publish_that_is_made_up_for_keeps_the_second_of_the_index(site: Path) -> None:
    old = (site / "index.head.json").read_bytes()
    change(site, "00.txt", b"another value")
    soon = time.time() + 30
    os.utime(site / "index.json", (soon, soon))
    (site / "index.head.json").write_bytes(old)
    publish(site)
    assert (site / "index.json").stat().st_mtime == pytest.approx(soon, abs=0.001)


def test_an_index_that_was_written_over_is_mended_by_both_names(site: Path) -> None:
    with (site / "index.json").open("r+b") as file:
        file.truncate()
    publish(site)
    head = head_of(site)
    assert sha256_of(site / "index.json") == sha256_of(site / head.index.href) == head.index.sha256


def test_a_head_without_blocks_gets_them_and_stays_of_its_generation(site: Path) -> None:
    before = head_of(site)
    (site / "index.head.json").write_bytes(replace(before, blocks=None).encode())
    publish(site)
    assert head_of(site) == before


# What seldom happens


def test_after_the_last_generation_that_readers_count_a_lineage_begins(site: Path) -> None:
    last = replace(head_of(site), generation=(1 << 63) - 1)
    (site / "index.head.json").write_bytes(last.encode())
    new = change(site, "00.txt", b"another value")
    assert new.lineage != last.lineage
    assert new.generation == 1


def test_a_damaged_index_under_its_digest_is_replaced(site: Path) -> None:
    path = site / head_of(site).index.href
    path.unlink()
    path.write_bytes(b"damaged")
    publish(site)
    assert sha256_of(path) == head_of(site).index.sha256


def test_a_change_file_that_is_damaged_is_named_no_more(site: Path) -> None:
    (span,) = change(site, "00.txt", b"another value").change_files
    (site / span.document.href).write_bytes(b"damaged")
    publish(site)
    assert head_of(site).change_files == ()


def test_a_change_file_that_cannot_be_parsed_is_not_carried_on(site: Path) -> None:
    head = change(site, "00.txt", b"another value")
    document = NamedDocument.of(Role.CHANGES, b"[]\n")
    (site / document.href).write_bytes(b"[]\n")
    spans = (replace(head.change_files[0], document=document),)
    (site / "index.head.json").write_bytes(replace(head, change_files=spans).encode())
    after = change(site, "01.txt", b"another value")
    assert [span.origins for span in after.change_files] == [(head.index.sha256[:16],)]


def test_a_head_without_a_sum_gets_one(site: Path) -> None:
    before = head_of(site)
    (site / "index.head.json").write_bytes(replace(before, sum=None).encode())
    assert change(site, "00.txt", b"another value").sum == sum_text(
        sum_of_document((site / "index.json").read_bytes())
    )


def test_a_link_in_the_place_of_a_folder_of_documents_is_not_written_through(
    site: Path, tmp_path: Path
) -> None:
    (site / "changes").rmdir()
    (site / "changes").symlink_to(tmp_path)
    with pytest.raises(OSError, match="its folder is a symbolic link"):
        write_document(SiteFolder(site), NamedDocument.of(Role.CHANGES, b"x"), b"x")
