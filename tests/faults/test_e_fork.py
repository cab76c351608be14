"""E4: a forked child has connections and locks of its own, and does not affect its parent.

With `STATICSTORE_FORK_ROUNDS=40` there are twenty times as many forks.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    NotConnectedError,
    StaticStore,
    index_updated,
    key_set,
    poll_failed,
    publish,
)
from staticstore.client.following.roots import EqualRootsFollower
from staticstore.processes import ForkGate, PerProcess
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.engines import ENGINES, sending_by
from tests.forks import fork, in_child, result_of
from tests.servers import Nginx, RawServer, Request, Wire, serve_files, write_certificates
from tests.sites import index_of, write_site

VALUES = {f"k{number}": b"%04d" % number * 1000 for number in range(40)}
LARGE = bytes(range(256)) * (3 << 12)  # 3 MiB


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite() as memory_site:
        put(memory_site, VALUES)
        yield memory_site


def put(site: MemorySite, values: dict[str, bytes]) -> None:
    site.files |= {f"data/{key}": value for key, value in values.items()}
    site.write(index_of(values))


def read_all(store: StaticStore) -> dict[str, bytes]:
    """Read values in three ways, a third in each."""
    keys = sorted(store)
    found = {key: store[key].read() for key in keys[0::3]}
    found |= {key: store[key].range(0, 4000).read() for key in keys[1::3]}
    return found | dict(store.read_many(keys[2::3]))


# -- many forks, while threads read and polls go on ----------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_e4_forked_readers_read_correctly_while_their_parent_reads(
    tmp_path: Path, scheme: str, engine: str
) -> None:
    values = {f"k{number}": b"%04d" % number * 250 for number in range(120)}
    write_site(tmp_path / "site", values)
    certificates = write_certificates(tmp_path)
    tls = certificates.server if scheme == "https" else None
    environment = {**os.environ}
    if engine != "curl":
        (tmp_path / "pycurl.py").write_text("raise ImportError")
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(tmp_path), *filter(None, [environment.get("PYTHONPATH")])]
        )
    with Nginx(tmp_path / "site", tls=tls) as server:
        rounds = os.environ.get("STATICSTORE_FORK_ROUNDS", "2")
        data = str(tmp_path / "site/data")
        arguments = [server.url, data, "24", rounds, str(certificates.authority)]
        run = subprocess.run(
            [sys.executable, "-m", "tests.faults.forked_readers", *arguments],
            env=environment,
            capture_output=True,
            text=True,
        )
    assert (run.stdout, run.returncode) == (f"{24 * int(rounds)}\n", 0), run.stderr


# -- locks ---------------------------------------------------------------------------------

_LOCKS: Any = (type(threading.Lock()), type(threading.RLock()))
# The gate's own lock is taken by the forking thread, so no other thread can hold it then.
_ENDS = (types.ModuleType, type, types.FunctionType, types.FrameType, threading.Thread, ForkGate)


_PACKAGES = ("staticstore", "requests", "urllib3", "http", "cachetools", "blinker", "msgspec")


def locks_of(*roots: object) -> list[threading.Lock]:
    """Find every lock that can be reached from some objects, or from modules that they use."""
    found: dict[int, threading.Lock] = {}
    seen: set[int] = set()
    waiting = list(roots)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _PACKAGES:
            waiting += vars(module).values()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, _LOCKS):
            found[id(one)] = one
        elif isinstance(one, PerProcess):  # may not exist yet
            waiting.append(one.get())
        elif isinstance(one, threading.Condition):
            # Not those of its waiting threads: they are held as long as the wait lasts.
            waiting.append(one._lock)  # type: ignore[attr-defined]
        elif isinstance(one, type) and one.__module__.partition(".")[0] in _PACKAGES:
            waiting += vars(one).values()
        elif isinstance(one, types.FunctionType):
            waiting += [cell.cell_contents for cell in one.__closure__ or ()]
        elif not isinstance(one, _ENDS):
            waiting += gc.get_referents(one)
    return list(found.values())


class Holding:
    """Hold locks in another thread for the duration of the block."""

    def __init__(self, locks: list[threading.Lock]) -> None:
        self._locks = locks
        self._held, self._done = threading.Event(), threading.Event()

    def _hold(self) -> None:
        with ExitStack() as stack:
            for lock in self._locks:
                assert lock.acquire(timeout=TIMEOUT / 2), "another thread holds a lock"
                stack.callback(lock.release)
            self._held.set()
            self._done.wait(TIMEOUT)

    def __enter__(self) -> None:
        self._call = Call(self._hold)
        assert self._held.wait(TIMEOUT), self._call.result()

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._call.result()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """A site with a head, and an index that has many blocks."""
    monkeypatch.setattr("staticstore.index.blocks._BLOCK_BYTES", 2000)
    monkeypatch.setattr("staticstore.index.blocks._PAGE_BYTES", 1000)
    folder = tmp_path / "published"
    write_site(folder, {**VALUES, "large": LARGE})
    publish(folder)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    with RawServer(serve_files(files), heads=True) as server:
        yield server


def use(store: StaticStore) -> bool:
    """Use everything that takes a lock; return whether the store is connected in the end."""
    assert store["k5"].read() == VALUES["k5"]  # a lazy store reads parts of its index for it
    assert store["k6"].range(0, 4).read() == b"0006"
    assert read_all(store)["k7"] == VALUES["k7"]
    assert list(store.query_keys(size=4000)) == sorted(VALUES)
    assert len(list(store.query_keys(sha256=store["k8"].sha256))) == 1
    assert store["large"].data.read() == LARGE
    for stream in store.multiget_data(["k1", "k2"]):
        stream.close()
    store.subscribe(lambda change: None).close()
    store.update_index()
    assert store.index.checked() is not None
    assert store.info()["last_error"] is None
    store.disconnect()
    return store.is_connected()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("options", [{}, {"lazy": True}, {"memory": 1 << 20}, {"cache": True}])
def test_e4_no_lock_held_at_the_fork_blocks_a_child(
    published: RawServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    engine: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with sending_by(engine), StaticStore(published.url, poll_interval=0, **options) as store:
        value = store["k1"]
        _ = value.read(), value.range(1, 2).read()
        live = store._live
        locks = locks_of(store, live.current, live.connected(), value)
        assert len(locks) > 10
        with Holding(locks):
            assert in_child(lambda: use(store)) is False
        assert store["k7"].read() == VALUES["k7"]
        assert use(store) is False


def test_e4_no_lock_of_an_index_in_another_form_blocks_a_child(site: MemorySite) -> None:
    with site.open() as store:
        store.subscribe(lambda change: None)
        put(site, {**VALUES, "k1": b"new"})
        store.update_index()
        with Holding(locks_of(store, store._live.connected())):
            found = in_child(lambda: list(store.query_keys(size=3)))
    assert found == ["k1"]


def test_e4_no_lock_of_several_roots_blocks_a_child(tmp_path: Path) -> None:
    write_site(tmp_path / "site", VALUES)
    publish(tmp_path / "site")
    with ExitStack() as stack:
        servers = [stack.enter_context(Nginx(tmp_path / "site")) for _ in range(2)]
        roots = [server.url for server in servers]
        store = StaticStore(roots, poll_interval=0, equal_roots=True)
        stack.enter_context(store.connect())
        follower = store._live.connected().follower
        assert isinstance(follower, EqualRootsFollower)
        with Holding(locks_of(store, follower)):
            assert in_child(lambda: (store.update_index(), read_all(store))[1]) == VALUES


# -- connections ---------------------------------------------------------------------------


def finalize_all() -> None:
    """Do what the exit of the interpreter does to stores and connections, and nothing else."""
    for finalizer, about in list(vars(weakref.finalize)["_registry"].items()):
        if about.func.__module__.partition(".")[0] in _PACKAGES:
            finalizer()


def connections(site: MemorySite) -> list[int]:
    """Return the connections of the requests so far."""
    return [request.connection for request in site.server.requests]


def test_e4_a_child_uses_a_connection_of_its_own(site: MemorySite) -> None:
    with site.open() as store:
        in_child(lambda: store["k1"].read())
        store["k2"].read()
    assert connections(site) == [0, 1, 0]


def test_e4_a_value_from_before_the_fork_uses_a_connection_of_the_child(site: MemorySite) -> None:
    with site.open() as store:
        value = store["k1"]
        assert in_child(value.read) == VALUES["k1"]
    assert connections(site) == [0, 1]


def test_e4_children_of_a_child_have_connections_of_their_own(site: MemorySite) -> None:
    def nested() -> tuple[bytes, bytes]:
        return store["k1"].read(), in_child(lambda: store["k2"].read())

    with site.open() as store:
        assert in_child(nested) == (VALUES["k1"], VALUES["k2"])
        assert store["k3"].read() == VALUES["k3"]
    assert connections(site) == [0, 1, 2, 0]


def test_e4_simultaneous_children_get_the_values_that_they_request(site: MemorySite) -> None:
    with site.open() as store:
        store["k0"].read()
        children = [fork(lambda key=key: store[key].read()) for key in VALUES]  # type: ignore[misc]
        assert [result_of(*child) for child in children] == list(VALUES.values())


@pytest.mark.parametrize("leave", [True, False], ids=["disconnect", "exit"])
def test_e4_a_child_that_ends_does_not_affect_its_parent(site: MemorySite, leave: bool) -> None:
    def end() -> None:
        if leave:
            store.disconnect()
        finalize_all()

    with site.open() as store, store["k1"].data as stream:
        begun = stream.read(10)
        in_child(end)
        assert begun + stream.read() == VALUES["k1"]
        assert store.is_connected()
        assert store["k2"].read() == VALUES["k2"]
    assert connections(site) == [0, 0, 0]


def test_e4_a_child_that_drops_the_store_does_not_affect_its_parent(site: MemorySite) -> None:
    stores = [site.open()]

    def forget() -> None:
        stores.clear()
        gc.collect()

    in_child(forget)
    assert stores[0]["k2"].read() == VALUES["k2"]
    assert connections(site) == [0, 0]
    stores[0].disconnect()


def test_e4_leaving_the_with_block_in_a_child_leaves_the_parent_connected(
    site: MemorySite,
) -> None:
    def leave() -> bool:
        store.__exit__()
        return store.is_connected()

    with site.open() as store:
        assert in_child(leave) is False
        assert store["k2"].read() == VALUES["k2"]


def test_e4_a_child_may_connect_again(site: MemorySite) -> None:
    def again() -> bytes:
        store.disconnect()
        with store:
            return store["k1"].read()

    with site.open() as store:
        assert in_child(again) == VALUES["k1"]


def test_e4_a_store_that_is_connecting_at_the_fork_is_connected_by_the_child(
    site: MemorySite,
) -> None:
    stall = site.stall("head")
    store = StaticStore(site.url, poll_interval=0)
    connecting = Call(store.connect)
    assert stall.reached.wait(TIMEOUT)
    site.restore()
    assert in_child(lambda: store.connect()["k1"].read()) == VALUES["k1"]
    store.disconnect()
    with pytest.raises(NotConnectedError):
        connecting.result()


def test_e4_values_of_a_disconnected_store_stay_disconnected_in_a_child(site: MemorySite) -> None:
    with site.open() as store:
        value = store["k1"]
    with pytest.raises(NotConnectedError):
        in_child(value.read)


# -- open streams and files ----------------------------------------------------------------


@pytest.fixture(params=["network", "folder", "cache"])
def large(
    request: pytest.FixtureRequest, site: MemorySite, tmp_path: Path
) -> Iterator[StaticStore]:
    """A store with a value of 3 MiB, read from the host or a cache."""
    put(site, {"large": LARGE, **VALUES})
    root: str | Path = site.url
    if request.param == "folder":
        root = tmp_path / "site"
        write_site(root, {"large": LARGE, **VALUES})
    cache = tmp_path / "cache" if request.param == "cache" else None
    with StaticStore(root, poll_interval=0, cache=cache) as store:
        if cache is not None:
            store["large"].read()
        yield store


def test_e4_a_stream_of_the_parent_is_refused_in_a_child(large: StaticStore) -> None:
    with large["large"].data as stream:
        begun = stream.read(10)
        with pytest.raises(NotConnectedError, match="before the process was forked"):
            in_child(stream.read)
        assert begun + stream.read() == LARGE


def test_e4_an_iterator_of_the_parent_is_refused_in_a_child(large: StaticStore) -> None:
    pieces = large["large"].iterdata(1 << 18)
    begun = next(pieces)
    with pytest.raises(NotConnectedError, match="before the process was forked"):
        in_child(lambda: list(pieces))
    assert begun + b"".join(pieces) == LARGE


def test_e4_a_child_reopens_the_data_of_a_value(large: StaticStore) -> None:
    with large["large"] as stream:
        value = large["large"]
        begun = value.data.read(10)
        assert in_child(lambda: value.data.read()) == LARGE
        assert begun + value.data.read() == LARGE == stream.read()


def test_e4_an_opened_file_can_be_read_on_by_both(large: StaticStore) -> None:
    with large["large"].open(cache_size=0) as file:
        begun = b"".join(file.read(1 << 18) for _ in range(4))  # the rest is being fetched
        assert begun + in_child(file.read) == LARGE
        assert begun + file.read() == LARGE


def test_e4_a_file_without_ranges_can_be_read_on_by_both(site: MemorySite) -> None:
    put(site, {"large": LARGE * 4})  # more than is held in memory

    def whole(request: Request, wire: Wire) -> None:
        wire.response(200, LARGE * 4)

    site.spoil(whole, "data/large")
    with site.open() as store, store["large"].open() as file:
        begun = file.read(100_000)

        def read_on() -> bool:
            file.seek(50_000)
            return file.read() == (LARGE * 4)[50_000:]

        assert in_child(read_on)
        assert begun + file.read() == LARGE * 4


@pytest.mark.parametrize("engine", ENGINES)
def test_e4_read_many_continues_in_both(
    site: MemorySite, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr("staticstore.tuning.WINDOW_KEYS", 4)  # fetched together
    with sending_by(engine), site.open() as store:
        reading = store.read_many(VALUES)
        begun = dict([next(reading)])
        assert begun | in_child(lambda: dict(reading)) == VALUES
        assert begun | dict(reading) == VALUES


def test_e4_streams_opened_ahead_are_reopened(site: MemorySite) -> None:
    with site.open() as store:
        streams = store.multiget_data(VALUES)
        begun = next(streams).read()
        assert [begun, *in_child(lambda: [s.read() for s in streams])] == list(VALUES.values())
        assert [begun, *(s.read() for s in streams)] == list(VALUES.values())


def test_e4_an_iteration_over_values_continues_in_both(site: MemorySite) -> None:
    with site.open() as store:
        values = iter(store.values())
        next(values)
        expected = [VALUES[key] for key in sorted(VALUES)[1:]]
        assert in_child(lambda: [value.read() for value in values]) == expected
        assert [value.read() for value in values] == expected


def test_e4_a_child_that_exits_leaves_the_copies_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    index = {"index.json": index_of(VALUES)}
    files = {f"data/{key}": value for key, value in VALUES.items()}
    with RawServer(serve_files(index)) as first, RawServer(serve_files(index | files)) as copy:
        store = StaticStore([first.url, copy.url], poll_interval=0).connect(retries=0)
        assert store["k1"].range(4, 8).read() == b"0001"
        [folder] = tmp_path.glob("staticstore-*")

        def end() -> bytes:
            found = store["k1"].range(4, 8).read()
            store.disconnect()
            finalize_all()
            return found

        assert in_child(end) == b"0001"
        assert folder.exists()
        store.disconnect()
        assert not folder.exists()


# -- polls and handlers --------------------------------------------------------------------


def test_e4_a_child_polls_if_its_parent_does(site: MemorySite) -> None:
    def poll() -> bool:
        heard = threading.Event()
        with store.subscribe(lambda change: heard.set()):
            os.write(writing, b"!")
            return heard.wait(TIMEOUT)

    reading, writing = os.pipe()
    with StaticStore(site.url, poll_interval=0.05) as store:
        child = fork(poll)
        os.read(reading, 1)
        put(site, {**VALUES, "new": b"new"})
        assert result_of(*child) is True
    os.close(reading)
    os.close(writing)


def test_e4_a_child_does_not_poll_if_its_parent_does_not(site: MemorySite) -> None:
    with site.open() as store:
        names = in_child(lambda: (store["k1"].read(), _thread_names())[1])
    assert "staticstore-poller" not in names


def test_e4_a_child_that_only_disconnects_makes_no_request(site: MemorySite) -> None:
    def leave() -> set[str]:
        store.disconnect()
        return _thread_names()

    with StaticStore(site.url, poll_interval=300) as store:
        names = in_child(leave)
    assert "staticstore-poller" not in names
    assert len(site.server.requests) == 1


def _thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_e4_handlers_in_a_child_receive_the_changes_of_its_own_polls(site: MemorySite) -> None:
    received: list[str] = []

    def poll() -> list[str]:
        store.update_index()
        return received

    with site.open() as store:
        store.subscribe(lambda change: received.append(change.key))
        put(site, {**VALUES, "new": b"new"})
        assert in_child(poll) == ["new"]
        assert received == []
        store.update_index()
        assert received == ["new"]


def test_e4_a_subscription_with_a_loop_of_the_parent_ends_in_a_child(site: MemorySite) -> None:
    calls: list[Any] = []

    def poll() -> tuple[bool, int]:
        store.update_index()
        return subscription.is_closed, len(calls)

    with site.open() as store:
        subscription = store.subscribe(lambda change: None, dispatch=calls.append)
        put(site, {**VALUES, "new": b"new"})
        assert in_child(poll) == (True, 0)
        store.update_index()
        assert len(calls) == 1


def test_e4_a_watch_continues_in_both(site: MemorySite) -> None:
    def poll() -> list[str]:
        store.update_index()
        store.disconnect()
        return [change.key for change in watch]

    with site.open() as store:
        watch = store.watch()
        put(site, {**VALUES, "new": b"new"})
        assert in_child(poll) == ["new"]
        store.update_index()
        store.disconnect()
        assert [change.key for change in watch] == ["new"]


def test_e4_pending_announcements_of_the_parent_are_not_made_in_a_child(site: MemorySite) -> None:
    received: list[str] = []
    entered, gate = threading.Event(), threading.Event()

    def hold(sender: Any, **arguments: Any) -> None:
        entered.set()
        gate.wait(TIMEOUT)

    with site.open() as store, key_set.connected_to(hold, sender=store):
        store.subscribe(lambda change: received.append(change.key))
        put(site, {**VALUES, "new": b"new"})
        polling = Call(store.update_index)
        assert entered.wait(TIMEOUT)
        assert in_child(lambda: (list(store.update_index()), received)) == ([], [])
        gate.set()
        polling.result()
    assert received == ["new"]


@pytest.mark.parametrize("interval", [0, 0.05], ids=["on request", "polled"])
def test_e4_a_handler_may_fork(site: MemorySite, interval: float) -> None:
    found: list[object] = []
    done = threading.Event()

    def handle(sender: Any, **arguments: Any) -> None:
        with_poll = in_child(lambda: (store.update_index(), store["new"].read())[1])
        found.append(with_poll)
        done.set()

    with (
        StaticStore(site.url, poll_interval=interval) as store,
        index_updated.connected_to(handle, sender=store),
    ):
        put(site, {**VALUES, "new": b"new"})
        if not interval:
            store.update_index()
        assert done.wait(TIMEOUT)
    assert found == [b"new"]


def test_e4_polls_of_the_parent_do_not_fail(site: MemorySite) -> None:
    failures: list[Any] = []

    def use() -> None:
        store["k1"].read()
        store.disconnect()

    def fail(sender: Any, error: Exception) -> None:
        failures.append(error)

    with (
        StaticStore(site.url, poll_interval=0.02) as store,
        poll_failed.connected_to(fail, sender=store),
    ):
        for _ in range(4):
            in_child(use)
        before = len(site.requests())
        while len(site.requests()) < before + 2:
            store["k2"].read()
    assert failures == []


# -- imports -------------------------------------------------------------------------------

_FORK_WHILE_A_MODULE_IS_IMPORTED = """
import importlib.abc, os, signal, sys, threading
from staticstore import StaticStore

