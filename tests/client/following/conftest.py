"""Published sites: one that has copies on several hosts, and one with many blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, publish
from staticstore.index.head import Head
from tests.servers import RawServer, Request, serve_files

VALUES = {"a.txt": b"value of a", "b.txt": b"value of b", "large.bin": bytes(range(256)) * 8000}
KEYS = [f"{number:04}.txt" for number in range(600)]


def served(folder: Path) -> dict[str, bytes]:
    """Return the files of a site that a host serves, by path."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if path.is_file() and not name.startswith(".")
    }


class Host:
    """A server with a copy of a site."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.good = serve_files(self.files)
        self.server = RawServer(self.good, heads=True).start()

    @property
    def url(self) -> str:
        return self.server.url

    def copy(self, folder: Path) -> None:
        """Serve all files that are in a folder now."""
        self.files.clear()
        self.files |= served(folder)

    def requests(self, path: str) -> list[Request]:
        return [one for one in self.server.requests if one.path == f"/{path}"]

    def spoil(self, path: str, body: bytes | None) -> None:
        """Serve another value for a path, or none."""
        if body is None:
            del self.files[path]
        else:
            self.files[path] = body


class HostedSite:
    """A folder that is published, and hosts with copies of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        self.hosts = [Host(), Host()]
        self.publish(*self.hosts, **VALUES)

    def publish(self, *hosts: Host, **values: bytes) -> None:
        """Publish values, and copy them only to the given hosts."""
        for key, value in values.items():
            (self.folder / "data" / key).write_bytes(value)
        publish(self.folder)
        for host in hosts:
            host.copy(self.folder)

    @property
    def roots(self) -> list[str]:
        return [host.url for host in self.hosts]

    def store(self, **options: Any) -> StaticStore:
        return StaticStore(self.roots, poll_interval=0, equal_roots=True, **options)

    def open(self, **options: Any) -> StaticStore:
        return self.store(**options).connect(retries=0)


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[HostedSite]:
    made = HostedSite(tmp_path / "site")
    yield made
    for host in made.hosts:
        host.server.stop()


@pytest.fixture
def first(hosted: HostedSite) -> Host:
    return hosted.hosts[0]


@pytest.fixture
def copy(hosted: HostedSite) -> Host:
    return hosted.hosts[1]


@pytest.fixture
def immediate_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry a failed root immediately."""
    monkeypatch.setattr("staticstore.tuning.FAILED_ROOT_SECONDS", 0.0)


class PublishedSite:
    """A folder that is published and served, with 600 keys in many blocks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.server = RawServer(serve_files(self.files), heads=True)
        self.with_change_files = True
        (folder / "data").mkdir(parents=True)
        self.publish(**{key: b"value of %b" % key.encode() for key in KEYS})

    def publish(self, *gone: str, **values: bytes) -> None:
        """Delete and write values, publish the folder, and serve the result."""
        for key in gone:
            (self.folder / "data" / key).unlink()
        for key, value in values.items():
            (self.folder / "data" / key).write_bytes(value)
        publish(self.folder)
        self.files.clear()
        self.files |= served(self.folder)
        if not self.with_change_files:
            for name in list(self.files):
                if name.startswith("changes/"):
                    del self.files[name]

    @property
    def head(self) -> Head:
        return Head.parse(self.files["index.head.json"])


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PublishedSite]:
    monkeypatch.setattr("staticstore.index.blocks._BLOCK_BYTES", 2000)
    monkeypatch.setattr("staticstore.index.blocks._PAGE_BYTES", 1000)
    site = PublishedSite(tmp_path / "site")
    with site.server:
        yield site
