"""A site, keys to sign it, and a reader of TUF that is not ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("tuf")

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from staticstore.index.head import Head
from staticstore.site.folder.retention import hrefs_of
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
        """Return the signed head, all of whose documents are there."""
        body = self.head(site)
        folder = SiteFolder(site)
        for href in hrefs_of(folder, Head.parse(body)):
            assert (site / href).exists(), href
        assert folder.read_document(Head.parse(body).index) is not None
        return body


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
