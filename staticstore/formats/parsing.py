"""What one document of a foreign index says: entries as raw JSON, links, and what is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .. import tuning
from ..errors import IndexFormatError, quoted, quoted_begin
from ..index import codec
from ..index.fields import are_keys, key_problem, quoted_path
from ..index.placed import Placed, href_problem, placed_of, resolved_url
from . import Document, Entry, Link, Read, known_form, reader_of
from .late_text import LateText
from .zstandard import BoundedDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..index.codec import Raw

__all__ = ["MOST_PROBLEMS", "ParsedDocument", "parse"]

#: Of one document, named one by one.
MOST_PROBLEMS = 100

_REASON_CHARACTERS = 300
_CHECKED_BYTES = 1 << 20  # of entries, from one check of their size to the next
_DIGESTS = {"sha256": 64, "sha512": 128, "sha1": 40, "md5": 32}
# References that `href_problem` accepts at a glance.  A set with `\w` takes half as long again.
_PLAIN_HREF = re.compile(r"(https://[A-Za-z0-9_.-]+/)?(?!//)[A-Za-z0-9_.~!$&'()*+,;=@%/-]{1,1500}")
_PLAIN_CHARACTERS = 1500
# The text of an entry.
_RAW = (msgspec.Raw, bytes, bytearray, memoryview, LateText)
_OPEN, _CLOSE, _SPACE = b"{} "
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class ParsedDocument(NamedTuple):
    """What a document says, checked as far as it does not take decoding."""

    #: Raw entries by key, or what `bytes` makes them of; each has its place, where that does not
    #: follow from the key.
    entries: dict[str, Raw | LateText]
    #: The keys of those that came as JSON texts and were not decoded yet.
    unchecked: list[str]
    links: tuple[Link, ...]
    #: What was left out, and why.
    warnings: tuple[str, ...]
    #: The bytes of all entries, about.
    size: int


def parse(
    read: Read,
    document: Document,
    root_url: str,
    check_size: Callable[[int], object] | None = None,
) -> ParsedDocument:
    """Read a document by a form.

    Parameters
    ----------
    read : callable
        The form.
    document : Document
        The document.
    root_url : str
        The root of the store, to which the places of values are relative.
    check_size : callable, optional
        Called with the bytes of all entries so far, now and then, and with those of a document
        that is decompressed; it raises if they are too many.

    Raises
    ------
    IndexFormatError
        The form cannot read the document, or it yields something else than entries, links
        and texts.

    Notes
    -----
    An entry takes one to three microseconds.  benchmark: formats
    """
    if check_size is not None:
        document = BoundedDocument.of(document, check_size)
    try:
        found = _Reading(document, root_url, check_size or (lambda count: None)).parsed(read)
    except Exception as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        message = f"the document cannot be read in this format: {_shortened(reason)}"
        raise IndexFormatError(message + _hint(read, document), url=document.url) from error
    if not any(found) and (hint := _hint(read, document)):
        raise IndexFormatError("the document lists nothing in this format" + hint, url=document.url)
    return found


def _hint(read: Read, document: Document) -> str:
    form = known_form(document)
    if form is None or reader_of(form) is read:
        return ""
    return f"; it looks like one for format={form!r}"


def _shortened(reason: str) -> str:
    text = reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS]}…"
    return text if text.isprintable() else quoted(text)


class _Reading:
    def __init__(
        self, document: Document, root_url: str, check_size: Callable[[int], object]
    ) -> None:
        self._check_size = check_size
        self._document = document
        self._root_url = root_url
        self._https_only = document.url.startswith("https:")
        self._prefix = _prefix(document.url, root_url)
        self._warnings: list[str] = []
        self._left_out = 0

    def parsed(self, read: Read) -> ParsedDocument:
        """Read the document."""
        entries: dict[str, Raw | LateText] = {}
        unchecked: list[str] | None = None  # all, as long as none is a mapping
        links: list[Link] = []
        size = checked = 0
        kind: type = type(None)  # of metadata: asking `Mapping` for each is slow
        is_mapping = is_raw = is_late = False
        raw: Any  # since a type checker does not see what `is_mapping` means
        metadata: Any
        for item in read(self._document):
            if isinstance(item, Entry):
                key, metadata, href = item
                try:
                    if not isinstance(key, str):
                        raise TypeError(f"a key is text, not {type(key).__name__}")
                    place = self._place(key, href) if self._prefix or href is not None else None
                    if type(metadata) is not kind:  # they are mostly of one
                        kind, is_mapping = type(metadata), isinstance(metadata, Mapping)
                        is_raw, is_late = issubclass(kind, _RAW), issubclass(kind, LateText)
                    if is_mapping:
                        unchecked = list(entries) if unchecked is None else unchecked
                        raw = self._encoded(metadata, place)
                    elif is_raw:
                        if is_late:
                            raw, metadata.place = metadata, place
                        else:
                            raw = metadata if place is None else _spliced(metadata, place)
                        if unchecked is not None:
                            unchecked.append(key)
                    else:
                        text = f"its metadata are a mapping or bytes, not {kind.__name__}"
                        raise TypeError(text)
                    entries[key] = raw
                    # A form may repeat what a document says once.
                    size += metadata.size + len(place or "") if is_late else len(raw)
                except (TypeError, ValueError, OverflowError, RecursionError) as error:
                    self._leave_out(key, str(error) or type(error).__name__)
                if size - checked > _CHECKED_BYTES:
                    checked = size
                    self._check_size(size)
            elif isinstance(item, Link):
                if isinstance(item.href, str):
                    links.append(item)
                else:
                    what = type(item.href).__name__
                    self._warn(f"a link is not followed: its place is text, not {what}")
            elif isinstance(item, str):
                self._warn(item)
            else:
                raise TypeError(f"the format yields {type(item).__name__}, no Entry and no Link")
        for key, problem in list(_wrong_keys(entries)):
            self._leave_out(key, problem)
            del entries[key]
        if self._left_out > MOST_PROBLEMS:
            self._warnings.append(f"{self._left_out - MOST_PROBLEMS} more entries are left out")
        if unchecked is None:  # which is not made beside all else.  benchmark: conda
            unchecked = list(entries)
        elif unchecked:  # some may be there twice, or no longer there
            unchecked = list({key: None for key in unchecked if key in entries})
        return ParsedDocument(entries, unchecked, tuple(links), tuple(self._warnings), size)

    def _encoded(self, metadata: Mapping[str, Any], place: str | None) -> bytes:
        fields = dict(metadata)
        for name in _DIGESTS.keys() & fields.keys():
            digest = fields[name]
            if type(digest) is str and len(digest) == _DIGESTS[name] and not digest.islower():
                fields[name] = digest.lower()
        if place is not None:
            fields["placed"] = {"href": place}
        elif "placed" in fields and (own := placed_of(fields["placed"])) is not None:
            self._check(own.href)
        return codec.encode(fields)

    def _place(self, key: str, href: str | None) -> str | None:
        """Return where a value is, relative to the root; None if below it, under its key.

        Raises
        ------
        ValueError
            No reader may go there.
        """
        prefix = self._prefix
        if href is None:
            return self._joined(quoted_path(key, errors="replace"))
        plain = _PLAIN_HREF.fullmatch(href)
        if plain is None:
            self._check(href)
        elif plain[1]:
            return href
        # `urljoin` takes as long as all else together.
        if href[:1] in ("", "?", "#") or (prefix and href[0] == "/"):
            return resolved_url(Placed(href, self._document.url), self._root_url)
        return href if not prefix or _SCHEME.match(href) else self._joined(href)

    def _joined(self, href: str) -> str:
        place = self._prefix + href
        if len(place) > _PLAIN_CHARACTERS:
            self._check(place)
        return place

    def _check(self, href: str) -> None:
        if problem := href_problem(href, https_only=self._https_only):
            raise ValueError(problem)

    def _leave_out(self, key: object, problem: str) -> None:
        self._left_out += 1
        if self._left_out <= MOST_PROBLEMS:
            shown = quoted_begin(key if isinstance(key, str) else repr(key))
            self._warn(f"{shown} is left out: {problem}")

    def _warn(self, text: str) -> None:
        if len(self._warnings) < 2 * MOST_PROBLEMS:
            self._warnings.append(_shortened(text))


def _prefix(url: str, root_url: str) -> str:
    """Return the folder of a document, relative to the root; empty if it is the root."""
    folder = url.partition("?")[0].rpartition("/")[0] + "/"
    below = folder.removeprefix(root_url)
    # A slash or a colon there would make another URL of it.
    first, slash, _ = below.partition("/")
    is_below = folder.startswith(root_url) and ":" not in first and bool(first or not slash)
    return below if is_below else folder


def _spliced(raw: Raw, place: str) -> bytes:
    """Return an object with its place as the last member, the one that counts."""
    text = bytes(raw)
    is_plain = len(text) > 2 and text[0] == _OPEN and text[-1] == _CLOSE
    if is_plain and _SPACE < text[-2] != _OPEN:  # as nearly all
        members = text[:-1]
    else:
        text = text.rstrip()
        if not (text.startswith(b"{") and text.endswith(b"}")):
            return text  # no object, which is noticed when it is decoded
        members = text[:-1].rstrip()
    comma = b"" if members == b"{" else b","
    # Half the time of a format with `%`.  benchmark: formats
    return b"".join((members, comma, b'"placed":{"href":', codec.encode(place), b"}}"))


def _wrong_keys(entries: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    keys = iter(entries)
    while some := list(islice(keys, tuning.UNCHECKED_BATCH_ENTRIES)):
        if not are_keys(some):
            for key in some:
                if (problem := key_problem(key)) is not None:
                    yield key, problem
