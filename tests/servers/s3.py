"""moto's server, which speaks S3, as a process on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

import requests

from .daemon import GUARD, PATIENCE

_READY = re.compile(rb"Running on (http://127\.0\.0\.1:\d+)(?: with (.+))?")
_REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP/1.1" (\d+)')


class S3Server:
    """A server with buckets that everybody may read, empty at the start."""

    program: Sequence[str] = ("moto.server", "-H", "127.0.0.1", "-p", "0")

    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, dict[str, str]] = {}
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._marks = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *self.program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        with self._changed:
            assert self._changed.wait_for(lambda: self.url, PATIENCE * 3), self._lines
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._guard.communicate()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as log:
            for line in log:
                with self._changed:
                    if ready := _READY.search(line):
                        self.keys = json.loads(ready[2] or "{}")
                        self.url = ready[1].decode()
                    self._lines.append(line.decode(errors="replace"))
                    self._changed.notify_all()

    def bucket(self, name: str) -> str:
        """Create a bucket; return its URL for readers."""
        answer = requests.put(
            f"{self.url}/{name}", headers={"x-amz-acl": "public-read"}, timeout=PATIENCE
        )
        answer.raise_for_status()
        return f"{self.url}/{name}"

    def requests(self, bucket: str) -> list[tuple[str, str]]:
        """Return the requests for contents of a bucket: method and path, in order."""
        self._marks += 1
        mark = f"/moto-api/mark-{self._marks}"
        requests.get(self.url + mark, timeout=PATIENCE)
        with self._changed:
            assert self._changed.wait_for(
                lambda: any(mark in line for line in self._lines), PATIENCE
            )
            found = [_REQUEST.search(line) for line in self._lines]
        prefix = f"/{bucket}/"
        return [
            (one[1], unquote(one[2]).removeprefix(prefix))
            for one in found
            if one is not None and one[2].startswith(prefix)
        ]


class SignedS3Server(S3Server):
    """A server whose bucket ``sites`` has the files of a folder, for signed requests only.

    Attributes
    ----------
    keys : dict
        What it takes as credentials: ``key``, and ``temporary`` with a session token.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.program = ["tests.servers.s3_app", str(folder)]
