"""F12: a device, a FIFO or an open descriptor as a target is written into or refused."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from staticstore import IntegrityError, StaticStore
from tests.servers import RawServer, serve_files
from tests.sites import index_of

SMALL = b"a small value\n" * 100
LARGE = bytes(range(256)) * 6_000  # large enough for a part file
VALUES = {"small": SMALL, "large": LARGE}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no devices in the file system")


@pytest.fixture
def server() -> Iterator[RawServer]:
    files = {f"data/{key}": value for key, value in VALUES.items()}
    with RawServer(serve_files({"index.json": index_of(VALUES), **files})) as server:
        yield server


@pytest.fixture
def store(server: RawServer) -> Iterator[StaticStore]:
    with StaticStore(server.url, poll_interval=0) as store:
        yield store


def null_device(path: Path) -> None:
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def link_to_null(path: Path) -> None:
    path.symlink_to("/dev/null")


def link_to_link(path: Path) -> None:
    path.with_name("between").symlink_to("/dev/null")
    path.symlink_to("between")


@pytest.mark.parametrize("key", VALUES)
@pytest.mark.parametrize("make", [null_device, link_to_null, link_to_link])
def test_f12_a_device_receives_the_bytes_and_stays_a_device(
    store: StaticStore, tmp_path: Path, make: Callable[[Path], None], key: str
) -> None:
    target = tmp_path / "target"
    make(target)
    before = target.lstat()
    store.to_file(key, target)
    assert os.path.samestat(target.lstat(), before)
    assert not [path for path in tmp_path.iterdir() if path.name not in ("target", "between")]


class Reader:
    """A thread that reads a FIFO to its end."""

    def __init__(self, fifo: Path) -> None:
        os.mkfifo(fifo)
        # Held open, so that the writer need not wait for the thread.
        self._descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.read = b""

    def __enter__(self) -> Reader:
        os.set_blocking(self._descriptor, True)
        self._thread = threading.Thread(target=self._run)
        return self

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        with os.fdopen(self._descriptor, "rb") as file:
            self.read = file.read()

    def __exit__(self, *error: object) -> None:
        if not self._thread.ident:
            self.start()
        self._thread.join()


def test_f12_a_fifo_passes_the_bytes_to_its_reader(store: StaticStore, tmp_path: Path) -> None:
    # The capacity of a pipe: the writer finishes before anything is read.
    with Reader(tmp_path / "fifo") as reader:
        store.to_file("small", tmp_path / "fifo")
    assert reader.read == SMALL
    assert stat.S_ISFIFO((tmp_path / "fifo").lstat().st_mode)


def test_f12_the_reader_of_a_fifo_gets_no_wrong_byte(tmp_path: Path) -> None:
    files = {"index.json": index_of({"a": SMALL}), "data/a": SMALL[::-1]}
    with RawServer(serve_files(files)) as server, StaticStore(server.url, poll_interval=0) as store:
        with Reader(tmp_path / "fifo") as reader, pytest.raises(IntegrityError):
            store.to_file("a", tmp_path / "fifo")
        assert reader.read == b""


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))


def disk(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(7, 250))
    except PermissionError:
        pytest.skip("only root makes devices")


def link_to_folder(path: Path) -> None:
    path.symlink_to(path.parent)


REFUSED: list[tuple[str, Callable[[Path], None]]] = [
    ("no process reads from this FIFO", os.mkfifo),
    ("it is a socket", socket_at),
    ("it is a disk", disk),
    ("it is a folder", Path.mkdir),
    ("it is a folder", link_to_folder),
]


@pytest.mark.parametrize("key", VALUES)
@pytest.mark.parametrize(("reason", "make"), REFUSED)
def test_f12_an_unsuitable_target_is_refused_before_any_request(
    server: RawServer,
    store: StaticStore,
    tmp_path: Path,
    make: Callable[[Path], None],
    reason: str,
    key: str,
) -> None:
    target = tmp_path / "target"
    make(target)
    before = target.lstat()
    with pytest.raises(OSError, match=reason):
        store.to_file(key, target)
    assert os.path.samestat(target.lstat(), before)
    assert list(tmp_path.iterdir()) == [target]
    assert not [one for one in server.requests if one.path.startswith("/data/")]


@pytest.mark.parametrize("key", VALUES)
@pytest.mark.parametrize(
    ("place", "kind", "reason"),
    [
        ("none/copy", FileNotFoundError, "there is no folder '.*none': create it"),
        ("none/", IsADirectoryError, "it is a folder"),
        ("file/copy", NotADirectoryError, "Not a directory"),
    ],
)
def test_f12_a_folder_that_is_not_there_is_reported_before_anything_is_asked(
    store: StaticStore,
    server: RawServer,
    tmp_path: Path,
    place: str,
    kind: type[OSError],
    reason: str,
    key: str,
) -> None:
    (tmp_path / "file").touch()
    asked = len(server.requests)
    with pytest.raises(kind, match=reason):
        store.to_file(key, f"{tmp_path}/{place}")
    assert len(server.requests) == asked
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def get(
    url: str, *arguments: str, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "staticstore", "get", url, *arguments]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("key", VALUES)
def test_f12_a_name_that_is_too_long_is_refused_before_any_request(
    store: StaticStore, server: RawServer, tmp_path: Path, key: str
) -> None:
    asked = len(server.requests)
    with pytest.raises(OSError, match="too long"):
        store.to_file(key, tmp_path / ("x" * 300))
    assert len(server.requests) == asked
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_f12_standard_output_can_be_given_by_its_names(
    server: RawServer, tmp_path: Path, name: str
) -> None:
    if name == "link":
        (tmp_path / "link").symlink_to("/dev/stdout")
        name = str(tmp_path / "link")
    ended = get(server.url, "small", "-o", name)
    assert (ended.stdout.encode(), ended.returncode) == (SMALL, 0)


def test_f12_a_file_behind_standard_output_is_continued(server: RawServer, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+b", buffering=0) as out:
        out.write(b"before\n")
        ended = get(server.url, "small", "-o", "/dev/stdout", stdout=out.fileno())
    assert ended.returncode == 0
    assert (tmp_path / "out").read_bytes() == b"before\n" + SMALL
    assert Path("/dev/stdout").is_symlink()


@pytest.mark.parametrize("number", [2**31, 10**20])
def test_f12_an_invalid_descriptor_is_refused(store: StaticStore, number: int) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        store.to_file("small", f"/dev/fd/{number}")


@pytest.mark.parametrize("arguments", [(), ("--range", "0:5")])
def test_f12_the_command_explains_why_a_fifo_is_refused(
    server: RawServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    ended = get(server.url, "small", "-o", str(tmp_path / "fifo"), *arguments)
    assert "no process reads from this FIFO" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 1
    assert stat.S_ISFIFO((tmp_path / "fifo").lstat().st_mode)


def test_f12_a_range_can_be_written_into_a_device(server: RawServer) -> None:
    ended = get(server.url, "small", "-o", "/dev/stdout", "--range", "2:7")
    assert (ended.stdout.encode(), ended.returncode) == (SMALL[2:7], 0)


def test_f12_a_link_to_a_file_is_replaced(store: StaticStore, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "target").symlink_to("other")
    store.to_file("small", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == SMALL
    assert (tmp_path / "other").read_bytes() == b"other"


def test_f12_a_value_from_the_cache_can_be_written_into_a_device(
    server: RawServer, tmp_path: Path
) -> None:
    with StaticStore(server.url, poll_interval=0, cache=tmp_path / "cache") as store:
        store.to_file("large", tmp_path / "first")
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(OSError, match="no process reads"):
            store.to_file("large", tmp_path / "fifo")
    assert stat.S_ISFIFO((tmp_path / "fifo").lstat().st_mode)


def test_f12_a_value_written_into_a_device_is_not_cached(server: RawServer, tmp_path: Path) -> None:
    (tmp_path / "target").symlink_to("/dev/null")
    with StaticStore(server.url, poll_interval=0, cache=tmp_path / "cache") as store:
        store.to_file("small", tmp_path / "target")
        assert store["small"].read() == SMALL
        assert not store.info()["warnings"]
