"""Whether data and index agree: ``publish --check``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from staticstore.errors import IndexFormatError, StoreError
from staticstore.index.blocks import BlockRoot
from staticstore.index.head import Head, NamedDocument, Role
from staticstore.site.publisher import publish, verify_site

from .sitefolder import fill, index_of, make_site, tree


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", {"a": b"1", "b/c": b"22", "d": b""})
    publish(folder)
    return folder


def test_a_site_as_published_is_right(site: Path) -> None:
    told: list[tuple[int, int]] = []
    before = tree(site)
    report = verify_site(site, progress=lambda done, total: told.append((done, total)))
    assert (report.wrong, report.extra, report.checked) == ([], [], 3)
    assert told[-1] == (3, 3)
    assert tree(site) == before


def test_other_bytes_of_the_same_size_and_time_are_found(site: Path) -> None:
    status = (site / "data" / "a").stat()
    (site / "data" / "a").write_bytes(b"2")
    os.utime(site / "data" / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert publish(site).hashed == 0  # the notes are deceived
    assert verify_site(site).wrong == [("a", "its sha256 differs from the index")]


def test_another_size_and_a_missing_file_are_found(site: Path) -> None:
    fill(site / "data", {"d": b"longer"})
    (site / "data" / "a").unlink()
    assert verify_site(site).wrong == [
        ("a", "there is no such file in data/"),
        ("d", "it has 6 bytes where the index says 0"),
    ]


def test_why_a_file_cannot_be_verified_is_said(site: Path) -> None:
    fill(site / "data", {"a": b"-----BEGIN PRIVATE KEY-----"})
    (site / "data" / "d").unlink()
    os.mkfifo(site / "data" / "d")
    (site / "data" / "b" / "c").unlink()
    (site / "data" / "b").rmdir()
    (site / "data" / "b").symlink_to("nowhere")
    assert verify_site(site).wrong == [
        ("a", "it has 27 bytes where the index says 1"),
        ("b/c", "the link leads nowhere"),
        ("d", "it is not a regular file, but a FIFO, a device or a socket"),
    ]


def test_what_the_index_lacks_is_named_unless_it_is_secret(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(
        site / "data",
        {"new": b"1", "key.txt": b"-----BEGIN PRIVATE KEY-----", ".env": b"", "gone": b""},
    )
    real = os.open

    def vanishing(path: str, *arguments: int) -> int:
        if str(path).endswith("gone"):
            raise FileNotFoundError(2, "No such file")
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", vanishing)
    assert verify_site(site).extra == ["gone", "new"]


def test_an_entry_without_size_and_digest_has_to_be_there(site: Path) -> None:
    (site / "index.head.json").unlink()
    (site / "index.json").write_bytes(b'{"a": {}, "none": {}}')
    report = verify_site(site)
    assert report.wrong == [("none", "there is no such file in data/")]
    assert report.extra == ["b/c", "d"]


def test_an_entry_that_readers_refuse_is_wrong(site: Path) -> None:
    (site / "index.head.json").unlink()
    (site / "index.json").write_bytes(b'{"a": {}, "../x": {}}')
    ((key, reason),) = verify_site(site).wrong
    assert key == "index.json"
    assert reason.startswith("'../x' is left out")


def test_a_site_that_was_never_published_is_an_error(site: Path) -> None:
    (site / "index.json").unlink()
    with pytest.raises(StoreError, match=r"has no index\.json: publish it first"):
        verify_site(site)


def test_an_index_that_cannot_be_read_is_an_error(site: Path) -> None:
    (site / "index.json").write_bytes(b"<html>")
    with pytest.raises(IndexFormatError):
        verify_site(site)
    (site / "index.json").unlink()
    (site / "index.json").mkdir()
    with pytest.raises(StoreError, match="cannot be read: not a regular file"):
        verify_site(site)


def head_of(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def named(site: Path, which: str) -> str:
    """Return the path of a file that the head names."""
    head = head_of(site)
    assert head.blocks is not None
    return {
        "index": head.index.href,
        "changes": head.change_files[0].document.href,
        "root": head.blocks.href,
        "lines": BlockRoot.parse((site / head.blocks.href).read_bytes()).lines.href,
    }[which]


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A site of a second generation, which has a change file."""
    folder = make_site(tmp_path / "changed", {f"{number}": b"1" for number in range(20)})
    publish(folder)
    fill(folder / "data", {"7": b"another"})
    publish(folder)
    return folder


