"""File systems of fsspec for the recipes that use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def file_systems() -> Iterator[None]:
    """Let fsspec forget the file systems of a recipe; their site has another URL in each run."""
    try:
        import fsspec

        from staticstore.interop.fsspec import StaticStoreFileSystem
    except ImportError:
        yield
        return
    fsspec.register_implementation("staticstore", StaticStoreFileSystem, clobber=True)
    yield
    StaticStoreFileSystem.clear_instance_cache()
