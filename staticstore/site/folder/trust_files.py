"""Find, read and remove the files in ``trust/``, whatever they say.

What they say is for `staticstore.site.signatures`, which needs python-tuf.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from typing import TYPE_CHECKING

from ...disk.atomic import is_link
from ...disk.file_system import read_regular
from ...errors import StoreError, quoted, reason_of
from ...trust.layout import (
    MOST_DOCUMENT_BYTES,
    TIMESTAMP_NAME,
    TRUST_FOLDER,
    is_trust_name,
    root_version,
    trust_path,
)
from .retention import KEPT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Set

    from .site_folder import SiteFolder

__all__ = [
    "check_trust_package",
    "has_signatures",
    "read_trust",
    "remove_roots",
    "remove_signatures",
    "remove_superseded",
    "signature_names",
]


def signature_names(folder: SiteFolder) -> list[str]:
    """Return the names of the files in ``trust/`` that belong there.

    Raises
    ------
    StoreError
        The folder cannot be read.
    """
    try:
        return sorted(filter(is_trust_name, os.listdir(folder.root / TRUST_FOLDER)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        path = folder.root / TRUST_FOLDER
        raise StoreError(f"{quoted(str(path))} cannot be read: {reason_of(error)}") from error


def has_signatures(folder: SiteFolder) -> bool:
    """Return whether a site is signed, or a part of its signatures is there."""
    return bool(signature_names(folder))


def check_trust_package() -> None:
    """Check that what signs and verifies is installed.

    Raises
    ------
    StoreError
        It is not.
    """
    if importlib.util.find_spec("tuf") is None:
        raise StoreError(
            "signatures need the packages `tuf` and `securesystemslib`, which the extra `trust` "
            "brings"
        )


def read_trust(folder: SiteFolder) -> Callable[[str], bytes | None]:
    """Return what reads a file in ``trust/``; it returns None if there is none.

    It raises StoreError if there is one that cannot be read, or is larger than any.
    """

    def read(name: str) -> bytes | None:
        if not is_trust_name(name):  # it becomes a path
            return None
        try:
            return read_regular(folder.root / trust_path(name), MOST_DOCUMENT_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{trust_path(name)} cannot be read: {reason_of(error)}") from error

    return read


def remove_signatures(folder: SiteFolder) -> None:
    """Remove all signatures of a site, the timestamp first; other files stay.

    Raises
    ------
    OSError
        One cannot be removed.
    """
    trust = folder.root / TRUST_FOLDER
    for name in sorted(signature_names(folder), key=lambda name: name != TIMESTAMP_NAME):
        (trust / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it
        trust.rmdir()


def remove_roots(folder: SiteFolder, names: Iterable[str]) -> None:
    """Remove root documents by their names: those of keys the site never had.

    Raises
    ------
    OSError
        One cannot be removed.
    """
    for name in names:
        if root_version(name) is not None:
            (folder.root / trust_path(name)).unlink(missing_ok=True)


def remove_superseded(folder: SiteFolder, current: Set[str]) -> None:
    """Remove the signatures that nothing has named for a day; root documents stay.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked.
    current : set of str
        The names of the files that the timestamp leads to.
    """
    for name in signature_names(folder):
        if name in current or name == TIMESTAMP_NAME or root_version(name) is not None:
            continue
        path = folder.root / trust_path(name)
        with contextlib.suppress(OSError):
            if not is_link(path) and path.lstat().st_mtime + KEPT_SECONDS < time.time():
                path.unlink()
