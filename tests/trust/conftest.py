"""A signed site, and a store that has read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore
from tests.trust_sites import SignedSite

Opened = Callable[..., StaticStore]


@pytest.fixture
def site(tmp_path: Path) -> SignedSite:
    """A signed site in a folder."""
    return SignedSite(tmp_path / "site")


@pytest.fixture
def opened(site: SignedSite) -> Iterator[Opened]:
    """Connect a store to the site, under its first root document."""
    with ExitStack() as stack:

        def open_(root: Any = site.root, **options: Any) -> StaticStore:
            options = {"trust": site.pinned, "poll_interval": 0, **options}
            store = StaticStore(root, **options)
            stack.callback(store.disconnect)
            return store.connect(retries=0, timeout=(5, 5))

        yield open_
