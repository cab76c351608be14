"""Changes from one snapshot to another: found, applied, and written to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from ..errors import IndexFormatError, quoted
from . import codec
from .fields import entry_problem, key_problem, visible_metadata
from .notebook import MOST_ROWS, table

if TYPE_CHECKING:
    from .codec import Raw
    from .snapshot import Index

__all__ = [
    "Action",
    "Change",
    "Changes",
    "apply",
    "change_lines",
    "changed_sum",
    "diff",
    "follow",
    "parse_change_lines",
    "sum_of_document",
    "sum_text",
]

Action = Literal["set", "update", "delete"]

_SUM_MODULUS = 1 << 128


class Change:
    """One key that differs between two snapshots.

    It is immutable.  Entries are decoded at each access, so that the dicts are
    the caller's own, and an unread change costs nothing.
    """

    __slots__ = ("_after", "_before", "_key")

    def __init__(self, key: str, before: Raw | None, after: Raw | None) -> None:
        """Take the raw entries before and after; None where there is no such key."""
        self._key = key
        self._before = before
        self._after = after

    @property
    def key(self) -> str:
        """The key."""
        return self._key

    @property
    def action(self) -> Action:
        """``"set"`` if the key is new, ``"delete"`` if it was deleted, else ``"update"``."""
        if self._before is None:
            return "set"
        return "delete" if self._after is None else "update"

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The metadata after the change, a copy; None for a delete."""
        return None if self._after is None else visible_metadata(self._after)

    @property
    def previous(self) -> dict[str, Any] | None:
        """The metadata before the change, a copy; None for a set."""
        return None if self._before is None else visible_metadata(self._before)

    @property
    def before(self) -> Raw | None:
        """The raw entry before the change, None for a set; for code that applies changes."""
        return self._before

    @property
    def after(self) -> Raw | None:
        """The raw entry after the change, None for a delete; to apply changes."""
        return self._after

    def __eq__(self, other: object) -> bool:
        """Compare key and metadata, as decoded JSON."""
        if not isinstance(other, Change):
            return NotImplemented
        return (self.key, self.previous, self.metadata) == (
            other.key,
            other.previous,
            other.metadata,
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the key and the entries."""
        entries = (None if raw is None else bytes(raw) for raw in (self._before, self._after))
        return Change, (self._key, *entries)

    def __repr__(self) -> str:
        """Show action and key."""
        return f"<Change: {self.action} {quoted(self.key)}>"


class Changes(Sequence[Change]):
    """All changes of a poll, in key order; falsy if there are none.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from staticstore import StaticStore, publish
    >>> with tempfile.TemporaryDirectory() as site:
    ...     data = pathlib.Path(site, "data")
    ...     data.mkdir()
    ...     _ = (data / "a.txt").write_text("a")
    ...     _ = publish(site)
    ...     with StaticStore(site, poll_interval=0) as store:
    ...         _ = (data / "a.txt").write_text("longer")
    ...         _ = (data / "b.txt").write_text("b")
    ...         _ = publish(site)
    ...         changes = store.update_index()
    >>> changes
    <Changes: 1 set, 1 update, 0 delete>
    >>> changes.update[0].previous["size"], changes.update[0].metadata["size"]
    (1, 6)
    """

    __slots__ = ("_changes", "_index")

    def __init__(self, changes: Iterable[Change], index: Index | Callable[[], Index]) -> None:
        """Take changes in key order, and the snapshot or a function that returns it."""
        self._changes = tuple(changes)
        self._index = index

    @property
    def index(self) -> Index:  # type: ignore[override]  # the contract's name, not Sequence's
        """The snapshot that they lead to."""
        return self._index() if callable(self._index) else self._index

    @overload
    def __getitem__(self, position: int) -> Change: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Change]: ...
    def __getitem__(self, position: int | slice) -> Change | Sequence[Change]:
        """Return one change, or a tuple of some."""
        return self._changes[position]

    def __iter__(self) -> Iterator[Change]:
        """Iterate in key order."""
        return iter(self._changes)

    def __len__(self) -> int:
        """Count the changes."""
        return len(self._changes)

    @property
    def set(self) -> tuple[Change, ...]:
        """The keys that are new."""
        return self._of("set")

    @property
    def update(self) -> tuple[Change, ...]:
        """The keys with other metadata."""
        return self._of("update")

    @property
    def delete(self) -> tuple[Change, ...]:
        """The keys that were deleted."""
        return self._of("delete")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the changes and the snapshot that they lead to."""
        return Changes, (self._changes, self.index)

    def _of(self, action: Action) -> tuple[Change, ...]:
        return tuple(change for change in self._changes if change.action == action)

    def __repr__(self) -> str:
        """Show the number of each kind."""
        return (
            f"<Changes: {len(self.set)} set, {len(self.update)} update, {len(self.delete)} delete>"
        )

    def _repr_html_(self) -> str:
        """Show the first changes in a notebook."""
        rows = [(change.key, change.action) for change in self._changes[:MOST_ROWS]]
        more = len(self) - len(rows)
        notes = [f"and {more} more"] if more else []
        return table(repr(self)[1:-1], rows, header=["key", "action"] if rows else (), notes=notes)


def diff(old: Index, new: Index) -> Changes:
    """Return the changes from one snapshot to another.

    Entries are compared as decoded JSON: another order of fields, other white
    space, ``1`` for ``1.0`` or another place in a pack is not a change.

    Returns
    -------
    Changes
        In key order; empty if the snapshots are equal.
    """
    if old is new:
        return Changes((), new)
    old = old.readable()  # one that was refused after its swap counts as empty
    keys = sorted(old.differing_keys(new))
    return Changes((Change(key, old.raw(key), new.raw(key)) for key in keys), new)


def apply(changes: Iterable[Change], index: Index) -> Index:
    """Return the snapshot that `changes` make of `index`, which stays as it is.

    Examples
    --------
    >>> from staticstore import Index
    >>> old = Index.from_entries({"a": {}})
    >>> new = Index.from_entries({"b": {}})
    >>> apply(diff(old, new), old) == new
    True
    """
    return index.changed_by({change.key: change.after for change in changes})


def follow(old: Index, new: Index) -> Changes:
    """Return the changes from one snapshot to the next; both share what is equal.

    The field indexes that queries of `old` built are kept, and the document of
    `new` can be freed.  Where much has changed, nothing is shared.

    Parameters
    ----------
    old, new : Index
        The snapshots.

    Returns
    -------
    Changes
        As `diff`; but their index may be another one than `new`, equal to it.

    Raises
    ------
    IndexFormatError
        The document of `new` is not an index, which was found after it was parsed.

    Examples
    --------
    >>> from staticstore import Index
    >>> old = Index.from_entries({"a": {}, "b": {}})
    >>> new = Index.from_entries({"a": {"v": 1}, "b": {}})
    >>> follow(old, new).index == new
    True
    """
    if new.refusal is not None:
        raise IndexFormatError(new.refusal)
    old = old.readable()  # one that was refused after its swap counts as empty
    keys = sorted(old.keys_of_other_bytes(new, is_final=False))
    if not old.shares_with(new):
        if old.stored.has_room_for(len(keys)):
            # Copies: a raw entry is a view that keeps its whole document alive.
            new = old.changed_by({key: _copy(new.raw(key)) for key in keys}, new.warnings)
        else:
            if not (old.is_checked and new.is_checked):
                old, new = old.checked(), new.checked()
                keys = sorted(old.keys_of_other_bytes(new))
            new.stored.follow(old.stored, keys)
    changes = (Change(key, old.raw(key), new.raw(key)) for key in keys if old.differs(new, key))
    return Changes(changes, old if not keys and old.warnings == new.warnings else new)


def _copy(raw: Raw | None) -> bytes | None:
    return None if raw is None else bytes(raw)


def change_lines(changes: Iterable[tuple[str, bytes | None]]) -> bytes:
    r"""Write a change file: final states as JSON Lines, raw entries byte for byte.

    Examples
    --------
    >>> change_lines([("a", b'{"v":1}'), ("b", None)])
    b'{"key":"a","metadata":{"v":1}}\n{"key":"b","metadata":null}\n'
    """
    return b"".join(
        b'{"key":%b,"metadata":%b}\n' % (codec.encode(key), b"null" if raw is None else raw)
        for key, raw in changes
    )


def parse_change_lines(body: bytes, *, https_only: bool = False) -> dict[str, bytes | None]:
    r"""Parse a change file: raw entries by key, None for a deleted key.

    Parameters
    ----------
    body : bytes
        The file.
    https_only : bool, optional
        As of `Index.parse`.

    Raises
    ------
    IndexFormatError
        It is not a change file, or holds an entry that an index may not hold.

    Examples
    --------
    >>> parse_change_lines(b'{"key":"a","metadata":{"v":1}}\n{"key":"b","metadata":null}\n')
    {'a': b'{"v":1}', 'b': None}
    """
    found: dict[str, bytes | None] = {}
    for line in body.splitlines():
        key, raw = codec.split_change(line)
        text = bytes(raw)
        if text == b"null":
            problem = key_problem(key)
        else:
            problem = entry_problem(key, raw, https_only=https_only)
        if problem is not None:
            raise IndexFormatError(f"a change that cannot be applied: {problem}", key=key)
        found[key] = None if text == b"null" else text
    return found


def sum_of_document(body: bytes) -> int:
    r"""Return the sum of an index in canonical form.

    It is the sum, modulo 2**128, of the first 16 bytes, big-endian, of the
    sha256 of each line, from its key's first quote to its last brace.  A
    reader can check with it, at the cost of the changes, whether they have led
    to the index that the head names.  It detects accidents, not attacks.

    Notes
    -----
    A million entries take about a second.

    Examples
    --------
    >>> sum_text(sum_of_document(b'{\n"a":{}\n}\n'))
    '25cd1c169a4e7d0c14414be0a760fa58'
    """
    # No entry holds a newline: it would be escaped.
    return _sum_of_lines(body[2:-3].split(b",\n") if body.startswith(b'{\n"') else [])


def changed_sum(total: int, changes: Iterable[tuple[str, bytes | None, bytes | None]]) -> int:
    """Return the sum of an index after some changes.

    Parameters
    ----------
    total : int
        The sum before.
    changes : iterable of (str, bytes or None, bytes or None)
        Keys, and their raw entries in canonical form before and after; None
        where there is no such key.
    """
    gone, new = [], []
    for key, before, after in changes:
        name = codec.encode(key)
        if before is not None:
            gone.append(name + b":" + before)
        if after is not None:
            new.append(name + b":" + after)
    return (total + _sum_of_lines(new) - _sum_of_lines(gone)) % _SUM_MODULUS


def _sum_of_lines(lines: Iterable[bytes]) -> int:
    from hashlib import sha256  # benchmark: imports

    # benchmark: publish-small
    return sum(map(int.from_bytes, [sha256(line).digest()[:16] for line in lines])) % _SUM_MODULUS


def sum_text(total: int) -> str:
    """Write a sum as in a head: 32 hex digits."""
    return f"{total:032x}"
