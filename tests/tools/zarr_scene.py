"""Arrays of zarr on a site, for the tests of zarr, and a store that writes by publishing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zarr
from zarr.core.sync import sync
from zarr.testing.store import StoreTests

from staticstore import StaticStore, publish
from staticstore.interop.zarr import ZarrStore
from tests.sites import index_of

__all__ = ["PublishingStore", "files_of", "in_the_loop_of_zarr", "write_array"]


class PublishingStore(ZarrStore):
    """A store that writes into the folder of its site, publishes it, and reads that.

    Parameters
    ----------
    folder : Path
        The folder of the site.
    read_only : bool, optional
        Whether writing is refused.
    """

    supports_writes = True
    supports_deletes = True

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        publish(folder)
        self.folder = folder
        self.live = StaticStore(folder, poll_interval=0).connect()
        super().__init__(self.live)
        self._read_only = read_only

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self._read_only)

    def with_read_only(self, read_only: bool = False) -> PublishingStore:
        return PublishingStore(self.folder, read_only)

    async def set(self, key: str, value: Any) -> None:
        self._check_writable()
        self.put(key, value.to_bytes())

    async def delete(self, key: str) -> None:
        self._check_writable()
        (self.folder / "data" / key).unlink(missing_ok=True)
        self._follow()

    def put(self, key: str, body: bytes) -> None:
        """Write a value, publish, and read the new snapshot from now on."""
        path = self.folder / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self._follow()

    def _follow(self) -> None:
        publish(self.folder, force=True)
        self.live.update_index()
        self._folder = ZarrStore(self.live)._folder


def in_the_loop_of_zarr(tests: type[StoreTests[Any, Any]]) -> type[StoreTests[Any, Any]]:
    """Have a class run the coroutines among the tests that it inherits, as zarr does."""

    def awaited(test: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            sync(test(*args, **kwargs))

        return run

    for name, test in inspect.getmembers(tests, inspect.iscoroutinefunction):
        if name.startswith("test_"):
            setattr(tests, name, awaited(test))
    return tests


def write_array(folder: Path | str, **options: Any) -> Any:
    """Write an array of 8 x 8 numbers in chunks of 2 x 2, and return the numbers."""
    import numpy as np

    numbers = np.arange(64, dtype="i4").reshape(8, 8)
    options = {"shape": (8, 8), "chunks": (2, 2), "dtype": "i4", **options}
    zarr.create_array(str(folder), **options)[:] = numbers
    return numbers


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a site in memory: values with their keys, and an index of them."""
    values = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    files = {f"data/{key}": value for key, value in values.items()}
    return {"index.json": index_of(values), **files}
