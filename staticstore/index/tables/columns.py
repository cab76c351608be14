"""Read the entries of an index into an Arrow table, some thousands at a time."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import tuning
from ...errors import IndexFormatError
from .. import codec
from ..hidden import HIDDEN_FIELDS, hide
from .instants import instants
from .kinds import FieldKinds, MixedKinds, add_fields
from .rows import RowReader, TableRows

if TYPE_CHECKING:
    import pyarrow as pa

    from ..forms.stored import Stored

__all__ = ["Columns", "column_names", "read_columns"]

_KEY = "key"
#: A table has no more columns.
_MOST_FIELDS = 10_000


class Columns(NamedTuple):
    """A table, and what of the entries it cannot say as they do."""

    table: pa.Table
    warnings: list[str]


def read_columns(
    stored: Stored,
    keys: Iterable[str] | None = None,
    select: Sequence[str] | None = None,
    dates: Sequence[str] = (),
) -> Columns:
    """Read entries into an Arrow table with a column for each field.

    Parameters
    ----------
    stored : Stored
        The entries.
    keys : iterable of str, optional
        Those wanted, in order; by default all.
    select : sequence of str, optional
        The fields wanted; by default all that an entry has.
    dates : sequence of str, optional
        The fields to read as dates and times.

    Raises
    ------
    ValueError
        There are more than 10,000 fields.
    IndexFormatError
        The document turns out to be no index.
    """
    source = _Source(stored.checked(), keys)
    kinds: dict[str, FieldKinds] = {}
    for members in source.sample():
        add_fields(kinds, _visible(members))
    for _ in range(tuning.TABLE_ATTEMPTS):
        try:
            return _Reader(kinds, select, dates).read(source)
        except _OtherKindsError as other:
            for members in other.batch:
                add_fields(kinds, _visible(members))
    for members in source:
        add_fields(kinds, _visible(members))
    return _Reader(kinds, select, dates).read(source)


def _visible(members: bytes) -> Iterator[dict[str, Any]]:
    for entry in codec.decode_entries(members).values():
        hide(entry)
        yield entry


class _OtherKindsError(IndexFormatError):
    """Some entries have fields, or kinds of values, that were not expected."""

    def __init__(self, batch: list[bytes], reason: Exception) -> None:
        super().__init__(f"the entries make no table: {reason}")
        self.batch = batch


class _Source:
    """The entries of a table, as JSON objects of some entries each, in key order.

    Can be iterated over again and again.
    """

    def __init__(self, stored: Stored, keys: Iterable[str] | None) -> None:
        self._stored = stored
        self._lines = stored.lines()
        if keys is None and self._lines is None:
            keys = stored
        self._keys = None if keys is None else list(keys)

    def __iter__(self) -> Iterator[bytes]:
        if self._keys is not None:
            yield from self._objects_of(self._keys)
        else:
            for text in self._text():
                yield from _cut(text)

    def _text(self) -> Iterator[memoryview]:
        """Yield the lines without the braces around them, not copied."""
        assert self._lines is not None
        return (memoryview(text) for text in self._lines.document() if len(text) > len("{\n"))

    def sample(self) -> Iterator[bytes]:
        """Yield some of the entries, from everywhere: all if they are few."""
        most = tuning.TABLE_SAMPLED_BATCHES
        if self._keys is None:
            size = sum(map(len, self._text()))
            step = max(size // (tuning.TABLE_SLICE_BYTES * most), 1)
            yield from islice(self, 0, None, step)
        else:
            step = max(len(self._keys) // (tuning.DECODED_BATCH_ENTRIES * most), 1)
            yield from self._objects_of(self._keys[::step])

    def _objects_of(self, keys: list[str]) -> Iterator[bytes]:
        is_canonical = self._lines is not None
        for start in range(0, len(keys), tuning.DECODED_BATCH_ENTRIES):
            texts = []
            for key in keys[start : start + tuning.DECODED_BATCH_ENTRIES]:
                raw = self._stored.get(key)
                if raw is not None:
                    # A raw entry of another form may name a member twice, or be many lines.
                    text = bytes(raw) if is_canonical else codec.encode(codec.decode(raw))
                    texts.append(codec.encode(key) + b":" + text)
            yield b"{%b}" % b",".join(texts)


def _cut(lines: memoryview) -> Iterator[bytes]:
    """Yield whole lines as JSON objects."""
    at, end = 0, len(lines)
    while at < end:
        size = tuning.TABLE_SLICE_BYTES
        text = bytes(lines[at : at + size])
        while at + len(text) < end and b"\n" not in text:
            size *= 2
            text = bytes(lines[at : at + size])
        cut = len(text) if at + len(text) == end else text.rindex(b"\n") + 1
        members = text[:cut].rstrip(b",\n")
        if members:
            yield b"{%b}" % members
        at += cut


class _Reader:
    """Reads entries whose kinds of values are known."""

    def __init__(
        self, kinds: dict[str, FieldKinds], select: Sequence[str] | None, dates: Sequence[str]
    ) -> None:
        import pyarrow as pa

        fields = sorted(kinds) if select is None else list(dict.fromkeys(select))
        if select is not None and _KEY not in kinds:
            fields = [name for name in fields if name != _KEY]  # the first column is meant
        if len(fields) > _MOST_FIELDS:
            raise ValueError(
                f"the entries have more than {_MOST_FIELDS} different fields: select some"
            )
        self._fields = fields
        self._labels = column_names(fields)
        self._dates = dates
        self.warnings = [
            f"the field {name!r} becomes the column {label!r}"
            for name, label in zip(fields, self._labels, strict=True)
            if name != label
        ]
        types, self._texts = {}, list[str]()
        for name in fields:
            try:
                if name in HIDDEN_FIELDS:  # where it is hidden, it is of another kind
                    raise MixedKinds(f"{name} is hidden in some entries")
                types[name] = kinds[name].arrow_type(name) if name in kinds else pa.null()
            except MixedKinds as reason:
                self._texts.append(name)
                if name in kinds and name not in dates:
                    self.warnings.append(f"the field {name!r} becomes JSON text: {reason}")
        self._schema = pa.schema(list(types.items()))
        self._rows = RowReader(types, self._texts, refuses_others=select is None)

    def read(self, source: Iterable[bytes]) -> Columns:
        import pyarrow as pa

        schema = pa.schema([(_KEY, pa.string())]).append
        names = [_KEY, *self._labels]
        types = [pa.string(), *map(self._type, self._fields)]
        schema = pa.schema(list(zip(names, types, strict=True)))
        tables = [pa.table(one, schema=schema) for one in self._batches(source)]
        table = pa.concat_tables(tables or [schema.empty_table()])
        for name, label in zip(self._fields, self._labels, strict=True):
            if name in self._dates:
                table = self._with_dates(table, name, label)
        return Columns(table, self.warnings)

    def _type(self, name: str) -> pa.DataType:
        import pyarrow as pa

        return pa.string() if name in self._texts else self._schema.field(name).type

    def _batches(self, source: Iterable[bytes]) -> Iterator[list[Any]]:
        """Yield the columns of some entries."""
        batch: list[bytes] = []
        rows: list[TableRows] = []
        size = 0
        for members in source:
            batch.append(members)
            try:
                rows.append(self._rows.read(members))
            except IndexFormatError as error:
                raise _OtherKindsError(batch, error) from error
            size += len(members)
            if size >= tuning.TABLE_BATCH_BYTES:
                yield self._columns(batch, rows)
                batch, rows, size = [], [], 0
                gc.collect(0)  # or it looks at all objects of the program (benchmark: waits)
        if rows:
            yield self._columns(batch, rows)

    def _columns(self, batch: list[bytes], rows: list[TableRows]) -> list[Any]:
        import pyarrow as pa

        found = {
            name: _text_array([text for one in rows for text in one.texts[name]])
            for name in self._texts
        }
        if len(self._schema):
            lines = b"\n".join(one.lines for one in rows)
            longest = max(map(len, batch))
            try:
                read = self._read_lines(lines, longest)
                if any(map(_has_infinity, read.columns)):
                    raise pa.ArrowInvalid("an integer is too large for a float")
            except pa.ArrowInvalid as error:
                raise _OtherKindsError(batch, error) from error
            found.update(zip(self._schema.names, read.columns, strict=True))
        keys = _text_array([key for one in rows for key in one.keys])
        return [keys, *(found[name] for name in self._fields)]

    def _read_lines(self, lines: bytes, longest: int) -> pa.Table:
        import pyarrow as pa
        from pyarrow import json

        return json.read_json(
            pa.BufferReader(lines),
            # Blocks are read by several threads; each must hold a whole line.
            read_options=json.ReadOptions(block_size=max(tuning.TABLE_BLOCK_BYTES, 2 * longest)),
            parse_options=json.ParseOptions(
                explicit_schema=self._schema, unexpected_field_behavior="error"
            ),
        )

    def _with_dates(self, table: pa.Table, name: str, label: str) -> pa.Table:
        read = instants(table[label], is_json=name in self._texts)
        if read.others:
            self.warnings.append(
                f"the field {name!r} has {read.others} values that are no dates, such as "
                f"{read.example}: they are null"
            )
        return table.set_column(table.column_names.index(label), label, read.column)


def _text_array(texts: Sequence[str | None]) -> pa.StringArray:
    """Return texts as `pyarrow.array` does, without importing pandas."""
    import pyarrow as pa

    present = [text or "" for text in texts]
    joined = "".join(present)
    data = joined.encode()
    lengths = map(len, present) if joined.isascii() else (len(text.encode()) for text in present)
    buffers = [array("i", accumulate(lengths, initial=0)), data]
    marks = None
    if None in texts:
        bits = "".join("0" if text is None else "1" for text in reversed(texts))
        marks = pa.py_buffer(int(bits, 2).to_bytes(len(bits) // 8 + 1, "little"))
    return pa.StringArray.from_buffers(len(texts), *map(pa.py_buffer, buffers), marks)


def _has_infinity(column: Any) -> bool:
    # JSON has none: Arrow has read digits beyond the largest float.
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if pa.types.is_nested(column.type):
        inner = (chunk.flatten() for chunk in chunks)
        parts = chain.from_iterable(one if isinstance(one, list) else [one] for one in inner)
        return any(map(_has_infinity, parts))
    return pa.types.is_float64(column.type) and any(
        pc.any(pc.is_inf(chunk)).as_py() for chunk in chunks
    )


def column_names(fields: Sequence[str]) -> list[str]:
    """Return the names of the columns of fields, beside the column of the keys.

    Examples
    --------
    >>> column_names(["key", "size"])
    ['key_', 'size']
    """
    label = _KEY
    while label == _KEY or label in fields:
        label += "_"
    return [label if name == _KEY else name for name in fields]
