"""Sites to run commands on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from staticstore import publish, serve
from staticstore.cli import run
from tests.commands.shell import SAMPLE_SITE, Ended

Run = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "STATICSTORE_AUTH",
        "STATICSTORE_CACHE",
        "NO_COLOR",
        "FORCE_COLOR",
        "http_proxy",
        "https_proxy",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command in this process, where its output is not a terminal."""

    def run_(*arguments: object) -> Ended:
        code = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Ended(code, out, err)

    return run_


def copy_sample(folder: Path) -> Path:
    """Copy the sample site without the files that a publisher writes."""
    shutil.copytree(SAMPLE_SITE / "data", folder / "data")
    shutil.copy(SAMPLE_SITE / "metadata.toml", folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sample site, not yet published."""
    site = tmp_path / "site"
    site.mkdir()
    return copy_sample(site)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample site, published; tests must not modify it."""
    site = copy_sample(tmp_path_factory.mktemp("sample"))
    publish(site)
    return site


@pytest.fixture(scope="session")
def url(sample: Path) -> Iterator[str]:
    """The URL of the sample site."""
    with serve(sample, port=0) as server:
        yield server.url


@pytest.fixture(scope="session")
def locked_url(sample: Path) -> Iterator[str]:
    """The URL of the sample site, behind the user ali and the password sesame."""
    with serve(sample, port=0, auth=("ali", "sesame")) as server:
        yield server.url
