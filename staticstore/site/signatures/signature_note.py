"""What keys have signed last, noted beside them: ``signed.json`` in their folder.

Whoever can write to a site, but has no key, can put back what was signed there a year ago,
with all its signatures right.  To prolong that would serve it to new readers.  So it is
compared with a note that is not in the site.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...disk.atomic import atomic_file, remove_leftovers
from ...disk.file_system import read_regular
from ...errors import IndexFormatError, IntegrityError, quoted, reason_of
from ...index import codec
from ...trust.layout import SNAPSHOT, TARGETS, TRUST_FOLDER

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root

    from ..folder.site_folder import SiteFolder

__all__ = ["SignatureNote"]

_NAME = "signed.json"
_MOST_BYTES = 1 << 20
_MOST_SITES = 100
_RENEW_KEYS = "renew"
_LOG = logging.getLogger("staticstore.site")

_Documents = Mapping[str, "Metadata[Any]"]


class SignatureNote:
    """The versions that the keys of a folder have signed last of a site.

    Parameters
    ----------
    keys : Path
        The folder of the keys.
    folder : SiteFolder
        The site; another path is another site.
    """

    def __init__(self, keys: Path, folder: SiteFolder) -> None:
        self._path = keys / _NAME
        self._site = os.path.abspath(folder.root)

    def check(self, root: Root, documents: _Documents) -> None:
        """Check that what is signed is not older than what was signed last.

        Parameters
        ----------
        root : Root
            The newest root document.
        documents : mapping of str to Metadata
            The other documents by their roles, verified.

        Raises
        ------
        IntegrityError
            It is older: somebody has put it back.
        """
        last, now = self._read().get(self._site), _versions(root, documents)
        if not isinstance(last, dict) or last.get(_RENEW_KEYS) != now[_RENEW_KEYS]:
            return  # with another renew key versions may begin anew, as readers permit
        for role in (SNAPSHOT, TARGETS):
            if isinstance(last.get(role), int) and now[role] < last[role]:
                raise IntegrityError(
                    f"{TRUST_FOLDER}/ is older than what was signed last, and is not signed again: "
                    "find out who has put it back, then publish the site with --sign",
                    expected=f"version {last[role]} of the {role}",
                    actual=f"version {now[role]}",
                )

    def write(self, root: Root, documents: _Documents) -> None:
        """Note what is signed now; warn if the folder of keys cannot be written."""
        known, now = self._read(), _versions(root, documents)
        if known.pop(self._site, None) == now:
            return
        known[self._site] = now
        body = codec.encode(dict(list(known.items())[-_MOST_SITES:])) + b"\n"
        try:
            remove_leftovers(self._path.parent)
            with atomic_file(self._path, mode=0o600) as file:
                file.write(body)
        except OSError as error:
            _LOG.warning(
                "%s cannot be written (%s): nothing would notice an older state of the site that "
                "somebody puts back",
                quoted(str(self._path)),
                reason_of(error),
            )

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, IndexFormatError):
            found = codec.decode(read_regular(self._path, _MOST_BYTES))
            if isinstance(found, dict):
                return found
        return {}


def _versions(root: Root, documents: _Documents) -> dict[str, Any]:
    versions = {role: documents[role].signed.version for role in (SNAPSHOT, TARGETS)}
    return {_RENEW_KEYS: sorted(root.roles[SNAPSHOT].keyids), **versions}
