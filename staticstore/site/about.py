"""The site's own words, ``about.toml`` and files beside it: published and copied."""

from __future__ import annotations

import logging
import os
import re
import tomllib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import IndexFormatError, StoreError, quoted, reason_of
from ..index.about import (
    ABOUT_NAME,
    FILE_MEDIA_TYPE,
    FILE_NAMES,
    MOST_ABOUT_BYTES,
    MOST_FILE_BYTES,
    About,
    NamedFile,
    field_problem,
)
from ..index.head import Head, NamedDocument
from .documents.document_files import write_document
from .documents.exports import EXPORTS
from .documents.feed import FEED_MEDIA_TYPE, FEED_NAME
from .documents.root_files import OwnFiles, read_at_most
from .folder.data_file import (
    FIRST_BYTES,
    UNKNOWN,
    holds_private_key,
    media_type_of,
    pointer_problem,
)
from .publishing.text_files import decode_text, line_at, parse_toml

if TYPE_CHECKING:
    from .folder.site_folder import SiteFolder

__all__ = [
    "SOURCE_NAMES",
    "SiteAbout",
    "copy_about",
    "fetch_about",
    "published_about",
    "read_about",
    "read_files",
    "remove_outdated",
    "served_type",
    "write_about",
]

_LOG = logging.getLogger("staticstore.site")

_Read = Callable[[NamedDocument], bytes | None]

# Read in the site's folder, never served.
_SOURCE_NAME = "about.toml"
#: All files from which the document is made.
SOURCE_NAMES = (_SOURCE_NAME, *FILE_NAMES)


class SiteAbout(NamedTuple):
    """The site's own words, and warnings of what could not be used."""

    #: None without an ``about.toml``.
    about: About | None
    #: For the report of a publish.
    warnings: list[str]

    @property
    def document(self) -> NamedDocument | None:
        """The document that the head names."""
        return None if self.about is None else self.about.document

    def as_json(self) -> object:
        """Return all of it as JSON values."""
        return [None if self.about is None else self.about.as_json(), self.warnings]


def read_about(folder: SiteFolder) -> SiteAbout:
    """Read a site's own words, and hash the files that belong to them.

    Raises
    ------
    StoreError
        ``about.toml`` cannot be used; the error says why, and names the line.
    """
    fields = _read_fields(folder.root / _SOURCE_NAME)
    if fields is None:
        return SiteAbout(None, [])
    files: dict[str, NamedFile] = {}
    warnings = []
    # Exact names, as they are listed: some file systems open readme.md as README.md.
    for name in sorted(set(FILE_NAMES).intersection(os.listdir(folder.root))):
        body = _file_or_problem(folder.root / name)
        if isinstance(body, bytes):
            files[name] = NamedFile.of(body)
        else:
            warnings.append(f"{name} is left out of {ABOUT_NAME}: {body}")
    about = About(fields, files)
    if about.document.size > MOST_ABOUT_BYTES:
        raise StoreError(
            f"{_SOURCE_NAME}: {ABOUT_NAME} would have more than {MOST_ABOUT_BYTES} bytes"
        )
    if not OwnFiles(folder).may_write(ABOUT_NAME, about.document.sha256, _known(folder)):
        warnings.append(
            f"{ABOUT_NAME} is not replaced, because staticstore did not write it: move it away"
        )
    return SiteAbout(about, warnings)


def write_about(folder: SiteFolder, about: About | None) -> None:
    """Write the document under its digest and as ``about.json``, or remove the latter.

    An ``about.json`` that staticstore did not write stays.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked.
    about : About or None
        The site's own words; None if it has none any more.

    Raises
    ------
    OSError
        It cannot be written.
    """
    own, known = OwnFiles(folder), _known(folder)
    if about is None:
        own.remove(ABOUT_NAME, known)
        return
    document = about.document
    if folder.read_document(document) is None:
        write_document(folder, document, about.encode())
    own.write(ABOUT_NAME, about.encode(), known)


def published_about(folder: SiteFolder, head: Head | None) -> About | None:
    """Return the site's own words that its head names; None if they cannot be read."""
    body = None if head is None or head.about is None else folder.read_document(head.about)
    try:
        return None if body is None else About.parse(body)
    except IndexFormatError:
        return None


def read_files(folder: SiteFolder, about: About) -> dict[str, bytes | str]:
    """Read the files that a site's own words name: each one's bytes, or what is wrong.

    A mirror does not replace a file that it did not write.  In a copy such a file is
    left out here as well, and logged.
    """
    found = {name: _verified_file(folder.root / name, file) for name, file in about.files.items()}
    if os.path.lexists(folder.mirror_note):
        own = OwnFiles(folder)
        wrong = [name for name, content in found.items() if isinstance(content, str)]
        for name in filter(own.is_foreign, wrong):
            _LOG.warning(
                "%s is left out: it is not the site's, and no mirror wrote it", quoted(name)
            )
            del found[name]
    return found


def fetch_about(
    folder: SiteFolder, head: Head | None, read: _Read
) -> tuple[NamedDocument, bytes] | None:
    """Return the document that a head names, from a copy or from its origin.

    Parameters
    ----------
    folder : SiteFolder
        The copy.
    head : Head or None
        The head of the origin.
    read : callable
        Reads a document at the origin; None if it cannot be read.

    Returns
    -------
    (NamedDocument, bytes) or None
        None if the head names none, or if it cannot be read.
    """
    document = None if head is None else head.about
    if document is None:
        return None
    body = folder.read_document(document) or read(document)
    return None if body is None else (document, body)


