"""Tables of a site, read by their URL with DuckDB and polars, without our code."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from staticstore import StaticStore, publish, serve
from staticstore.index.snapshot import Index
from tests.servers import Nginx, Relay

from .sitefolder import make_site

pytest.importorskip("pyarrow")

ROWS = 20_000
QUERY = "key >= 'scene-15000' and key < 'scene-15010'"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose table has more rows than files would be made for: 20 groups of them."""
    root = make_site(tmp_path_factory.mktemp("sites") / "site", {"a.txt": b"a"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("staticstore.tuning.TABLE_GROUP_ROWS", ROWS // 20)
        patch.setattr("staticstore.site.publishing.table_file.canonical_lines_of", _many_lines)
        publish(root, parquet=True)
    return root


def _many_lines(body: bytes) -> Any:
    chance = Random(1)
    entries = {
        f"scene-{number:05}": {
            "size": number,
            "text": chance.randbytes(200).hex(),
            "bbox": [number / 100, 46, 10.5, 48],
            "nothing": None,
        }
        for number in range(ROWS)
    }
    return Index.from_entries(entries).stored


@pytest.fixture(params=["serve", "nginx"])
def relay(request: pytest.FixtureRequest, site: Path) -> Iterator[Relay]:
    """Counts what a server sends."""
    with ExitStack() as running:
        if request.param == "serve":
            port = running.enter_context(serve(site, port=0)).port
        else:
            port = running.enter_context(Nginx(site)).port
        yield running.enter_context(Relay(port))


def test_polars_reads_a_few_groups(relay: Relay, site: Path) -> None:
    polars = pytest.importorskip("polars")
    url, size = _table(relay, site)
    before = relay.received
    frame = (
        polars.scan_parquet(url)
        .filter((polars.col("key") >= "scene-15000") & (polars.col("key") < "scene-15010"))
        .select("key", "size")
        .collect()
    )
    assert frame["size"].to_list() == list(range(15_000, 15_010))
    assert relay.received - before < size / 5


def test_duckdb_reads_a_few_groups(relay: Relay, site: Path) -> None:
    base = _duckdb()
    url, size = _table(relay, site)
    before = relay.received
    found = base.sql(f"select key, size, bbox[1] from '{url}' where {QUERY} order by key")
    assert found.fetchall()[0] == ("scene-15000", 15_000, 150.0)
    assert relay.received - before < size / 5


def test_duckdb_finds_the_table_in_the_head(relay: Relay, site: Path) -> None:
    base = _duckdb()
    base.sql(
        f"set variable url = (select '{relay.url}' || \"table\".href "
        f"from read_json('{relay.url}index.head.json'))"
    )
    assert base.sql("select count(*) from read_parquet(getvariable('url'))").fetchall() == [(ROWS,)]


def _table(relay: Relay, site: Path) -> tuple[str, int]:
    with StaticStore(relay.url, poll_interval=0, lazy=True) as store:
        url: str = store.info()["table"]
    return url, (site / url.removeprefix(relay.url)).stat().st_size


def _duckdb() -> Any:
    """Return a connection that reads URLs, by DuckDB's own extension."""
    duckdb = pytest.importorskip("duckdb")
    wheel = importlib.util.find_spec("duckdb_extension_httpfs")
    folders = wheel.submodule_search_locations if wheel is not None else None
    path = Path(*folders or (), "extensions", f"v{duckdb.__version__}", "httpfs.duckdb_extension")
    if not path.is_file():
        pytest.skip(f"DuckDB {duckdb.__version__} has no extension httpfs here")
    base = duckdb.connect(config={"autoinstall_known_extensions": False, "threads": 1})
    base.load_extension(str(path))
    return base
