"""F17: runs that are interrupted again and again resume, and complete in the end."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, StoreError, mirror, publish
from staticstore.client.access import IndexDownload
from staticstore.client.store import download_index_by
from staticstore.disk.part_file import PART_PATTERN, DirectFile, PartFolder, PartialDocument
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.mirroring.staging import parts_of
from staticstore.site.publisher import verify_site
from tests.servers import Answer, RawServer, Request, Wire, serve_files

Start = Callable[..., RawServer]

CUT = 150_000  # bytes that a run receives
MOST_RUNS = 30


def site_of(folder: Path, **options: Any) -> dict[str, bytes]:
    """Publish a site of 60 values of 10 kB, and return its files."""
    made = random.Random(7)
    (folder / "data").mkdir(parents=True)
    for number in range(60):
        (folder / f"data/{number:02}").write_bytes(made.randbytes(10_000))
    publish(folder, **options)
    return files_of(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in paths]
    return {
        name: path.read_bytes()
        for name, path in zip(names, paths, strict=True)
        if not name.startswith(".")
    }


class LimitedHost:
    """A host that sends a limited number of bytes in a run, and then closes every connection."""

    def __init__(self, folder: Path) -> None:
        self.good: Answer = serve_files(files_of(folder))
        self.left = CUT
        self.sent = 0

    def __call__(self, request: Request, wire: Wire) -> None:
        if self.left <= 0:
            wire.close()
            return
        metered = _Metered(wire, request, self)
        self.good(request, metered)
        wire.used, wire.closed = metered.used, metered.closed


class _Metered(Wire):
    """A wire that breaks when a run has received its bytes."""

    def __init__(self, wire: Wire, request: Request, host: LimitedHost) -> None:
        super().__init__(wire._connection, request)
        self._host = host

    def send(self, data: bytes) -> None:
        given = data[: max(self._host.left, 0)]
        self._host.left -= len(given)
        self._host.sent += len(given)
        super().send(given)
        if len(given) < len(data):
            self.close()


def runs(host: LimitedHost, run: Callable[[], object]) -> int:
    """Run until a run completes; return how many it took."""
    for number in range(1, MOST_RUNS + 1):
        host.left = CUT
        with contextlib.suppress(StoreError):
            run()
            return number
    raise AssertionError("it comes to no end")


def mirrored(url: str, copy: Path, *, indexed: bool = False) -> None:
    store = StaticStore(url, poll_interval=0)
    if indexed:
        download_index_by(store, IndexDownload(parts_of(SiteFolder(copy), keeps=True)))
    with store.connect(retries=0):
        report = mirror(store, copy)
    if report.failed:
        raise StoreError("some values have failed")


LONG = {"*": {"text": "".join(map(chr, range(33, 127))) * 100}}  # 9.4 kB for each entry


@pytest.mark.parametrize("options", [{"pack": True}, {}, {"metadata": LONG}])
def test_f17_a_mirror_that_is_interrupted_again_and_again_completes(
    start: Start, tmp_path: Path, options: dict[str, Any]
) -> None:
    site_of(tmp_path / "site", **options)
    host = LimitedHost(tmp_path / "site")
    url = start(host, heads=True).url
    took = runs(host, lambda: mirrored(url, tmp_path / "copy", indexed=True))
    size = sum(len(body) for body in files_of(tmp_path / "copy").values())
    assert 3 < took < 3 * size / CUT
    assert verify_site(tmp_path / "copy").wrong == []
    assert not (tmp_path / "copy/.staticstore/incoming").exists()


def test_f17_hardly_any_byte_of_a_pack_is_transferred_twice(start: Start, tmp_path: Path) -> None:
    site_of(tmp_path / "site", pack=True)
    host = LimitedHost(tmp_path / "site")
    url = start(host, heads=True).url
    runs(host, lambda: mirrored(url, tmp_path / "copy"))
    [pack] = (tmp_path / "site/packs").iterdir()
    small = sum(len(body) for body in files_of(tmp_path / "site").values()) - 2 * 600_000
    assert host.sent < pack.stat().st_size + MOST_RUNS // 3 * small


def read_with_cache(url: str, cache: Path) -> None:
    with StaticStore(url, poll_interval=0, cache=cache).connect(retries=0) as store:
        assert len(store) == 60


def test_f17_an_index_is_resumed_if_there_is_a_cache(start: Start, tmp_path: Path) -> None:
    site_of(tmp_path / "site", metadata=LONG)
    host = LimitedHost(tmp_path / "site")
    url = start(host, heads=True).url
    assert 3 < runs(host, lambda: read_with_cache(url, tmp_path / "cache")) < 8
    assert not list((tmp_path / "cache").rglob(PART_PATTERN))


def test_f17_a_change_file_is_resumed(start: Start, tmp_path: Path) -> None:
    site_of(tmp_path / "site")
    host = LimitedHost(tmp_path / "site")
    server = start(host, heads=True)
    with StaticStore(server.url, poll_interval=0, cache=tmp_path / "cache").connect(
        retries=0
    ) as store:
        half = {f"{number:02}": LONG["*"] for number in range(0, 60, 4)}
        publish(tmp_path / "site", metadata=half)
        host.good = serve_files(files_of(tmp_path / "site"))
        assert runs(host, store.update_index) > 1
        assert store.get_metadata("04")["text"] == LONG["*"]["text"]


class Document:
    """The index of a site, the beginning of which is in the cache of a store."""

    def __init__(self, start: Start, folder: Path) -> None:
        site_of(folder / "site", metadata=LONG)
        self.cache = folder / "cache"
        self.host = LimitedHost(folder / "site")
        self.server = start(self.host, heads=True)
        with pytest.raises(StoreError):
            read_with_cache(self.server.url, self.cache)
        [self.part] = self.cache.rglob(PART_PATTERN)
        self.host.left = 1 << 30

    def read(self) -> list[tuple[int, int | None] | None]:
        """Read the index, and return the requested ranges of it."""
        before = len(self.server.requests)
        read_with_cache(self.server.url, self.cache)
        asked = self.server.requests[before:]
        return [one.range for one in asked if one.path.startswith("/index/")]


@pytest.fixture
def document(start: Start, tmp_path: Path) -> Document:
    return Document(start, tmp_path)


def test_f17_only_the_owner_can_read_a_beginning(document: Document) -> None:
    assert stat.S_IMODE(document.part.stat().st_mode) & 0o077 == 0


def test_f17_bytes_that_have_arrived_are_not_requested_again(document: Document) -> None:
    begun = document.part.stat().st_size
    assert document.read() == [(begun - 1, None)]


@pytest.mark.parametrize("beginning", [b"\0" * 50_000, b"", b"{", b"\0" * (5 << 20)])
def test_f17_a_wrong_beginning_is_discarded(document: Document, beginning: bytes) -> None:
    document.part.write_bytes(beginning)
    assert document.read()[-1] is None
    assert not document.part.exists()


def by_hard_link(part: Path, victim: Path) -> None:
    part.unlink()
    os.link(victim, part)


def by_link(part: Path, victim: Path) -> None:
    part.unlink()
    part.symlink_to(victim)


def by_all(part: Path, victim: Path) -> None:
    part.chmod(0o666)


@pytest.mark.skipif(os.name == "nt", reason="no permissions")
@pytest.mark.parametrize("swap", [by_hard_link, by_link, by_all])
def test_e9_a_beginning_that_others_can_change_is_not_used(
    document: Document, tmp_path: Path, swap: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious" * 10_000)
    swap(document.part, victim)
    assert document.read() == [None]
    assert victim.read_bytes() == b"precious" * 10_000


@pytest.mark.parametrize("status", [400, 403, 404, 405, 416, 501])
def test_c17_a_refused_range_of_a_document_leads_to_one_request_for_the_whole(
    document: Document, status: int
) -> None:
    good = document.host.good

    def answer(request: Request, wire: Wire) -> None:
        if request.range is None:
            good(request, wire)
        else:
            wire.response(status)

    document.host.good = answer
    asked = document.read()
    assert (len(asked), asked[-1]) == (2, None)


def test_c5_a_whole_document_in_answer_to_a_range_is_accepted(document: Document) -> None:
    document.host.good = serve_files(files_of(document.cache.parent / "site"), ranges=False)
    assert len(document.read()) == 1


def test_f17_a_host_that_names_another_document_each_time_does_not_fill_the_disk(
    tmp_path: Path,
) -> None:
    folder = PartFolder(lambda makes: tmp_path)
    for number in range(40):
        with (
            pytest.raises(StoreError),
            PartialDocument(f"{number:064x}", 1 << 20, folder) as beginning,
        ):
            beginning.grow(memoryview(bytes(50_000)))
            raise StoreError("it broke off")
        [size] = {path.stat().st_size for path in tmp_path.iterdir()}
        assert size == 50_000
    assert len(list(tmp_path.iterdir())) == 16
    assert (tmp_path / f".staticstore-document-{39:064x}.part").exists()


def test_f17_a_document_can_be_read_with_a_full_disk(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: DirectFile, piece: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(DirectFile, "write", write)
    assert len(document.read()) == 1


KILLED = """
import os, signal, sys
from staticstore import tuning
from staticstore.disk import part_file
from tests.faults.test_f_cut_short import mirrored, Path
tuning.KEPT_DOCUMENT_SECONDS = 0
grow, grown = part_file.PartialDocument.grow, 0
def killed(self, piece):
    global grown
    grow(self, piece)
    grown += len(piece)
    if grown > 150_000:
        os.kill(os.getpid(), signal.SIGKILL)
part_file.PartialDocument.grow = killed
mirrored(sys.argv[1], Path(sys.argv[2]), indexed=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_f17_killed_runs_are_resumed(start: Start, tmp_path: Path) -> None:
    site_of(tmp_path / "site", pack=True)
    server = start(serve_files(files_of(tmp_path / "site")), heads=True)
    command = [sys.executable, "-c", KILLED, server.url, str(tmp_path / "copy")]
    codes = [subprocess.run(command, check=False, timeout=60).returncode for _ in range(2)]
    assert codes == [-signal.SIGKILL] * 2
    mirrored(server.url, tmp_path / "copy")
    starts = [one.range[0] for one in server.requests if one.range is not None]
    assert starts[0] > 100_000
    assert starts[1] > starts[0] + 100_000
    assert verify_site(tmp_path / "copy").wrong == []
