"""E4: values, indexes and errors pickle without a secret, and work where they are unpickled."""

from __future__ import annotations

import base64
import copy
import functools
import multiprocessing
import os
import pickle
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from requests.auth import HTTPBasicAuth

import staticstore
from staticstore import (
    AuthorizationError,
    Change,
    Index,
    IntegrityError,
    JoinedStore,
    MountedStore,
    StaticStore,
    StoreError,
    URLValue,
    publish,
    tuning,
)
from staticstore.client import access
from staticstore.client.access import SharedSite
from staticstore.client.pickles import indirect
from staticstore.errors import (
    HTTPStatusError,
    IndexFormatError,
    InvalidKeyError,
    NotConnectedError,
    TransportError,
    TransportTimeout,
    TrustError,
)
from staticstore.processes import PerProcess
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.servers import RawServer, requiring_password, serve_files, write_certificates
from tests.site.sitefolder import make_site
from tests.sites import index_of

SECRET = "open-sesame"
VALUES = {"a.txt": b"0123456789" * 100, "b.txt": b"second", "c d/ü.txt": b"third"}
FILES = {"index.json": index_of(VALUES, title="x"), **{f"data/{k}": v for k, v in VALUES.items()}}
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def password() -> tuple[str, str]:
    """Return credentials, as a function given as ``auth`` that is called after unpickling."""
    return "ali", SECRET


class Vault:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def password(self) -> tuple[str, str]:
        return "ali", self._secret

    def __call__(self) -> tuple[str, str]:
        return self.password()

    @staticmethod
    def known() -> tuple[str, str]:
        return "ali", SECRET


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite() as memory_site:
        memory_site.files |= FILES
        yield memory_site


@pytest.fixture
def closed() -> Iterator[RawServer]:
    """A host that requires a password."""
    with RawServer(requiring_password(serve_files(FILES), "ali", SECRET)) as server:
        yield server


def round_trip(one: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(one, protocol))


# -- values --------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_e4_a_value_can_be_read_where_it_is_unpickled(site: MemorySite, protocol: int) -> None:
    with site.open() as store:
        pickled = pickle.dumps(store["c d/ü.txt"], protocol)
    value = pickle.loads(pickled)
    assert isinstance(value, URLValue)
    assert (value.key, value.size, value.metadata["title"]) == ("c d/ü.txt", 5, "x")
    assert value.url == f"{site.url}data/c%20d/%C3%BC.txt"
    assert value.read() == b"third"


