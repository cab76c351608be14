"""Runs a server program in the foreground, in a folder of its own, and ensures that it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from .debian import require

# Header fields of a request that the servers write into their logs.
LOGGED = (
    "Host",
    "Range",
    "If-Range",
    "If-None-Match",
    "If-Modified-Since",
    "Accept-Encoding",
    "Cache-Control",
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "User-Agent",
    "X-Api-Key",
)

# Seconds to start and to stop in; both take a few hundredths.
PATIENCE = 10.0

# Kills the server's process group when its own standard input is closed: by `stop`, or by the
# kernel if Python was killed, when no `finally` has run (pytest-timeout ends a run that way).
GUARD = 'read -r _; kill -s KILL -- "-$1" 2>/dev/null'


@dataclass(frozen=True)
class LoggedRequest:
    """A line of a server's access log.

    `target` is as it was on the wire, `sent` is the number of bytes of the response
    with its head, and `headers` has those of `LOGGED` that were present.
    """

    method: str
    target: str
    status: int
    sent: int
    headers: Mapping[str, str]


class Daemon(ABC):
    """A server program on loopback, started for some tests and stopped after them.

    A context manager; `start` and `stop` can also be called, repeatedly: the
    port stays the same, and `requests` returns all requests since the beginning.
    The constructor skips the test if the program is unavailable.
    """

    program: ClassVar[str]
    farewell: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.found = require(self.program)
        self._running = contextlib.ExitStack()
        self._folder: Path | None = None
        self._earlier: list[LoggedRequest] = []

    @property
    def folder(self) -> Path:
        """The folder with the configuration and the logs of the running server."""
        assert self._folder is not None, f"{self.program} is not running"
        return self._folder

    @abstractmethod
    def configure(self) -> list[str]:
        """Write the files that the server reads to `folder`; return its arguments."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether the server that was started (and no other) accepts requests."""

    @abstractmethod
    def settle(self) -> None:
        """Return when every response sent so far is in the log."""

    @abstractmethod
    def read_log(self, line: str) -> LoggedRequest:
        """Parse a line of the file `access.log`."""

    def launcher(self) -> list[str]:
        """Return the command that starts the program, if it is not started directly."""
        return []

    def environment(self) -> dict[str, str]:
        """Return additions to our environment for the program."""
        return {}

    def clear(self) -> None:  # noqa: B027 - most have nothing to do
        """Remove what the stopped program leaves outside of `folder`."""

    def start(self) -> Self:
        """Start the server, and return when it accepts requests."""
        if self._folder is not None:
            return self
        wanted = self.port
        for _ in range(5):
            # Another program may take the port between our look and the server's start.
            self.port = wanted or _free_port(self.host)
            if (complaint := self._launch()) is None:
                return self
            if "ddress already in use" not in complaint:
                break
        raise RuntimeError(f"{self.program} did not start: {complaint}")

    def stop(self) -> None:
        """Stop the server immediately and remove its folder; may be called repeatedly."""
        with self._running:
            if self._folder is not None:
                with contextlib.suppress(OSError):  # it may have died before
                    self.settle()
                self._earlier += self._logged()

    def requests(self) -> list[LoggedRequest]:
        """Return the requests answered so far, in the order in which their responses ended."""
        if self._folder is None:
            return list(self._earlier)
        self.settle()
        return [*self._earlier, *self._logged()]

    def _logged(self) -> list[LoggedRequest]:
        # A target may contain any byte.
        log = (self.folder / "access.log").read_text("utf-8", errors="surrogateescape")
        return [self.read_log(line) for line in log.split("\n") if line]

    def _launch(self) -> str | None:
        """Start the program; if it does not accept requests, clean up and return its message."""
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{self.program}-"))
            self._folder = Path(folder)
            stack.callback(setattr, self, "_folder", None)
            output = stack.enter_context(open(self._folder / "output.log", "wb"))
            process = subprocess.Popen(
                [*self.launcher(), self.found.path, *self.configure()],
                cwd=folder,
                env={**os.environ, **self.found.environment, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(self.clear)
            stack.callback(_end, process, signal.SIGKILL)
            guard = subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "guard", str(process.pid)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            stack.callback(guard.communicate)
            stack.callback(_end, process, self.farewell)
            deadline = time.monotonic() + PATIENCE
            while not self.is_ready():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return f"exit status {process.wait(timeout=0.005)}\n{self._last_words()}"
                if time.monotonic() > deadline:
                    return f"silent for {PATIENCE:.0f} s\n{self._last_words()}"
            self._running = stack.pop_all()
        return None

    def _last_words(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
        return "\n".join(lines[-20:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes], farewell: signal.Signals) -> None:
    process.send_signal(farewell)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=PATIENCE)
