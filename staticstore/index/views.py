"""The snapshot of a view: snapshots of other stores, merged as they are read."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain, groupby, islice, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .. import tuning
from ..query.conditions import Conditions, Where, selected, selection
from ..query.sort_order import SortOrder, check_limit
from .fields import Content
from .forms.entries import Entries
from .snapshot import Index

if TYPE_CHECKING:
    from .codec import Raw
    from .forms.stored import Stored

__all__ = ["Part", "ViewIndex"]

_KEY = itemgetter(0)
_Sort = str | Iterable[str] | None
T = TypeVar("T")


class Part(NamedTuple):
    """Which keys of a member a view has, and under which keys of its own.

    Examples
    --------
    >>> Part(below="terrain/").outer("terrain/dem.tif")
    'dem.tif'
    >>> Part(at="maps/", hidden=("maps/old/",)).inner("maps/world.png")
    'world.png'
    >>> Part(at="maps/", hidden=("maps/old/",)).inner("maps/old/world.png") is None
    True
    """

    #: The prefix of the member's keys that the view has; it is removed.
    below: str = ""
    #: The prefix that the view puts in its place.
    at: str = ""
    #: Prefixes of keys of the view that are never of this member.
    hidden: tuple[str, ...] = ()
    #: The numbers of the members of which a key hides the same one of this member.
    rivals: Sequence[int] = range(0)

    def inner(self, key: str) -> str | None:
        """Return the member's key for a key of the view, or None."""
        if not key.startswith(self.at) or (self.hidden and key.startswith(self.hidden)):
            return None
        return self.below + key[len(self.at) :]

    def outer(self, key: str) -> str | None:
        """Return the view's key for a key of the member, or None."""
        if not key.startswith(self.below):
            return None
        key = self.at + key[len(self.below) :]
        return None if self.hidden and key.startswith(self.hidden) else key

    def start(self, start: str) -> str | None:
        """Return the least key of the member that the view has not before a text, or None."""
        if start <= self.at:
            return self.below
        return self.below + start[len(self.at) :] if start.startswith(self.at) else None

    @property
    def is_whole(self) -> bool:
        """Whether the view has all keys of the member."""
        return not (self.below or self.hidden or self.rivals)


