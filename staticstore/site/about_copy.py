"""The site's own words in a mirror's copy: the document, and the files that it may name."""

from __future__ import annotations

import logging
from collections.abc import Collection

from ..client.site_snapshot import SiteSnapshot
from ..errors import IndexFormatError
from ..index.about import ABOUT_NAME, FILE_NAMES, About
from ..index.head import Document
from .folder import SiteFolder
from .history import reader_of, write_document
from .own_files import OwnFiles

__all__ = ["copy_about", "fetch_about", "remove_outdated"]

_LOG = logging.getLogger("staticstore.site")


def fetch_about(folder: SiteFolder, origin: SiteSnapshot) -> tuple[Document, bytes] | None:
    """Return the document that the origin's head names, from the copy if it stands there.

    None if there is none, or if it cannot be had.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    """
    document = None if origin.head is None else origin.head.about
    if document is None:
        return None
    body = reader_of(folder)(document) or origin.read(document)
    return None if body is None else (document, body)


def copy_about(folder: SiteFolder, origin: SiteSnapshot) -> frozenset[str] | None:
    """Write the site's own words and the files that they name into a copy, as far as possible.

    A file that somebody else wrote stays; that, and one that cannot be had, is logged.

    Returns
    -------
    frozenset of str or None
        The names of the files that belong to the site; None if that is not known now.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    OSError
        Something cannot be written.
    """
    if origin.head is None or origin.head.about is None:
        return frozenset()
    found = fetch_about(folder, origin)
    if found is None:
        _LOG.warning("the site's own words are not copied: they are not there as its head says")
        return None
    document, body = found
    if reader_of(folder)(document) is None:
        write_document(folder, document, body)
    try:
        about = About.parse(body)
    except IndexFormatError as error:
        _LOG.warning("the site's own words are copied, but cannot be read: %s", error)
        return None
    own = OwnFiles(folder)
    _write(own, ABOUT_NAME, body)
    for name, file in about.files.items():
        if own.sha256_of(name) == file.sha256:
            continue
        if own.may_write(name, file.sha256):
            content = origin.read_file(name, file)
            if content is None:
                _LOG.warning("%s is not copied: it is not there as %s says", name, ABOUT_NAME)
                continue
            _write(own, name, content)
        else:
            _warn_of_foreign(name)
    return frozenset((ABOUT_NAME, *about.files))


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


def _write(own: OwnFiles, name: str, body: bytes) -> None:
    if not own.write(name, body):
        _warn_of_foreign(name)


def _warn_of_foreign(name: str) -> None:
    _LOG.warning("%s is not copied: a file of that name stands there that no mirror wrote", name)
