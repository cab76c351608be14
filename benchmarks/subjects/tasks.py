"""Tasks of a cluster: each unpickles what it reads from, in the same process."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

from staticstore import StaticStore

from ..stores import connect_ours
from . import CannotRun, Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

_TASKS = 200

# Makes, for each task, what is pickled with it, and what reads the value of that.
_Make = Callable[[StaticStore, str], tuple[Any, Callable[[Any], bytes]]]


def _tasks(make: _Make) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("values")
        with ExitStack() as stack:
            store = stack.enter_context(connect_ours(place.site.url))
            keys = list(islice(store.index.keys_from("small/"), _TASKS))
            digests = [store[key].sha256 for key in keys]
            made = [make(store, key) for key in keys]
            pickles = [(pickle.dumps(one), read) for one, read in made]
            with place.meter.measuring() as figures:
                found = [read(pickle.loads(one)) for one, read in pickles]
        assert [hashlib.sha256(data).hexdigest() for data in found] == digests
        return figures

    return run


def _store(store: StaticStore, key: str) -> tuple[Any, Callable[[Any], bytes]]:
    return store, lambda again: again.to_bytes(key)


def _value(store: StaticStore, key: str) -> tuple[Any, Callable[[Any], bytes]]:
    return store[key], lambda again: again.read()


def _alone(store: StaticStore, key: str) -> tuple[Any, Callable[[Any], bytes]]:
    """Connect a store of its own in each task."""

    def read(url: str) -> bytes:
        with StaticStore(url, poll_interval=0) as own:
            return own.to_bytes(key)

    return store.info()["root_url"], read


def _fsspec(store: StaticStore, key: str) -> tuple[Any, Callable[[Any], bytes]]:
    try:
        import fsspec
    except ImportError as error:
        raise CannotRun(str(error)) from error
    url = store[key].url
    return fsspec.filesystem("http"), lambda system: system.cat_file(url)


def _connected(place: Place) -> Figures:
    """Read the same values by one store that is connected already."""
    place.site.show("values")
    with connect_ours(place.site.url) as store:
        keys: Iterator[str] = islice(store.index.keys_from("small/"), _TASKS)
        with place.meter.measuring() as figures:
            for key in keys:
                store.to_bytes(key)
    return figures


SUBJECTS = [
    Subject(
        "tasks",
        "a value of 1 KiB in each of 200 tasks of one process",
        {
            "ours, a value in each": _tasks(_value),
            "ours, a store in each": _tasks(_store),
            "ours, connected": _connected,
            "ours, a connection in each": _tasks(_alone),
            "fsspec": _tasks(_fsspec),
        },
        (
            Target("ours, a value in each", "seconds", 1, "fsspec"),
            Target("ours, a store in each", "seconds", 0.6, "ours, connected"),
        ),
        sites="values",
    )
]
