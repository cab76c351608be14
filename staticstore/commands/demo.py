"""``staticstore demo``: publish, serve, read and change a site; watch the signals."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from ..client.store import StaticStore
from ..index.notebook import size_text
from ..signals import key_deleted, key_set, key_updated
from .exits import CommandError
from .options import CommonOptions, examples, output_options
from .terminal import ACTION_STYLES, Cell, Column, Output, count_text

__all__ = ["demo", "run_demo"]

_PACKAGE = Path(__file__).parents[1]
_POLL_SECONDS = 0.5
_TIMEOUT_SECONDS = 5.0
_PIECE_BYTES = 4096

_CHANGED = "measurements/weather-2025.csv"
_ADDED = "visitors/hello.txt"
_DELETED = "water/lakes.geojson"


@click.command(short_help="Show all of it on a sample site.", epilog=examples("staticstore demo"))
@output_options
@click.pass_obj
def demo(common: CommonOptions) -> None:
    """Show all of it in a few seconds, on a sample site served from this machine."""
    run_demo(common.output)


def run_demo(output: Output) -> None:
    """Show what staticstore does, on a copy of the sample site and on loopback.

    It takes about two seconds, and removes everything it has written.

    Parameters
    ----------
    output : Output
        Where to show it.

    Raises
    ------
    CommandError
        The sample site is missing, or a signal did not arrive.
    StoreError
        Something else failed.
    """
    from ..site.server import serve  # slow to import, and not needed for --help

    with _sample_copy() as site:
        _heading(output, "A folder of files becomes a site")
        _publish(output, site)
        _heading(output, "Any static web host can serve it; here, this machine does")
        with serve(site, port=0) as server:
            _result(output, "server = serve(site, port=0)", server.url)
            _heading(output, "A program connects, and queries the index")
            store = StaticStore(server.url, poll_interval=_POLL_SECONDS)
            with store.connect():
                call = f'StaticStore("{server.url}", poll_interval={_POLL_SECONDS}).connect()'
                _result(output, f"store = {call}", repr(store))
                _query(output, store)
                _heading(output, "Values are streamed, verified, or read in part")
                _stream(output, store)
                _heading(output, "The site changes, and the program is notified")
                _follow(output, store, site)
    _heading(output, "What to do next")
    program = _program()
    for command, why in (
        (f"{program} publish FOLDER", "make a site of a folder that has a folder data/ in it"),
        (f"{program} serve FOLDER", "look at it, before you put it on a web host"),
        ("README.md", "more, in Python and on the command line"),
    ):
        output.line(Cell(f"  {command}", "bold", len(program) + 18), why)


def _program() -> str:
    name = "staticstore"
    if shutil.which(name):
        return name
    return os.path.relpath(Path(sys.executable).parent / name)  # not on the PATH


# -- the steps -----------------------------------------------------------------------


def _publish(output: Output, site: Path) -> None:
    from ..site.publisher import publish  # slow to import, and not needed for --help

    began = time.perf_counter()
    report = publish(site)
    took = time.perf_counter() - began
    _result(
        output,
        "publish(site)",
        f"{len(report.set)} set, {len(report.updated)} updated, {len(report.deleted)} deleted: "
        f"{count_text(report.entries, 'key')}, {size_text(report.bytes)}, in {took * 1000:.0f} ms",
    )


def _query(output: Output, store: StaticStore) -> None:
    _call(output, 'store.query(select=["title"], type="raster")')
    found = store.query(select=["title"], type="raster")
    records = ({"key": key, **metadata} for key, metadata in found)
    output.rows([Column("key"), Column("title")], records)


def _stream(output: Output, store: StaticStore) -> None:
    value = max(store.values(), key=lambda value: value.size or 0)
    _call(output, f'for piece in store["{value.key}"].iterdata({_PIECE_BYTES}, progress=bar): …')
    with output.progress(value.key, transient=False) as progress:
        count = sum(len(piece) for piece in value.iterdata(_PIECE_BYTES, progress=progress))
    _result(output, None, f"{size_text(count)}, with the sha256 that the index gives")
    with value.range(0, 8) as stream:
        _result(output, f'store["{value.key}"].range(0, 8).read()', repr(stream.read()))


class _Event(NamedTuple):
    action: str
    key: str
    at: float


def _follow(output: Output, store: StaticStore, site: Path) -> None:
    events: queue.SimpleQueue[_Event] = queue.SimpleQueue()

    def on_set(sender: StaticStore, key: str, **_: Any) -> None:
        events.put(_Event("set", key, time.perf_counter()))

    def on_updated(sender: StaticStore, key: str, **_: Any) -> None:
        events.put(_Event("update", key, time.perf_counter()))

    def on_deleted(sender: StaticStore, key: str, **_: Any) -> None:
        events.put(_Event("delete", key, time.perf_counter()))

    for name, signal, handler in (
        ("key_set", key_set, on_set),
        ("key_updated", key_updated, on_updated),
        ("key_deleted", key_deleted, on_deleted),
    ):
        signal.connect(handler, sender=store)
        _call(output, f"{name}.connect({handler.__name__}, sender=store)")
    _change(site)
    output.line("a line is added to one file, a second file is new, a third is removed")
    _publish(output, site)
    published = time.perf_counter()
    awaited = {("set", _ADDED), ("update", _CHANGED), ("delete", _DELETED)}
    while awaited:
        event = _next_event(events, awaited, published + _TIMEOUT_SECONDS)
        awaited.discard((event.action, event.key))
        after = max(event.at - published, 0.0)
        output.record({"signal": event.action, "key": event.key, "seconds": round(after, 3)})
        output.line(
            Cell(event.action, ACTION_STYLES[event.action], 6),
            Cell(event.key, width=32),
            Cell(f"{after:.2f} s later", "dim"),
        )


def _next_event(
    events: queue.SimpleQueue[_Event], awaited: set[tuple[str, str]], until: float
) -> _Event:
    try:
        return events.get(timeout=max(until - time.perf_counter(), 0.001))
    except queue.Empty:
        missing = ", ".join(f"{action} of {key}" for action, key in sorted(awaited))
        raise CommandError(f"no signal within {_TIMEOUT_SECONDS:g} s: {missing}") from None


def _change(site: Path) -> None:
    data = site / "data"
    with (data / _CHANGED).open("a", encoding="utf-8") as file:
        file.write("2026-01-01,W5,-1.2,0.4,1.9,0.0\n")
    (data / _ADDED).parent.mkdir()
    (data / _ADDED).write_text("Somebody was here.\n", encoding="utf-8")
    (data / _DELETED).unlink()
    # Its metadata goes too, or the publisher would warn that it belongs to no file.
    metadata = site / "metadata.toml"
    sections = metadata.read_text(encoding="utf-8").split("\n\n")
    kept = (section for section in sections if not section.startswith(f'["{_DELETED}"]'))
    metadata.write_text("\n\n".join(kept), encoding="utf-8")


# -- the site ------------------------------------------------------------------------


@contextlib.contextmanager
def _sample_copy() -> Iterator[Path]:
    sample = _sample_site()
    with tempfile.TemporaryDirectory(prefix="staticstore-demo-") as folder:
        site = Path(folder, "site")
        for file in (sample / "metadata.toml", *sorted((sample / "data").rglob("*"))):
            if file.is_file():
                copy = site / file.relative_to(sample)
                copy.parent.mkdir(parents=True, exist_ok=True)
                # Without its mode: an installed file may be read-only.
                shutil.copyfile(file, copy)
        yield site


def _sample_site() -> Path:
    # Inside the package if it is installed, beside it in a checkout.
    for folder in _PACKAGE, _PACKAGE.parent:
        sample = folder / "sample_site"
        if (sample / "data").is_dir() and (sample / "metadata.toml").is_file():
            return sample
    raise CommandError(
        "the sample site is missing",
        hint="it comes with the package: install staticstore again",
    )


# -- how it looks ------------------------------------------------------------------------


def _heading(output: Output, text: str) -> None:
    output.line()
    output.line(Cell(text, "bold"))


def _call(output: Output, call: str) -> None:
    output.line(Cell(f">>> {call}", "cyan"))


def _result(output: Output, call: str | None, result: str) -> None:
    if call is not None:
        _call(output, call)
    output.record({"call": call, "result": result})
    output.line(result)
