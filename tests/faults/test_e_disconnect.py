"""E1: `disconnect` ends everything within a second, whatever the network does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from blinker import Signal

from staticstore import (
    NotConnectedError,
    StaticStore,
    index_updated,
    key_deleted,
    key_set,
    key_updated,
    poll_failed,
)
from tests.client.scene import STAGES, TIMEOUT, Call, MemorySite, Stage, pollers
from tests.servers import RawServer, Request, Wire, serve_files
from tests.sites import index_of

SECOND = 1.0


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite({"a": {"v": 1}}) as memory_site:
        yield memory_site


@contextmanager
def full_listener(port: int = 0) -> Iterator[int]:
    """Listen on a port whose queue is full, so that connecting to it never succeeds."""
    with socket.create_server(("127.0.0.1", port), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for line in waiting:
                line.setblocking(False)
                line.connect_ex(("127.0.0.1", port))
            yield port
        finally:
            for line in waiting:
                line.close()


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event that is set when a socket begins to connect."""
    begun = threading.Event()
    connect = socket.socket.connect

    def noticed_connect(self: socket.socket, address: Any) -> None:
        begun.set()
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noticed_connect)
    return begun


def polling(site: MemorySite) -> tuple[StaticStore, threading.Thread]:
    """Connect a store that polls all the time, and return it with its thread."""
    others = pollers()
    store = StaticStore(site.url, poll_interval=0.01).connect()
    (thread,) = pollers() - others
    return store, thread


# -- a stalled poll ---------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_e1_disconnect_during_a_stalled_poll_returns_within_a_second(
    site: MemorySite, stage: Stage
) -> None:
    store, thread = polling(site)
    assert site.stall(stage).reached.wait(TIMEOUT)
    assert Call(store.disconnect).is_back(SECOND)
    assert not store.is_connected()
    thread.join(SECOND)
    assert not thread.is_alive()


def test_e1_disconnect_while_a_poll_connects_returns_within_a_second(
    site: MemorySite, connecting: threading.Event
) -> None:
    store = StaticStore(site.url, poll_interval=0.01).connect(timeout=(3.0, 30.0))
    port = site.server.port
    site.server.stop()
    with full_listener(port):
        connecting.clear()
        assert connecting.wait(TIMEOUT)
        assert Call(store.disconnect).is_back(SECOND)
        assert not store.is_connected()


def test_e1_disconnect_ends_an_update_that_waits_for_a_connecting_poll(
    site: MemorySite, connecting: threading.Event
) -> None:
    # Connecting cannot be interrupted, but waiting for it can.
    store = StaticStore(site.url, poll_interval=0.01).connect(timeout=(5.0, 30.0))
    port = site.server.port
    site.server.stop()
    with full_listener(port):
        connecting.clear()
        assert connecting.wait(TIMEOUT)
        update = Call(store.update_index)
        assert not update.is_back(0.05)
        store.disconnect()
        assert update.is_back(SECOND)
        with pytest.raises(NotConnectedError):
            update.result()


@pytest.mark.parametrize("stage", STAGES)
def test_e1_disconnect_returns_twice_during_a_stalled_poll(site: MemorySite, stage: Stage) -> None:
    store, _ = polling(site)
    assert site.stall(stage).reached.wait(TIMEOUT)
    for _ in range(2):
        assert Call(store.disconnect).is_back(SECOND)


def test_e1_disconnect_returns_in_all_of_many_threads(site: MemorySite) -> None:
    store, thread = polling(site)
    assert site.stall("head").reached.wait(TIMEOUT)
    start = threading.Barrier(9)

    def disconnect() -> None:
        start.wait(TIMEOUT)
        store.disconnect()

    calls = [Call(disconnect) for _ in range(8)]
    start.wait(TIMEOUT)
    assert all(call.is_back(SECOND) for call in calls)
    for call in calls:
        call.result()
    thread.join(SECOND)
    assert not thread.is_alive()


def test_e1_disconnect_before_connect_does_nothing(site: MemorySite) -> None:
    store = StaticStore(site.url)
    store.disconnect()
    assert not store.is_connected()


def test_e1_disconnect_ends_the_wait_for_the_next_poll(site: MemorySite) -> None:
    others = pollers()
    store = StaticStore(site.url, poll_interval=3600).connect()
    (thread,) = pollers() - others
    assert Call(store.disconnect).is_back(SECOND)
    assert not thread.is_alive()


def test_e1_an_interrupted_poll_is_not_a_failure(
    site: MemorySite, caplog: pytest.LogCaptureFixture
) -> None:
    store, thread = polling(site)
    heard: list[object] = []

    def on_failure(sender: object, *, error: object) -> None:
        heard.append(error)

    with poll_failed.connected_to(on_failure, sender=store):
        assert site.stall("body").reached.wait(TIMEOUT)
        store.disconnect()
        thread.join(TIMEOUT)
    assert heard == []
    assert store.info()["last_error"] is None
    assert caplog.records == []


