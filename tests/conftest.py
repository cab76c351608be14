"""Fixtures for all tests: servers that answer with a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.memory import memory_folder
from tests.servers import Answer, RawServer


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close everything a test has opened, in reverse order."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A folder in memory, where that is possible."""
    with memory_folder() as folder:
        yield Path(folder)


@pytest.fixture
def start(stack: ExitStack) -> Callable[..., RawServer]:
    """Return a function that starts a server; errors of its script fail the test."""

    def start(answer: Answer, **options: Any) -> RawServer:
        return stack.enter_context(RawServer(answer, **options))

    return start
