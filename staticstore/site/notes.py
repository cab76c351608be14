"""The publisher's notes: what it hashed, so that what stands still is not hashed again.

They are ``.staticstore/notes.json``, the publisher's own: nobody else reads
them, and whoever deletes them loses nothing but time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from ..index import codec
from ..index.head import parse_sha256
from ..transport.atomic import atomic_file
from ..transport.regular import read_regular
from .file_digest import Digest
from .found_file import FoundFile

__all__ = ["SETTLED_NS", "Notes", "read_notes", "write_notes"]

_FORMAT = "staticstore-notes/1"
#: Nanoseconds after which a file that did not change has come to rest.
# A file system's clock may be so coarse that a second change shows no other
# time than the first.  Two seconds is FAT's, the coarsest there is.
SETTLED_NS = 2_000_000_000


class Notes(NamedTuple):
    """What files were when they were hashed.

    Examples
    --------
    >>> file = FoundFile("a", "data/a", size=3, mtime_ns=5, inode=7)
    >>> Notes({"a": Digest("ab" * 32, 3, 5, 7)}).digest_of(file).sha256[:4]
    'abab'
    >>> Notes({"a": Digest("ab" * 32, 3, 5, 8)}).digest_of(file) is None
    True
    """

    digests: Mapping[str, Digest]

    def digest_of(self, file: FoundFile) -> Digest | None:
        """Return the digest of a file with the same size, time and inode as noted; else None."""
        noted = self.digests.get(file.key)
        if noted is None or noted[1:] != (file.size, file.mtime_ns, file.inode):
            return None
        return noted

    @classmethod
    def of(cls, digests: Mapping[str, Digest], began_ns: int) -> Notes:
        """Note the digests that can be believed next time.

        A file that was younger than two seconds when the scan began (or of a
        time to come) may change once more without showing it, and is left out.

        Parameters
        ----------
        digests : mapping
            From keys to digests.
        began_ns : int
            When the scan began, nanoseconds since 1970.
        """
        latest = began_ns - SETTLED_NS
        return cls({key: found for key, found in digests.items() if found.mtime_ns < latest})


def read_notes(path: Path) -> Notes:
    """Read the notes; what is damaged, or of another form, is not believed, and no error."""
    try:
        document = codec.decode(read_regular(path))
    except (OSError, IndexFormatError):
        return Notes({})
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        return Notes({})
    files = document.get("files")
    if not isinstance(files, dict):
        return Notes({})
    return Notes({key: found for key, row in files.items() if (found := _digest(row)) is not None})


def write_notes(path: Path, notes: Notes) -> None:
    """Write the notes, whole or not at all.

    Raises
    ------
    OSError
        They cannot be written.
    """
    with atomic_file(path) as file:
        file.write(codec.encode({"format": _FORMAT, "files": notes.digests}))


def _digest(row: Any) -> Digest | None:
    if not isinstance(row, list) or len(row) != 4:
        return None
    sha256, *numbers = row
    if any(type(number) is not int for number in numbers):
        return None
    try:
        return Digest(parse_sha256(sha256), *numbers)
    except ValueError:
        return None
