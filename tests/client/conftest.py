"""A new site in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.scene import MemorySite


@pytest.fixture
def site() -> Iterator[MemorySite]:
    """A site without keys, on a server that can be made to misbehave."""
    with MemorySite() as memory_site:
        yield memory_site
