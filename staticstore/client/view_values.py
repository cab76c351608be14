"""The values of one snapshot of a view."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from .. import tuning
from ..errors import StoreError
from ..index.views import ViewIndex
from .value_info import renamed

if TYPE_CHECKING:
    from .site_snapshot import Values
    from .value import URLValue

__all__ = ["ViewValues"]


class ViewValues(Mapping[str, "URLValue"]):
    """The values of the members of a view, under the keys of the view.

    Parameters
    ----------
    index : ViewIndex
        The snapshot of the view.
    members : sequence of Values or ViewValues
        The values of its members.
    """

    def __init__(self, index: ViewIndex, members: Sequence[Values | ViewValues]) -> None:
        self.index = index
        self._members = members

    def __getitem__(self, key: str) -> URLValue:
        """Return a value; nothing is requested."""
        place = self.index.find(key)
        if place is None:
            raise KeyError(key)
        number, inner = place
        return renamed(self._members[number][inner], key)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self.index)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.index)

    def __contains__(self, key: object) -> bool:
        """Return whether the view has a key."""
        return self.index.find(key) is not None

    def only(self, keys: Iterable[str]) -> ViewValues:
        """Return the values of some keys alone."""
        index = self.index.only(keys)
        pairs = zip(self._members, index.members, strict=True)
        return ViewValues(index, [values.only(part) for values, part in pairs])

    def located(self, key: str) -> tuple[Values, str] | None:
        """Return the values of the site that has a key, and its key there, or None."""
        place = self.index.find(key)
        return None if place is None else self._members[place[0]].located(place[1])

    @property
    def is_in_memory(self) -> bool:
        """Whether looking a key up requests nothing."""
        return all(values.is_in_memory for values in self._members)

    @property
    def is_cut(self) -> bool:
        """Whether a connection that reads them is closed."""
        return any(values.is_cut for values in self._members)

    def read_by(self, current: ViewValues) -> ViewValues:
        """Return the same snapshot, read by the connections that other values are read by."""
        pairs: Any = zip(self._members, current._members, strict=True)
        members = [own.read_by(other) for own, other in pairs]
        index = ViewIndex([values.index for values in members], self.index.parts)
        return ViewValues(index, members)

    def read_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield keys and whole values, each read from its site."""
        left = iter(keys)
        while some := list(islice(left, tuning.WINDOW_KEYS)):
            places = list(map(self.index.find, some))
            wanted: defaultdict[int, list[str]] = defaultdict(list)
            for place in places:
                if place is None:  # a `KeyError`, after the values before it
                    break
                wanted[place[0]].append(place[1])
            reads = {number: self._read(number, of) for number, of in wanted.items()}
            for key, place in zip(some, places, strict=True):
                if place is None:
                    raise KeyError(key)
                try:
                    _, data = next(reads[place[0]])
                except StoreError as error:
                    error.key = key
                    raise
                yield key, data

    def _read(self, number: int, keys: list[str]) -> Iterator[tuple[str, bytes]]:
        values = self._members[number]
        if isinstance(values, ViewValues):
            return values.read_many(keys)
        from .many import read_many

        return read_many(values, keys)
