"""Fixtures for all tests and doctests of the project."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore

SAMPLE_SITE = Path(__file__).parent / "sample_site"


def _sync_nothing(fd: Any) -> None:
    os.fstat(fd)  # raises as `os.fsync`


# No test cuts the power: what was written is there for all processes.  A sync takes 2 to 15 ms.
os.fsync = _sync_nothing


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save the coverage of a worker while pytest-xdist still waits for it."""
    # A worker that takes more than ten seconds to exit is killed, with what it has measured.
    coverage = sys.modules.get("coverage")
    if coverage is not None and hasattr(session.config, "workerinput"):
        measuring = coverage.Coverage.current()
        if measuring is not None:
            measuring.stop()
            measuring.save()


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that leave the machine; ignore the environment's proxies."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            assert host == "localhost" or ipaddress.ip_address(host).is_loopback, address
        connect(self, address)

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host in (None, "", "localhost") or host[0].isdigit() or ":" in host:
            return resolve(host, *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)
    names = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]
    for name in [*names, *map(str.upper, names), "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sample_site(tmp_path: Path) -> Path:
    """Copy the sample site."""
    ignored = shutil.ignore_patterns("*.py", "make", "__pycache__", ".staticstore")
    return Path(shutil.copytree(SAMPLE_SITE, tmp_path / "sample_site", ignore=ignored))


@pytest.fixture(autouse=True)
def examples_in_docstrings(
    request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]
) -> Iterator[None]:
    """Provide a site and a connected store to the examples in docstrings."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    site = request.getfixturevalue("sample_site")
    with StaticStore(site, poll_interval=0) as store:
        doctest_namespace.update(sample_site=site, sample_store=store)
        yield
