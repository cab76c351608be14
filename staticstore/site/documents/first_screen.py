"""The first screen of the page: what a browser shows that runs no script.

It is plain HTML: the site's title and description, and links to the first values.
Only the beginning of the index is read for it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

from ...disk.file_system import open_regular
from ...errors import IndexFormatError, StoreError
from ...index import codec
from ...index.fields import Content, key_problem, key_to_url_path
from ...index.notebook import size_text
from ...index.snapshot import Index
from ...trust.documents import signed_files, signed_part, signers_of
from ...trust.layout import TARGETS, TIMESTAMP_NAME
from ..about import published_about
from ..folder.site_folder import SiteFolder, link_problem
from ..folder.trust_files import read_trust

__all__ = ["FirstScreen"]

_MOST_KEYS = 200
_MOST_KEY_CHARACTERS = 1 << 16  # of all of them together
_MOST_INDEX_BYTES = 1 << 20  # read for them
_KEY_DIGITS = 12  # of an id that are shown
_MOST_TEXT_CHARACTERS = 4000  # of title and description, as in the script


class FirstKey(NamedTuple):
    """A key of the first screen."""

    key: str
    #: In bytes; None if the index does not say.
    size: int | None


@dataclass(frozen=True)
class FirstScreen:
    """What the first screen shows.

    Attributes
    ----------
    keys : list of FirstKey or None
        The first keys of the index, in its order; None without an index.
    total : int or None
        How many keys the index has; None if that is not known without reading it.
    title, description : str
        The site's own words, perhaps empty.
    signers : str
        The beginnings of the ids of the keys that have signed the head, not verified;
        empty if the site is not signed.
    until : str
        The day until which the timestamp holds.
    """

    keys: list[FirstKey] | None = None
    total: int | None = None
    title: str = ""
    description: str = ""
    signers: str = ""
    until: str = ""

    @classmethod
    def of(cls, folder: SiteFolder) -> FirstScreen:
        """Read it from a site's folder; what cannot be read is left out.

        Costs at most the first MiB of the index, however long that is.
        """
        head = folder.read_head()
        about = published_about(folder, head)
        words = {} if about is None else about.fields
        own = (
            str(words.get(name, ""))[:_MOST_TEXT_CHARACTERS] for name in ("title", "description")
        )
        texts = (*own, *_signature(folder))
        root, data, path = map(os.fspath, (folder.root, folder.data, folder.index))
        try:
            if link_problem(root, data, path) is not None:  # `serve` does not serve it, either
                return cls(None, None, *texts)
            with io.BufferedReader(open_regular(folder.index)) as file:
                size = os.fstat(file.fileno()).st_size
                keys, is_whole = _first_keys(file)
        except OSError:
            return cls(None, None, *texts)
        total = len(keys) if is_whole else None
        if total is None and head is not None and head.index.size == size:
            total = head.entries
        return cls(keys, total, *texts)

    def parts(self, data_path: str) -> dict[str, str]:
        """Return the parts of the page by their names there; every text is escaped.

        Parameters
        ----------
        data_path : str
            The path from the root to the values.

        Examples
        --------
        >>> parts = FirstScreen([FirstKey("a<b>&.txt", 1500)], 1).parts("data/")
        >>> print(parts["links"])
        <ul>
        <li><a href="data/a%3Cb%3E%26.txt"><bdi>a&lt;b&gt;&amp;.txt</bdi></a> 1.5 kB
        </ul>
        """
        about = f'<p class="description" dir="auto">{escape(self.description)}</p>'
        links = [_item(one, data_path) for one in self.keys or ()]
        return {
            "title": escape(self.title or "Site"),
            "description": about if self.description else "",
            "count": self._count(),
            "signers": escape(self.signers),
            "signature": self._signature(),
            "links": "\n".join(("<ul>", *links, "</ul>")) if links else "",
        }

    def _signature(self) -> str:
        if not self.signers:
            return ""
        return (
            f"<p>Signed by the key {escape(self.signers)}, until {escape(self.until)} or later. "
            "This page does not verify it: <code>staticstore info URL --trust FILE</code> does.</p>"
        )

    def _count(self) -> str:
        index = '<a href="index.json">index.json</a>'
        if self.keys is None:
            return (
                f"There is no {index} here: <code>staticstore publish</code> writes it, "
                "and this page shows what it lists."
            )
        shown, total = len(self.keys), self.total
        if total == shown:
            noun, pronoun = ("value", "it") if shown == 1 else ("values", "them")
            return f"{shown:,} {noun}, as {index} lists {pronoun}." if shown else "No values yet."
        if not shown:
            return f"{index} lists the values."
        of = "" if total is None else f" of {total:,}"
        return f"The first {shown:,}{of} values; {index} has all."


def _signature(folder: SiteFolder) -> tuple[str, str]:
    files = None
    with contextlib.suppress(StoreError):
        files = signed_files(read_trust(folder))
    if not files:
        return "", ""
    targets = next(body for name, body in files.items() if name.endswith(f".{TARGETS}.json"))
    until = str(signed_part(files[TIMESTAMP_NAME]).get("expires", ""))[:10]
    return ", ".join(one[:_KEY_DIGITS] for one in signers_of(targets)), until


def _item(one: FirstKey, data_path: str) -> str:
    size = "" if one.size is None else f" {size_text(one.size)}"
    url = escape(key_to_url_path(data_path, one.key))
    return f'<li><a href="{url}"><bdi>{escape(one.key)}</bdi></a>{size}'


def _first_keys(file: io.BufferedReader[io.FileIO]) -> tuple[list[FirstKey], bool]:
    """Return the first keys of an index, and whether these are all."""
    try:
        found, is_whole = _of_lines(file)
    except IndexFormatError:  # not in canonical form
        file.seek(0)
        found, is_whole = _of_whole(file.read(_MOST_INDEX_BYTES + 1))
    lengths = itertools.accumulate(len(one.key) for one in found)
    fitting = sum(length <= _MOST_KEY_CHARACTERS for length in lengths)
    return found[:fitting], is_whole and fitting == len(found)


def _of_lines(file: io.BufferedReader[io.FileIO]) -> tuple[list[FirstKey], bool]:
    if file.readline(3) != b"{\n":
        raise IndexFormatError("the index is not in canonical form")
    found: list[FirstKey] = []
    left = _MOST_INDEX_BYTES
    while (line := file.readline(left)).endswith(b"\n"):
        if line == b"}\n":
            return found, True
        left -= len(line)
        if len(found) >= _MOST_KEYS:
            break
        found += _keys_of(codec.decode_entries(b"{" + line.rstrip(b",\n") + b"}"))
    return found, False


def _of_whole(body: bytes) -> tuple[list[FirstKey], bool]:
    if len(body) > _MOST_INDEX_BYTES:
        return [], False
    try:
        index = Index.parse(body)
    except IndexFormatError:
        return [], False
    found = _keys_of({key: index[key] for key in list(index)[:_MOST_KEYS]})
    return found, len(found) == len(index)


def _keys_of(entries: Mapping[str, Mapping[str, Any]]) -> list[FirstKey]:
    return [
        FirstKey(key, Content.of(entry).size)
        for key, entry in entries.items()
        if key_problem(key) is None
    ]
