"""Sites in several states, and a live site that switches between them.

first       canonical form, head, blocks
ten         ten entries have changed: head, change file, blocks
blocks      the same, and the head names no change file
whole       the same, and the head names no blocks either
small       ten entries, for what is done only once
other       the first state in another form, without a head
other-ten   ten entries have changed
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from staticstore.index.head import Head
from staticstore.index.snapshot import Index
from staticstore.site.documents.document_files import prepared_head, write_documents
from staticstore.site.documents.head_files import next_head
from staticstore.site.folder.site_folder import SiteFolder

from .indexes import Entries, canonical, changed, entries, other_form
from .subjects import CannotRun

__all__ = ["CHANGES", "LiveSite", "make_states"]

CHANGES = 10


def make_states(folder: Path, index: Entries) -> None:
    """Make a folder for each state."""
    after = changed(index, CHANGES)
    first = _publish(folder / "first", index, None)
    shutil.copytree(folder / "first", folder / "ten", copy_function=os.link)
    ten = _publish(folder / "ten", after, first)
    for name, head in (
        ("blocks", replace(ten, change_files=())),
        ("whole", replace(ten, change_files=(), blocks=None)),
    ):
        shutil.copytree(folder / "ten", folder / name, copy_function=os.link)
        _put(folder / name / "index.head.json", head.encode())
    _publish(folder / "small", entries(10), None)
    _write_other(folder / "other", other_form(index))
    _write_other(folder / "other-ten", other_form(after))


def _publish(path: Path, index: Entries, head: Head | None) -> Head:
    """Write what `publish` writes, without values: a million files take too long."""
    (path / "data").mkdir(parents=True, exist_ok=True)
    site, body = SiteFolder.open(path), canonical(index)
    new, files = next_head(site, head, Index.parse(body), body)
    assert files is not None, "each state is another"
    write_documents(site, files, body)
    with prepared_head(site, new, body=body, files=files):
        pass
    return new


def _write_other(path: Path, body: bytes) -> None:
    path.mkdir()
    _put(path / "index.json", body)


def _put(path: Path, body: bytes) -> None:
    path.unlink(missing_ok=True)  # it may be a link
    path.write_bytes(body)


class LiveSite:
    """A site in the served folder that shows one state and then another.

    Parameters
    ----------
    served : Path
        The folder that is served, with the states in it.
    url : str
        Its URL.
    """

    def __init__(self, served: Path, url: str) -> None:
        name = f"live-{os.getpid()}"
        self.url = f"{url}{name}/"
        self._url = url
        self._served = served
        self._folder = served / name
        self._seconds: Iterator[int] | None = None

    def folder(self, state: str) -> Path:
        """Return the folder of a state."""
        if not (self._served / state).is_dir():
            raise CannotRun(f"there is no site {state!r}")
        return self._served / state

    def at(self, state: str) -> str:
        """Return the URL of a state that does not change."""
        return f"{self._url}{self.folder(state).name}/"

    def scratch(self) -> Path:
        """Make a folder on the same disk, which is kept until the end."""
        return Path(tempfile.mkdtemp(prefix="scratch-", dir=self._served))

    def show(self, state: str) -> None:
        """Let the site show a state; files named by their digests are kept."""
        self.folder(state)
        if self._seconds is None:
            # Later than any file of any state, since servers compare whole seconds.
            latest = max(path.stat().st_mtime for path in self._served.rglob("*"))
            self._seconds = itertools.count(int(latest) + 2)
        now = next(self._seconds)
        paths = (self._served / state).rglob("*")
        for source in sorted(paths, key=lambda path: path.name == "index.head.json"):
            target = self._folder / source.relative_to(self._served / state)
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif source.parent.name != state:
                if not target.exists():
                    os.link(source, target)
            else:
                target.parent.mkdir(exist_ok=True)
                temporary = target.with_suffix(".new")
                shutil.copyfile(source, temporary)
                os.utime(temporary, (now, now))
                os.replace(temporary, target)

    def remove(self) -> None:
        """Remove the live site, but not the states."""
        shutil.rmtree(self._folder, ignore_errors=True)


if __name__ == "__main__":
    make_states(Path(sys.argv[1]), entries(int(sys.argv[2])))
