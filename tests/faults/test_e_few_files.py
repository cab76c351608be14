"""E23: a process that may open few files has fewer connections at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.engines import ENGINES
from tests.servers import RawServer, serve_files
from tests.sites import index_of

pytest.importorskip("resource", reason="Windows has no such limit")

COUNT = 200

PROGRAM = """
import resource, sys
url, engine = sys.argv[1:]
if engine == "threads":
    sys.modules["pycurl"] = None
from staticstore import StaticStore
from staticstore.transport.many import carrier

carrier.tuning.CURL_FIRST_CONNECTIONS = 64
carrier.tuning.FAR_SECONDS = 0.0  # each answer counts as slow: as many connections as may be
store = StaticStore(url, poll_interval=0).connect(proxies={})
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
print(sum(len(data) for _, data in store.read_many(list(store))))
print(sum(len(file.read()) for file in store.multiget_data(list(store))))  # of what is left
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    values = {f"{number:03}": b"x" * 100 for number in range(COUNT)}
    files = {"index.json": index_of(values)} | {f"data/{key}": data for key, data in values.items()}
    with RawServer(serve_files(files)) as server:
        yield server.url


@pytest.mark.parametrize("engine", ENGINES)
def test_e23_many_values_are_read_where_few_files_may_be_open(url: str, engine: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, engine],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == (f"{COUNT * 100}\n" * 2, "")