@pytest.mark.parametrize("which", ["index", "changes", "root", "lines"])
def test_a_file_that_the_head_names_is_held_against_its_digest(changed: Path, which: str) -> None:
    path = named(changed, which)
    body = (changed / path).read_bytes()
    (changed / path).unlink()  # the index has another name, which stays right
    (changed / path).write_bytes(body[:-1] + b" ")
    assert verify_site(changed).wrong == [(path, "its sha256 is not the published one")]


@pytest.mark.parametrize("which", ["index", "changes", "root", "lines"])
def test_a_file_that_the_head_names_has_to_be_there(changed: Path, which: str) -> None:
    path = named(changed, which)
    (changed / path).unlink()
    assert verify_site(changed).wrong == [(path, "there is no such file")]


def test_a_head_that_readers_refuse_is_wrong(site: Path) -> None:
    (site / "index.head.json").write_bytes(b"{}")
    ((path, _),) = verify_site(site).wrong
    assert path == "index.head.json"


def test_a_head_of_another_index_is_wrong(site: Path) -> None:
    (site / "index.json").unlink()
    (site / "index.json").write_bytes(b'{"a": {}}')
    reason = "it names another index than index.json: publish the site again"
    assert ("index.head.json", reason) in verify_site(site).wrong


def test_a_head_that_cannot_be_read_is_wrong(site: Path) -> None:
    (site / "index.head.json").unlink()
    (site / "index.head.json").mkdir()
    assert verify_site(site).wrong == [("index.head.json", "it cannot be read: not a regular file")]


def test_a_head_that_is_larger_than_readers_accept_is_wrong(site: Path) -> None:
    said = json.loads((site / "index.head.json").read_bytes())
    (site / "index.head.json").write_text(json.dumps({**said, "more": "x" * 4096}))
    reason = "it has more than 4096 bytes, which readers refuse"
    assert verify_site(site).wrong == [("index.head.json", reason)]


def test_a_head_that_counts_other_entries_is_wrong(site: Path) -> None:
    (site / "index.head.json").write_bytes(replace(head_of(site), entries=4).encode())
    reason = "it counts 4 entries where the index has 3"
    assert verify_site(site).wrong == [("index.head.json", reason)]


def put(site: Path, role: Role, body: bytes) -> NamedDocument:
    """Write a document under its digest."""
    document = NamedDocument.of(role, body)
    (site / role.folder).mkdir(exist_ok=True)
    (site / document.href).write_bytes(body)
    return document


def name_changes(site: Path, body: bytes) -> str:
    """Let the head name this change file."""
    document, head = put(site, Role.CHANGES, body), head_of(site)
    spans = (replace(head.change_files[0], document=document),)
    (site / "index.head.json").write_bytes(replace(head, change_files=spans).encode())
    return document.href


def name_about(site: Path, body: bytes) -> str:
    """Let the head name these words of the site."""
    document = put(site, Role.ABOUT, body)
    (site / "index.head.json").write_bytes(replace(head_of(site), about=document).encode())
    return document.href


def name_root(site: Path, body: bytes) -> str:
    """Let the head name this root of blocks."""
    document = put(site, Role.BLOCK_ROOT, body)
    (site / "index.head.json").write_bytes(replace(head_of(site), blocks=document).encode())
    return document.href


def name_lines(site: Path, body: bytes) -> str:
    """Let a root of blocks name this list, with no page."""
    document = put(site, Role.BLOCK_LIST, body)
    root = BlockRoot.parse((site / named(site, "root")).read_bytes())
    page = root.pages[0]._replace(size=len(body), sha256=document.sha256)
    name_root(site, root._replace(lines=document, pages=(page,)).encode())
    return document.href


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (name_changes, "change file"),
        (name_about, "JSON object"),
        (name_root, "root"),
        (name_lines, "blocks"),
    ],
)
def test_a_document_has_to_be_what_the_head_says(
    changed: Path, name: Callable[[Path, bytes], str], problem: str
) -> None:
    href = name(changed, b"[]\n")
    ((path, reason),) = verify_site(changed).wrong
    assert path == href
    assert problem in reason


