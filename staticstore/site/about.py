"""The site's own words as they are published: ``about.toml``, and files beside it."""

from __future__ import annotations

import logging
import os
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import IndexFormatError, StoreError, quoted
from ..index.about import (
    ABOUT_NAME,
    FILE_NAMES,
    MOST_ABOUT_BYTES,
    MOST_FILE_BYTES,
    About,
    NamedFile,
    field_problem,
)
from ..index.head import Document, Head
from .folder import SiteFolder, reason_of
from .history import read_head, reader_of, write_document
from .metadata_files import parse_toml
from .own_files import OwnFiles, read_at_most
from .source_text import decode_text
from .stand_ins import pointer_problem
from .withheld import FIRST_BYTES, holds_private_key

__all__ = [
    "SOURCE_NAME",
    "SOURCE_NAMES",
    "SiteAbout",
    "published_about",
    "read_about",
    "read_files",
    "write_about",
]

_LOG = logging.getLogger("staticstore.site")

#: What the publisher reads in the site's folder; never served.
SOURCE_NAME = "about.toml"
#: All that the document is made of.
SOURCE_NAMES = (SOURCE_NAME, *FILE_NAMES)


class SiteAbout(NamedTuple):
    """What a site says of itself, and what of it could not be used."""

    #: None where there is no ``about.toml``.
    about: About | None
    #: For the report of a publish.
    warnings: list[str]

    @property
    def document(self) -> Document | None:
        """What the head names."""
        return None if self.about is None else self.about.document

    def as_json(self) -> object:
        """Return what tells it from others, such as JSON can say."""
        return [None if self.about is None else self.about.as_json(), self.warnings]


def read_about(folder: SiteFolder) -> SiteAbout:
    """Read a site's own words, and hash the files that belong to them.

    Raises
    ------
    StoreError
        ``about.toml`` cannot be used.  The error says what is wrong, and in which line.
    """
    fields = _read_fields(folder.root / SOURCE_NAME)
    if fields is None:
        return SiteAbout(None, [])
    files: dict[str, NamedFile] = {}
    warnings = []
    # Names as they are listed: some file systems open readme.md as README.md.
    for name in sorted(set(FILE_NAMES).intersection(os.listdir(folder.root))):
        body = _file_or_problem(folder.root / name)
        if isinstance(body, bytes):
            files[name] = NamedFile.of(body)
        else:
            warnings.append(f"{name} is left out of {ABOUT_NAME}: {body}")
    about = About(fields, files)
    if about.document.size > MOST_ABOUT_BYTES:
        raise StoreError(
            f"{SOURCE_NAME}: {ABOUT_NAME} would have more than {MOST_ABOUT_BYTES} bytes"
        )
    if not OwnFiles(folder).may_write(ABOUT_NAME, about.document.sha256, _known(folder)):
        warnings.append(
            f"{ABOUT_NAME} is not replaced, because staticstore did not write it: move it away"
        )
    return SiteAbout(about, warnings)


def write_about(folder: SiteFolder, about: About | None) -> None:
    """Write the document under its digest and as ``about.json``, or remove the latter.

    An ``about.json`` that somebody else wrote stays.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked.
    about : About or None
        None if the site says nothing of itself any more.

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
    if reader_of(folder)(document) is None:
        write_document(folder, document, about.encode())
    own.write(ABOUT_NAME, about.encode(), known)


def published_about(folder: SiteFolder, head: Head) -> About | None:
    """Return what a site's head names as its own words; None if that cannot be read."""
    body = None if head.about is None else reader_of(folder)(head.about)
    try:
        return None if body is None else About.parse(body)
    except IndexFormatError:
        return None


def read_files(folder: SiteFolder, about: About) -> dict[str, bytes | str]:
    """Read the files that a site's own words name: their bytes, or what is wrong with them.

    A mirror leaves a file of somebody else's where it stands.  Beside a copy such
    a file is left out here as well, and that is logged.
    """
    found = {name: _right_file(folder.root / name, file) for name, file in about.files.items()}
    if os.path.lexists(folder.mirror_note):
        own = OwnFiles(folder)
        wrong = [name for name, content in found.items() if isinstance(content, str)]
        for name in filter(own.has_other, wrong):
            _LOG.warning(
                "%s is passed over: it is not the site's, and no mirror wrote it", quoted(name)
            )
            del found[name]
    return found


def _right_file(path: Path, file: NamedFile) -> bytes | str:
    try:
        body = read_at_most(path, MOST_FILE_BYTES)
    except FileNotFoundError:
        return "there is no such file"
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"
    if body is None or NamedFile.of(body) != file:
        return f"it is another than {ABOUT_NAME} says"
    return body


def _known(folder: SiteFolder) -> frozenset[str]:
    """Return digests that show an ``about.json`` to be ours, also in a fresh checkout."""
    head = read_head(folder)
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
    """Return the checked fields of ``about.toml``; None if there is none."""
    try:
        body = read_at_most(path, MOST_ABOUT_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{SOURCE_NAME} cannot be read: {reason_of(error)}") from error
    if body is None:
        raise StoreError(
            f"{SOURCE_NAME} must be a file, not a link, of at most {MOST_ABOUT_BYTES} bytes"
        )
    text = decode_text(body, SOURCE_NAME)
    fields = parse_toml(text, SOURCE_NAME)
    for name, value in fields.items():
        problem = field_problem(name, value)
        if problem is not None:
            found = _line_of(text, name)
            where = SOURCE_NAME if found is None else f"{SOURCE_NAME}, line {found}"
            raise StoreError(f"{where}: {quoted(name)}: {problem}")
    return fields


def _line_of(text: str, name: str) -> int | None:
    """Return the line in which a field of a TOML document begins; None if that cannot be told."""
    begins = re.compile(rf"^[ \t]*\[*[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*[=.\]]", re.MULTILINE)
    for match in begins.finditer(text):
        try:
            tomllib.loads(text[: match.start()])
        except ValueError:  # the line is part of a text of several lines
            continue
        return text.count("\n", 0, match.start()) + 1
    return None
