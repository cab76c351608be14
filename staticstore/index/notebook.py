"""HTML tables for notebooks, with all text escaped; sizes and ages in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from ..errors import without_secrets
from .fields import PUBLISHER_FIELDS, Content, parse_media_type, parse_time

__all__ = ["MOST_ROWS", "age_text", "index_html", "size_text", "store_html", "table", "value_html"]

#: Rows that a table shows; a note below it counts the others.
MOST_ROWS = 50

_Entries = Mapping[str, Mapping[str, Any]]  # such as an Index
_MOST_CHARACTERS = 200  # of a cell
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_AGES = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def size_text(size: int) -> str:
    """Return a number of bytes with a decimal unit.

    Examples
    --------
    >>> size_text(1), size_text(999), size_text(96_510), size_text(10**12)
    ('1 byte', '999 bytes', '96.5 kB', '1.0 TB')
    """
    if size < 1000:
        return f"{size} byte{'' if size == 1 else 's'}"
    scaled, unit = size / 1000, 0
    while scaled >= 999.95 and unit < len(_UNITS) - 1:  # it would be rounded to 1000.0
        scaled, unit = scaled / 1000, unit + 1
    return f"{scaled:,.1f} {_UNITS[unit]}"


def age_text(seconds: float) -> str:
    """Return how long ago something was, in words.

    Examples
    --------
    >>> age_text(0.3), age_text(61), age_text(200_000)
    ('just now', '1 minute ago', '2 days ago')
    """
    for length, unit in _AGES:
        if count := int(seconds // length):
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def table(
    caption: str,
    rows: Iterable[Sequence[object]],
    *,
    header: Sequence[str] = (),
    notes: Iterable[str] = (),
) -> str:
    r"""Return an HTML table without scripts, styles or links.

    Parameters
    ----------
    caption : str
        The table's caption.
    rows : iterable of sequence
        Cells, shown as text; the first is the row's header.  None is an empty cell.
    header : sequence of str, optional
        The names of the columns.
    notes : iterable of str, optional
        Lines below the table.

    Examples
    --------
    >>> print(table("<b>", [["a\x1b", 1]], notes=["& more"]))
    <table><caption>&lt;b&gt;</caption>
    <tr><th scope="row"><bdi>a\x1b</bdi></th><td><bdi>1</bdi></td></tr>
    </table><p>&amp; more</p>
    """
    lines = [f"<table><caption>{_text(caption)}</caption>"]
    if header:
        lines.append(_row("".join(f'<th scope="col">{_text(name)}</th>' for name in header)))
    for first, *others in rows:
        cells = "".join(f"<td>{_cell(other)}</td>" for other in others)
        lines.append(_row(f'<th scope="row">{_cell(first)}</th>{cells}'))
    lines.append("</table>" + "".join(f"<p>{_text(note)}</p>" for note in notes))
    return "\n".join(lines)


def _row(cells: str) -> str:
    return f"<tr>{cells}</tr>"


def _cell(content: object) -> str:
    # <bdi>: right-to-left text must not affect the cells beside it.
    return "" if content is None else f"<bdi>{_text(str(content))}</bdi>"


def _text(text: str) -> str:
    if len(text) > _MOST_CHARACTERS:
        text = text[:_MOST_CHARACTERS] + "…"
    import html  # slow to import, and needed only in notebooks

    return html.escape("".join(map(_shown, text)))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def store_html(title: str, info: Mapping[str, Any], index: _Entries | None) -> str:
    """Return a table of the first keys of a store, and of how current its index is.

    Parameters
    ----------
    title : str
        The caption.
    info : mapping
        From `StaticStore.info`.
    index : Index or None
        The snapshot; None if none, or only parts of one, were read.
    """
    rows = [] if index is None else _rows(index)
    return _table_of_keys(title, rows, _notes(info, rows))


def index_html(title: str, index: _Entries) -> str:
    """Return a table of the first keys of a snapshot, and how many more there are.

    Parameters
    ----------
    title : str
        The caption.
    index : Index
        The snapshot.
    """
    rows = _rows(index)
    return _table_of_keys(title, rows, _note_of_others(len(index), rows))


def _rows(index: _Entries) -> list[tuple[object, ...]]:
    return [_entry_row(index, key) for key in islice(index, MOST_ROWS)]


def _table_of_keys(title: str, rows: list[tuple[object, ...]], notes: Iterable[str]) -> str:
    return table(title, rows, header=["key", "size", "media type"] if rows else (), notes=notes)


def _note_of_others(entries: int, rows: list[tuple[object, ...]]) -> list[str]:
    more = entries - len(rows) if rows else 0
    return [f"and {more:,} more"] if more else []


def _entry_row(index: _Entries, key: str) -> tuple[object, ...]:
    metadata = index[key]
    return key, _size(Content.of(metadata).size), parse_media_type(metadata.get("media_type"))


def _notes(info: Mapping[str, Any], rows: list[tuple[object, ...]]) -> list[str]:
    notes = _note_of_others(info["entries"], rows)
    if info["age"] is not None:
        notes.append(f"index confirmed {age_text(info['age'])}")
    if info["last_error"] is not None:
        notes.append(f"last error: {info['last_error']}")
    return notes + [f"warning: {warning}" for warning in info["warnings"]]


def value_html(title: str, url: str, metadata: Mapping[str, Any]) -> str:
    """Return a table of the URL and metadata of a value."""
    content = Content.of(metadata)
    known = [
        ("url", without_secrets(url)),
        ("size", _size(content.size)),
        ("media type", parse_media_type(metadata.get("media_type"))),
        ("modified", parse_time(content.modified)),
        ("sha256", content.sha256),
    ]
    others = [(name, field) for name, field in metadata.items() if name not in PUBLISHER_FIELDS]
    return table(title, [row for row in known if row[1] is not None] + others)


def _size(size: int | None) -> str | None:
    return None if size is None else size_text(size)