def test_a_document_has_to_have_its_size(changed: Path) -> None:
    path = named(changed, "changes")
    size = (changed / path).stat().st_size
    (changed / path).write_bytes(b"short")
    assert verify_site(changed).wrong == [(path, f"it has 5 bytes where {size} were published")]


def test_a_document_that_is_no_file_is_wrong(changed: Path) -> None:
    path = named(changed, "root")
    (changed / path).unlink()
    (changed / path).mkdir()
    assert verify_site(changed).wrong == [(path, "it cannot be read: not a regular file")]


def test_the_blocks_have_to_cover_the_index(changed: Path) -> None:
    first, offset, size, sha256 = json.loads((changed / named(changed, "lines")).read_bytes())
    body = (changed / "index.json").read_bytes()
    line = [first, offset, body.index(b"\n", offset) + 1 - offset, sha256]
    href = name_lines(changed, json.dumps(line, separators=(",", ":")).encode() + b"\n")
    assert size > line[2]
    assert verify_site(changed).wrong == [
        (href, "its blocks do not cover the index"),
        (href, f"the block at {offset} has another sha256"),
    ]


def test_the_pages_of_a_root_have_their_digests(changed: Path) -> None:
    root = BlockRoot.parse((changed / named(changed, "root")).read_bytes())
    pages = (root.pages[0]._replace(sha256="0" * 64),)
    href = name_root(changed, root._replace(pages=pages).encode())
    assert verify_site(changed).wrong == [(href, "the page at 0 has another sha256")]


def test_a_site_without_a_head_is_complete(site: Path) -> None:
    (site / "index.head.json").unlink()
    assert not verify_site(site).wrong


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A site with a pack."""
    folder = make_site(tmp_path / "packed", {"a": b"1", "b/c": b"22"})
    publish(folder, pack=True)
    return folder


def pack_of(site: Path) -> str:
    """Return where the only pack stands."""
    (path,) = (site / "packs").iterdir()
    return f"packs/{path.name}"


def say_packed(site: Path, *packed: object, **fields: object) -> None:
    """Let the index say something else of the value `a`."""
    (site / "index.head.json").unlink()
    entries = index_of(site)
    entries["a"] |= {"packed": packed, **fields}
    (site / "index.json").unlink()
    (site / "index.json").write_text(json.dumps(entries))


def test_a_pack_is_held_against_its_name(packed: Path) -> None:
    body = (packed / pack_of(packed)).read_bytes()
    (packed / pack_of(packed)).write_bytes(body[:-1] + b"x")
    reason = (
        "its sha256 is not the one in its name: remove it, and publish the site with packs again"
    )
    assert verify_site(packed).wrong == [(pack_of(packed), reason)]


def test_a_pack_has_to_be_there(packed: Path) -> None:
    href = pack_of(packed)
    (packed / href).unlink()
    reason = "there is no such file: publish the site again"
    assert verify_site(packed).wrong == [(href, reason)]


def test_a_pack_that_is_no_file_is_wrong(packed: Path) -> None:
    href = pack_of(packed)
    (packed / href).unlink()
    os.mkfifo(packed / href)
    assert verify_site(packed).wrong == [(href, "it cannot be read: not a regular file")]


@pytest.mark.parametrize("offset", [0, 32, 1 << 62])
def test_a_value_has_to_stand_in_its_pack_where_the_index_says(packed: Path, offset: int) -> None:
    say_packed(packed, pack_of(packed), offset)
    reason = f"the bytes at {offset} are not 'a'"
    assert verify_site(packed).wrong == [(pack_of(packed), reason)]


@pytest.mark.parametrize("field", ["size", "sha256"])
def test_what_cannot_be_verified_cannot_be_packed(packed: Path, field: str) -> None:
    href, offset = index_of(packed)["a"]["packed"]
    say_packed(packed, href, offset, **{field: None})
    reason = f"the bytes at {offset} are not 'a'"
    assert verify_site(packed).wrong == [(href, reason)]


@pytest.mark.parametrize("href", ["data/a", "/etc/passwd", "../packs/x.zip", "packs/1.zip"])
def test_a_pack_has_the_name_of_one(packed: Path, href: str) -> None:
    say_packed(packed, href, 0)
    assert verify_site(packed).wrong == [(href, "a pack has another name: packs/<sha256>.zip")]
