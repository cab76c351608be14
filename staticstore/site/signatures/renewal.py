"""Prolong the signatures of a site that has not changed: ``staticstore renew``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from ...errors import StoreError, quoted
from ..folder.site_folder import SiteFolder
from ..folder.trust_files import has_signatures
from .head_signer import HeadSigner
from .key_folder import KeyFolder

__all__ = ["RenewReport", "open_signed", "renew"]


@dataclass(frozen=True)
class RenewReport:
    """What a renewal did.

    Attributes
    ----------
    expires : datetime
        Until when readers take the site for current, in UTC.
    warnings : list of str
        What is near its end and needs another key.
    """

    expires: datetime
    warnings: list[str]


def renew(site: str | os.PathLike[str], sign: str | os.PathLike[str] | KeyFolder) -> RenewReport:
    """Sign once more that the signed head of a site is current.

    Only the renew key is needed.  What is signed is verified first: nothing else is
    prolonged.  The data are not looked at, and an unsigned head counts for nothing.

    Parameters
    ----------
    site : path
        The site's folder.
    sign : path or KeyFolder
        The folder of the keys, of which the renew key and a root document are enough.

    Returns
    -------
    RenewReport

    Raises
    ------
    StoreError
        The site is not signed; the renew key is missing or locked; a publish is running; or
        something cannot be written.
    IntegrityError
        What is signed is incomplete or damaged, or signed with other keys.

    Notes
    -----
    Writes one small file, or two once in about a year.  For one thread.

    Examples
    --------
    >>> renew("my-site", "no-keys")
    Traceback (most recent call last):
    staticstore.errors.StoreError: there is no folder 'my-site': give that of the site
    """
    folder = open_signed(site)
    keys = KeyFolder.of(sign)
    signing = HeadSigner.open(folder, keys, publishes=False)
    with folder.locked():
        try:
            signing.prepare_renewal()
            signing.finish()
        except OSError as error:
            raise folder.write_error(error) from error
    return RenewReport(signing.expires, signing.warnings())


def open_signed(site: str | os.PathLike[str]) -> SiteFolder:
    """Return the folder of a signed site.

    Raises
    ------
    StoreError
        There is no such folder, or no signature in it.
    """
    folder = SiteFolder.of(site)
    if not has_signatures(folder):
        name = quoted(os.fspath(site))
        if not folder.root.is_dir():
            raise StoreError(f"there is no folder {name}: give that of the site")
        raise StoreError(f"{name} is not signed: 'staticstore publish --sign' signs it")
    return folder
