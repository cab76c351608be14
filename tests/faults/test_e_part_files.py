"""E9: a part file or note that others own, can write or have linked is not used."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from staticstore import StaticStore, TransportError
from staticstore.disk.part_file import PART_PATTERN
from tests.servers import Answer, RawServer, Request, Wire, serve_files
from tests.sites import index_of

VALUE = bytes(range(256)) * 6_000  # 1.5 MB
AT = 1_200_000
TAG = '"tag"'

Start = Callable[..., RawServer]

posix = pytest.mark.skipif(os.name == "nt", reason="no owners and no permissions")


def breaking(good: Answer) -> Answer:
    """Break off the first answer, and serve well from then on."""
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        if len(seen) > 1:
            return good(request, wire)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(VALUE)}\r\nETag: {TAG}\r\n\r\n"
        wire.send(head.encode() + VALUE[:AT])
        return wire.close()

    return answer


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a file of the user's that no download may touch."""
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    return path


class Download:
    """A download that was interrupted once, and is repeated by `again`."""

    def __init__(self, start: Start, folder: Path, index: bytes) -> None:
        folder.mkdir()
        self.copy = folder / "copy"
        good = serve_files({"index.json": index, "data/a": VALUE})
        self.server = start(good.but({"data/a": breaking(good)}))
        with pytest.raises(TransportError):
            self.again()
        [self.part] = folder.glob(PART_PATTERN)
        self.note = self.part.with_name(f"{self.part.name}.json")

    def again(self) -> None:
        """Download again, and compare the result with the value."""
        with StaticStore(self.server.url, poll_interval=0).connect(retries=0) as store:
            store.to_file("a", self.copy)
        assert self.copy.read_bytes() == VALUE

    @property
    def has_resumed(self) -> bool:
        """Whether the last request asked for the missing bytes."""
        values = [one for one in self.server.requests if one.path == "/data/a"]
        return values[-1].range == (AT, None)


@pytest.fixture
def download(start: Start, tmp_path: Path) -> Download:
    return Download(start, tmp_path / "downloads", index_of({"a": VALUE}))


def by_link(path: Path, victim: Path) -> None:
    path.unlink()
    path.symlink_to(victim)


def by_hard_link(path: Path, victim: Path) -> None:
    path.unlink()
    os.link(victim, path)


def by_extra_hard_link(path: Path, victim: Path) -> None:
    os.link(path, victim.with_name("second name"))


def by_fifo(path: Path, victim: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def by_folder(path: Path, victim: Path) -> None:
    path.unlink()
    path.mkdir()


def by_group(path: Path, victim: Path) -> None:
    path.chmod(0o620)


def by_all(path: Path, victim: Path) -> None:
    path.chmod(0o602)


Swap = Callable[[Path, Path], None]
SWAPS: list[Swap] = [
    by_link,
    by_hard_link,
    by_extra_hard_link,
    by_fifo,
    by_folder,
    by_group,
    by_all,
]


def test_e9_a_download_resumes_from_its_own_part_file(download: Download) -> None:
    download.again()
    assert download.has_resumed
    assert list(download.copy.parent.iterdir()) == [download.copy]


@posix
def test_e9_only_the_owner_can_read_and_write_a_part_file(download: Download) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (download.part, download.note)}
    assert modes == {0o600}


@posix
@pytest.mark.parametrize("swap", SWAPS)
def test_e9_a_part_file_that_others_can_change_is_not_used(
    download: Download, victim: Path, swap: Swap
) -> None:
    swap(download.part, victim)
    before = download.part.lstat()
    download.again()
    assert not download.has_resumed
    assert victim.read_bytes() == b"precious"
    assert download.part.lstat().st_ino == before.st_ino != download.copy.stat().st_ino


@posix
@pytest.mark.parametrize("swap", SWAPS)
def test_e9_a_note_that_others_can_change_is_not_used(
    download: Download, victim: Path, swap: Swap
) -> None:
    swap(download.note, victim)
    download.again()
    assert not download.has_resumed
    assert victim.read_bytes() == b"precious"


@posix
def test_e9_a_folder_in_place_of_a_temporary_file_is_left_alone(
    download: Download,
) -> None:
    probe = download.part.with_name(f"{download.part.name}.new")
    probe.mkdir()
    download.again()
    assert download.has_resumed
    assert sorted(download.copy.parent.iterdir()) == [probe, download.copy]


@posix
def test_e9_a_part_file_of_another_user_is_not_used(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    before = download.part.read_bytes()
    download.again()
    assert not download.has_resumed
    assert download.part.read_bytes() == before


@posix
def test_e9_a_part_file_that_another_process_holds_open_does_not_become_the_result(
    start: Start, tmp_path: Path
) -> None:
    server = start(serve_files({"index.json": index_of({"a": VALUE}), "data/a": VALUE}))
    planted = [tmp_path / "copy.part", tmp_path / "copy.part.json"]
    for path in planted:
        path.write_bytes(b"{}")
        path.chmod(0o666)
    with StaticStore(server.url, poll_interval=0) as store:
        store.to_file("a", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_ino not in [path.stat().st_ino for path in planted]
    assert [path.read_bytes() for path in planted] == [b"{}", b"{}"]


NOTES: list[object] = [
    {"url": "URL", "sha256": None, "etag": '"tag"\r\nX-Evil: 1'},
    {"url": "URL", "sha256": None, "etag": 'W/"tag"'},
    {"url": "URL", "sha256": None, "etag": "tag"},
    {"url": "URL", "sha256": None, "etag": '"ta\ng"'},
    {"url": "URL", "sha256": None, "etag": f'"{"x" * 1025}"'},
    {"url": "URL", "sha256": None, "etag": ['"tag"']},
    {"url": "URL", "sha256": "ab", "etag": '"tag"'},
    {"url": "URL", "sha256": 7, "etag": '"tag"'},
    {"url": ["URL"], "sha256": None, "etag": '"tag"'},
    {"url": "URL", "etag": '"tag"'},
    {"url": "URL", "sha256": None, "etag": '"tag"', "more": "x" * 10_000},
    ["URL", None, '"tag"'],
    '"tag"',
]


@pytest.mark.parametrize("note", NOTES)
def test_e9_an_invalid_note_is_ignored(start: Start, tmp_path: Path, note: object) -> None:
    download = Download(start, tmp_path / "downloads", b'{"a": {}}')
    url = json.loads(download.note.read_bytes())["url"]
    download.note.write_text(json.dumps(note).replace("URL", url))
    download.again()
    assert not download.has_resumed
    assert all("X-Evil" not in request.headers for request in download.server.requests)


@pytest.mark.parametrize("tag", ['"tag"', '"\u00e9"', '""'])
def test_e9_a_valid_note_resumes_by_its_etag(start: Start, tmp_path: Path, tag: str) -> None:
    download = Download(start, tmp_path / "downloads", b'{"a": {}}')
    said = json.loads(download.note.read_bytes())
    download.note.write_text(json.dumps({**said, "etag": tag}))
    download.again()
    asked = [one for one in download.server.requests if one.path == "/data/a"][1]
    assert asked.headers["If-Range"] == tag
