"""The site's description, read from good and bad hosts."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import NotConnectedError, StaticStore, TransportError, publish
from staticstore.index.head import Head, NamedDocument, Role
from tests.servers import RawServer, serve_files

WORDS = {"title": "Ilvar", "license": "CC0-1.0", "keywords": ["snow"]}


class Site:
    """A published site in memory, with a description."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "a.txt").write_text("a")
        (folder / "about.toml").write_text(
            'title = "Ilvar"\nlicense = "CC0-1.0"\nkeywords = ["snow"]\n'
        )
        publish(folder)
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        self.head = Head.parse(self.files["index.head.json"])
        assert self.head.about is not None
        self.href = self.head.about.href

    def describe(self, body: bytes) -> None:
        """Let the head name another document, and serve it."""
        self.name(NamedDocument.of(Role.ABOUT, body))
        self.files[self.href] = body

    def name(self, document: NamedDocument | None) -> None:
        """Let the head name another document."""
        self.head = Head(**{**vars(self.head), "about": document})
        self.files["index.head.json"] = self.head.encode()
        if document is not None:
            self.href = document.href


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


Connect = Callable[..., StaticStore]


@pytest.fixture
def connect(site: Site, start: Callable[..., RawServer], stack: ExitStack) -> Connect:
    def connect(answers: Any = None, **options: Any) -> StaticStore:
        server = start(answers or serve_files(site.files), heads=True)
        store = StaticStore(server.url, poll_interval=0, **options)
        return stack.enter_context(store.connect(retries=0))

    return connect


@pytest.mark.parametrize("lazy", [False, True])
def test_the_description_of_a_site_is_read(connect: Connect, lazy: bool) -> None:
    assert connect(lazy=lazy).about() == WORDS


def test_a_lazy_store_stays_lazy(connect: Connect, site: Site) -> None:
    del site.files["index.json"], site.files[site.head.index.href]
    assert connect(lazy=True).about() == WORDS


def test_the_result_belongs_to_the_caller(connect: Connect) -> None:
    store = connect()
    first = store.about()
    assert first is not None
    first["keywords"].append("x")
    assert store.about() == WORDS


def test_it_is_the_description_that_the_current_head_names(connect: Connect, site: Site) -> None:
    store = connect()
    site.describe(b'{"title":"Other"}\n')
    site.name(site.head.about)
    assert store.about() == WORDS
    site.files["index.head.json"] = Head(
        **{**vars(site.head), "generation": site.head.generation + 1}
    ).encode()
    assert not store.update_index()
    assert store.about() == {"title": "Other"}


def test_a_site_without_a_description_costs_no_request(
    site: Site, start: Callable[..., RawServer], stack: ExitStack
) -> None:
    site.name(None)
    server = start(serve_files(site.files), heads=True)
    store = stack.enter_context(StaticStore(server.url, poll_interval=0))
    before = len(server.requests)
    assert store.about() is None
    assert len(server.requests) == before


def test_a_site_without_a_head_has_no_description(connect: Connect, site: Site) -> None:
    del site.files["index.head.json"]
    assert connect().about() is None


def test_a_description_that_no_head_names_is_ignored(connect: Connect, site: Site) -> None:
    site.name(None)
    assert "about.json" in site.files
    assert connect().about() is None


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_missing_document_means_no_description(connect: Connect, site: Site, status: int) -> None:
    answers = serve_files(site.files).but({site.href: lambda _, wire: wire.response(status)})
    assert connect(answers).about() is None


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"title":"Evil"}\n', b"x" * 100_000])
def test_a_document_with_other_bytes_is_ignored(connect: Connect, site: Site, body: bytes) -> None:
    store = connect()
    site.files[site.href] = body
    assert store.about() is None


def test_a19_a_document_of_another_size_is_ignored(connect: Connect, site: Site) -> None:
    assert site.head.about is not None
    site.name(NamedDocument(Role.ABOUT, site.head.about.size + 1, site.head.about.sha256))
    assert connect().about() is None


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"\xff", b"[" * 60_000])
def test_an_invalid_document_is_ignored(connect: Connect, site: Site, body: bytes) -> None:
    site.describe(body)
    assert connect().about() is None


@pytest.mark.parametrize("size", [(64 << 10) + 1, 1 << 62])
def test_a8_a_document_that_is_too_large_is_not_requested(
    site: Site, start: Callable[..., RawServer], stack: ExitStack, size: int
) -> None:
    assert site.head.about is not None
    site.name(NamedDocument(Role.ABOUT, size, site.head.about.sha256))
    server = start(serve_files(site.files), heads=True)
    store = stack.enter_context(StaticStore(server.url, poll_interval=0))
    assert store.about() is None
    assert not [request for request in server.requests if "about" in request.path]


def test_f11_hostile_fields_and_names_are_left_out(connect: Connect, site: Site) -> None:
    file = {"size": 1, "sha256": "ab" * 32}
    site.describe(
        json.dumps(
            {
                "title": {"a": [[[]]]},
                "description": "<script>alert(1)</script>\x1b[2J\u202e",
                "homepage": "javascript:alert(1)",
                "keywords": "snow",
                "files": {"README.php": file, "../x": file, "README.md/x": file, "README": file},
            }
        ).encode()
    )
    assert connect().about() == {
        "description": "<script>alert(1)</script>\x1b[2J\u202e",
        "files": {"README": file},
    }


@pytest.mark.parametrize("status", [408, 429])
def test_a_failure_of_the_host_is_raised(connect: Connect, site: Site, status: int) -> None:
    answers = serve_files(site.files).but({site.href: lambda _, wire: wire.response(status)})
    with pytest.raises(TransportError):
        connect(answers).about()


def test_a_broken_connection_is_an_error(connect: Connect, site: Site) -> None:
    answers = serve_files(site.files).but({site.href: lambda _, wire: wire.reset()})
    with pytest.raises(TransportError):
        connect(answers).about()


def test_any_of_several_roots_may_serve_it(
    site: Site, start: Callable[..., RawServer], stack: ExitStack
) -> None:
    first = {name: body for name, body in site.files.items() if name != site.href}
    roots = [start(serve_files(files), heads=True).url for files in (first, site.files)]
    store = StaticStore(roots, poll_interval=0)
    assert stack.enter_context(store.connect(retries=0)).about() == WORDS


def test_a_copy_with_other_bytes_is_skipped(
    site: Site, start: Callable[..., RawServer], stack: ExitStack
) -> None:
    first = {**site.files, site.href: b'{"title":"Evil"}\n'}
    roots = [start(serve_files(files), heads=True).url for files in (first, site.files)]
    store = StaticStore(roots, poll_interval=0)
    assert stack.enter_context(store.connect(retries=0)).about() == WORDS


def test_a_store_that_is_not_connected_raises_not_connected(site: Site) -> None:
    with pytest.raises(NotConnectedError):
        StaticStore("http://127.0.0.1:1/").about()


def test_a_folder_can_be_read_too(site: Site, tmp_path: Path) -> None:
    with StaticStore(tmp_path / "site", poll_interval=0) as store:
        assert store.about() == WORDS
