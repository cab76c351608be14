"""Find, read and remove the files in ``trust/``, whatever they say.

What they say is for `staticstore.site.signatures`, which needs python-tuf.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import time
from collections import deque
from typing import TYPE_CHECKING

from ...disk.atomic import is_link
from ...disk.file_system import read_regular
from ...errors import StoreError, quoted, reason_of
from ...index.head import DIGEST_FOLDERS, ENTRY_FOLDERS
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

# In so many folders keys are looked for, from the site's own on; most sites have none beside data/.
_MOST_FOLDERS = 200
# As `key_file_name` makes it.
_KEY_NAME = re.compile(r"(?:root|publish|renew)-[0-9a-f]{16}\.pem\Z")

__all__ = [
    "check_no_keys",
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


def check_no_keys(folder: SiteFolder) -> None:
    """Check that no private keys of a publisher are in a site's folder, or in folders there.

    A web server would serve them.  Those in ``data/`` are withheld by what they hold.

    Raises
    ------
    StoreError
        There are; links are followed, as web servers follow them.
    """
    own = {*DIGEST_FOLDERS, *ENTRY_FOLDERS, TRUST_FOLDER, folder.private.name, ".git"}
    seen = {os.path.realpath(folder.data)}
    waiting = deque([os.fspath(folder.root)])
    while waiting and len(seen) <= _MOST_FOLDERS:
        place = waiting.popleft()
        if (real := os.path.realpath(place)) in seen:  # by a link, perhaps one to a folder above
            continue
        seen.add(real)
        with contextlib.suppress(OSError), os.scandir(place) as found:
            for one in found:
                if _KEY_NAME.match(one.name):
                    raise StoreError(
                        f"{quoted(place)} is inside the site {quoted(str(folder.root))}, and its "
                        "private keys would be published with it: keep keys elsewhere"
                    )
                if one.name not in own and one.is_dir():
                    waiting.append(one.path)


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
