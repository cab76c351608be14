"""A site's index in the forms of other programs, a line for each value.

=============  ====================  ==============================================
*pooch*        ``registry.txt``      a registry, for `pooch.Pooch.load_registry`
*sums*         ``SHA256SUMS``        checksums, for ``sha256sum --check``
*stac*         ``items.json``        an item collection of STAC 1.1
*datapackage*  ``datapackage.json``  a data package of version 2
=============  ====================  ==============================================

Since the lines are in order, those of a few keys are found and replaced without reading the
others (`changed_pieces`).  The result is that of `rendered_pieces`, byte for byte.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import tuning
from ...index import codec
from .export_entries import package_fields, resource_of, stac_item

if TYPE_CHECKING:
    from ...index.about import About

__all__ = ["EXPORTS", "Export", "changed_pieces", "rendered_pieces"]


_TEXT_TYPE = "text/plain; charset=utf-8"


class Export(NamedTuple):
    """A form in which a site's index is exported."""

    #: The name of the file at the site's root.
    file: str
    media_type: str
    #: Makes the line of an entry, without its end, of data path, key and entry.
    line: Callable[[str, str, Mapping[str, Any]], bytes]
    #: Returns the key of a line, with or without its end, of data path and line.
    key_of: Callable[[str, bytes], str]
    #: Makes the line before all others, with its end; None if there is none.
    head: Callable[[About | None], bytes] | None = None
    #: Between two lines, before the newline.
    separator: bytes = b""
    #: After the lines.
    foot: bytes = b""


def _registry_line(data_path: str, key: str, entry: Mapping[str, Any]) -> bytes:
    # pooch splits its lines as a shell does.
    return f"{shlex.quote(data_path + key)} {entry['sha256']}".encode()


def _key_of_registry_line(data_path: str, line: bytes) -> str:
    return shlex.split(line.decode())[0].removeprefix(data_path)


def _sum_line(data_path: str, key: str, entry: Mapping[str, Any]) -> bytes:
    # GNU escapes backslashes, and says so at the beginning; a key has no newlines.
    name = data_path + key
    escape = "\\" if "\\" in name else ""
    name = name.replace("\\", "\\\\")
    return f"{escape}{entry['sha256']}  {name}".encode()


def _key_of_sum_line(data_path: str, line: bytes) -> str:
    name = line.decode().removesuffix("\n").partition("  ")[2]
    return (name.replace("\\\\", "\\") if line[:1] == b"\\" else name).removeprefix(data_path)


def _item_line(data_path: str, key: str, entry: Mapping[str, Any]) -> bytes:
    return codec.encode(stac_item(data_path, key, entry))


def _key_of_item_line(data_path: str, line: bytes) -> str:
    key: str = codec.decode(line.rstrip(b",\n"))["id"]
    return key


def _resource_line(data_path: str, key: str, entry: Mapping[str, Any]) -> bytes:
    return codec.encode(resource_of(data_path, key, entry))


def _key_of_resource_line(data_path: str, line: bytes) -> str:
    key: str = codec.decode(line.rstrip(b",\n"))["name"]
    return key


def _package_head(about: About | None) -> bytes:
    return codec.encode(package_fields(about)).removesuffix(b"}") + b',"resources":[\n'


#: The forms, by the names under which a store reads them.
EXPORTS: Mapping[str, Export] = {
    "pooch": Export("registry.txt", _TEXT_TYPE, _registry_line, _key_of_registry_line),
    "sums": Export("SHA256SUMS", _TEXT_TYPE, _sum_line, _key_of_sum_line),
    "stac": Export(
        "items.json",
        "application/geo+json",
        _item_line,
        _key_of_item_line,
        lambda about: b'{"type":"FeatureCollection","features":[\n',
        b",",
        b"]}\n",
    ),
    "datapackage": Export(
        "datapackage.json",
        "application/json",
        _resource_line,
        _key_of_resource_line,
        _package_head,
        b",",
        b"]}\n",
    ),
}


def rendered_pieces(
    export: Export,
    data_path: str,
    about: About | None,
    items: Iterable[tuple[str, Mapping[str, Any]]],
) -> Iterator[bytes]:
    r"""Yield the text of an export in pieces.

    Parameters
    ----------
    export : Export
        The form.
    data_path : str
        The path from the root to the values.
    about : About or None
        The site's own words.
    items : iterable of (str, mapping)
        The entries, in the order of their keys.

    Examples
    --------
    >>> entry = {"size": 1, "sha256": "ca97…"}
    >>> b"".join(rendered_pieces(EXPORTS["sums"], "data/", None, [("a.txt", entry)])).decode()
    'ca97…  data/a.txt\n'
    """
    if export.head is not None:
        yield export.head(about)
    lines = (export.line(data_path, key, entry) for key, entry in items)
    end, before = export.separator + b"\n", b""
    while batch := list(islice(lines, tuning.UNCHECKED_BATCH_ENTRIES)):
        yield before + end.join(batch)
        before = end
    yield (b"\n" if before else b"") + export.foot


def changed_pieces(
    export: Export, data_path: str, old: bytes, changed: Mapping[str, Mapping[str, Any] | None]
) -> list[bytes | memoryview]:
    """Return the text of an export after changes, in pieces that share the old one.

    Parameters
    ----------
    export : Export
        The form.
    data_path : str
        The path from the root to the values.
    old : bytes
        The text before, of the same version of staticstore and the same words of the site.
    changed : mapping
        The entries that differ; None for one that is gone.

    Notes
    -----
    The time is that of some twenty lines for each change.
    """
    view, end = memoryview(old), export.separator + b"\n"
    at = 0 if export.head is None else old.index(b"\n") + 1
    stop = len(old) - len(export.foot)
    head = view[:at]
    lines: list[bytes | memoryview] = []

    def keep(start: int, until: int) -> None:
        if start < until == stop:  # the last line has no separator so far
            lines.extend((view[start : until - 1], end))
        elif start < until:
            lines.append(view[start:until])

    for key in sorted(changed):
        place, after = _place_of(export, data_path, old, at, stop, key)
        keep(at, place)
        if (entry := changed[key]) is not None:
            lines.append(export.line(data_path, key, entry) + end)
        at = after
    keep(at, stop)
    if lines:
        lines[-1:] = [lines[-1][: len(lines[-1]) - len(end)], b"\n"]
    return [head, *lines, export.foot]


def _place_of(
    export: Export, data_path: str, text: bytes, low: int, stop: int, key: str
) -> tuple[int, int]:
    """Return where the line of a key begins and ends, or twice where it would be."""
    high = stop
    while low < high:
        start = text.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = text.index(b"\n", start) + 1
        if export.key_of(data_path, text[start:end]) < key:
            low = end
        else:
            high = start
    if low < stop:
        end = text.index(b"\n", low) + 1
        if export.key_of(data_path, text[low:end]) == key:
            return low, end
    return low, low
