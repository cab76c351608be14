"""Parsing alone, then one look-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..stores import a_key
from . import Figures, Place, Run, Subject

__all__ = ["SUBJECTS"]


def _parsed(name: str) -> Run:
    def run(place: Place) -> Figures:
        import urllib.request

        parse = _parser(name, place.count)
        place.site.show("first")
        with urllib.request.urlopen(f"{place.site.url}index.json") as answer:
            body = answer.read()
        key = a_key(place.count)
        with place.meter.measuring() as figures:
            parse(body)[key]["title"]
        return figures

    return run


def _parser(name: str, count: int) -> Callable[[bytes], Any]:
    if name.startswith("ours"):
        from staticstore import Index

        vouched = count if name == "ours, by a head" else None
        return lambda body: Index.parse(body, vouched_entries=vouched)
    if name == "json":
        import json

        return json.loads
    if name == "orjson":
        import orjson

        return orjson.loads  # type: ignore[no-any-return,unused-ignore]
    import msgspec

    return msgspec.json.decode


SUBJECTS = [
    Subject(
        "parsing",
        "parse the index and look a key up",
        {
            name: _parsed(name)
            for name in ("ours, by a head", "ours, all checked", "json", "orjson", "msgspec")
        },
        rounds=3,
    )
]