READS: dict[str, Callable[[URLValue], bytes]] = {
    "read": lambda value: value.read(),
    "data": lambda value: value.data.read(),
    "range": lambda value: value.range(0, 1000).read(),
    "iterdata": lambda value: b"".join(value.iterdata(7)),
    "open": lambda value: value.open().read(),
    "get_ranges": lambda value: b"".join(value.get_ranges([(0, 500), (500, None)])),
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
def test_e4_an_unpickled_value_can_be_read_in_every_way(
    site: MemorySite, read: Callable[[URLValue], bytes]
) -> None:
    with site.open() as store:
        value = round_trip(store["a.txt"])
    assert read(value) == VALUES["a.txt"]


def test_e4_unpickled_values_share_a_connection(site: MemorySite) -> None:
    with site.open() as store:
        pickled = [pickle.dumps(value) for value in store.values()]
    values = [pickle.loads(one) for one in pickled]
    before = site.server.connections
    assert [value.read() for value in values] == [VALUES[value.key] for value in values]
    assert site.server.connections == before + 1


def test_e4_unpickled_values_with_different_options_have_separate_connections(
    site: MemorySite,
) -> None:
    with site.open() as store, site.open(timeout=(1, 1)) as other:
        values = [round_trip(one["a.txt"]) for one in (store, store, other)]
    first, second, third = (value._access.shared for value in values)
    assert first is second is not third


@pytest.mark.parametrize("what", ["value", "store"])
def test_e4_the_connection_of_unpickled_objects_ends_with_the_last_of_them(
    site: MemorySite, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(tuning, "SHARED_SITE_SECONDS", 0.0)
    ended = threading.Event()
    with site.open() as store:
        again = round_trip(store["a.txt"] if what == "value" else store)
    read_there(again)
    shared = SharedSite.of(again._settings if what == "store" else again._access.settings)
    weakref.finalize(shared, ended.set)
    del shared
    assert not ended.is_set()
    del again
    assert ended.wait(TIMEOUT)


def test_e4_objects_that_are_unpickled_in_turn_share_a_connection(site: MemorySite) -> None:
    with site.open() as store:
        pickles = [pickle.dumps(one) for one in (store, *store.values(), store)]
    before = site.server.connections
    for one in pickles:
        read_there(pickle.loads(one))
    assert site.server.connections == before + 1


def test_e4_stores_that_are_unpickled_in_turn_share_the_index(site: MemorySite) -> None:
    with site.open() as store:
        pickled = pickle.dumps(store)
    before = len(site.requests())
    for _ in range(5):
        with pickle.loads(pickled) as again:
            assert len(again) == len(VALUES)
    assert len(site.requests()) == before + 1


def test_e4_views_that_are_unpickled_in_turn_share_a_connection(site: MemorySite) -> None:
    with site.open() as store:
        view = JoinedStore([store.below("c d/"), MountedStore({"all/": store})])
        pickled = pickle.dumps((view, view["ü.txt"]))
    before, connections = len(site.requests()), site.server.connections
    for _ in range(3):
        again, value = pickle.loads(pickled)
        assert again["all/a.txt"].read() == VALUES["a.txt"]
        assert again["ü.txt"].read() == value.read() == b"third"
    assert (len(site.requests()), site.server.connections) == (before + 1, connections + 1)


def test_e4_threads_that_unpickle_a_store_at_once_share_the_index(site: MemorySite) -> None:
    with site.open() as store:
        pickled = pickle.dumps(store)
    before = len(site.requests())
    calls = [Call(lambda: len(pickle.loads(pickled))) for _ in range(8)]
    assert [call.result() for call in calls] == [len(VALUES)] * 8
    assert len(site.requests()) == before + 1


@pytest.fixture
def unpickled(site: MemorySite, monkeypatch: pytest.MonkeyPatch) -> tuple[StaticStore, StaticStore]:
    """Two unpickled stores of one index, each of which polls at its first use."""
    monkeypatch.setattr(tuning, "SHARED_INDEX_SECONDS", 0.0)
    with site.open() as store:
        return round_trip(store), round_trip(store)


def test_e4_a_store_that_is_unpickled_later_sees_the_site_as_it_is_then(
    site: MemorySite, unpickled: tuple[StaticStore, StaticStore]
) -> None:
    first, second = unpickled
    assert "new.txt" not in first
    site.write(index_of({**VALUES, "new.txt": b"new"}, title="x"))
    assert "new.txt" in second
    assert "new.txt" not in first
    assert [change.key for change in first.update_index()] == ["new.txt"]
    assert "new.txt" in first


def test_e4_an_unpickled_store_asks_as_often_as_it_would_poll(site: MemorySite) -> None:
    with StaticStore(site.url, poll_interval=0.001).connect() as store:
        first, second = round_trip(store), round_trip(store)
    assert "new.txt" not in first
    site.write(index_of({**VALUES, "new.txt": b"new"}, title="x"))
    assert "new.txt" in second


def test_e18_an_unpickled_store_is_stale_while_the_host_fails(
    site: MemorySite, unpickled: tuple[StaticStore, StaticStore]
) -> None:
    first, second = unpickled
    assert len(first) == len(VALUES)
    site.spoil(lambda request, wire: wire.response(500))
    assert len(second) == len(VALUES)
    assert (first.info()["stale"], second.info()["stale"]) == (False, True)
    assert "500" in second.info()["last_error"]


def test_e18_an_unpickled_store_that_is_refused_later_raises(
    site: MemorySite, unpickled: tuple[StaticStore, StaticStore]
) -> None:
    first, second = unpickled
    assert len(first) == len(VALUES)
    site.spoil(lambda request, wire: wire.response(401))
    with pytest.raises(AuthorizationError):
        len(second)


def test_e18_threads_that_wait_for_a_failing_attempt_get_its_error(
    site: MemorySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Semaphore(0)
    taken = threading.Lock()

    class Turn:
        release = taken.release

        def acquire(self, timeout: float) -> bool:
            if taken.acquire(blocking=False):
                return True
            waiting.release()
            return taken.acquire(timeout=TIMEOUT)

    monkeypatch.setattr(indirect, "PerProcess", lambda _: PerProcess(Turn))
    with site.open() as store:
        pickled = pickle.dumps(store)
    stall = site.stall("body")
    first = Call(lambda: len(pickle.loads(pickled)))
    assert stall.reached.wait(TIMEOUT)
    others = [Call(lambda: len(pickle.loads(pickled))) for _ in range(3)]
    for _ in others:
        assert waiting.acquire(timeout=TIMEOUT)
    before = len(site.requests())
    site.server.stop()
    for call in (first, *others):
        with pytest.raises(TransportError):
            call.result()
    assert len(site.requests()) == before


def test_e17_an_auth_function_that_cannot_be_imported_is_a_clear_error(
    closed: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = types.ModuleType("a_script")
    monkeypatch.setitem(sys.modules, "a_script", script)
    monkeypatch.setattr(password, "__module__", "a_script")
    vars(script)["password"] = password
    with StaticStore(closed.url, poll_interval=0).connect(password) as store:
        pickled = pickle.dumps((store, store["a.txt"]))
    value = pickle.loads(pickled)[1]
    assert value.read() == VALUES["a.txt"]
    del value
    monkeypatch.delitem(sys.modules, "a_script")
    monkeypatch.setattr(access, "_SITES", PerProcess(access._sites))
    again, value = pickle.loads(pickled)
    for use in (lambda: again["a.txt"], value.read):
        with pytest.raises(
            StoreError, match=r"password of the module a_script, cannot be imported"
        ):
            use()
    assert pickle.loads(pickle.dumps(value)).key == "a.txt"


def test_e4_disconnecting_an_unpickled_store_leaves_the_others_connected(site: MemorySite) -> None:
    with site.open() as store:
        first, second = round_trip(store), round_trip(store)
    with first, second["a.txt"].open() as file:
        assert first["b.txt"].read() == b"second"
        first.disconnect()
        assert file.read() == second["a.txt"].read() == VALUES["a.txt"]
        with pytest.raises(NotConnectedError):
            first["a.txt"]


def test_e4_lazy_stores_that_are_unpickled_share_the_parts_of_the_index(tmp_path: Path) -> None:
    make_site(tmp_path, {f"{number}.txt": b"value" for number in range(300)})
    publish(tmp_path)
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in paths}
    with RawServer(serve_files(files), heads=True) as server:
        with StaticStore(server.url, poll_interval=0, lazy=True) as store:
            pickled = pickle.dumps(store)
        before = len(server.requests)
        assert pickle.loads(pickled)["7.txt"].size == 5
        once = len(server.requests) - before
        assert 1 < once < 5
        assert [pickle.loads(pickled)["7.txt"].size for _ in range(5)] == [5] * 5
        assert len(server.requests) == before + once
        assert len(list(pickle.loads(pickled))) == 300
        whole = len(server.requests)
        assert len(list(pickle.loads(pickled))) == 300
        assert len(server.requests) == whole


def test_e4_signals_of_an_unpickled_store_are_its_own(site: MemorySite) -> None:
    heard: list[object] = []

    def hear(sender: object, **arguments: object) -> None:
        heard.append(sender)

    with site.open() as store:
        first, second = round_trip(store), round_trip(store)
    with staticstore.index_updated.connected_to(hear):
        assert len(first) == len(second)
        site.write(index_of({"a.txt": b"other"}))
        first.update_index()
        assert heard == [first]
        second.update_index()
        assert heard == [first, second]


def test_e4_unpickling_a_value_makes_no_request(site: MemorySite) -> None:
    with site.open() as store:
        pickled = pickle.dumps(store["a.txt"])
    before = len(site.server.requests)
    value = pickle.loads(pickled)
    _ = repr(value), value.metadata, value.size, value.sha256, value._repr_html_()
    assert len(site.server.requests) == before


def test_e4_an_unpickled_value_belongs_to_its_snapshot(site: MemorySite) -> None:
    with site.open() as store:
        value = round_trip(store["a.txt"])
    site.files["data/a.txt"] = b"other"
    site.write(index_of({"a.txt": b"other"}))
    with pytest.raises(IntegrityError):
        value.read()


def test_e4_an_unpickled_value_can_be_pickled_again(site: MemorySite) -> None:
    with site.open() as store:
        value = round_trip(round_trip(store["a.txt"]))
    assert value.read() == VALUES["a.txt"]


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy])
def test_e4_a_stream_is_not_pickled_and_says_what_is(
    site: MemorySite, way: Callable[[object], object]
) -> None:
    with (
        site.open() as store,
        store["a.txt"].data as stream,
        pytest.raises(TypeError, match=r"send the value, or its open\(\)"),
    ):
        way(stream)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_e4_a_copied_value_uses_the_same_connection(
    closed: RawServer, way: Callable[[URLValue], URLValue]
) -> None:
    with StaticStore(closed.url, poll_interval=0).connect(password()) as store:
        value = way(store["a.txt"])
        assert value.read() == VALUES["a.txt"]
        assert way(value).data.read() == VALUES["a.txt"]
    with pytest.raises(NotConnectedError):
        value.read()
    assert closed.connections == 1


def test_e4_a_value_in_a_folder_can_be_read_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site/data").mkdir(parents=True)
    (tmp_path / "site/data/a").write_bytes(b"value")
    publish(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    with StaticStore("site", poll_interval=0) as store:
        pickled = pickle.dumps(store["a"])
    monkeypatch.chdir("/")
    assert pickle.loads(pickled).read() == b"value"


def test_e4_a_value_of_several_roots_can_be_read_from_a_copy(site: MemorySite) -> None:
    with MemorySite() as other:
        other.files |= FILES
        with StaticStore([site.url, other.url], poll_interval=0).connect(retries=0) as store:
            value = round_trip(store["a.txt"])
        site.spoil(lambda request, wire: wire.response(404), "data/a.txt")
        assert value.range(2, 5).read() == b"234"
        assert value.read() == VALUES["a.txt"]


def test_e4_an_unpickled_value_uses_the_cache_of_its_store(
    site: MemorySite, tmp_path: Path
) -> None:
    with StaticStore(site.url, poll_interval=0, cache=tmp_path) as store:
        store["a.txt"].read()
        value = round_trip(store["a.txt"])
    site.server.stop()
    assert value.read() == VALUES["a.txt"]


# -- options and secrets -------------------------------------------------------------------

SECRETS: dict[str, dict[str, Any]] = {
    "auth": {"auth": ("ali", SECRET)},
    "mapping": {"auth": {"username": "ali", "password": SECRET}},
    "AuthBase": {"auth": HTTPBasicAuth("ali", SECRET)},
    "lambda": {"auth": lambda: ("ali", SECRET)},
    "method": {"auth": Vault(SECRET).password},
    "callable": {"auth": Vault(SECRET)},
    "partial": {"auth": functools.partial(tuple, ("ali", SECRET))},
    "headers": {"headers": {"X-Api-Key": SECRET}},
    "proxies": {"proxies": {"ftp": f"http://ali:{SECRET}@127.0.0.1:1"}},
}


@pytest.mark.parametrize("connect", SECRETS.values(), ids=list(SECRETS))
def test_e4_pickles_of_stores_and_values_contain_no_secret(
    site: MemorySite, connect: dict[str, Any]
) -> None:
    root = site.url.replace("http://", f"http://ali:{SECRET}@")
    with StaticStore(root, poll_interval=0).connect(**connect) as store:
        value = store["a.txt"]
        value.data.read(3)
        forms = [SECRET.encode(), base64.b64encode(f"ali:{SECRET}".encode())]
        forms += [base64.b64encode(SECRET.encode()).rstrip(b"="), b"sesame"]
        for one in (store, value, store.index):
            for protocol in PROTOCOLS:
                pickled = pickle.dumps(one, protocol)
                assert not any(form in pickled for form in forms)


@pytest.mark.parametrize("auth", [password, Vault.known], ids=["function", "static method"])
def test_e4_an_auth_function_is_called_after_unpickling(
    closed: RawServer, auth: Callable[[], tuple[str, str]]
) -> None:
    with StaticStore(closed.url, poll_interval=0).connect(auth) as store:
        value, again = round_trip((store["a.txt"], store))
    assert value.read() == VALUES["a.txt"]
    assert again["a.txt"].read() == VALUES["a.txt"]
    again.disconnect()


@pytest.mark.parametrize("connect", SECRETS.values(), ids=list(SECRETS))
def test_e4_a_401_after_unpickling_says_that_pickles_contain_no_secret(
    closed: RawServer, connect: dict[str, Any]
) -> None:
    options = {"auth": password(), **connect}
    with StaticStore(closed.url, poll_interval=0).connect(**options, retries=0) as store:
        value, again = round_trip((store["a.txt"], store))
    for use in (value.read, lambda: again["a.txt"], lambda: again.connect(retries=0)):
        with pytest.raises(AuthorizationError, match=r"401.*; a pickle .* carries no password"):
            use()
    with again.connect(password()):
        assert again["a.txt"].read() == VALUES["a.txt"]


def test_e4_a_401_of_any_other_store_does_not_mention_pickles(
    closed: RawServer,
) -> None:
    with pytest.raises(AuthorizationError) as caught:
        StaticStore(closed.url, poll_interval=0).connect(retries=0)
    assert "pickle" not in str(caught.value)


def test_e4_the_options_of_connect_are_pickled(site: MemorySite) -> None:
    options: dict[str, Any] = {
        "timeout": (3, 4),
        "retries": 7,
        "max_index_bytes": 12345,
        "index_deadline": 9.5,
        "min_rate": 10,
        "proxies": {},
        "verify": False,
    }
    with site.open(**options) as store:
        again = round_trip(store)
        value = round_trip(store["a.txt"])
    assert again._settings.arguments() == {"cert": None, "anonymous": False, **options}
    assert value.remote_value.session.retries == 7
    with again:
        assert again._live.connected().follower.max_bytes == 12345


def test_e4_the_query_of_a_root_is_pickled(site: MemorySite) -> None:
    with StaticStore(f"{site.url}?sig=a%2Bb", poll_interval=0) as store:
        value, again = round_trip((store["a.txt"], store))
    value.read()
    assert site.server.requests[-1].target == "/data/a.txt?sig=a%2Bb"
    with again:
        assert site.server.requests[-1].target == "/index.json?sig=a%2Bb"


def test_e4_the_paths_of_certificates_are_pickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = write_certificates(tmp_path)
    context = certificates.context(certificates.server, ask_client=True)
    monkeypatch.chdir(tmp_path)
    verify, cert = certificates.authority.name, tuple(path.name for path in certificates.client)
    with RawServer(serve_files(FILES), ssl_context=context) as server:
        store = StaticStore(server.url, poll_interval=0)
        with store.connect(verify=verify, cert=cert):  # type: ignore[arg-type]
            pickled = pickle.dumps((store["a.txt"], store))
        monkeypatch.chdir("/")
        value, again = pickle.loads(pickled)
        assert value.read() == VALUES["a.txt"]
        with again:
            assert again["b.txt"].read() == b"second"


def test_e4_an_auth_function_of_connect_is_called_once(closed: RawServer) -> None:
    calls: list[int] = []

    def counted() -> tuple[str, str]:
        calls.append(1)
        return password()

    with StaticStore(closed.url, poll_interval=0).connect(counted) as store:
        store["a.txt"].read()
    assert calls == [1]


@pytest.mark.parametrize("wrong", [lambda: 5, lambda: password], ids=["number", "function"])
def test_e4_an_auth_function_must_return_valid_credentials(site: MemorySite, wrong: Any) -> None:
    with pytest.raises(TypeError, match="auth must be"):
        StaticStore(site.url).connect(wrong)


# -- processes -----------------------------------------------------------------------------


def read_there(one: StaticStore | URLValue) -> tuple[bytes, int]:
    """Read in another process; return its id, too."""
    data = one["a.txt"].read() if isinstance(one, StaticStore) else one.read()
    return data, os.getpid()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_e4_stores_and_values_can_be_used_in_other_processes(site: MemorySite, method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks of a process with threads
        context = multiprocessing.get_context(method)
        with site.open() as store, ProcessPoolExecutor(2, context) as pool:
            used = [store, store["a.txt"], *[store["a.txt"]] * 6]
            found = list(pool.map(read_there, used))
    assert {data for data, _ in found} == {VALUES["a.txt"]}
    assert os.getpid() not in {pid for _, pid in found}


# -- other objects -------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_e4_an_index_can_be_pickled(site: MemorySite, protocol: int) -> None:
    site.write(
        b'{"a": {"packed": ["packs/' + b"ab" * 32 + b'.zip", 3]}, "../x": {}, "b": {"v": 1}}'
    )
    with site.open() as store:
        index = store.index
        again = round_trip(index, protocol)
        assert again == index
        assert again.warnings == index.warnings
        assert again.raw("a") == index.raw("a")
        site.write(b'{"b": {"v": 2}}')
        changes = store.update_index()
    assert round_trip(store.index, protocol) == {"b": {"v": 2}}
    assert list(round_trip(changes, protocol)) == list(changes)
    assert round_trip(changes, protocol).index == store.index


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_e4_a_change_can_be_pickled(protocol: int) -> None:
    change = Change("a", b'{"v":1}', None)
    again = round_trip(change, protocol)
    assert (again, again.action, again.previous) == (change, "delete", {"v": 1})


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_e4_an_index_can_be_copied(way: Callable[[Index], Index]) -> None:
    index = Index.from_entries({"a": {"v": 1}})
    assert way(index) == index


ERRORS: list[StoreError] = [
    StoreError("m", key="k", url="http://h/p", status=3),
    NotConnectedError("m", key="k"),
    InvalidKeyError("m", key="k"),
    IndexFormatError("m", url="http://h/p"),
    IntegrityError("m", expected=1, actual="ab", key="k"),
    TrustError("m", reason="rollback", url="http://h/p"),
    TransportError("m", url="http://h/p"),
    TransportTimeout("m", key="k", url="http://h/p"),
    HTTPStatusError("m", retry_after=2.5, status=503),
    AuthorizationError("m", status=401, url="http://h/p"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_e4_an_error_is_pickled_with_all_attributes(error: StoreError, protocol: int) -> None:
    again = round_trip(error, protocol)
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def test_e4_every_error_class_is_tested_here() -> None:
    every = {one for one in vars(staticstore).values() if isinstance(one, type)}
    assert {one for one in every if issubclass(one, StoreError)} <= set(map(type, ERRORS))


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_e4_pickling_an_object_of_one_process_is_a_clear_error(
    site: MemorySite, way: Callable[[Any], object]
) -> None:
    with site.open() as store:
        with pytest.raises(TypeError, match="subscribe in each process"):
            way(store.subscribe(lambda change: None))
        with pytest.raises(TypeError, match="watch in each process"):
            way(store.watch())