def test_e1_an_abandoned_poll_neither_swaps_nor_signals(site: MemorySite) -> None:
    # It has the whole new index, but the store was disconnected meanwhile.
    store = site.open()
    release, reached, heard = threading.Event(), threading.Event(), []
    follower = store._live.connected().follower
    fetch = follower.fetch

    def late_fetch(held: Any, **options: Any) -> Any:
        fetched = fetch(held, **options)
        reached.set()
        assert release.wait(TIMEOUT)
        return fetched

    follower.fetch = late_fetch  # type: ignore[method-assign]
    site.write({"b": {}})
    with index_updated.connected_to(lambda sender, **_: heard.append(sender), sender=store):
        poll = Call(store.update_index)
        assert reached.wait(TIMEOUT)
        store.disconnect()
        release.set()
        with pytest.raises(NotConnectedError):
            poll.result()
    assert list(store.index) == ["a"]
    assert heard == []


# -- connect, update_index, streams and watches in other threads --------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_e1_disconnect_ends_a_connect_that_stalls(site: MemorySite, stage: Stage) -> None:
    store = StaticStore(site.url)
    stall = site.stall(stage)
    connect = Call(store.connect)
    assert stall.reached.wait(TIMEOUT)
    assert Call(store.disconnect).is_back(SECOND)
    assert connect.is_back(SECOND)
    with pytest.raises(NotConnectedError):
        connect.result()
    assert not store.is_connected()


def test_e1_disconnect_ends_a_connect_that_stalls_in_the_tls_handshake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        store = StaticStore(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        connect = Call(store.connect)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1)
            assert Call(store.disconnect).is_back(SECOND)
            assert connect.is_back(SECOND)
            with pytest.raises(NotConnectedError):
                connect.result()


def test_e1_disconnect_during_a_connect_to_an_unreachable_host_returns_within_a_second(
    connecting: threading.Event,
) -> None:
    with full_listener() as port:
        store = StaticStore(f"http://127.0.0.1:{port}/")
        connect = Call(lambda: store.connect(timeout=(1.0, 30.0)))
        assert connecting.wait(TIMEOUT)
        assert Call(store.disconnect).is_back(SECOND)
        assert not store.is_connected()
        with pytest.raises(NotConnectedError):
            connect.result()


@pytest.mark.parametrize("stage", STAGES)
def test_e1_disconnect_ends_an_update_in_another_thread(site: MemorySite, stage: Stage) -> None:
    store = site.open(retries=4)
    stall = site.stall(stage)
    update = Call(store.update_index)
    assert stall.reached.wait(TIMEOUT)
    assert Call(store.disconnect).is_back(SECOND)
    assert update.is_back(SECOND)
    with pytest.raises(NotConnectedError):
        update.result()


def test_e1_disconnect_ends_an_update_that_waits_for_a_stalled_poll(site: MemorySite) -> None:
    store, _ = polling(site)
    assert site.stall("head").reached.wait(TIMEOUT)
    update = Call(store.update_index)
    assert not update.is_back(0.05)
    assert Call(store.disconnect).is_back(SECOND)
    assert update.is_back(SECOND)
    with pytest.raises(NotConnectedError):
        update.result()


