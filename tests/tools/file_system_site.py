"""A site with files of the cookbook, for tools that open it by fsspec."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from staticstore import publish, serve
from tests.cookbook.recipes import make_files

__all__ = ["FilesOfSite", "files_of_site"]


class FilesOfSite(NamedTuple):
    """A served site, and a file system of it."""

    url: str
    #: What users pass as `storage_options`.
    options: dict[str, Any]
    files: Any
    #: The folder with the same files.
    data: Path


@contextlib.contextmanager
def files_of_site(folder: Path, *keys: str) -> Iterator[FilesOfSite]:
    """Serve a new site with some files of the cookbook; skip if one cannot be made."""
    fsspec = pytest.importorskip("fsspec")
    from staticstore.interop.fsspec import StaticStoreFileSystem

    fsspec.register_implementation("staticstore", StaticStoreFileSystem, clobber=True)
    with warnings.catch_warnings():
        # What libraries deprecate in each other is not ours to mend.
        warnings.simplefilter("ignore")
        left_out = list(make_files(folder, list(keys)))
    for line in left_out:
        pytest.skip(line)
    publish(folder)
    with serve(folder, port=0) as server:
        options = {"root": server.url}
        files = fsspec.filesystem("staticstore", **options)
        yield FilesOfSite(server.url, options, files, folder / "data")
    StaticStoreFileSystem.clear_instance_cache()
