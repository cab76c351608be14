"""What a publish does with the signatures of a site: none, sign, or remove them.

Nothing of python-tuf is imported unless the publish signs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...disk.file_system import read_regular
from ...errors import StoreError, quoted
from ...index.head import MOST_HEAD_BYTES
from ...trust.documents import is_document
from ...trust.layout import TIMESTAMP_NAME
from ..folder.trust_files import (
    check_no_keys,
    check_trust_package,
    has_signatures,
    remove_signatures,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...index.head import Head
    from ..documents.head_files import HeadFiles
    from ..folder.site_folder import SiteFolder
    from ..guards import Guards
    from ..predecessor import ReadSignedHead
    from ..signatures.head_signer import HeadSigner
    from ..signatures.key_folder import KeyFolder

__all__ = ["Signatures"]


@dataclass(frozen=True)
class Signatures:
    """The signatures of a publish.

    Attributes
    ----------
    folder : SiteFolder
        The site.
    signing : HeadSigner or None
        Signs; None if the publish does not sign.
    unsign : bool
        Whether signatures are removed.
    """

    folder: SiteFolder
    signing: HeadSigner | None = None
    unsign: bool = False
    #: Whether the publish writes, and neither signs nor removes signatures.
    is_unsigned: bool = False

    @classmethod
    def open(
        cls,
        folder: SiteFolder,
        keys: str | os.PathLike[str] | KeyFolder | None,
        *,
        unsign: bool,
        dry_run: bool,
    ) -> Signatures:
        """Check before anything begins that the publish can sign, if it has to.

        Parameters
        ----------
        folder : SiteFolder
            The site.
        keys : path or KeyFolder or None
            The keys with which to sign.
        unsign : bool
            Whether to remove signatures.
        dry_run : bool
            Whether nothing is written, and so nothing signed.

        Raises
        ------
        StoreError
            The site is signed and neither is given; a key is missing or locked; private
            keys are in the site; or python-tuf is not installed.
        IntegrityError
            The site is signed with other keys.
        ValueError
            Both are given.
        """
        if keys is not None and unsign:
            raise ValueError("sign and unsign are two things: give one")
        check_no_keys(folder)
        if dry_run:
            return cls(folder)
        if keys is None:
            if not unsign and has_signatures(folder):
                raise _unsigned(f"the site {quoted(str(folder.root))}")
            return cls(folder, unsign=unsign, is_unsigned=not unsign)
        check_trust_package()
        from ..signatures.head_signer import HeadSigner  # slow to import
        from ..signatures.key_folder import KeyFolder

        return cls(folder, HeadSigner.open(folder, KeyFolder.of(keys)))

    def signed_head(self, guards: Guards) -> ReadSignedHead | None:
        """Return what reads the signed head of the site that the publish continues.

        What is signed goes on with it: with its change files, and its metadata of values.
        A publish that neither signs nor removes signatures continues no signed site.  None
        if any head may be continued.

        Parameters
        ----------
        guards : Guards
            What is refused: to sign what continues a site that is not signed.
        """
        signing = self.signing
        if signing is None and not self.is_unsigned:
            return None

        def signed_head(read: Callable[[str], bytes | None]) -> bytes | None:
            timestamp = read(TIMESTAMP_NAME)
            if signing is None:
                # A host that answers every path with a page has signed nothing.
                if timestamp is not None and is_document(timestamp):
                    raise _unsigned("the published site to continue")
                return None
            if timestamp is not None:
                return signing.follow(read)
            guards.refuse(
                "lineage",
                "the published site to continue is not signed, and what it says would be signed "
                "with the new one: publish without --after for a new lineage",
            )
            return None

        return signed_head

    def prepare(self, head: Head, files: HeadFiles | None) -> None:
        """Sign what the head is going to be, before `index.json` is replaced.

        Parameters
        ----------
        head : Head
            The head from then on.
        files : HeadFiles or None
            What is going to be written; None if the head stays.

        Raises
        ------
        StoreError
            A key cannot sign.
        OSError
            Something cannot be written.
        """
        if self.signing is not None:
            text = self._published() if files is None else files.text or head.encode()
            self.signing.prepare(text)

    def finish(self) -> None:
        """Write the timestamp after the head, or remove all signatures.

        Raises
        ------
        OSError
            Something cannot be written or removed.
        """
        if self.signing is not None:
            self.signing.finish()
        if self.unsign:
            remove_signatures(self.folder)

    def renew(self) -> None:
        """Sign the published head unless it is signed for long; or remove signatures.

        Raises
        ------
        StoreError
            As of `prepare`, or something cannot be written.
        """
        try:
            if self.signing is not None:
                self.signing.prepare(self._published())
            self.finish()
        except OSError as error:
            raise self.folder.write_error(error) from error

    def _published(self) -> bytes:
        return read_regular(self.folder.head, MOST_HEAD_BYTES)

    def warnings(self) -> list[str]:
        """Return what is near its end, or wrong with the clock."""
        return [] if self.signing is None else self.signing.warnings()


def _unsigned(what: str) -> StoreError:
    return StoreError(
        f"{what} is signed, and its readers would go on seeing the signed state: give its keys "
        "(sign, --sign FOLDER), or remove the signatures (unsign, --unsign)"
    )
