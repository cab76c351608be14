"""The root document that a publisher hands to readers: its path and its digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..terminal import Output

if TYPE_CHECKING:
    from ...site.signatures.key_folder import KeyFolder

__all__ = ["RootFile", "root_of_keys", "root_of_site", "show_root"]


class RootFile(NamedTuple):
    """A root document."""

    path: str
    #: Lowercase hex.
    sha256: str


def root_of_keys(keys: KeyFolder) -> RootFile:
    """Return the newest root document in a folder of keys."""
    name, body = list(keys.chain().named())[-1]
    return RootFile(str(keys.path / name), hashlib.sha256(body).hexdigest())


def root_of_site(site: str, keys: KeyFolder) -> RootFile:
    """Return the newest root document of a site that these keys have signed."""
    from ...site.folder.site_folder import SiteFolder  # slow to import
    from ...site.signatures.site_chain import chain_of_site
    from ...trust.layout import trust_path

    name, body = list(chain_of_site(SiteFolder.of(site), keys).named())[-1]
    return RootFile(str(Path(site, trust_path(name))), hashlib.sha256(body).hexdigest())


def show_root(output: Output, root: RootFile) -> None:
    """Show a root document and its digest."""
    output.line(f"hand this file to readers, by another way than the site: {root.path}")
    output.line(f"its sha256 is {root.sha256}")
