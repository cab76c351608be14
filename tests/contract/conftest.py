"""The fixture `backend`: each kind of host that can serve a site."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore
from staticstore.site.server import serve
from tests.engines import ENGINES, sending_by
from tests.servers import (
    Apache,
    Caddy,
    Nginx,
    PythonServer,
    SignedS3Server,
    Squid,
    require,
    write_certificates,
)

AUTH = ("alí", "open:sesame")
PROXY_AUTH = ("proxy", "p@ss word")


@dataclass
class Host:
    """A folder that a running server shows."""

    folder: Path
    url: str
    connect: dict[str, Any] = field(default_factory=dict)
    place: dict[str, Any] = field(default_factory=dict)


@dataclass
class Backend:
    """A site of one test on a host."""

    name: str
    folder: Path
    root: str | Path
    connect: dict[str, Any]
    place: dict[str, Any]

    def open(self, **options: Any) -> StaticStore:
        """Connect a store that does not poll by itself."""
        return self.store(poll_interval=0, **options).connect(**self.connect)

    def store(self, **options: Any) -> StaticStore:
        """Return a store that is not connected."""
        return StaticStore(self.root, **self.place, **options)


def _file(folder: Path, stack: ExitStack, temporary: Path) -> Host:
    return Host(folder, folder.as_uri() + "/")


def _serve(folder: Path, stack: ExitStack, temporary: Path) -> Host:
    # Ours serves one site; the tests' sites stand side by side below its data folder.
    site = temporary / "served"
    site.mkdir()
    (site / "data").symlink_to(folder)
    return Host(folder, stack.enter_context(serve(site, port=0)).url + "data/")


def _python(folder: Path, stack: ExitStack, temporary: Path) -> Host:
    return Host(folder, stack.enter_context(PythonServer(folder)).url)


def _nginx(**options: Any) -> Callable[[Path, ExitStack, Path], Host]:
    def start(folder: Path, stack: ExitStack, temporary: Path) -> Host:
        require("nginx")
        connect = {"auth": options["auth"]} if "auth" in options else {}
        return Host(folder, stack.enter_context(Nginx(folder, **options)).url, connect)

    return start


def _apache(folder: Path, stack: ExitStack, temporary: Path) -> Host:
    require("apache2")
    return Host(folder, stack.enter_context(Apache(folder)).url)


def _caddy(folder: Path, stack: ExitStack, temporary: Path) -> Host:
    require("caddy")
    return Host(folder, stack.enter_context(Caddy(folder)).url)


def _nginx_tls(folder: Path, stack: ExitStack, temporary: Path) -> Host:
    require("nginx")
    certificates = write_certificates(temporary)
    nginx = stack.enter_context(Nginx(folder, tls=certificates.server))
    return Host(folder, nginx.url, {"verify": str(certificates.authority)})


def _nginx_squid(folder: Path, stack: ExitStack, temporary: Path) -> Host:
    require("nginx")
    require("squid")
    nginx = stack.enter_context(Nginx(folder, auth=AUTH))
    squid = stack.enter_context(Squid(auth=PROXY_AUTH))
    proxies = {"http": squid.url_with_auth}
    return Host(folder, nginx.url, {"auth": AUTH, "proxies": proxies})


def _s3(folder: Path, stack: ExitStack, temporary: Path) -> Host:
    pytest.importorskip("moto")
    server = stack.enter_context(SignedS3Server(folder))
    place = {"endpoint": server.url, "region": "eu-central-1"}
    return Host(folder, "s3://sites/", {"auth": server.keys["temporary"]}, place)


HOSTS: dict[str, Callable[[Path, ExitStack, Path], Host]] = {
    "file": _file,
    "serve": _serve,
    "http.server": _python,
    "nginx": _nginx(),
    "nginx gzip": _nginx(gzip=True),
    "nginx no ranges": _nginx(max_ranges=0),
    "nginx auth": _nginx(auth=AUTH),
    "nginx sub-path": _nginx(location="/a%20b/c/"),
    "nginx tls": _nginx_tls,
    "nginx squid": _nginx_squid,
    "apache": _apache,
    "caddy": _caddy,
    "s3 signed": _s3,
}


@pytest.fixture(scope="session", params=HOSTS)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Host]]:
    """A running server of each kind, for all tests."""
    folder = tmp_path_factory.mktemp("sites")
    with ExitStack() as stack:
        yield request.param, HOSTS[request.param](folder, stack, tmp_path_factory.mktemp("host"))


_numbers = itertools.count(1)


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each way to send many requests: nothing else may depend on it."""
    with sending_by(request.param):
        yield


@pytest.fixture
def backend(host: tuple[str, Host]) -> Backend:
    """An empty site on each kind of host."""
    name, server = host
    site = f"site-{next(_numbers)}"
    folder = server.folder / site
    (folder / "data").mkdir(parents=True)
    return Backend(name, folder, f"{server.url}{site}/", server.connect, server.place)
