"""Servers that a script misbehaves, for tests of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers import Answer, RawServer


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End what a test has begun, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack: ExitStack) -> Callable[..., RawServer]:
    """Start a server; at the end, what its script has raised is raised again."""

    def start(answer: Answer, **options: Any) -> RawServer:
        return stack.enter_context(RawServer(answer, **options))

    return start
