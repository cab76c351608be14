"""The index of a conda channel, until one package can be looked up."""

from __future__ import annotations

from typing import Any

from tests.formats.channels import package

from ..channel_sites import DOCUMENT
from . import Figures, Place, Run, Subject, Target
from .interpreter import watching

__all__ = ["SUBJECTS"]

_MEMORY_BYTES = 1.5 * 51e6  # of 100,000 packages


def _body(place: Place, state: str) -> bytes:
    return (place.site.folder(state) / DOCUMENT).read_bytes()


def _parsed(state: str) -> Run:
    def run(place: Place) -> Figures:
        from staticstore import Index
        from staticstore.formats import Document, conda
        from staticstore.formats.parsing import parse
        from staticstore.index.forms.foreign_entries import foreign_entries

        root = "https://conda.example.org/linux-64/"
        document = Document(root + DOCUMENT, _body(place, state), None, None)
        key, _ = package(1)
        with place.meter.measuring() as figures:
            said = parse(conda.read, document, root)
            stored = foreign_entries(said.entries, said.unchecked, before=None, https_only=True)
            Index(stored, said.warnings)[key]["name"]
        return figures

    return run


def _json(state: str) -> Run:
    def run(place: Place) -> Figures:
        import json

        body, (key, _) = _body(place, state), package(1)
        with place.meter.measuring() as figures:
            json.loads(body)["packages.conda"][key]["name"]
        return figures

    return run


def _connect(place: Place, state: str) -> Any:
    from staticstore import StaticStore

    url = place.site.at(state) + DOCUMENT
    return StaticStore(url, format="conda", poll_interval=0).connect()


def _connected(place: Place) -> Figures:
    import requests

    assert requests
    key, _ = package(1)
    with place.meter.measuring() as figures:
        _connect(place, "channel")[key].metadata["name"]
    return figures


def _fetched(place: Place) -> Figures:
    import json

    import requests

    url, (key, _) = place.site.at("channel") + DOCUMENT, package(1)
    with place.meter.measuring() as figures:
        json.loads(requests.get(url, timeout=60).content)["packages.conda"][key]["name"]
    return figures


def _waits(place: Place) -> Figures:
    import requests

    assert requests
    with watching() as figures:
        _connect(place, "large-channel")
    return figures


SUBJECTS = [
    Subject(
        "conda",
        "the index of a conda channel, as many packages as entries, but at most 100,000",
        {
            "ours": _parsed("channel"),
            "json.loads": _json("channel"),
            "ours, connected": _connected,
            "requests, json.loads": _fetched,
        },
        (
            Target("ours", "seconds", 2, "json.loads"),
            Target("ours, connected", "seconds", 2, "requests, json.loads"),
            Target("ours, connected", "grown", _MEMORY_BYTES),
        ),
        sites="channels",
    ),
    Subject(
        "conda-large",
        "the index of a conda channel with five times as many packages, at most 500,000",
        {"ours": _parsed("large-channel"), "json.loads": _json("large-channel")},
        (Target("ours", "seconds", 2.5, "json.loads"),),
        rounds=3,
        sites="channels",
    ),
    Subject(
        "conda-waits",
        "the longest wait of another thread while that large index is read",
        {"ours": _waits},
        (Target("ours", "seconds", 0.15),),
        sites="channels",
    ),
]
