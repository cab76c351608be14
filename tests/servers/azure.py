"""Azurite, which speaks the protocol of Azure Blob Storage, as a process on loopback.

``make azurite`` installs it below the project's `.cache/`, if npm is there: 60 MB.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from staticstore.transport.buckets.azure import AccountKey
from staticstore.transport.buckets.location import BucketLocation

from .announced import AnnouncedServer
from .daemon import PATIENCE

_PROGRAM = Path(__file__).parents[2] / ".cache/azurite/node_modules/.bin/azurite-blob"
_READY = re.compile(rb"listens on (http://127\.0\.0\.1:\d+)")

#: The account that Azurite has, and its key, which Microsoft has published.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def require_azurite() -> None:
    """Skip the test if Azurite is not installed."""
    if not _PROGRAM.exists() or shutil.which("node") is None:
        pytest.skip("Azurite is not installed: make azurite (needs npm)")


class AzureServer(AnnouncedServer):
    """A server with one account, empty at the start; it holds all in memory."""

    def __init__(self) -> None:
        options = ["--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry"]
        super().__init__([str(_PROGRAM), *options, "--skipApiVersionCheck"], _READY)

    @property
    def endpoint(self) -> str:
        """The URL of the account."""
        return f"{self.url}/{ACCOUNT}"

    def container(self, name: str, *, is_public: bool = False) -> None:
        """Create a container."""
        fields = {"x-ms-blob-public-access": "blob"} if is_public else {}
        url = f"{self.endpoint}/{name}?restype=container"
        request = requests.Request("PUT", url, headers=fields).prepare()
        bucket = BucketLocation.parse(f"az://{name}", self.endpoint, None)
        request.headers.update(bucket.fields)
        length = request.headers.pop("Content-Length")  # an empty one is signed as none
        AccountKey(ACCOUNT_KEY).sign(request, bucket, datetime.now(UTC))
        request.headers["Content-Length"] = length
        with requests.Session() as session:
            session.send(request, timeout=PATIENCE).raise_for_status()
