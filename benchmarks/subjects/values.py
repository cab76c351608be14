"""One large value: streamed and discarded, verified, to a file, read sequentially."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..stores import connect_encore, connect_ours
from ..streams import PEERS, PIECE, Stream, Take
from ..value_sites import LARGE, size_of
from . import CannotRun, Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

_BARE, _VERIFIED = "bare", "values"
_OBSTORE = ("obstore", "obstore, async")
_GROWN = 20e6  # bytes

Download = Callable[[str, Path], object]


def _encore(url: str, take: Take) -> None:
    root, _, key = url.rpartition("data/")
    if root:
        with connect_encore(root).get_data(key) as stream:
            while piece := stream.read(PIECE):
                take(piece)


class _Count:
    """Takes pieces and counts their bytes."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, piece: Any) -> None:
        self.bytes += len(piece)


def _by_peer(stream: Stream, *, digest: bool = False) -> Run:
    """Stream the value and discard it, or hash it on the way."""

    def run(place: Place) -> Figures:
        place.site.show(_VERIFIED)
        count, sha256 = _Count(), hashlib.sha256()

        def take(piece: Any) -> None:
            count(piece)
            sha256.update(piece)

        stream(f"{place.site.url}index.json", lambda piece: None)  # so that all is imported
        with place.meter.measuring() as figures:
            stream(_url(place), take if digest else count)
        assert count.bytes == _size(place)
        return figures

    return run


def _into_buffer(open_stream: Callable[[Any], Any], state: str) -> Run:
    """Read a value of ours into one buffer; with a digest in the index, verified."""

    def run(place: Place) -> Figures:
        place.site.show(state)
        count = 0
        with (
            connect_ours(place.site.url) as store,
            place.meter.measuring() as figures,
            open_stream(store[LARGE]) as stream,
        ):
            buffer = bytearray(PIECE)
            while read := stream.readinto(buffer):
                count += read
        assert count == _size(place)
        return figures

    return run


def _in_pieces(state: str) -> Run:
    """Stream a value of ours by `iterdata`, and discard it."""

    def run(place: Place) -> Figures:
        place.site.show(state)
        count = 0
        with connect_ours(place.site.url) as store, place.meter.measuring() as figures:
            for piece in store[LARGE].iterdata():
                count += len(piece)
        assert count == _size(place)
        return figures

    return run


def _file_of_ours(*, sync: bool) -> Run:
    def run(place: Place) -> Figures:
        place.site.show(_VERIFIED)
        with connect_ours(place.site.url) as store:
            with tempfile.TemporaryDirectory() as folder:  # so that all is imported
                store.to_file("small/00000.bin", Path(folder, "small"))
            return _writing(place, lambda path: store.to_file(LARGE, path, sync=sync))

    return run


def _file_by(download: Download) -> Run:
    def run(place: Place) -> Figures:
        place.site.show(_VERIFIED)
        with tempfile.TemporaryDirectory() as folder:  # so that all is imported
            download(f"{place.site.url}index.json", Path(folder, "index.json"))
        return _writing(place, lambda path: download(_url(place), path))

    return run


