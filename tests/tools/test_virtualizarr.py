"""VirtualiZarr reads what it needs of a file through the store of obspec."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore.interop.obspec import ObspecStore
from tests.client.scene import MemorySite
from tests.tools.zarr_scene import files_of

virtualizarr = pytest.importorskip("virtualizarr", reason="needs Python 3.12")
h5py = pytest.importorskip("h5py")

import numpy as np  # noqa: E402
import zarr  # noqa: E402
from obspec_utils.registry import ObjectStoreRegistry  # noqa: E402
from virtualizarr.parsers import HDFParser, KerchunkJSONParser  # noqa: E402

NUMBERS = np.arange(10_000.0).reshape(100, 100)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[MemorySite]:
    with h5py.File(tmp_path / "tide.h5", "w") as file:
        file.create_dataset("level", data=NUMBERS, chunks=(10, 100))
    with MemorySite() as site:
        site.files.update(files_of(tmp_path))
        yield site


@pytest.fixture
def objects(site: MemorySite) -> Iterator[ObspecStore]:
    with site.open() as store:
        yield ObspecStore(store)


def array_of(store: Any) -> Any:
    return zarr.open_group(store, mode="r")["level"]


def test_a_file_of_hdf5_is_an_array_of_zarr(site: MemorySite, objects: ObspecStore) -> None:
    registry = ObjectStoreRegistry({objects.url: objects})
    level = array_of(HDFParser()(url=f"{objects.url}tide.h5", registry=registry))
    before = len(site.server.requests)
    assert (level[15] == NUMBERS[15]).all()
    [request] = site.server.requests[before:]
    first, last = request.headers["Range"].removeprefix("bytes=").split("-")
    assert int(last) - int(first) + 1 == 10 * 100 * 8  # a chunk


def test_a_file_of_references_is_read(site: MemorySite, objects: ObspecStore) -> None:
    registry = ObjectStoreRegistry({objects.url: objects})
    of_file = HDFParser()(url=f"{objects.url}tide.h5", registry=registry)
    references = of_file.to_virtual_dataset().vz.to_kerchunk(format="dict")
    site.files["data/tide.json"] = json.dumps(references).encode()
    site.write({"tide.json": {}, "tide.h5": {}})
    with site.open() as store:
        again = ObspecStore(store)
        registry = ObjectStoreRegistry({again.url: again})
        parsed = KerchunkJSONParser()(url=f"{again.url}tide.json", registry=registry)
        assert (array_of(parsed)[15] == NUMBERS[15]).all()
