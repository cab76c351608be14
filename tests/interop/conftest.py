"""A site that changes while a loop runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from staticstore import StaticStore
from tests.client.scene import MemorySite


@pytest.fixture
def site() -> Iterator[MemorySite]:
    """A site without keys, on a server that can be made to fail."""
    with MemorySite() as memory_site:
        yield memory_site


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    """A store of that site, which polls only on request."""
    with site.open() as connected:
        yield connected