READS: dict[str, Callable[[StaticStore], Any]] = {
    "data": lambda store: store.get_data("a").read(),
    "read": lambda store: store["a"].read(),
    "range": lambda store: store.get_data_range("a", 10, 90_000).read(),
    "range from the end": lambda store: store["a"].range(-90_000).read(),
    "iterdata": lambda store: list(store["a"].iterdata()),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
def test_e1_disconnect_ends_a_read_in_another_thread(
    site: MemorySite, read: Callable[[StaticStore], Any], stage: Stage
) -> None:
    store = site.open(retries=4)
    stall = site.stall(stage, "data/a")
    call = Call(lambda: read(store))
    assert stall.reached.wait(TIMEOUT)
    assert Call(store.disconnect).is_back(SECOND)
    assert call.is_back(SECOND)
    with pytest.raises(NotConnectedError) as caught:
        call.result()
    assert caught.value.key == "a"


@pytest.mark.parametrize("stage", ["head", "retry"])
def test_e1_disconnect_ends_a_request_for_the_size(site: MemorySite, stage: Stage) -> None:
    store = site.open(retries=4)
    stall = site.stall(stage, "data/a")
    call = Call(lambda: store["a"].size)
    assert stall.reached.wait(TIMEOUT)
    store.disconnect()
    assert call.is_back(SECOND)
    with pytest.raises(NotConnectedError):
        call.result()


@pytest.mark.parametrize("stage", STAGES)
def test_e1_an_interrupted_copy_leaves_no_file(
    site: MemorySite, stage: Stage, tmp_path: Path
) -> None:
    store = site.open(retries=4)
    stall = site.stall(stage, "data/a")
    copy = Call(lambda: store.to_file("a", tmp_path / "a"))
    assert stall.reached.wait(TIMEOUT)
    store.disconnect()
    with pytest.raises(NotConnectedError):
        copy.result()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_e1_an_open_stream_raises_at_its_next_read(site: MemorySite, size: int) -> None:
    site.files["data/a"] = bytes(size)
    store = site.open()
    stream = store.get_data("a")
    store.disconnect()
    with pytest.raises(NotConnectedError):
        stream.read()
    stream.close()


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_e1_an_open_stream_of_a_local_site_raises_too(tmp_path: Path, size: int) -> None:
    (tmp_path / "index.json").write_bytes(b'{"a": {}}')
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_bytes(bytes(size))
    store = StaticStore(tmp_path, poll_interval=0).connect()
    stream = store.get_data("a")
    store.disconnect()
    with pytest.raises(NotConnectedError):
        stream.read()
    stream.close()


def test_e1_a_watch_ends(site: MemorySite) -> None:
    store, _ = polling(site)
    watch = store.watch()
    changes = Call(lambda: list(watch))
    site.write({"a": {"v": 2}})
    heard = threading.Event()
    with store.subscribe(lambda change: heard.set(), initial=True):
        assert heard.wait(TIMEOUT)
    assert site.stall("head").reached.wait(TIMEOUT)
    store.disconnect()
    assert changes.is_back(SECOND)
    assert {change.key for change in changes.result()} <= {"a"}


def test_e1_connect_and_disconnect_in_two_threads_end_in_one_of_two_states(
    site: MemorySite,
) -> None:
    others = pollers()
    store = StaticStore(site.url, poll_interval=0.01)
    for _ in range(20):
        start = threading.Barrier(2)

        def connect(start: threading.Barrier = start) -> None:
            start.wait(TIMEOUT)
            try:
                store.connect(retries=0)
            except NotConnectedError:
                assert not store.is_connected()

        call = Call(connect)
        start.wait(TIMEOUT)
        store.disconnect()
        call.result()
        store.disconnect()
        assert not store.is_connected()
    for thread in pollers() - others:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    with store:
        assert store.is_connected()


# -- from handlers --------------------------------------------------------------------------

CHANGED: dict[str, tuple[Signal, bytes]] = {
    "key_set": (key_set, b'{"a": {"v": 1}, "b": {}}'),
    "key_updated": (key_updated, b'{"a": {"v": 2}}'),
    "key_deleted": (key_deleted, b"{}"),
    "index_updated": (index_updated, b"{}"),
    "poll_failed": (poll_failed, b"no index"),
}


@pytest.mark.parametrize(("signal", "index"), CHANGED.values(), ids=list(CHANGED))
def test_e1_disconnect_from_a_handler_in_the_polling_thread(
    site: MemorySite, signal: Signal, index: bytes
) -> None:
    store, thread = polling(site)
    done = threading.Event()

    def disconnect(sender: StaticStore, **_: Any) -> None:
        assert threading.current_thread() is thread
        sender.disconnect()
        done.set()

    with signal.connected_to(disconnect, sender=store):
        site.write(index)
        assert done.wait(TIMEOUT)
    thread.join(SECOND)
    assert not thread.is_alive()
    assert not store.is_connected()


@pytest.mark.parametrize(("signal", "index"), CHANGED.values(), ids=list(CHANGED))
def test_e1_disconnect_from_a_handler_of_an_update(
    site: MemorySite, signal: Signal, index: bytes
) -> None:
    store = site.open()
    failed = signal is poll_failed

    def disconnect(sender: StaticStore, **_: Any) -> None:
        sender.disconnect()

    def update() -> None:
        try:
            store.update_index()
        except ValueError:
            assert failed

    with signal.connected_to(disconnect, sender=store):
        site.write(index)
        update_call = Call(update)
        assert update_call.is_back(SECOND * 2)
        update_call.result()
    assert not store.is_connected()


def test_e1_disconnect_from_a_subscription(site: MemorySite) -> None:
    store, thread = polling(site)
    store.subscribe(lambda change: store.disconnect())
    site.write({"b": {}})
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert not store.is_connected()


def test_e1_disconnect_while_a_handler_blocks_returns_within_a_second(site: MemorySite) -> None:
    store, thread = polling(site)
    blocked, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        blocked.set()
        assert release.wait(TIMEOUT)

    with index_updated.connected_to(block, sender=store):
        site.write({"b": {}})
        assert blocked.wait(TIMEOUT)
        assert Call(store.disconnect).is_back(SECOND)
        release.set()
        thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_e1_disconnect_ends_an_update_that_waits_for_a_blocked_handler(site: MemorySite) -> None:
    store, _ = polling(site)
    blocked, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        blocked.set()
        assert release.wait(TIMEOUT)

    with index_updated.connected_to(block, sender=store):
        site.write({"b": {}})
        assert blocked.wait(TIMEOUT)
        update = Call(store.update_index)
        assert not update.is_back(0.1)
        store.disconnect()
        assert update.is_back(SECOND)
        release.set()


def test_e1_disconnect_ends_a_connect_that_waits_for_a_blocked_handler(site: MemorySite) -> None:
    store, _ = polling(site)
    blocked, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        blocked.set()
        assert release.wait(TIMEOUT)

    with index_updated.connected_to(block, sender=store):
        site.write({"b": {}})
        assert blocked.wait(TIMEOUT)
        store.disconnect()
        connect = Call(store.connect)
        while not store.is_connected():
            assert not connect.is_back(0.01)
        store.disconnect()
        assert connect.is_back(SECOND)
        release.set()


# -- at the end of the interpreter ------------------------------------------------------------

SCRIPT = """
import sys, threading
from staticstore import StaticStore, index_updated

store = StaticStore(sys.argv[1], poll_interval=0.01).connect()
{begin}
print("connected", flush=True)
sys.stdin.readline()
{end}
"""
EXITS = {
    "by itself": ("", "", 0),
    "with a watch in a thread": (
        "threading.Thread(target=lambda: list(store.watch()), daemon=True).start()",
        "",
        0,
    ),
    "with an update in a thread": (
        "threading.excepthook = lambda error: None\n"
        "threading.Thread(target=store.update_index, daemon=True).start()",
        "",
        0,
    ),
    "with a subscription and a handler": (
        "store.subscribe(print); index_updated.connect(print, sender=store)",
        "",
        0,
    ),
    "by sys.exit": ("", "sys.exit(3)", 3),
    "after disconnect": ("", "store.disconnect()", 0),
    "in a with block": ("", "with store: pass", 0),
    "in a reference cycle": ("store.mine = [store]", "", 0),
}


@pytest.mark.parametrize(("begin", "end", "code"), EXITS.values(), ids=list(EXITS))
def test_e1_the_interpreter_can_exit_while_a_poll_stalls(
    site: MemorySite, begin: str, end: str, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", SCRIPT.format(begin=begin, end=end), site.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_PROXY": "*"},
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        assert site.stall("head").reached.wait(TIMEOUT)
        try:
            output, errors = process.communicate("\n", timeout=TIMEOUT)
        finally:
            process.kill()
    assert (output, errors) == ("", "")
    assert process.returncode == code


def test_e1_the_interpreter_can_exit_while_the_first_index_stalls(site: MemorySite) -> None:
    stall = site.stall("body")
    script = (
        "import sys, threading\n"
        "from staticstore import StaticStore\n"
        "store = StaticStore(sys.argv[1])\n"
        "threading.excepthook = lambda error: None\n"
        "threading.Thread(target=store.connect, daemon=True).start()\n"
        "sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", script, site.url],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert stall.reached.wait(TIMEOUT)
        try:
            _, errors = process.communicate("\n", timeout=TIMEOUT)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def test_e1_results_given_to_a_reader_stay_usable_without_the_network(site: MemorySite) -> None:
    store = site.open()
    found = store.query()
    index = store.index
    store.disconnect()
    assert list(found) == [("a", {"v": 1})]
    assert index is store.index


def test_e1_a_stalled_reader_does_not_block_the_server(site: MemorySite) -> None:
    reached, gone = threading.Event(), threading.Event()

    def stall(request: Request, wire: Wire) -> None:
        reached.set()
        wire.stall()
        gone.set()

    store = site.open()
    site.spoil(stall)
    Call(store.update_index)
    assert reached.wait(TIMEOUT)
    store.disconnect()
    assert gone.wait(TIMEOUT)


@pytest.mark.parametrize(
    "reads",
    ["next(store.read_many(list('aaaab')))", "next(store.multiget_data(list('aaaaaaaaab')))"],
)
def test_e1_values_being_fetched_ahead_do_not_block_the_exit_of_the_interpreter(
    start: Callable[..., RawServer], reads: str
) -> None:
    """The host stalls, and the store is still connected."""
    files = {"index.json": index_of({"a": b"1", "b": b"2"}), "data/a": b"1"}
    stalls = {"data/b": lambda request, wire: wire.stall()}
    server = start(serve_files(files).but(stalls))
    code = f"""
from staticstore import StaticStore, tuning
tuning.WINDOW_KEYS = 4
store = StaticStore({server.url!r}, poll_interval=0).connect()
print({reads})
"""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, capture_output=True)
    assert time.monotonic() - began < 10
