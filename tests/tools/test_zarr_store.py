"""zarr's own tests of stores, over a site: as far as reading goes, since `set` publishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zarr.core.buffer import Buffer, cpu
from zarr.core.sync import sync
from zarr.testing.store import StoreTests

from tests.tools.zarr_scene import PublishingStore, in_the_loop_of_zarr


@in_the_loop_of_zarr
class TestZarrStore(StoreTests[PublishingStore, cpu.Buffer]):  # type: ignore[misc]
    store_cls = PublishingStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, tmp_path: Path) -> dict[str, Any]:
        (tmp_path / "data").mkdir()
        return {"folder": tmp_path}

    @pytest.fixture
    def store(self, open_kwargs: dict[str, Any]) -> PublishingStore:
        store: PublishingStore = sync(self.store_cls.open(**open_kwargs))
        return store

    @pytest.fixture
    def store_not_open(self, store_kwargs: dict[str, Any]) -> PublishingStore:
        return self.store_cls(**store_kwargs)

    async def set(self, store: PublishingStore, key: str, value: Buffer) -> None:
        store.put(key, value.to_bytes())

    async def get(self, store: PublishingStore, key: str) -> Buffer:
        return cpu.Buffer.from_bytes((store.folder / "data" / key).read_bytes())

    def test_store_repr(self, store: PublishingStore) -> None:
        assert repr(store) == f"<ZarrStore: {store.folder.as_uri()}/data/>"

    def test_store_supports_writes(self, store: PublishingStore) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: PublishingStore) -> None:
        assert store.supports_listing
