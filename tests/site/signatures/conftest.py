"""A site, keys to sign it, and a reader of TUF that is not ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("tuf")

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from staticstore import StaticStore
from staticstore.index.head import Head
from staticstore.index.snapshot import Index
from staticstore.site.folder.retention import entry_files_of, hrefs_of
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.signatures.key_folder import KeyFolder
from staticstore.site.signatures.new_keys import make_keys
from tests.site.sitefolder import make_site

PASSPHRASE = "correct horse"

MakeKeys = Callable[..., KeyFolder]


class _FolderFetcher(FetcherInterface):
    """Reads the files of a site's ``trust/`` as the URLs of a host."""

    def __init__(self, site: Path) -> None:
        self._site = site

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self._site / url.removeprefix("site:")
        if not path.exists():
            raise DownloadHTTPError("Not Found", 404)
        yield path.read_bytes()


class Reader:
    """A reader of signed heads by python-tuf's own client, with its state.

    Parameters
    ----------
    state : Path
        Its folder, which need not exist.
    root : bytes
        The root document that it was given.
    """

    def __init__(self, state: Path, root: bytes) -> None:
        self._state = state
        self._root = root
        state.mkdir(exist_ok=True)

    def head(self, site: Path) -> bytes:
        """Return the signed head; raise what python-tuf raises."""
        updater = Updater(
            str(self._state),
            "site:trust/",
            str(self._state),
            "site:trust/",
            _FolderFetcher(site),
            bootstrap=self._root,
        )
        updater.refresh()
        target = updater.get_targetinfo("index.head.json")
        assert target is not None
        return Path(updater.download_target(target)).read_bytes()

    def check(self, site: Path) -> bytes:
        """Return the signed head; all that it and its index name is there."""
        body = self.head(site)
        check_named(site, body)
        return body


def check_named(site: Path, body: bytes) -> None:
    """Check that all that a head and its index name is there, and has those digests."""
    folder, head = SiteFolder(site), Head.parse(body)
    index = folder.read_document(head.index)
    assert index is not None
    for href in hrefs_of(folder, head) | entry_files_of(Index.parse(index)):
        path = site / href
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.partition(".")[0]


def check_plain(site: Path) -> tuple[bytes, bytes]:
    """Return the index and head that readers without signatures see, whose values are right."""
    body = (site / "index.head.json").read_bytes()
    check_named(site, body)
    with StaticStore(site, poll_interval=0) as store:
        assert {key: store[key].read() for key in store}
    return (site / "index.json").read_bytes(), body


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", {"a.csv": b"x\n", "b/c.bin": b"12345"})


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    """Keys of which nothing was asked yet."""
    make_keys(tmp_path / "keys", [PASSPHRASE])
    return opened(tmp_path / "keys")


def opened(*paths: Path) -> KeyFolder:
    """Return folders of keys whose passphrase is known."""
    return KeyFolder(*paths, passphrases=lambda name: [PASSPHRASE])


@pytest.fixture
def reader(tmp_path: Path, keys: KeyFolder) -> Reader:
    """A reader that was given the first root document."""
    return Reader(tmp_path / "state", (keys.path / "1.root.json").read_bytes())
