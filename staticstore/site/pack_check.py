"""Whether the packs that an index names hold what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import FileIO
from typing import NamedTuple

from ..errors import quoted
from ..index.fields import Content
from ..index.snapshot import Index
from ..transport.regular import open_regular
from .folder import SiteFolder, reason_of
from .packs import pack_digest

__all__ = ["pack_problems"]

_ADVICE = "remove it, and publish the site with packs again"


class _Copy(NamedTuple):
    """A value, as it should stand in a pack."""

    key: str
    offset: int
    #: None if the index does not give it.
    size: int | None
    sha256: str | None


def pack_problems(folder: SiteFolder, index: Index) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the packs that an index names.

    A pack has the digest that is its name, and holds values where the index
    says so.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    index : Index
        What ``index.json`` says.

    Yields
    ------
    (str, str)
        Where a pack stands, and what is wrong with it.

    Notes
    -----
    Reads all packs, one after the other.
    """
    copies: dict[str, list[_Copy]] = {}
    for key, entry in index.packed_entries():
        href, offset = entry["packed"]
        content = Content.of(entry)
        copies.setdefault(href, []).append(_Copy(key, offset, content.size, content.sha256))
    for href in sorted(copies):
        for problem in _problems_of(folder, href, copies[href]):
            yield href, problem


def _problems_of(folder: SiteFolder, href: str, copies: list[_Copy]) -> Iterator[str]:
    sha256 = pack_digest(href)
    if sha256 is None:
        yield "a pack has another name: packs/<sha256>.zip"
        return
    try:
        with open_regular(folder.root / href) as pack:
            if hashlib.file_digest(pack, "sha256").hexdigest() != sha256:
                yield f"its sha256 is not the one in its name: {_ADVICE}"
                return
            size = pack.tell()
            for copy in copies:
                if not _stands(pack, size, copy):
                    yield f"at {copy.offset} stands something else than {quoted(copy.key)}"
    except FileNotFoundError:
        yield "there is no such file: publish the site again"
    except OSError as error:
        yield f"it cannot be read: {reason_of(error)}"


def _stands(pack: FileIO, pack_size: int, copy: _Copy) -> bool:
    """Tell whether a value stands in a pack where the index says so."""
    if copy.size is None or copy.sha256 is None or copy.offset + copy.size > pack_size:
        return False
    pack.seek(copy.offset)
    return hashlib.sha256(pack.read(copy.size)).hexdigest() == copy.sha256
