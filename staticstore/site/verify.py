"""Whether a site's data is what its index says: for ``publish --check``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import StoreError, quoted
from ..index.fields import Content
from ..index.snapshot import Index
from ..transport.regular import open_regular, read_regular
from .about import published_about, read_files
from .file_digest import Digest
from .folder import SiteFolder, path_text, reason_of
from .found_file import FoundFile
from .hashing import Progress, hash_files
from .head_check import head_problems
from .history import read_head
from .pack_check import pack_problems
from .scan import LeftOut, scan
from .withheld import FIRST_BYTES, holds_private_key

__all__ = ["VerifyReport", "verify_site"]


@dataclass(frozen=True)
class VerifyReport:
    """What a verification found.

    Attributes
    ----------
    wrong : list of (str, str)
        The keys whose values are missing, or others than the index says, each
        with what is wrong; in key order.  First, under ``"index.json"`` and the
        paths of the head, of what that names, of files that the site's own words
        name, and of packs, what is wrong with those.
    extra : list of str
        What lies in ``data/`` and could be published, but is not in the index;
        in key order.
    checked : int
        How many entries the index has; each was looked at.
    """

    wrong: list[tuple[str, str]]
    extra: list[str]
    checked: int


def verify_site(site: str | os.PathLike[str], *, progress: Progress | None = None) -> VerifyReport:
    """Hash every value of a site again, and hold it against the index.

    Nothing is written, and the publisher's notes are not believed.  A value
    for which the index has neither size nor digest only has to be there.

    Parameters
    ----------
    site : path
        The site's folder.
    progress : callable, optional
        Called in this thread as ``progress(done, total)``, in bytes.

    Returns
    -------
    VerifyReport

    Raises
    ------
    StoreError
        There is no such site, or links lead out of its ``data/``.
    IndexFormatError
        Its index cannot be read.

    Notes
    -----
    Reads all of the data, as `publish` does what is new.
    """
    folder = SiteFolder.open(site)
    index, body = _read_index(folder)
    found = scan(folder.data, published=index, spares=lambda _: True)
    named = [file for file in found.files if file.key in index]
    outcomes = hash_files(named, progress=progress, seeks_keys=False)
    reasons = {one.path: one.reason for one in found.left_out}
    wrong = [("index.json", warning) for warning in index.warnings]
    wrong += head_problems(folder, index, body)
    wrong += _about_problems(folder)
    wrong += pack_problems(folder, index)
    for key in index:
        outcome = outcomes.get(key)
        content = Content.of(index[key])
        problem = _absence(key, reasons) if outcome is None else _problem(content, outcome)
        if problem is not None:
            wrong.append((key, problem))
    return VerifyReport(wrong, _extra(found.files, index), len(index))


def _about_problems(folder: SiteFolder) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the files that the site's own words name."""
    head = read_head(folder)
    about = None if head is None else published_about(folder, head)
    if about is not None:
        for name, found in read_files(folder, about).items():
            if isinstance(found, str):
                yield name, found


def _read_index(folder: SiteFolder) -> tuple[Index, bytes]:
    try:
        body = read_regular(folder.index)
    except FileNotFoundError as error:
        shown = quoted(str(folder.root))
        raise StoreError(f"{shown} has no index.json: publish it first") from error
    except OSError as error:
        raise StoreError(f"index.json cannot be read: {reason_of(error)}") from error
    return Index.parse(body), body


def _absence(key: str, reasons: Mapping[str, str]) -> str:
    """Say why a key has no file: it, or a folder above it, is left out, or is not there."""
    path = path_text(key)
    while path:
        if path in reasons:
            return reasons[path]
        path = path.rpartition("/")[0]
    return "there is no such file in data/"


def _problem(content: Content, outcome: Digest | LeftOut) -> str | None:
    if isinstance(outcome, LeftOut):
        return outcome.reason
    if content.size is not None and outcome.size != content.size:
        return f"it has {outcome.size} bytes where the index says {content.size}"
    if content.sha256 is not None and outcome.sha256 != content.sha256:
        return "its sha256 is another than the index says"
    return None


def _extra(files: Sequence[FoundFile], index: Index) -> list[str]:
    return [file.key for file in files if file.key not in index and not _is_secret(file.path)]


def _is_secret(path: str) -> bool:
    try:
        with open_regular(path) as file:
            return holds_private_key(file.read(FIRST_BYTES))
    except OSError:  # not published, whatever it is
        return False
