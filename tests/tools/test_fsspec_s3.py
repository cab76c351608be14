"""A site in a private bucket as a file system: each request is signed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("fsspec")
pytest.importorskip("moto")

from staticstore import publish
from staticstore.interop.fsspec import StaticStoreFileSystem
from tests.servers import SignedS3Server
from tests.site.sitefolder import make_site
from tests.transport.buckets.conftest import environment  # noqa: F401

VALUES = {f"small/{number:03}.txt": b"value %d" % number for number in range(30)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedS3Server]:
    folder = tmp_path_factory.mktemp("sites")
    publish(make_site(folder / "maps", VALUES))
    with SignedS3Server(folder) as server:
        yield server


@pytest.fixture
def files(
    server: SignedS3Server,
    environment: pytest.MonkeyPatch,  # noqa: F811
) -> Iterator[StaticStoreFileSystem]:
    """A file system of the site; the key is in the environment."""
    for name, value in server.keys["temporary"].items():
        environment.setenv(f"AWS_{name.upper()}", value)
    yield StaticStoreFileSystem("s3://sites/maps", endpoint=server.url, region="eu-central-1")
    StaticStoreFileSystem.clear_instance_cache()


def test_values_are_listed_and_read(files: StaticStoreFileSystem) -> None:
    assert files.ls("small", detail=False) == sorted(VALUES)
    assert files.cat("small/*.txt") == VALUES


def test_a_signed_url_has_the_time_that_was_asked_for(files: StaticStoreFileSystem) -> None:
    """What is signed is held against botocore elsewhere; moto takes no signed URLs."""
    signed = files.sign("small/007.txt", expiration=60)
    assert "/sites/maps/data/small/007.txt?X-Amz-Algorithm" in signed
    assert "&X-Amz-Expires=60&" in signed
