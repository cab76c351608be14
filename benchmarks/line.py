"""A line to a server, which delays and counts, in a process of its own: it has its own interpreter.

``python -m benchmarks.line PORT SECONDS`` prints the port that it listens at,
and then, for each line that it reads, the bytes that were fetched till then.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO
from urllib.parse import urlsplit

from tests.servers import Relay

__all__ = ["line_to"]

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


@contextmanager
def line_to(url: str, *, delay: float = 0.0) -> Iterator[tuple[str, Callable[[], int]]]:
    """Open a line to the server of a URL.

    Parameters
    ----------
    url : str
        The URL.
    delay : float, optional
        Seconds of a round trip.

    Yields
    ------
    (str, callable)
        The URL by way of the line; and what tells how many bytes of bodies
        were fetched by it, as the answers said.
    """
    parts = urlsplit(url)
    command = [sys.executable, "-m", "benchmarks.line", str(parts.port), str(delay)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def fetched() -> int:
            print(file=stdin, flush=True)
            return int(stdout.readline())

        port = int(stdout.readline())
        yield parts._replace(netloc=f"{parts.hostname}:{port}").geturl(), fetched


class _Counter(Relay):
    """A relay that adds up the lengths of the answers that pass it."""

    fetched = 0

    def count(self, data: bytes, *, up: bool) -> None:
        """Count, also what the head of an answer says."""
        super().count(data, up=up)
        if not up:
            self.fetched += sum(map(int, _LENGTH.findall(data)))


def _serve(port: int, delay: float, questions: IO[str]) -> None:
    with _Counter(port, delay=delay) as relay:
        print(relay.port, flush=True)
        for _ in questions:
            print(relay.fetched, flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]), sys.stdin)