def copy_about(
    folder: SiteFolder,
    head: Head | None,
    read: _Read,
    read_file: Callable[[str, NamedFile], bytes | None],
) -> frozenset[str] | None:
    """Copy the site's own words and the files that they name, as far as possible.

    A file that no mirror wrote stays.  That is logged, and so are files that cannot be
    read at the origin.

    Parameters
    ----------
    folder : SiteFolder
        The copy, locked.
    head : Head or None
        The head of the origin.
    read : callable
        Reads a document at the origin; None if it cannot be read.
    read_file : callable
        Reads a file by its name there; None unless it has the size and digest given.

    Returns
    -------
    frozenset of str or None
        The names of the files that belong to the site; None if they are not known now.

    Raises
    ------
    OSError
        Something cannot be written.
    """
    if head is None or head.about is None:
        return frozenset()
    found = fetch_about(folder, head, read)
    if found is None:
        _LOG.warning("the site's own words are not copied: they are not there as its head says")
        return None
    document, body = found
    if folder.read_document(document) is None:
        write_document(folder, document, body)
    try:
        about = About.parse(body)
    except IndexFormatError as error:
        _LOG.warning("the site's own words are copied, but cannot be read: %s", error)
        return None
    own = OwnFiles(folder)
    _copy_file(own, ABOUT_NAME, body)
    for name, file in about.files.items():
        if own.sha256_of(name) == file.sha256:
            continue
        if not own.may_write(name, file.sha256):
            _warn_of_foreign(name)
        elif (content := read_file(name, file)) is None:
            _LOG.warning("%s is not copied: it is not there as %s says", name, ABOUT_NAME)
        else:
            _copy_file(own, name, content)
    return frozenset((ABOUT_NAME, *about.files))


def served_type(path: str) -> str:
    """Return the media type under which to serve a file, by its path below the root."""
    if path == FEED_NAME:
        return FEED_MEDIA_TYPE
    for export in EXPORTS.values():
        if path == export.file:
            return export.media_type
    return FILE_MEDIA_TYPE if path in FILE_NAMES else media_type_of(path) or UNKNOWN


def remove_outdated(folder: SiteFolder, names: Collection[str]) -> None:
    """Remove the files that a mirror wrote and that no longer belong to the site.

    Raises
    ------
    OSError
        One cannot be removed.
    """
    own = OwnFiles(folder)
    for name in (ABOUT_NAME, *FILE_NAMES):
        if name not in names:
            own.remove(name)


def _copy_file(own: OwnFiles, name: str, body: bytes) -> None:
    if not own.write(name, body):
        _warn_of_foreign(name)


def _warn_of_foreign(name: str) -> None:
    _LOG.warning("%s is not copied: a file of that name is there that no mirror wrote", name)


def _verified_file(path: Path, file: NamedFile) -> bytes | str:
    try:
        body = read_at_most(path, MOST_FILE_BYTES)
    except FileNotFoundError:
        return "there is no such file"
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"
    if body is None or NamedFile.of(body) != file:
        return f"it is not the file that {ABOUT_NAME} names"
    return body


def _known(folder: SiteFolder) -> frozenset[str]:
    # The digests of each ``about.json`` of ours, also in a fresh checkout.
    head = folder.read_head()
    named = set() if head is None or head.about is None else {head.about.sha256}
    return frozenset(named.union(path.stem for path in (folder.root / "about").glob("*.json")))


def _file_or_problem(path: Path) -> bytes | str:
    try:
        body = read_at_most(path, MOST_FILE_BYTES)
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"
    if body is None:
        return f"it must be a file, not a link, of at most {MOST_FILE_BYTES} bytes"
    if holds_private_key(body[:FIRST_BYTES]):
        return "it holds a private key"
    return pointer_problem(body, len(body)) or body


def _read_fields(path: Path) -> dict[str, Any] | None:
    try:
        body = read_at_most(path, MOST_ABOUT_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{_SOURCE_NAME} cannot be read: {reason_of(error)}") from error
    if body is None:
        raise StoreError(
            f"{_SOURCE_NAME} must be a file, not a link, of at most {MOST_ABOUT_BYTES} bytes"
        )
    text = decode_text(body, _SOURCE_NAME)
    fields = parse_toml(text, _SOURCE_NAME)
    for name, value in fields.items():
        problem = field_problem(name, value)
        if problem is not None:
            found = _line_of(text, name)
            where = _SOURCE_NAME if found is None else f"{_SOURCE_NAME}, line {found}"
            raise StoreError(f"{where}: {quoted(name)}: {problem}")
    return fields


def _line_of(text: str, name: str) -> int | None:
    # The line in which a field of a TOML document begins; None if it is not found.
    begins = re.compile(rf"^[ \t]*\[*[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*[=.\]]", re.MULTILINE)
    for match in begins.finditer(text):
        try:
            tomllib.loads(text[: match.start()])
        except ValueError:  # the line is inside a string of several lines
            continue
        return line_at(text, match.start())
    return None
