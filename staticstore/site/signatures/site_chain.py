"""The root documents of a site, as its publisher knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...disk.atomic import atomic_file
from ...errors import IntegrityError, quoted
from ...trust.chain import RootChain
from ...trust.layout import trust_path
from ..folder.trust_files import read_trust

if TYPE_CHECKING:
    from ..folder.site_folder import SiteFolder
    from .key_folder import KeyFolder

__all__ = ["chain_of_site", "write_roots"]


def chain_of_site(folder: SiteFolder, keys: KeyFolder) -> RootChain:
    """Return the root documents of the keys, and the newer ones of the site.

    Raises
    ------
    StoreError
        There are none in the folder of keys, or one cannot be read.
    IntegrityError
        The site is signed with other keys.
    """
    chain, read = keys.chain(), read_trust(folder)
    for name, body in chain.named():
        if read(name) not in (None, body):
            raise IntegrityError(
                f"{trust_path(name)} is not that of the keys in {quoted(str(keys.path))}: the site "
                "is signed with other keys; give their folder, or publish with --unsign first"
            )
    try:
        return chain.followed(read)
    except IntegrityError as error:
        raise IntegrityError(
            f"{error}: it is not by these root keys; remove it, and find out who has put it there"
        ) from error


def write_roots(folder: SiteFolder, chain: RootChain) -> None:
    """Write the root documents that a site lacks, the oldest first.

    Raises
    ------
    OSError
        One cannot be written.
    """
    read = read_trust(folder)
    for name, body in chain.named():
        if read(name) != body:
            with atomic_file(folder.root / trust_path(name)) as file:
                file.write(body)
