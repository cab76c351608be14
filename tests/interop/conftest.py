"""A site that changes while a loop runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from staticstore import StaticStore, tuning
from tests.client.scene import MemorySite


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    # Before a retry: a window has those of its users, seconds in all.
    monkeypatch.setattr(tuning, "FIRST_BACKOFF_SECONDS", 0.01)


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