class ViewIndex(Index):
    """The keys and metadata of a view; reads those of its members, and copies nothing.

    Queries are those of the members, merged.  What needs all entries in one document, such
    as `canonical`, builds it at its first use.

    Parameters
    ----------
    members : sequence of Index
        The snapshots of the members; the first that has a key counts.
    parts : sequence of Part
        Which keys of each are keys of the view.

    Examples
    --------
    >>> ours = Index.from_entries({"a": {"v": 1}})
    >>> theirs = Index.from_entries({"a": {"v": 2}, "b": {"v": 3}})
    >>> joined = ViewIndex([ours, theirs], [Part(), Part(rivals=range(1))])
    >>> dict(joined)
    {'a': {'v': 1}, 'b': {'v': 3}}
    """

    __slots__ = ("_built", "_count", "members", "parts")

    def __init__(self, members: Sequence[Index], parts: Sequence[Part]) -> None:
        self.members = tuple(members)
        self.parts = tuple(parts)
        self._built: Stored | None = None
        self._count: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the snapshots of the members."""
        return ViewIndex, (self.members, self.parts)

    @property
    def stored(self) -> Stored:  # type: ignore[override]
        """All entries, put together at the first use; they share the bytes of the members."""
        if self._built is None:
            raws = ((key, self.raw(key)) for key in self)
            self._built = Entries({key: raw for key, raw in raws if raw is not None})
        return self._built

    # -- what the members say of themselves ---------------------------------------------

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong in the documents of the members."""
        return tuple(dict.fromkeys(chain.from_iterable(one.warnings for one in self.members)))

    @property
    def is_checked(self) -> bool:
        """Whether all entries of all members are known to be valid."""
        return all(one.is_checked for one in self.members)

    @property
    def is_document(self) -> bool:
        """False: a view is no document of a site."""
        return False

    @property
    def is_canonical(self) -> bool:
        """False: the entries of a view are not the lines of a document."""
        return False

    @property
    def refusal(self) -> str | None:
        """Why the document of a member is no index; None if all are."""
        return next((one.refusal for one in self.members if one.refusal is not None), None)

    def readable(self) -> Index:
        """Return this with an empty snapshot in place of each refused one."""
        if self.refusal is None:
            return self
        return ViewIndex([one.readable() for one in self.members], self.parts)

    def checking(self) -> Iterator[None]:
        """Check the members; see `Index.checking`."""
        return chain.from_iterable(one.checking() for one in self.members)

    def checked(self) -> Index:
        """Return this after checking all of it; see `Index.checked`."""
        return ViewIndex([one.checked() for one in self.members], self.parts)

    # -- look-ups ------------------------------------------------------------------------

    def find(self, key: object) -> tuple[int, str] | None:
        """Return the number of the member that has a key, and its key there, or None."""
        if isinstance(key, str):
            for number, part in enumerate(self.parts):
                inner = part.inner(key)
                if inner is not None and inner in self.members[number]:
                    return number, inner
        return None

    def raw(self, key: object) -> Raw | None:
        """Return the JSON text of an entry as it came, or None."""
        if isinstance(key, str):
            for member, part in zip(self.members, self.parts, strict=True):
                inner = part.inner(key)
                if inner is not None and (raw := member.raw(inner)) is not None:
                    return raw
        return None

    def content_of(self, key: str, entry: Mapping[str, Any]) -> Content:
        """Read what a decoded entry says of its value's bytes; see `Index.content_of`."""
        number, inner = self.find(key) or (0, key)
        return self.members[number].content_of(inner, entry)

    def contents_of(self, keys: Iterable[str]) -> dict[str, Content]:
        """Return what the entries of many keys say of the bytes of their values."""
        wanted = list(keys)
        inner: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for key in wanted:
            if (place := self.find(key)) is not None:
                inner[place[0]][place[1]] = key
        found = {
            own[key]: content
            for number, own in inner.items()
            for key, content in self.members[number].contents_of(own).items()
        }
        return {key: found[key] for key in dict.fromkeys(wanted) if key in found}

    def only(self, keys: Iterable[str]) -> ViewIndex:
        """Return a snapshot with the entries of some keys alone: `Index.only`."""
        inner: defaultdict[int, list[str]] = defaultdict(list)
        for key in keys:
            if (place := self.find(key)) is not None:
                inner[place[0]].append(place[1])
        members = [one.only(inner[number]) for number, one in enumerate(self.members)]
        return ViewIndex(members, self.parts)

    # -- keys ----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return self.keys_from("")

    def keys_from(self, start: str) -> Iterator[str]:
        """Iterate over the keys that are not less than a text, in order."""
        keys = [self._keys_of(number, start) for number in range(len(self.members))]
        # A key of several members comes several times, one after the other.
        return (key for key, _ in groupby(merge(*keys))) if len(keys) > 1 else keys[0]

    def __len__(self) -> int:
        """Count the keys; of members that hide keys of each other, all are looked at once."""
        if self._count is None:
            if any(part.rivals for part in self.parts):
                self._count = sum(1 for _ in self)
            else:
                self._count = sum(map(self._count_of, range(len(self.members))))
        return self._count

    def _count_of(self, number: int) -> int:
        if self.parts[number].is_whole:
            return len(self.members[number])
        return sum(1 for _ in self._keys_of(number, ""))

    def _keys_of(self, number: int, start: str) -> Iterator[str]:
        """Iterate over the keys of the view that may be of a member, in order."""
        part, member = self.parts[number], self.members[number]
        inner_start = part.start(start)
        if inner_start is None:
            return iter(())
        keys = member.keys_from(inner_start)
        if part.below:
            keys = takewhile(lambda key: key.startswith(part.below), keys)
        if part.hidden:
            return (key for inner in keys if (key := part.outer(inner)) is not None)
        if not (part.below or part.at):
            return keys
        at, cut = part.at, len(part.below)
        return (at + key[cut:] for key in keys)

    # -- queries -------------------------------------------------------------------------

    def query(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Where | None = None,
        sort: _Sort = None,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Find entries by their metadata: `Index.query`."""
        fields, most, sort = selection(select), _most(limit), _listed(sort)
        Conditions(where, equals)  # raises at once
        numbers = range(len(self.members))
        if sort is None:
            streams = [self._member_entries(n, fields, where, equals, None, most) for n in numbers]
            return islice(merge(*streams, key=_KEY), most)
        order = SortOrder(sort)
        streams = [self._member_entries(n, None, where, equals, sort, most) for n in numbers]
        found = merge(*streams, key=lambda pair: (order.places(pair[1]), pair[0]))
        return ((key, selected(entry, fields)) for key, entry in islice(found, most))

    def query_keys(
        self,
        *,
        where: Where | None = None,
        sort: _Sort = None,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[str]:
        """Find keys by their metadata: `Index.query_keys`."""
        if sort is not None:
            found = self.query(where=where, sort=sort, limit=limit, **equals)
            return (key for key, _ in found)
        most = _most(limit)
        Conditions(where, equals)
        keys = (self._member_keys(n, where, equals) for n in range(len(self.members)))
        return islice(merge(*keys), most)

    def count(self, *, where: Where | None = None, **equals: Any) -> int:
        """Count the entries that fulfill all conditions: `Index.count`."""
        if not Conditions(where, equals):
            return len(self)
        return sum(
            member.count(where=where, **equals)
            if part.is_whole
            else sum(1 for _ in self._member_keys(number, where, equals))
            for number, (member, part) in enumerate(zip(self.members, self.parts, strict=True))
        )

    def field_values(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over all keys, in order, with one field's value: `Index.field_values`."""
        streams = (
            self._shown(number, member.field_values(field))
            for number, member in enumerate(self.members)
        )
        return merge(*streams, key=_KEY)

    def _member_entries(
        self,
        number: int,
        fields: tuple[str, ...] | None,
        where: Where | None,
        equals: Mapping[str, Any],
        sort: Sequence[str] | None,
        limit: int | None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        part, member = self.parts[number], self.members[number]
        if part.below and sort is None:  # the others of the member are not decoded
            keys = self._member_keys(number, where, equals)
            return ((key, selected(self[key], fields)) for key in keys)
        most = limit if part.is_whole else None
        found = member.query(fields, where=where, sort=sort, limit=most, **equals)
        return self._shown(number, found)

    def _member_keys(
        self, number: int, where: Where | None, equals: Mapping[str, Any]
    ) -> Iterator[str]:
        part = self.parts[number]
        if where is None and not equals:
            keys = self._keys_of(number, "")
        else:
            found = self.members[number].query_keys(where=where, **equals)
            if part.is_whole and not part.at:
                return found
            keys = (key for inner in found if (key := part.outer(inner)) is not None)
        return (key for some in self._shown_batches(number, keys, str) for key in some)

    def _shown(self, number: int, pairs: Iterator[tuple[str, T]]) -> Iterator[tuple[str, T]]:
        """Return those pairs of a member that the view has, under its own keys."""
        part = self.parts[number]
        if part.is_whole and not part.at:
            return pairs
        outer = ((part.outer(inner), one) for inner, one in pairs)
        own = ((key, one) for key, one in outer if key is not None)
        return (pair for some in self._shown_batches(number, own, _KEY) for pair in some)

    def _shown_batches(
        self, number: int, found: Iterator[T], key_of: Callable[[T], str]
    ) -> Iterator[list[T]]:
        """Leave out what other members hide, many at once: look-ups take longer."""
        rivals = self.parts[number].rivals
        most = 1  # the first ones soon, for a query with a limit
        while batch := list(islice(found, most)):
            most = min(2 * most, tuning.SHOWN_BATCH_KEYS)
            keys = sorted(map(key_of, batch)) if rivals else []
            hidden = {key for rival in rivals for key in self._keys_in(rival, keys)}
            yield [one for one in batch if key_of(one) not in hidden] if hidden else batch

    def _keys_in(self, number: int, keys: Sequence[str]) -> Iterator[str]:
        """Yield those of some keys, in order, that a member has."""
        part, member = self.parts[number], self.members[number]
        walked = islice(self._keys_of(number, keys[0]), tuning.WALKED_KEYS * len(keys))
        wanted, last = set(keys), None
        for last in walked:
            if last in wanted:
                yield last
            if last >= keys[-1]:
                return
        for key in keys[bisect_right(keys, last) if last is not None else len(keys) :]:
            inner = part.inner(key)
            if inner is not None and inner in member:
                yield key

    def keys_of_other_bytes(self, other: Index, *, is_final: bool = True) -> Iterator[str]:
        """Yield the keys whose raw entries differ; members that both share are not read."""
        if not isinstance(other, ViewIndex) or other.parts != self.parts:
            yield from super().keys_of_other_bytes(other, is_final=is_final)
            return
        keys = {
            key
            for part, mine, theirs in zip(self.parts, self.members, other.members, strict=True)
            if mine is not theirs
            for inner in mine.keys_of_other_bytes(theirs, is_final=is_final)
            if (key := part.outer(inner)) is not None
        }
        for key in keys:
            own, others = self.raw(key), other.raw(key)
            if own is not others and (own is None or others is None or bytes(own) != bytes(others)):
                yield key


def _listed(sort: _Sort) -> Sequence[str] | None:
    """Return the names to sort by; an iterator is read once."""
    return sort if sort is None or isinstance(sort, str) else list(sort)


def _most(limit: int | None) -> int | None:
    return None if limit is None else check_limit(limit)
