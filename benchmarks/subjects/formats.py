"""An entry of a foreign index through the seam: from what a form yields to a raw entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import Figures, Place, Run, Subject, Target

if TYPE_CHECKING:
    from staticstore.formats import Entry

__all__ = ["SUBJECTS"]

_ROOT = "https://data.example.org/channel/"
_MOST_SECONDS = 3e-6  # of an entry


def _entries(kind: str, count: int) -> list[Entry]:
    from staticstore.formats import Entry

    def entry(number: int) -> Entry:
        key, digest = f"package-{number}-h{number:08x}_0.conda", f"{number:064x}"
        if kind == "mappings":
            return Entry(key, {"sha256": digest, "size": number})
        text = f'{{"build":"h_0","name":"package","sha256":"{digest}","size":{number}}}'.encode()
        href = f"https://cdn.example.org/channel/{key}" if kind == "texts with URLs" else None
        return Entry(key, text, href)

    return list(map(entry, range(count)))


def _ours(kind: str) -> Run:
    def run(place: Place) -> Figures:
        from staticstore.formats import Document
        from staticstore.formats.parsing import parse

        entries = _entries(kind, place.count)

        def read(document: Document) -> Iterator[Entry]:
            return iter(entries)

        document = Document(f"{_ROOT}index.json", b"", None, None)
        with place.meter.measuring() as figures:
            found = parse(read, document, _ROOT)
        assert len(found.entries) == place.count
        figures["seconds"] /= place.count
        return figures

    return run


_KINDS = ("mappings", "texts", "texts with URLs")

SUBJECTS = [
    Subject(
        "formats",
        "take an entry of a foreign index through the seam",
        {f"ours, {kind}": _ours(kind) for kind in _KINDS},
        tuple(Target(f"ours, {kind}", "seconds", _MOST_SECONDS) for kind in _KINDS),
        rounds=3,
    )
]
