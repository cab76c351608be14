"""Items of STAC, from pages of an API and from a static catalog."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from . import CannotRun, Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

_PAGES = 34
_ASSETS = 12  # of an item
_MOST_ASSETS = 100_000  # a million would be larger than an index may be
_COLLECTIONS, _ITEMS = 40, 50
_MOST_POLL_SECONDS = 0.2  # of one that finds nothing


def _pages(place: Place, href: str = "?token={}") -> list[bytes]:
    """Return pages with about as many assets as there are entries, within a bound."""
    from tests.formats.stac_documents import pages

    items = max(min(place.count, _MOST_ASSETS) // _ASSETS, _PAGES)
    return list(pages(items, -(-items // _PAGES), href))


def _read(read: Callable[[list[bytes]], object]) -> Run:
    def run(place: Place) -> Figures:
        bodies = _pages(place)
        read(bodies[:1])  # brings what it imports
        gc.collect()
        with place.meter.measuring() as figures:
            found = read(bodies)
        assert found
        return figures

    return run


def _ours(bodies: list[bytes]) -> object:
    from staticstore.formats import Document
    from staticstore.formats.parsing import parse
    from staticstore.formats.stac import read

    root = "https://data.example.org/"
    found: dict[str, Any] = {}
    for number, body in enumerate(bodies):
        document = Document(f"{root}items?page={number}", body, "application/geo+json", None)
        found.update(parse(read, document, root).entries)
    return found


def _json(bodies: list[bytes]) -> object:
    return list(map(json.loads, bodies))


def _pystac(bodies: list[bytes]) -> object:
    import pystac

    return [pystac.ItemCollection.from_dict(json.loads(body)) for body in bodies]


@contextmanager
def _served(files: Iterable[tuple[str, bytes]], folder: Path) -> Iterator[str]:
    from tests.servers import Nginx, Unavailable

    for path, body in files:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    try:
        with Nginx(folder) as server:
            yield server.url
    except Unavailable as error:
        raise CannotRun(str(error)) from error


def _connect(
    url: str, count: int, figures: Callable[[], AbstractContextManager[Figures]]
) -> Figures:
    from staticstore import StaticStore

    store = StaticStore(url, format="stac", poll_interval=0)
    with figures() as found, store:
        assert len(store) == count
    return found


def _connected(place: Place) -> Figures:
    bodies = _pages(place, "items-{}.json")
    files = ((f"items-{number}.json", body) for number, body in enumerate(bodies))
    count = sum(body.count(b'"file:size"') for body in bodies)
    with _served(files, place.site.scratch()) as url:
        return _connect(f"{url}items-0.json", count, place.meter.measuring)


def _catalog(place: Place) -> Figures:
    from tests.formats.stac_documents import catalog_files

    with _served(catalog_files(_COLLECTIONS, _ITEMS), place.site.scratch()) as url:
        return _connect(f"{url}catalog.json", 2 * _COLLECTIONS * _ITEMS, place.meter.measuring)


def _poll(place: Place) -> Figures:
    """Poll as the poller does, which asks for a 24th of the items."""
    from staticstore.client.following.format_follower import FormatFollower
    from staticstore.index.freshness import Freshness
    from staticstore.transport.http.root import Root
    from staticstore.transport.http.session import Session
    from tests.formats.stac_documents import catalog_files

    with _served(catalog_files(_COLLECTIONS, _ITEMS), place.site.scratch()) as url:
        session = Session(Root(f"{url}catalog.json", names_document=True))
        follower = FormatFollower(
            [session], "stac", freshness=Freshness(), max_bytes=1 << 30, seconds=60
        )
        held = follower.fetch(None)
        with place.meter.measuring() as figures:
            found = follower.fetch(held)
        assert found is not None
        assert held is not None
        assert found.sha256 == held.sha256
        follower.close()
        return figures


def _catalog_by_pystac(place: Place) -> Figures:
    import pystac

    from tests.formats.stac_documents import catalog_files

    with _served(catalog_files(_COLLECTIONS, _ITEMS), place.site.scratch()) as url:
        with place.meter.measuring() as figures:
            catalog = pystac.Catalog.from_file(f"{url}catalog.json")
            count = sum(len(item.assets) for item in catalog.get_items(recursive=True))
        assert count == 2 * _COLLECTIONS * _ITEMS
        return figures


SUBJECTS = [
    Subject(
        "stac",
        "as many assets of STAC as entries, but at most 100,000, in 34 pages",
        {
            "ours": _read(_ours),
            "ours, connected on loopback": _connected,
            "json.loads": _read(_json),
            "pystac": _read(_pystac),
        },
        (
            Target("ours", "seconds", 1 / 0.55, "json.loads"),
            Target("ours", "seconds", 20, "pystac"),
        ),
        rounds=3,
    ),
    Subject(
        "stac-catalog",
        "a static catalog of STAC, 2,041 files on loopback",
        {"ours": _catalog, "ours, a poll": _poll, "pystac": _catalog_by_pystac},
        (
            Target("ours", "seconds", 4, "pystac"),
            Target("ours, a poll", "seconds", _MOST_POLL_SECONDS),
        ),
        rounds=3,
    ),
]