def _writing(place: Place, write: Callable[[Path], object]) -> Figures:
    """Measure writing the value, on a disk that has nothing else to write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, LARGE)
        os.sync()
        with place.meter.measuring() as figures:
            write(path)
        assert path.stat().st_size == _size(place)
    return figures


def _written(stream: Stream) -> Download:
    """Write the pieces that a peer streams."""

    def download(url: str, path: Path) -> None:
        with path.open("wb", buffering=0) as file:
            stream(url, file.write)

    return download


def _pooch(url: str, path: Path) -> None:
    """Download as pooch does, without a digest, in larger pieces."""
    import pooch

    pooch.HTTPDownloader(chunk_size=PIECE)(url, str(path), None)


def _fsspec(url: str, path: Path) -> None:
    import fsspec

    fsspec.filesystem("http").get_file(url, str(path), chunk_size=PIECE)


def _curl(url: str, path: Path) -> None:
    subprocess.run(["curl", "--silent", "--fail", "--output", path, url], check=True)


def _curl_sync_sha256sum(url: str, path: Path) -> None:
    _curl(url, path)
    subprocess.run(["sync", path], check=True)
    subprocess.run(["sha256sum", path], check=True, stdout=subprocess.DEVNULL)


def _curl_to_nowhere(place: Place) -> Figures:
    place.site.show(_VERIFIED)
    with place.meter.measuring() as figures:
        _curl(_url(place), Path(os.devnull))
    return figures


def _of_programs(run: Run) -> Run:
    """Omit figures of this process alone, not of the programs that it runs."""

    def run_programs(place: Place) -> Figures:
        if shutil.which("curl") is None:
            raise CannotRun("there is no program curl")
        figures = run(place)
        return {name: figures[name] for name in ("seconds", "wire")}

    return run_programs


def _opened_by_obstore(url: str, take: Take) -> None:
    import obstore
    from obstore.store import HTTPStore

    root, _, path = url.rpartition("/")
    store = HTTPStore.from_url(root, client_options={"allow_http": True})
    file = obstore.open_reader(store, path, buffer_size=16 * PIECE)
    while piece := file.read(PIECE):
        take(piece)


def _opened_by_fsspec(url: str, take: Take) -> None:
    import fsspec

    with fsspec.filesystem("http").open(url, block_size=16 * PIECE) as file:
        while piece := file.read(PIECE):
            take(piece)


def _size(place: Place) -> int:
    return size_of(_url(place))


def _url(place: Place) -> str:
    return f"{place.site.url}data/{LARGE}"


def _data(value: Any) -> Any:
    return value.data


def _opened(value: Any) -> Any:
    return value.open()


SUBJECTS = [
    Subject(
        "stream",
        "a large value streamed to nowhere, not verified",
        {
            "ours": _into_buffer(_data, _BARE),
            "ours, iterdata": _in_pieces(_BARE),
            **{name: _by_peer(stream) for name, stream in PEERS.items()},
            "curl": _of_programs(_curl_to_nowhere),
            "encore": _by_peer(_encore),
        },
        (
            Target("ours", "seconds", 1 / 1.2, "raw socket"),
            Target("ours", "seconds", 1.8, _OBSTORE),
            Target("ours", "grown", _GROWN),
        ),
        sites="values",
    ),
    Subject(
        "verified",
        "a large value read and verified",
        {
            "ours": _into_buffer(_data, _VERIFIED),
            "ours, iterdata": _in_pieces(_VERIFIED),
            **{f"{name}, not verified": _by_peer(PEERS[name]) for name in _OBSTORE},
            "obstore, sha256 of each piece": _by_peer(PEERS["obstore"], digest=True),
            "raw socket, sha256 of each piece": _by_peer(PEERS["raw socket"], digest=True),
        },
        (
            Target("ours", "seconds", 1, tuple(f"{name}, not verified" for name in _OBSTORE)),
            Target("ours", "grown", _GROWN),
        ),
        sites="values",
    ),
    Subject(
        "file",
        "a large value into a file",
        {
            "ours, verified and synced": _file_of_ours(sync=True),
            "ours, verified": _file_of_ours(sync=False),
            "curl, sync, sha256sum": _of_programs(_file_by(_curl_sync_sha256sum)),
            "curl": _of_programs(_file_by(_curl)),
            "pooch": _file_by(_pooch),
            "obstore": _file_by(_written(PEERS["obstore"])),
            "fsspec": _file_by(_fsspec),
            "aiohttp": _file_by(_written(PEERS["aiohttp"])),
            "requests": _file_by(_written(PEERS["requests"])),
            "encore": _file_by(_written(_encore)),
        },
        (
            Target("ours, verified and synced", "seconds", 1, "curl, sync, sha256sum"),
            Target("ours, verified", "seconds", 1, ("curl", "pooch", "obstore")),
            Target("ours, verified and synced", "grown", _GROWN),
        ),
        rounds=3,
        sites="values",
    ),
    Subject(
        "sequential",
        "a large value through `open`, from its beginning to its end",
        {
            "ours": _into_buffer(_opened, _BARE),
            "ours, plain stream": _into_buffer(_data, _BARE),
            "obstore": _by_peer(_opened_by_obstore),
            "fsspec": _by_peer(_opened_by_fsspec),
        },
        (
            Target("ours", "seconds", 1 / 1.3, "ours, plain stream"),
            Target("ours", "grown", _GROWN),
        ),
        sites="values",
    ),
]
