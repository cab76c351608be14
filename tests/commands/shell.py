"""The command line as a shell runs it: in a process, in a pipe, in a terminal."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from select import select
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent
SAMPLE_SITE = ROOT / "sample_site"
TIMEOUT = 20.0  # seconds

# A shell that runs tests in the background makes them, and so their children, ignore interrupts.
_MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from staticstore.__main__ import main
sys.exit(main())
"""


class Ended(NamedTuple):
    """The exit code and output of a command."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def records(self) -> list[Any]:
        """The lines of the standard output, as JSON."""
        return [json.loads(line) for line in self.lines]

    @property
    def errors(self) -> str:
        return self.err.decode()


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a command, which does not depend on that of the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "TERM": "xterm-256color", **more}


def command(*arguments: str) -> list[str]:
    """Return the command line of ``staticstore`` with these arguments."""
    return [sys.executable, "-c", _MAIN, *arguments]


def start(
    *arguments: str, env: Mapping[str, str] | None = None, **more: Any
) -> subprocess.Popen[bytes]:
    """Start a command, with pipes for its output."""
    return subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**(env or {})),
        **more,
    )


def finish(process: subprocess.Popen[bytes]) -> Ended:
    """Wait for the end of a command."""
    with process:
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Ended(process.returncode, out, err)


def shell(line: str) -> Ended:
    """Run a line of shell, in which ``$STATICSTORE`` starts the command."""
    done = subprocess.run(
        ["bash", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(STATICSTORE=f"{sys.executable} -m staticstore"),
        timeout=TIMEOUT,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Terminal:
    """A terminal of 100 by 40 characters."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._seen = b""

    def run(
        self,
        *arguments: str,
        streams: Sequence[str] = ("stdin", "stdout", "stderr"),
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command in the terminal, or with some of its streams there."""
        return self._start(command(*arguments), streams, env=environment(**(env or {})))

    def shell(self, line: str, *, cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a line of shell in the terminal."""
        streams = ("stdin", "stdout", "stderr")
        return self._start(["bash", "-c", line], streams, cwd=cwd, env=environment(**env))

    def _start(
        self, line: Sequence[str], streams: Sequence[str], **more: Any
    ) -> subprocess.Popen[bytes]:
        where: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        where.update(dict.fromkeys(streams, self.slave))
        process = subprocess.Popen(line, start_new_session=True, **where, **more)
        os.close(self.slave)
        return process

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._master, text.encode())

    def read_until(self, text: str) -> str:
        """Read the output until it contains a text."""
        return self.read_until_it(lambda shown: text in shown, repr(text))

    def read_until_it(self, ends: Callable[[str], bool], wanted: str) -> str:
        """Read the output until a function of all of it returns True."""
        while not ends(shown := self._seen.decode(errors="replace")):
            if not self._read():
                raise AssertionError(f"{wanted} was not shown, but {shown!r}")
        return shown

    def read(self) -> str:
        """Read the output until the command ends."""
        while self._read():
            pass
        return self._seen.decode(errors="replace")

    def _read(self) -> bool:
        deadline = time.monotonic() + TIMEOUT
        if not select([self._master], [], [], deadline - time.monotonic())[0]:
            raise AssertionError(f"nothing more was shown than {self._seen!r}")
        try:
            piece = os.read(self._master, 1 << 16)
        except OSError as error:
            if error.errno != errno.EIO:  # the other end is closed
                raise
            piece = b""
        self._seen += piece
        return bool(piece)

    def close(self) -> None:
        """Close the terminal."""
        os.close(self._master)


def on_terminal(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command in a terminal; return its exit code and output."""
    terminal = Terminal()
    try:
        with terminal.run(*arguments, env=env) as process:
            shown = terminal.read()
            return process.wait(TIMEOUT), shown
    finally:
        terminal.close()
