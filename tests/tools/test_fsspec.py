"""fsspec's own tests of file systems pass, those that read.

Of its six classes only `AbstractGetTests` reads: `AbstractOpenTests`, too, writes the file
that it opens.  What a test makes at its source is written into the folder of a site, which is
published before the file system of the test is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")

from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from staticstore import SiteServer, publish, serve
from staticstore.interop.fsspec import StaticStoreFileSystem


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, SiteServer]]:
    """A site in a folder, and its server."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "data").mkdir()
    publish(folder)
    with serve(folder, port=0) as server:
        yield folder, server
    StaticStoreFileSystem.clear_instance_cache()


class _Published:
    # A file system that reads the site, and writes into its folder.

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._files = StaticStoreFileSystem(url, max_age=0)

    def _local(self, path: str) -> str:
        return str(self._folder / "data" / path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        os.makedirs(self._local(path), exist_ok=True)

    def touch(self, path: str) -> None:
        # Unlike others, an empty one is no hash of another.
        self.pipe(path, b"")

    def pipe(self, path: str, value: bytes) -> None:
        LocalFileSystem(auto_mkdir=True).pipe_file(self._local(path), value)

    mkdir = makedirs

    def rm(self, path: str, recursive: bool = False) -> None:
        LocalFileSystem().rm(self._local(path), recursive=recursive)
        publish(self._folder, force=True)

    def __getattr__(self, name: str) -> Any:
        publish(self._folder, force=True)
        return getattr(self._files, name)


class _Fixtures(AbstractFixtures):  # type: ignore[misc]
    @pytest.fixture
    def fs(self, served: tuple[Path, SiteServer]) -> Any:
        folder, server = served
        return _Published(folder, server.url)

    @pytest.fixture
    def fs_path(self) -> str:
        return "tree"

    @pytest.fixture
    def fs_join(self) -> Any:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestGet(AbstractGetTests, _Fixtures):  # type: ignore[misc]
    """What fsspec expects of `get`."""
