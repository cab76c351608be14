"""Signed sites: what the signatures cost a reader at each poll, and the publisher."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..programs import measured, staticstore
from . import CannotRun, Figures, Place, Run, Subject, Target

if TYPE_CHECKING:
    from staticstore import StaticStore

__all__ = ["SUBJECTS"]

_PASSPHRASE = "correct horse battery staple"
_VALUES = 100
_PUBLISHES = 7  # of which the median counts
_ADDED = "what trust adds"
_ADDED_BY_SIGNING = "what signing adds"


class _SignedSite:
    """A site of small values, with keys, which is published again and again."""

    def __init__(self, place: Place, *, signs: bool = True) -> None:
        try:
            from staticstore.site.signatures.new_keys import make_keys
        except ModuleNotFoundError as error:
            raise CannotRun(f"it needs the extra `trust`: {error}") from error
        folder = place.site.scratch()
        private = Path(tempfile.mkdtemp())  # not served
        weakref.finalize(self, shutil.rmtree, private)
        self.keys = private / "keys"
        make_keys(self.keys, [_PASSPHRASE])
        self.passphrase_file = private / "passphrase"
        self.passphrase_file.write_text(f"{_PASSPHRASE}\n", "utf-8")
        self.folder = folder
        self.signs = signs
        self.url = place.site.at(folder.name)
        (folder / "data").mkdir()
        for number in range(_VALUES):
            (folder / "data" / f"value-{number:03}.bin").write_bytes(os.urandom(1 << 10))
        self.publish()

    @property
    def root_file(self) -> Path:
        """What a reader is given."""
        return self.keys / "1.root.json"

    def change(self) -> None:
        """Replace a value."""
        (self.folder / "data" / "value-000.bin").write_bytes(os.urandom(1 << 10))

    def publish(self) -> None:
        """Publish, by keys that are unlocked anew."""
        from staticstore import publish
        from staticstore.site.signatures.key_folder import KeyFolder

        keys = KeyFolder(self.keys, passphrases=lambda name: [_PASSPHRASE])
        publish(self.folder, sign=keys if self.signs else None)


@contextmanager
def _counting(store: StaticStore) -> Iterator[Figures]:
    """Count requests, and the bytes of their bodies."""
    from staticstore import request_finished

    counted: Figures = {"requests": 0, "wire": 0}

    def note(_: object, **report: Any) -> None:
        counted["requests"] += 1
        counted["wire"] += report["bytes"]

    with request_finished.connected_to(note, sender=store):
        yield counted


def _poll(place: Place, store: StaticStore) -> Figures:
    with _counting(store) as counted, place.meter.measuring() as figures:
        store.update_index()
    return {"seconds": figures["seconds"], "cpu": figures["cpu"], **counted}


@contextmanager
def _readers(site: _SignedSite, *trusts: bool) -> Iterator[list[StaticStore]]:
    """Connect readers, with and without trust, which have polled once already."""
    from staticstore import StaticStore

    roots = [site.root_file if is_trusting else None for is_trusting in trusts]
    stores = [StaticStore(site.url, trust=root, poll_interval=0).connect() for root in roots]
    try:
        for store in stores:
            store.update_index()
        yield stores
    finally:
        for store in stores:
            store.disconnect()


def _polled(*trusts: bool, changes: bool) -> Run:
    """Poll by a reader; by two of them, return what the first one needs more."""

    def run(place: Place) -> Figures:
        site = _SignedSite(place)
        with _readers(site, *trusts) as stores:
            if changes:  # once, to bring what it imports, and once more
                for _ in range(2):
                    site.change()
                    site.publish()
                    found = [_poll(place, store) for store in stores]
                    assert all(len(store) == _VALUES for store in stores)
            else:
                found = [_poll(place, store) for store in stores]
        return _difference(*found) if len(found) > 1 else found[0]

    return run


def _difference(more: Figures, less: Figures) -> Figures:
    return {name: more[name] - less[name] for name in more}


def _published(*signs: bool) -> Run:
    """Publish a changed value in a running process, in turn where there are two sites."""

    def run(place: Place) -> Figures:
        sites = [_SignedSite(place, signs=one) for one in signs]
        runs: list[list[Figures]] = [[] for _ in sites]
        for _ in range(_PUBLISHES):
            for site, some in zip(sites, runs, strict=True):
                site.change()
                with place.meter.measuring() as figures:
                    site.publish()
                some.append({name: figures[name] for name in ("seconds", "cpu")})
        found = [
            {name: statistics.median(one[name] for one in some) for name in some[0]}
            for some in runs
        ]
        return _difference(*found) if len(found) > 1 else found[0]

    return run


def _by_command(*, signs: bool) -> Run:
    def run(place: Place) -> Figures:
        site = _SignedSite(place, signs=signs)
        site.change()
        options: list[object] = []
        if signs:
            options = ["--sign", site.keys, "--passphrase-file", site.passphrase_file]
        figures = measured(place, *staticstore("publish", site.folder, *options))
        return {"seconds": figures["seconds"]}

    return run


def _poll_contenders(*, changes: bool) -> dict[str, Run]:
    return {
        "ours, with trust": _polled(True, changes=changes),
        "ours, without": _polled(False, changes=changes),
        _ADDED: _polled(True, False, changes=changes),
    }


SUBJECTS = [
    Subject(
        "trust-polls",
        "a poll of a signed site that finds nothing, bytes of bodies alone",
        _poll_contenders(changes=False),
        (
            Target("ours, with trust", "requests", 2),
            Target("ours, with trust", "wire", 600),
            Target("ours, with trust", "cpu", 5e-3),
        ),
        rounds=5,
    ),
    Subject(
        "trust-changes",
        "a poll of a signed site after a publish, bytes of bodies alone",
        _poll_contenders(changes=True),
        (Target(_ADDED, "requests", 4), Target(_ADDED, "wire", 3e3)),
        rounds=5,
    ),
    Subject(
        "trust-publishes",
        "publish one value of a hundred that has changed",
        {
            "ours, signed": _published(True),
            "ours, not signed": _published(False),
            _ADDED_BY_SIGNING: _published(True, False),
            "the command, signed": _by_command(signs=True),
            "the command, not signed": _by_command(signs=False),
        },
        (Target(_ADDED_BY_SIGNING, "seconds", 50e-3),),
        rounds=5,
    ),
]
