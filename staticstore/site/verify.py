"""Verify a site: its values, its head, its packs and copies, and its own words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import FileIO
from typing import TYPE_CHECKING, TypeVar

from ..disk.file_system import open_regular, read_regular
from ..errors import IndexFormatError, path_text, quoted, reason_of
from ..index.about import About
from ..index.blocks import BlockRoot
from ..index.changes import parse_change_lines, sum_of_document, sum_text
from ..index.fields import Content
from ..index.head import MOST_HEAD_BYTES, Head, NamedDocument
from ..index.snapshot import Index
from .about import published_about, read_files
from .documents.compression import copy_problems
from .documents.packs import pack_digest
from .exports import export_problems
from .folder.data_file import FIRST_BYTES, FileDigest, holds_private_key
from .folder.hashing import TotalProgress, hash_files
from .folder.scan import LeftOut, scan
from .folder.site_folder import SiteFolder
from .folder.trust_files import check_trust_package, has_signatures

if TYPE_CHECKING:
    from .signatures.key_folder import KeyFolder

__all__ = ["VerifyReport", "head_problems", "verify_site"]

T = TypeVar("T")
# Paths of files below the root, each with what is wrong with it.
_Problems = Iterator[tuple[str, str]]
# The key of a value, its offset in a pack, and what the index says of its bytes.
_PackedCopy = tuple[str, int, Content]


@dataclass(frozen=True, repr=False)
class VerifyReport:
    """What a verification found.

    Attributes
    ----------
    wrong : list of (str, str)
        The keys whose values are missing or differ from the index, each with what is
        wrong; in key order.  Before them, by path: what is wrong with ``index.json``,
        the head, the documents that it names, the files that the site's own words
        name, the packs, the compressed copies, the index in other forms, and the signatures.
    extra : list of str
        Files in ``data/`` that could be published but are not in the index; in key
        order.
    checked : int
        The number of entries in the index.  Each was checked.
    warnings : list of str
        Signatures that are near their end.
    expires : datetime or None
        When the first signature expires, in UTC; None for a site that is not signed, or
        whose signatures are incomplete.
    """

    wrong: list[tuple[str, str]]
    extra: list[str]
    checked: int
    warnings: list[str] = field(default_factory=list)
    expires: datetime | None = None

    def __repr__(self) -> str:
        """Count what the lists name."""
        return (
            f"<VerifyReport: {self.checked} checked, {len(self.wrong)} wrong, "
            f"{len(self.extra)} extra>"
        )


def verify_site(
    site: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    sign: str | os.PathLike[str] | KeyFolder | None = None,
    progress: TotalProgress | None = None,
) -> VerifyReport:
    """Hash all values of a site again, and compare them with the index.

    Nothing is written, and the publisher's notes are not used.  A value without size
    and digest in the index only has to exist.

    Parameters
    ----------
    site : path
        The site's folder.
    data : str or path, optional
        The folder of the values, if not the one that was published.
    sign : path or KeyFolder, optional
        The folder of the keys with which the site has to be signed; none is used but the
        root document.  Without it, signatures that are there are verified from the site's own
        first root document on.
    progress : callable, optional
        Called in this thread as ``progress(done, total)``, in bytes.

    Returns
    -------
    VerifyReport

    Raises
    ------
    StoreError
        There is no such site, or links lead out of its data; or the site is signed, and
        python-tuf is not installed.
    IndexFormatError
        Its index cannot be parsed.

    Notes
    -----
    Reads all of the data, in the same way as `publish` reads new files.  Compressed copies
    are decompressed, if that is possible here (the extra ``zstd``).
    """
    folder = SiteFolder.open(site, data)
    body = folder.read_published(folder.index.name)
    index = Index.parse(body)
    found = scan(folder.data, published=index, exempts=lambda _: True)
    named = [file for file in found.files if file.key in index]
    outcomes = hash_files(named, progress=progress, seeks_keys=False)
    reasons = {one.path: one.reason for one in found.left_out}
    wrong = [("index.json", warning) for warning in index.warnings]
    wrong += head_problems(folder, index, body)
    wrong += _about_problems(folder)
    wrong += _pack_problems(folder, index)
    wrong += copy_problems(folder, index)
    wrong += export_problems(folder, body)
    warnings: list[str] = []
    expires = None
    if sign is not None or has_signatures(folder):
        check_trust_package()
        from .signatures.check import check_signatures  # slow to import

        signatures = check_signatures(folder, sign)
        wrong += signatures.wrong
        warnings, expires = signatures.warnings, signatures.expires
    for key in index:
        outcome = outcomes.get(key)
        facts = Content.of(index[key])
        problem = _absence(key, reasons) if outcome is None else _difference(facts, outcome)
        if problem is not None:
            wrong.append((key, problem))
    unnamed = (file for file in found.files if file.key not in index)
    extra = [file.key for file in unnamed if not _is_secret(file.path)]
    return VerifyReport(wrong, extra, len(index), warnings, expires)


def _absence(key: str, reasons: Mapping[str, str]) -> str:
    # Perhaps a folder above it was left out.
    path = path_text(key)
    while path:
        if path in reasons:
            return reasons[path]
        path = path.rpartition("/")[0]
    return "there is no such file in data/"


def _difference(facts: Content, outcome: FileDigest | LeftOut) -> str | None:
    if isinstance(outcome, LeftOut):
        return outcome.reason
    if facts.size is not None and outcome.size != facts.size:
        return f"it has {outcome.size} bytes where the index says {facts.size}"
    if facts.sha256 is not None and outcome.sha256 != facts.sha256:
        return "its sha256 differs from the index"
    return None


def _is_secret(path: str) -> bool:
    try:
        with open_regular(path) as file:
            return holds_private_key(file.read(FIRST_BYTES))
    except OSError:  # it could not be published, whatever it is
        return False


def head_problems(folder: SiteFolder, index: Index, body: bytes) -> _Problems:
    """Yield what is wrong with the head of a site and the documents that it names.

    A site without a head is complete.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    index : Index
        Its index.
    body : bytes
        The bytes of its ``index.json``.

    Yields
    ------
    (str, str)
        The path of a file below the root, and what is wrong with it.
    """
    name = folder.head.name
    try:
        text = read_regular(folder.head)
        head = Head.parse(text)
    except FileNotFoundError:
        return
    except OSError as error:
        yield name, f"it cannot be read: {reason_of(error)}"
        return
    except IndexFormatError as error:
        yield name, str(error)
        return
    if len(text) > MOST_HEAD_BYTES:
        yield name, f"it has more than {MOST_HEAD_BYTES} bytes, which readers refuse"
    if head.index.sha256 != hashlib.sha256(body).hexdigest():
        yield name, "it names another index than index.json: publish the site again"
    elif head.entries != len(index):
        yield name, f"it counts {head.entries} entries where the index has {len(index)}"
    elif head.sum not in (None, sum_text(sum_of_document(index.canonical()))):
        yield name, "its sum is not that of the index: publish the site again"
    yield from _Documents(folder).problems_of(head)


class _Documents:
    """Reads the documents that a head names, and collects what is wrong with them."""

    def __init__(self, folder: SiteFolder) -> None:
        self._root = folder.root
        self._problems: list[tuple[str, str]] = []

    def problems_of(self, head: Head) -> list[tuple[str, str]]:
        indexed = self._parsed(head.index, bytes)
        for span in head.change_files:
            self._parsed(span.document, parse_change_lines)
        if head.about is not None:
            self._parsed(head.about, About.parse)
        if head.table is not None:
            self._parsed(head.table, bytes)
        if head.blocks is not None:
            root = self._parsed(head.blocks, BlockRoot.parse)
            lines = None if root is None else self._parsed(root.lines, bytes)
            if root is not None and lines is not None and indexed is not None:
                self._problems += _block_problems(head.blocks, root, lines, indexed)
        return self._problems

    def _parsed(self, document: NamedDocument, parse: Callable[[bytes], T]) -> T | None:
        try:
            body = read_regular(self._root / document.href)
            if len(body) != document.size:
                problem = f"it has {len(body)} bytes where {document.size} were published"
            elif not document.describes(body):
                problem = "its sha256 is not the published one"
            else:
                return parse(body)
        except FileNotFoundError:
            problem = "there is no such file"
        except OSError as error:
            problem = f"it cannot be read: {reason_of(error)}"
        except IndexFormatError as error:
            problem = str(error)
        self._problems.append((document.href, problem))
        return None


def _block_problems(
    document: NamedDocument, root: BlockRoot, lines: bytes, indexed: bytes
) -> _Problems:
    try:
        found = root.blocks_of(lines, 2, len(indexed) - 2)
    except IndexFormatError as error:
        yield root.lines.href, str(error)
        return
    if not found or (found[0].offset, found[-1].end) != (2, len(indexed) - 2):
        yield root.lines.href, "its blocks do not cover the index"
    for page in root.pages:
        if _sha256(lines[page.offset : page.end]) != page.sha256:
            yield document.href, f"the page at {page.offset} has another sha256"
    for block in found:
        if _sha256(indexed[block.offset : block.end]) != block.sha256:
            yield root.lines.href, f"the block at {block.offset} has another sha256"


def _about_problems(folder: SiteFolder) -> _Problems:
    about = published_about(folder, folder.read_head())
    if about is not None:
        for name, found in read_files(folder, about).items():
            if isinstance(found, str):
                yield name, found


def _pack_problems(folder: SiteFolder, index: Index) -> _Problems:
    copies: dict[str, list[_PackedCopy]] = {}
    for key, entry in index.packed_entries():
        href, offset = entry["packed"]
        copies.setdefault(href, []).append((key, offset, Content.of(entry)))
    for href in sorted(copies):
        for problem in _problems_of_pack(folder, href, copies[href]):
            yield href, problem


def _problems_of_pack(folder: SiteFolder, href: str, copies: list[_PackedCopy]) -> Iterator[str]:
    sha256 = pack_digest(href)
    if sha256 is None:
        yield "a pack has another name: packs/<sha256>.zip"
        return
    try:
        with open_regular(folder.root / href) as pack:
            if hashlib.file_digest(pack, "sha256").hexdigest() != sha256:
                yield (
                    "its sha256 is not the one in its name: "
                    "remove it, and publish the site with packs again"
                )
                return
            size = pack.tell()
            for key, offset, facts in copies:
                if not _is_in_pack(pack, size, offset, facts):
                    yield f"the bytes at {offset} are not {quoted(key)}"
    except FileNotFoundError:
        yield "there is no such file: publish the site again"
    except OSError as error:
        yield f"it cannot be read: {reason_of(error)}"


def _is_in_pack(pack: FileIO, pack_size: int, offset: int, facts: Content) -> bool:
    if facts.size is None or facts.sha256 is None or offset + facts.size > pack_size:
        return False
    pack.seek(offset)
    return _sha256(pack.read(facts.size)) == facts.sha256


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
