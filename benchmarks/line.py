"""A relay to a server that delays and counts, in its own process.

``python -m benchmarks.line PORT SECONDS [RATE]`` prints the port on which it listens, and
then, for each line that it reads, the number of bytes fetched so far.
"""

from __future__ import annotations

import re
import selectors
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
def line_to(
    url: str, *, delay: float = 0.0, rate: float | None = None
) -> Iterator[tuple[str, Callable[[], int]]]:
    """Start a relay to the server of a URL.

    Parameters
    ----------
    url : str
        The URL.
    delay : float, optional
        The seconds that a round trip takes.
    rate : float, optional
        The bytes a second that each connection gives, at most.

    Yields
    ------
    (str, callable)
        The URL by way of the relay, and a function that returns how many bytes of
        bodies were fetched through it, according to the responses.
    """
    parts = urlsplit(url)
    command = [sys.executable, "-m", "benchmarks.line", str(parts.port), str(delay)]
    if rate is not None:
        command.append(str(rate))
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
    """A relay that adds up the lengths of the responses that pass through it."""

    selector = selectors.SelectSelector
    fetched = 0

    def count(self, data: bytes, *, up: bool) -> None:
        """Count bytes, and the length that the head of a response states."""
        super().count(data, up=up)
        if not up:
            self.fetched += sum(map(int, _LENGTH.findall(data)))


def _serve(port: int, delay: float, rate: float | None, questions: IO[str]) -> None:
    with _Counter(port, delay=delay, rate=rate) as relay:
        print(relay.port, flush=True)
        for _ in questions:
            print(relay.fetched, flush=True)


if __name__ == "__main__":
    limit = float(sys.argv[3]) if len(sys.argv) > 3 else None
    _serve(int(sys.argv[1]), float(sys.argv[2]), limit, sys.stdin)
