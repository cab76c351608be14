"""A site in memory, on a server that can be made to misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from staticstore import StaticStore
from tests.servers import Answer, RawServer, serve_files
from tests.sites import index_of

Opened = Callable[..., tuple[StaticStore, RawServer]]

VALUES = {"a.txt": b"0123456789" * 100, "b.txt": b"second"}


def files_of(values: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a site with these values."""
    return {"index.json": index_of(values), **{f"data/{key}": v for key, v in values.items()}}


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Open a store on a server that answers with a script."""
    with ExitStack() as stack:

        def open_(answer: Answer, **connect: Any) -> tuple[StaticStore, RawServer]:
            server = stack.enter_context(RawServer(answer))
            store = StaticStore(server.url, poll_interval=0)
            options = {"retries": 0, "timeout": (5, 5), **connect}
            stack.callback(store.disconnect)
            return store.connect(**options), server

        yield open_


@pytest.fixture
def good() -> Any:
    """A well-behaved site of two values."""
    return serve_files(files_of(VALUES))


@pytest.fixture
def connect(stack: ExitStack) -> Callable[..., StaticStore]:
    """Connect a store that does not poll by itself, with the default retries."""

    def connect(root: str, **options: Any) -> StaticStore:
        store = StaticStore(root, poll_interval=0)
        stack.callback(store.disconnect)
        return store.connect(**{"timeout": (2, 2), **options})

    return connect
