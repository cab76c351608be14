"""moto's server, which speaks S3, as a process on loopback."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import requests

from .announced import AnnouncedServer
from .daemon import PATIENCE

_READY = re.compile(rb"Running on (http://127\.0\.0\.1:\d+)(?: with (.+))?")
_REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP/1.1" (\d+)')
_MOTO = ("moto.server", "-H", "127.0.0.1", "-p", "0")


class S3Server(AnnouncedServer):
    """A server with buckets that everybody may read, empty at the start."""

    def __init__(self, module: Sequence[str] = _MOTO) -> None:
        super().__init__([sys.executable, "-W", "ignore", "-m", *module], _READY)
        self._marks = 0

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
        super().__init__(["tests.servers.s3_app", str(folder)])
        self.keys: dict[str, dict[str, str]] = {}

    def _announced(self, ready: re.Match[bytes]) -> None:
        self.keys = json.loads(ready[2])
