"""Dask reads values in its processes, verified, by one connection pool in each."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import IntegrityError, JoinedStore, StaticStore, StoreError, publish
from staticstore.client.pickles.partitions import Partition
from tests.client.scene import TIMEOUT
from tests.memory import memory_folder
from tests.servers import RawServer, Request, Wire, requiring_password, serve_files
from tests.site.sitefolder import make_site
from tests.tools import dask_tasks
from tests.tools.dask_tasks import CALLS, PASSWORD, again, digest, digest_of, named_digest

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
tokenize = pytest.importorskip("dask.base").tokenize

SECRET = "open-sesame"
MANY = 10_000
VALUES = {f"numbers/{n:05d}.txt": b"%d" % n * 20 for n in range(MANY)}
TABLES = {f"tables/{n}.csv": b"a,b\n%d,1\n%d,2\n" % (n, n) for n in range(6)}
THREADS = 4  # of each process


class Site:
    """A site behind a password, on a server in this process; its files may be replaced."""

    def __init__(self, folder: Path) -> None:
        make_site(folder, {**VALUES, **TABLES})
        publish(folder, pack=True, metadata={"tables/*": {"type": "table"}})
        paths = [path for path in folder.rglob("*") if path.is_file()]
        self.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        self.good = requiring_password(serve_files(self.files), "ali", SECRET)
        self.server = RawServer(self.good, heads=True)

    def paths(self) -> list[str]:
        return [request.path for request in self.server.requests]

    def open(self, **options: Any) -> StaticStore:
        return StaticStore(self.server.url, poll_interval=0, **options).connect(
            auth=dask_tasks.password
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set the variables of `password`, which the processes inherit; the folder of its calls."""
    calls = tmp_path_factory.mktemp("calls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PASSWORD, SECRET)
        patch.setenv(CALLS, str(calls))
        yield calls


@pytest.fixture(scope="module")
def site(environment: Path) -> Iterator[Site]:
    with memory_folder() as folder:
        found = Site(Path(folder) / "site")
        with found.server:
            yield found


@pytest.fixture
def store(site: Site) -> Iterator[StaticStore]:
    with site.open() as store:
        yield store


@contextlib.contextmanager
def running(**options: Any) -> Iterator[Any]:
    """Run two processes of Dask on loopback, and return a client."""
    with warnings.catch_warnings(), dask.config.set({"distributed.admin.log-length": 0}):
        warnings.simplefilter("ignore")  # of Dask's own, at its end
        with (
            distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=THREADS,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=50,
                **options,
            ) as cluster,
            distributed.Client(cluster, set_as_default=True) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def client(environment: Path) -> Iterator[Any]:
    with running() as client:
        yield client


@pytest.fixture
def fresh(client: Any, environment: Path) -> Any:
    """A client whose processes have no connection yet, and have not asked for credentials."""
    client.run(_forget)
    for path in environment.iterdir():
        path.unlink()
    return client


def _forget() -> None:
    # Without waiting for the seconds that connections are kept.
    from staticstore.client import access
    from staticstore.processes import PerProcess

    access._SITES = PerProcess(access._sites)


# -- bags ----------------------------------------------------------------------------------


def test_two_processes_read_and_verify_ten_thousand_values_of_a_site_behind_a_password(
    site: Site, store: StaticStore, fresh: Any, environment: Path
) -> None:
    before, connections = len(site.paths()), site.server.connections
    found = store.to_dask_bag().map(named_digest).compute()
    assert [key for key, _, _ in found] == sorted([*VALUES, *TABLES])
    assert all(sha256 == store[key].sha256 for key, sha256, _ in found)
    processes = {pid for _, _, pid in found}
    assert len(processes) == 2
    assert os.getpid() not in processes
    # Credentials are asked for once in each process: there is one connection pool.
    assert {path.name for path in environment.iterdir()} == {f"{pid}-0" for pid in processes}
    requested = site.paths()[before:]
    assert not {path for path in requested if "index" in path}
    assert len(requested) < 500
    print(f"{len(requested)} requests by {site.server.connections - connections} connections")


def test_a_bag_has_the_values_that_fulfill_conditions(store: StaticStore) -> None:
    bag = store.to_dask_bag(type="table")
    assert bag.compute(scheduler="sync") == list(store.read_many(TABLES))
    bag = store.to_dask_bag(where={"type": "table", "size": lambda size: size > 100})
    assert bag.compute(scheduler="sync") == []


def test_a_bag_has_the_metadata_that_is_selected(store: StaticStore) -> None:
    bag = store.to_dask_bag(["type", "size", "missing"], type="table")
    (key, data, metadata), *_ = bag.compute(scheduler="sync")
    assert (key, data) == ("tables/0.csv", TABLES["tables/0.csv"])
    assert metadata == {"type": "table", "size": len(data)}


def test_the_partitions_of_a_bag_have_a_size(store: StaticStore) -> None:
    one = len(TABLES["tables/0.csv"])
    for size, partitions in ((one, 6), (2 * one, 3), ("1 GiB", 1), (1, 6)):
        bag = store.to_dask_bag(type="table", partition_size=size)
        assert bag.npartitions == partitions
        assert bag.compute(scheduler="sync") == list(store.read_many(TABLES))
    assert 10 < store.to_dask_bag().npartitions < 110


@pytest.mark.parametrize("size", [0, -1, "big"])
def test_a_size_that_is_none_is_an_error(store: StaticStore, size: int | str) -> None:
    with pytest.raises(ValueError, match=r"partition_size|big"):
        store.to_dask_bag(partition_size=size)


def test_a_number_of_partitions_is_no_condition(store: StaticStore) -> None:
    with pytest.raises(TypeError, match="give partition_size"):
        store.to_dask_bag(npartitions=4)


def test_a_task_of_a_bag_has_the_entries_of_its_values_alone(store: StaticStore) -> None:
    graph = dict(store.to_dask_bag().dask)
    pickles = [pickle.dumps(task) for task in graph.values()]
    assert sum(b"numbers/00000.txt" in one for one in pickles) == 1
    assert sum(map(len, pickles)) < 300 * MANY


def test_making_a_bag_requests_nothing(site: Site, store: StaticStore) -> None:
    before = len(site.paths())
    store.to_dask_bag(["size"], type="table").map(len)
    assert len(site.paths()) == before


def test_a_bag_is_read_as_it_is_consumed(
    store: StaticStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []

    def read(self: Partition) -> Iterator[tuple[str, bytes]]:
        for key in ("a", "b"):
            log.append(f"read {key}")
            yield key, b""

    monkeypatch.setattr(Partition, "read", read)
    bag = store.to_dask_bag(type="table", partition_size="1 GiB")
    bag.map(lambda item: log.append(f"use {item[0]}")).count().compute(scheduler="sync")
    assert log == ["read a", "use a", "read b", "use b"]


def test_e19_a_bag_has_the_values_of_its_snapshot(tmp_path: Path) -> None:
    site = make_site(tmp_path, {"a": b"first", "b": b"second"})
    publish(site)
    with StaticStore(site, poll_interval=0) as store:
        bag = store.to_dask_bag()
        (site / "data/b").write_bytes(b"other")
        (site / "data/c").write_bytes(b"third")
        publish(site)
        store.update_index()
        with pytest.raises(IntegrityError):
            bag.compute(scheduler="sync")
        assert len(store.to_dask_bag().compute(scheduler="sync")) == 3


def test_a_bag_of_a_lazy_store_has_all_values(site: Site) -> None:
    with site.open(lazy=True) as store:
        assert len(store.to_dask_bag(type="table").compute(scheduler="sync")) == len(TABLES)


def test_a_bag_of_a_view_has_the_keys_of_the_view(store: StaticStore) -> None:
    view = JoinedStore([store.below("tables/"), store.below("numbers/0000")])
    assert view.to_dask_bag().compute(scheduler="sync") == list(view.read_many(view))
    parts = pickle.dumps(dict(view.to_dask_bag().dask))
    assert b"numbers/00010" not in parts


def test_a_wrong_value_is_an_error_of_the_computation(
    site: Site, store: StaticStore, client: Any
) -> None:
    key = "tables/3.csv"
    good = TABLES[key]
    files = {path: body for path, body in site.files.items() if good in body}
    assert f"data/{key}" in files
    try:
        wrong = bytes(len(good))
        site.files.update({path: body.replace(good, wrong) for path, body in files.items()})
        with pytest.raises(IntegrityError) as caught:
            store.to_dask_bag(type="table").count().compute()
    finally:
        site.files.update(files)
    assert caught.value.key == key


# -- tasks ---------------------------------------------------------------------------------


def test_tasks_with_a_store_fetch_the_index_once_in_each_process(
    site: Site, store: StaticStore, fresh: Any, environment: Path
) -> None:
    keys = list(VALUES)[:400]
    before, connections = len(site.paths()), site.server.connections
    tasks = [dask.delayed(digest_of)(store, key) for key in keys]
    assert list(dask.compute(*tasks)) == [digest(VALUES[key]) for key in keys]
    requested = site.paths()[before:]
    assert sum(path.startswith("/index/") for path in requested) <= 2
    assert site.server.connections - connections <= 2 * THREADS
    assert len(list(environment.iterdir())) <= 2


def test_tasks_with_a_value_share_the_connections_of_their_process(
    site: Site, store: StaticStore, fresh: Any
) -> None:
    values = [store[key] for key in list(VALUES)[:200]]
    before, connections = len(site.paths()), site.server.connections
    sizes = sizes_by(fresh, values)
    assert sizes == [value.size for value in values]
    assert len(site.paths()) - before == len(values)
    assert site.server.connections - connections <= 2 * THREADS


def sizes_by(client: Any, values: list[Any]) -> list[int]:
    sizes: list[int] = client.gather(client.map(dask_tasks.value_size, values))
    return sizes


def test_a_data_frame_is_read_of_values(store: StaticStore, client: Any) -> None:
    frames = pytest.importorskip("dask.dataframe")
    values = list(store.multiget(store.query_keys(type="table")))
    frame = frames.from_map(_read_csv, values)
    assert int(frame["b"].sum().compute()) == 3 * len(TABLES)


def _read_csv(value: Any) -> Any:
    import pandas as pd

    with value.open() as file:
        return pd.read_csv(file)


def test_e19_tasks_of_a_process_that_is_killed_run_in_the_other(
    site: Site, store: StaticStore
) -> None:
    reached, first = threading.Event(), threading.Lock()
    stalled = "/data/numbers/00000.txt"

    def answer(request: Request, wire: Wire) -> None:
        if request.path == stalled and first.acquire(blocking=False):
            reached.set()
            wire.stall()
        else:
            site.good(request, wire)

    values = [store[key] for key in list(VALUES)[:50]]
    with running() as client:
        pids: dict[str, int] = client.run(os.getpid)
        site.server.answer = answer
        try:
            futures = client.map(dask_tasks.value_size, values)
            assert reached.wait(TIMEOUT)
            busy = [one for one, keys in client.processing().items() if futures[0].key in keys]
            os.kill(pids[busy[0]], signal.SIGKILL)
            assert client.gather(futures) == [value.size for value in values]
        finally:
            site.server.answer = site.good


def test_e19_processes_that_are_forked_read_with_their_own_connections(
    site: Site, store: StaticStore
) -> None:
    keys = list(VALUES)[:20]
    method = {"distributed.worker.multiprocessing-method": "fork"}
    with dask.config.set(method), running() as client:
        values = [store[key] for key in keys]
        assert sizes_by(client, values) == [value.size for value in values]
        found = client.gather(client.map(digest_of, [store] * len(keys), keys))
    assert found == [digest(VALUES[key]) for key in keys]
    assert store["tables/0.csv"].read() == TABLES["tables/0.csv"]


# -- secrets and credentials ---------------------------------------------------------------


@pytest.mark.parametrize("way", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_no_graph_contains_the_password(site: Site, way: Any) -> None:
    secret = str(SECRET)
    for auth in (dask_tasks.password, ("ali", SECRET), lambda: ("ali", secret)):
        with StaticStore(site.server.url, poll_interval=0).connect(auth=auth) as store:
            bag = store.to_dask_bag(["type"], type="table")
            delayed = dask.delayed(digest_of)(store, store["tables/0.csv"])
            for graph in (bag.dask, delayed.dask):
                for task in dict(graph).values():
                    assert SECRET.encode() not in way(task)


def test_e17_a_function_of_a_script_is_not_pickled_with_its_variables(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = _script(monkeypatch)
    cloudpickle.register_pickle_by_value(script)  # as it does with functions of `__main__`
    try:
        with StaticStore(site.server.url, poll_interval=0).connect(auth=script.who) as store:
            pickled = cloudpickle.dumps((store, store["tables/0.csv"]))
    finally:
        cloudpickle.unregister_pickle_by_value(script)
    assert SECRET.encode() not in pickled


def test_e17_a_function_that_cannot_be_imported_there_is_a_clear_error(
    site: Site, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = _script(monkeypatch)
    with StaticStore(site.server.url, poll_interval=0).connect(auth=script.who) as store:
        tasks = [
            client.submit(digest_of, store, "tables/0.csv"),
            client.submit(dask_tasks.value_size, store["tables/0.csv"]),
            client.compute(store.to_dask_bag(type="table")),
        ]
        for task in tasks:
            with pytest.raises(StoreError, match=r"given as auth, who of the module a_script, can"):
                task.result(TIMEOUT)


def _script(monkeypatch: pytest.MonkeyPatch) -> Any:
    script: Any = types.ModuleType("a_script")
    exec(f"PASSWORD = {SECRET!r}\ndef who():\n    return 'ali', PASSWORD", vars(script))
    monkeypatch.setitem(sys.modules, "a_script", script)
    return script


# -- names of tasks ------------------------------------------------------------------------


def test_the_names_of_tasks_are_those_of_the_snapshot(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {"a": b"first", "b": b"second"})
    publish(site)
    with (
        StaticStore(site, poll_interval=0) as store,
        StaticStore(site, poll_interval=0) as other,
        dask.config.set({"tokenize.ensure-deterministic": True}),
    ):
        view = JoinedStore([store.below("a"), store])
        same = [store, other, again(store)]
        len(same[2])
        assert len({tokenize(one) for one in same}) == 1
        assert tokenize(view) == tokenize(JoinedStore([other.below("a"), other]))
        assert len({tokenize(one) for one in (store, view, store.below("a"), store["a"])}) == 4
        assert tokenize(store["a"]) == tokenize(other["a"]) == tokenize(again(store["a"]))
        before = [tokenize(one) for one in (store, view, store["a"], store["b"])]
        name = store.to_dask_bag().name
        assert name == other.to_dask_bag().name != store.to_dask_bag(["size"]).name
        (site / "data/b").write_bytes(b"other")
        publish(site)
        store.update_index()
        after = [tokenize(one) for one in (store, view, store["a"], store["b"])]
        assert [one == two for one, two in zip(before, after, strict=True)] == [
            False, False, True, False,
        ]  # fmt: skip
        assert store.to_dask_bag().name != name
