"""E4: files from `open`, in a forked child and where their pickle is unpickled."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from staticstore import StaticStore
from staticstore.transport.values.seekable import OpenedValue
from tests.servers import RawServer, serve_files
from tests.sites import index_of

Start = Callable[..., RawServer]

SECRET = "sesame"
VALUE = random.Random(1).randbytes(3_000_000)
FILES = {"index.json": index_of({"a": VALUE}), "data/a": VALUE}


@contextmanager
def opened(server: RawServer, **connect: object) -> Iterator[OpenedValue]:
    with (
        StaticStore(server.url, poll_interval=0).connect(**connect) as store,  # type: ignore[arg-type]
        store["a"].open() as file,
    ):
        yield file


def in_a_child(call: Callable[[], object]) -> int:
    """Make a call in a forked child; return 0 if its result is true."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if call() else 1)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


READS: dict[str, Callable[[OpenedValue], bool]] = {
    "on": lambda file: file.read() == VALUE[1_000_000:],
    "on in small steps": lambda file: b"".join(iter(lambda: file.read(999), b"")) == VALUE[10**6 :],
    "elsewhere": lambda file: (
        file.seek(2_000_000) > 0 and file.read(50) == VALUE[2_000_000:2_000_050]
    ),
    "from the beginning": lambda file: file.seek(0) == 0 and file.read() == VALUE,
}


@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize("ranges", [True, False])
def test_e4_a_forked_child_and_its_parent_can_read_on(start: Start, how: str, ranges: bool) -> None:
    server = start(serve_files(FILES, ranges=ranges))
    with opened(server) as file:
        for _ in range(1000):
            assert len(file.read(1000)) == 1000
        before = {request.connection for request in server.requests}
        assert in_a_child(lambda: READS[how](file)) == 0
        after = {request.connection for request in server.requests}
        assert READS[how](file)
    assert after != before


def test_e4_children_can_read_at_the_same_time(start: Start) -> None:
    with opened(start(serve_files(FILES))) as file:
        file.read(400_000)

        def read(number: int) -> bool:
            found = []
            for position in range(number * 1000, 2_900_000, 300_000):
                file.seek(position)
                found.append(file.read(70_000) == VALUE[position : position + 70_000])
            return all(found)

        outcomes: list[int] = []

        def fork(number: int) -> None:
            outcomes.append(in_a_child(lambda: read(number)))

        threads = [threading.Thread(target=fork, args=[number]) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert file.read() == VALUE[400_000:]
    assert outcomes == [0] * 6


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_e4_a_pickle_contains_no_secret(start: Start, protocol: int) -> None:
    server = start(serve_files(FILES))
    with opened(server, auth=("ali", SECRET), headers={"X-Api-Key": SECRET}) as file:
        file.read(100_000)
        assert SECRET.encode() not in pickle.dumps(file, protocol)


_CHILD = """
import pickle, sys
with pickle.load(open(sys.argv[1], "rb")) as file:
    sys.stdout.buffer.write(b"%d " % file.tell() + file.read(20) + b"%d" % file.size)
"""


def test_e4_a_pickle_can_be_read_in_another_process(start: Start, tmp_path: Path) -> None:
    with opened(start(serve_files(FILES))) as file:
        file.seek(1_234_567)
        (tmp_path / "pickle").write_bytes(pickle.dumps(file))
        command = [sys.executable, "-c", _CHILD, str(tmp_path / "pickle")]
        received = subprocess.run(command, check=True, capture_output=True).stdout
    assert received == b"1234567 " + VALUE[1_234_567:1_234_587] + b"3000000"


def test_e4_a_pickle_can_be_read_after_the_store_is_closed(start: Start) -> None:
    with opened(start(serve_files(FILES))) as file:
        file.seek(500_000)
        text = pickle.dumps(file)
    with pickle.loads(text) as again:
        assert again.read(40_000) == VALUE[500_000:540_000]
