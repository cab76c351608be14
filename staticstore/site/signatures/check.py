"""Verify the signatures in a site's folder: ``publish --check``."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ...disk.file_system import read_regular
from ...errors import StoreError
from ...index.head import HEAD_PATH, MOST_HEAD_BYTES
from ...trust.chain import RootChain, SignedHead
from ...trust.documents import Lifetime, ending_warnings
from ...trust.layout import ROOT, TRUST_FOLDER, document_name, root_version, trust_path
from ..folder.trust_files import read_trust, signature_names
from .key_folder import KeyFolder
from .signature_note import SignatureNote
from .site_chain import chain_of_site

if TYPE_CHECKING:
    from ..folder.site_folder import SiteFolder

__all__ = ["SignatureReport", "check_signatures"]


class SignatureReport(NamedTuple):
    """What is wrong with signatures, by path, and how long they hold."""

    wrong: list[tuple[str, str]]
    #: What is near its end.
    warnings: list[str]
    #: When the first of them expires, in UTC; None if they are incomplete.
    expires: datetime | None


def check_signatures(
    folder: SiteFolder, sign: str | os.PathLike[str] | KeyFolder | None
) -> SignatureReport:
    """Verify what a site has in ``trust/``, and that it is the published head.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    sign : path or KeyFolder or None
        The keys that have to have signed it; None for those of its own first root document.
    """
    wrong: list[tuple[str, str]] = []
    try:
        keys = None if sign is None else KeyFolder.of(sign)
        chain = _own_chain(folder) if keys is None else chain_of_site(folder, keys)
        signed = SignedHead.read(chain.root, read_trust(folder))
        if keys is not None:
            SignatureNote(keys.path, folder).check(chain.root, signed.documents)
    except StoreError as error:
        return SignatureReport([(TRUST_FOLDER, str(error))], [], None)
    try:
        head = read_regular(folder.head, MOST_HEAD_BYTES)
    except OSError:
        head = None
    if head != signed.head:
        reason = "it is not the signed head: publish the site again with --sign"
        wrong.append((HEAD_PATH, reason))
    parts = [chain.root, *(document.signed for document in signed.documents.values())]
    lifetimes, now = [Lifetime.of(part) for part in parts], time.time()
    ended = [one for one in lifetimes if one.expires <= now]
    for one, warning in zip(ended, ending_warnings(ended, now), strict=True):
        wrong.append((one.path, warning.removeprefix(f"{one.path} ")))
    warnings = ending_warnings([one for one in lifetimes if one.expires > now], now)
    expires = datetime.fromtimestamp(min(one.expires for one in lifetimes), UTC)
    return SignatureReport(wrong, warnings, expires)


def _own_chain(folder: SiteFolder) -> RootChain:
    read = read_trust(folder)
    versions = [root_version(name) for name in signature_names(folder)]
    first = min((version for version in versions if version is not None), default=1)
    name = document_name(ROOT, first)
    body = read(name)
    if body is None:
        raise StoreError(f"there is no root document such as {trust_path(name)}: publish it again")
    return RootChain.of(body, name).followed(read)
