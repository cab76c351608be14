"""An array of zarr, read whole and in part."""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from ..array_sites import ARRAY, CHUNK_SIZE
from ..line import line_to
from ..stores import connect_ours
from . import Figures, Place, Run, Subject, Target
from .many import with_fast, without_fast

__all__ = ["SUBJECTS"]

_DELAY = 20e-3  # seconds a round trip
_PEERS = ("FsspecStore, http", "ObjectStore, obstore")
_HASHED = "ObjectStore, obstore, with sha256"

#: Makes a store of zarr, of the root URL of a site.
_Make = Callable[[str], AbstractContextManager[Any]]


@contextmanager
def _ours(root: str) -> Iterator[Any]:
    from staticstore.interop.zarr import ZarrStore

    with connect_ours(root) as store:
        yield ZarrStore(store, ARRAY)


@contextmanager
def _fsspec(root: str) -> Iterator[Any]:
    import zarr

    yield zarr.storage.FsspecStore.from_url(f"{root}data/{ARRAY}", read_only=True)


@contextmanager
def _obstore(root: str) -> Iterator[Any]:
    import zarr
    from obstore.store import HTTPStore

    url = f"{root}data/{ARRAY}"
    store = HTTPStore.from_url(url, client_options={"allow_http": True})
    yield zarr.storage.ObjectStore(store, read_only=True)


@contextmanager
def _obstore_hashed(root: str) -> Iterator[Any]:
    """Compare the digest of each value, hashed in threads."""
    import zarr
    from obstore.store import HTTPStore

    with urllib.request.urlopen(f"{root}index.json") as answer:
        index = json.load(answer)
    digests = {key.removeprefix(f"{ARRAY}/"): entry["sha256"] for key, entry in index.items()}

    class Hashed(zarr.storage.ObjectStore):  # type: ignore[misc]
        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            found = await super().get(key, prototype, byte_range)
            if found is not None and byte_range is None:
                digest = await asyncio.to_thread(hashlib.sha256, found.as_numpy_array())
                assert digest.hexdigest() == digests[key], key
            return found

    url = f"{root}data/{ARRAY}"
    store = HTTPStore.from_url(url, client_options={"allow_http": True})
    yield Hashed(store, read_only=True)


def _read(make: _Make, state: str, at_once: int, delay: float, part: slice) -> Run:
    def run(place: Place) -> Figures:
        import zarr

        with ExitStack() as stack:
            url = place.site.at(state)
            if delay:
                url, _ = stack.enter_context(line_to(url, delay=delay))
            stack.enter_context(zarr.config.set({"async.concurrency": at_once}))
            array: Any = zarr.open_array(stack.enter_context(make(url)), mode="r")
            array[0]  # so that all is imported, and a connection is open
            with place.meter.measuring() as figures:
                found = array[part]
        assert len(found) == len(range(array.size)[part])
        if delay:
            figures.pop("wire")  # loopback has counted each byte twice
        return figures

    return run


def _contenders(
    state: str,
    *,
    at_once: int,
    delay: float = 0.0,
    part: slice = slice(None),
    hashed: bool = False,
) -> dict[str, Run]:
    makers: dict[str, _Make] = {
        "ours": _ours,
        "FsspecStore, http": _fsspec,
        "ObjectStore, obstore": _obstore,
    }
    if hashed:
        makers[_HASHED] = _obstore_hashed
    runs = {name: _read(make, state, at_once, delay, part) for name, make in makers.items()}
    ours = runs.pop("ours")
    return {"ours, with `fast`": with_fast(ours), "ours": without_fast(ours), **runs}


SUBJECTS = [
    *(
        Subject(
            f"zarr-{at_once}",
            f"zarr: 2,000 chunks of 16 KiB, {at_once} at once",
            _contenders("small-chunks", at_once=at_once),
            (Target("ours, with `fast`", "seconds", 1, _PEERS),),
            rounds=7,
            sites="arrays",
        )
        for at_once in (10, 64)
    ),
    *(
        Subject(
            f"zarr-far-{at_once}",
            f"zarr: 2,000 chunks of 16 KiB, {at_once} at once, 20 ms a round trip",
            _contenders("small-chunks", at_once=at_once, delay=_DELAY),
            (
                Target(
                    "ours, with `fast`", "seconds", 1, "ObjectStore, obstore", is_significant=True
                ),
            ),
            rounds=7,
            sites="arrays",
        )
        for at_once in (10, 64)
    ),
    Subject(
        "zarr-large",
        "zarr: 64 chunks of 4 MiB, 10 at once",
        _contenders("large-chunks", at_once=10, hashed=True),
        (
            Target("ours, with `fast`", "seconds", 1, _HASHED),
            Target("ours, with `fast`", "seconds", 0.6, "ObjectStore, obstore"),
        ),
        rounds=15,  # which differ by more than those of the others
        sites="arrays",
    ),
    Subject(
        "zarr-sharded",
        "zarr: 4 shards of 256 chunks of 16 KiB, each fourth chunk, 10 at once",
        _contenders("sharded", at_once=10, part=slice(None, None, 4 * CHUNK_SIZE)),
        rounds=7,
        sites="arrays",
    ),
]