store = StaticStore(sys.argv[1], poll_interval=0).connect()
begun, forking = threading.Event(), threading.Event()


class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "staticstore.transport.values.ranges":
            begun.set()
            assert forking.wait(20)


sys.meta_path.insert(0, Slow())
reader = threading.Thread(target=lambda: store["k1"].range(0, 9).read())
reader.start()
assert begun.wait(20)
# Runs first, as the last that was registered.
os.register_at_fork(before=forking.set)
pid = os.fork()
if not pid:
    signal.alarm(20)
    os._exit(len(store["k1"].range(0, 9).read()) != 9)
reader.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


# The extra `fast` cannot be imported, and the reader looks for it between the imports before a
# fork and the fork itself.
_FORK_WHILE_AN_EXTRA_IS_LOOKED_FOR = """
import importlib.abc, importlib.util, os, signal, sys, threading
from staticstore import StaticStore

looked, forked = threading.Event(), threading.Event()


class Unusable(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self) if name == "pycurl" else None

    def exec_module(self, module):
        if threading.current_thread() is reader:
            looked.set()
            forked.wait(20)
        raise ImportError


def read():
    return [key for key, _ in store.read_many(["k1"])] == ["k1"]


def begin():
    reader.start()
    looked.wait(0.5)  # in vain if the reader waits for the fork


sys.meta_path.insert(0, Unusable())
reader = threading.Thread(target=read)
os.register_at_fork(before=begin)  # runs last, as the first that was registered
store = StaticStore(sys.argv[1], poll_interval=0).connect()
pid = os.fork()
if not pid:
    signal.alarm(10)
    os._exit(not read())
forked.set()
reader.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


_IMPORT_ALL = """
import os, sys
from staticstore import StaticStore
from staticstore.client.access import import_all

StaticStore(sys.argv[1], poll_interval=0).connect()
registered = []
os.register_at_fork = lambda **hooks: registered.append(hooks)
import_all()
assert "staticstore.client.many" in sys.modules
print(registered)
"""


def test_e4_modules_imported_during_a_fork_use_no_fork_hooks(site: MemorySite) -> None:
    arguments = [sys.executable, "-c", _IMPORT_ALL, site.url]
    run = subprocess.run(arguments, capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


@pytest.mark.parametrize(
    "program", [_FORK_WHILE_A_MODULE_IS_IMPORTED, _FORK_WHILE_AN_EXTRA_IS_LOOKED_FOR]
)
def test_e4_a_fork_waits_for_an_import_in_another_thread(site: MemorySite, program: str) -> None:
    arguments = [sys.executable, "-W", "ignore", "-c", program, site.url]
    run = subprocess.run(arguments, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
