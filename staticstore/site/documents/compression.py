"""Compressed copies of values: ``publish(compress="*.csv")``.

A copy is ``stored/<sha256>.zst``: frames of Zstandard, of 256 KiB of the value each, and
then a seek table, so that a reader of a part fetches only the frames that it needs.  It
is made where it saves a tenth, and kept as long as the value has the same bytes.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

from ... import tuning
from ...disk.file_system import open_regular, sync_files, sync_folder
from ...errors import StoreError, quoted, reason_of
from ...index.fields import Content
from ...index.head import Role
from ...index.hidden import CompressedCopy
from ...transport.values.seek_table import FRAME_BYTES, MOST_TABLE_BYTES, SeekTable
from ...workers import Workers
from ...zstd import decompressed, find_zstd
from ..folder.retention import copies_of
from .document_files import write_pieces

if TYPE_CHECKING:
    from ...index.snapshot import Index
    from ..folder.data_file import FileDigest
    from ..folder.site_folder import SiteFolder

__all__ = [
    "CompressOption",
    "Compressing",
    "Copies",
    "copy_problems",
    "counted",
    "is_copy_href",
    "known_copies",
    "with_copies",
]

#: Patterns of keys; False for no copies; None to keep those that are there.
CompressOption = str | Iterable[str] | Literal[False] | None

# A copy is made if it has at most this part of the bytes of the value.
_MOST_PART = 9 / 10
_HREF = re.compile(r"stored/[0-9a-f]{64}\.zst\Z")
_MISSING = (
    "compressed copies need Zstandard, which Python has from 3.14 on, and else the extra "
    "`zstd` brings (the package `backports.zstd`)"
)


class Compressing(NamedTuple):
    """Which values get a compressed copy, and how."""

    #: Of their keys; None for those that have one already.
    patterns: tuple[str, ...] | None
    #: Whether to write the copies, or only to compute what they would be.
    writes: bool = True

    @classmethod
    def of(cls, option: CompressOption, *, writes: bool) -> Compressing:
        """Read what a caller of `publish` wants.

        Raises
        ------
        StoreError
            The module that compresses is not installed.
        TypeError
            It is neither a pattern, patterns, False nor None.

        Examples
        --------
        >>> Compressing.of(False, writes=True).patterns
        ()
        """
        if option is None:
            return cls(None, writes)
        given = (option,) if isinstance(option, str) else option or ()
        patterns = tuple(given) if isinstance(given, Iterable) else (given,)
        if not all(isinstance(pattern, str) for pattern in patterns):
            raise TypeError(f"compress takes patterns of keys, such as ['*.csv'], not {option!r}")
        if patterns and find_zstd() is None:
            raise StoreError(f"{_MISSING}; or publish without them")
        return cls(patterns, writes)

    def chosen(self, keys: Iterable[str]) -> list[str]:
        """Return the keys that match a pattern."""
        texts = map(fnmatch.translate, self.patterns or ())
        matches = re.compile("|".join(texts)).match if self.patterns else lambda key: None
        return [key for key in keys if matches(key)]

    def warnings(self, keys: Collection[str]) -> Iterator[str]:
        """Yield a warning for each pattern that matches no key."""
        for pattern in self.patterns or ():
            matches = re.compile(fnmatch.translate(pattern)).match
            if not any(map(matches, keys)):
                hint = next(_patterns_alike(pattern, keys), None)
                more = "" if hint is None else f": did you mean {quoted(hint)}?"
                yield f"no key matches {quoted(pattern)}, so nothing is compressed by it{more}"


def _patterns_alike(pattern: str, keys: Collection[str]) -> Iterator[str]:
    # A suffix instead of a pattern, a folder, another case.
    for alike in (f"*.{pattern.lstrip('.')}", f"{pattern.rstrip('/')}/*", pattern.lower()):
        if any(map(re.compile(fnmatch.translate(alike)).match, keys)):
            yield alike


class Copies(NamedTuple):
    """The compressed copies of some values."""

    #: By key.
    of: dict[str, CompressedCopy]
    #: The sha256 of values of which a copy would save too little.
    incompressible: frozenset[str] = frozenset()
    #: Whether each value that was to have a copy was read, and as it was hashed.
    is_complete: bool = True
    warnings: tuple[str, ...] = ()


def is_copy_href(href: str) -> bool:
    """Return whether an href is that of a compressed copy."""
    return _HREF.match(href) is not None


def counted(copies: Iterable[CompressedCopy]) -> dict[str, int]:
    """Return how many values share each copy, by href."""
    return dict(Counter(copy.href for copy in copies))


def known_copies(contents: Iterable[Content]) -> dict[str, CompressedCopy]:
    """Return the compressed copies that entries name, by the sha256 of the values."""
    return {
        content.sha256: CompressedCopy(content.compressed.size, content.compressed.sha256)
        for content in contents
        if content.sha256 is not None and content.compressed is not None
    }


def with_copies(
    folder: SiteFolder,
    digests: Mapping[str, FileDigest],
    had: Iterable[str],
    known: Mapping[str, CompressedCopy],
    compressing: Compressing,
    incompressible: frozenset[str],
    is_unchanged: Callable[[str], bool],
) -> Copies:
    """Make the compressed copies of values that lack one, and return all.

    A value whose file has changed since it was hashed gets none.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    digests : mapping of str to FileDigest
        The digests of the values, by key.
    had : iterable of str
        The keys that had a copy, whatever their values were.
    known : mapping of str to CompressedCopy
        The copies that were published, by the sha256 of their values.
    compressing : Compressing
        Which values to compress.
    incompressible : frozenset of str
        The sha256 of values of which a copy would save too little, as far as that is known.
    is_unchanged : callable
        Returns whether the copy at an href is as the last publish left it; other copies
        are hashed.

    Raises
    ------
    StoreError
        A copy cannot be written.

    Notes
    -----
    Each value is read once more, by one of a few threads; memory holds a frame for each.
    """
    if compressing.patterns is None:
        keys = [*had, *(key for key, digest in digests.items() if digest.sha256 in known)]
    else:
        keys = compressing.chosen(digests)
    wanted: dict[str, str] = {}  # a key for each digest
    for key in keys:
        if key in digests and digests[key].size:
            wanted.setdefault(digests[key].sha256, key)
    found = {
        sha256: known[sha256]
        for sha256 in wanted
        if sha256 in known and _is_whole(folder, known[sha256], is_unchanged)
    }
    missing = {
        sha256: key
        for sha256, key in wanted.items()
        if sha256 not in found and sha256 not in incompressible
    }
    warnings: tuple[str, ...] = ()
    if missing and find_zstd() is None:
        count = len(missing)
        warnings = (f"{count} new values have no compressed copy any more: {_MISSING}",)
        missing = {}
    made = _compress_all(folder, digests, missing.values(), writes=compressing.writes)
    found |= {digests[key].sha256: copy for key, copy in made.items() if copy}
    too_long = {digests[key].sha256 for key, copy in made.items() if copy is None}
    return Copies(
        {key: found[digests[key].sha256] for key in keys if _sha256_of(digests, key) in found},
        frozenset(wanted).intersection(incompressible | too_long),
        len(made) == len(missing),
        warnings,
    )


def _sha256_of(digests: Mapping[str, FileDigest], key: str) -> str:
    return digests[key].sha256 if key in digests else ""


def _is_whole(
    folder: SiteFolder, copy: CompressedCopy, is_unchanged: Callable[[str], bool]
) -> bool:
    return is_unchanged(copy.href) or _problem_of_file(folder.root / copy.href, copy) is None


def _problem_of_file(path: Path, copy: CompressedCopy) -> str | None:
    try:
        with open_regular(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except FileNotFoundError:
        return "there is no such file: publish the site again"
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"
    if (size, sha256) != (copy.size, copy.sha256):
        return "its bytes are not those that were published: publish the site again"
    return None


# -- compression ---------------------------------------------------------------------------


class _TooLongError(Exception):
    """A copy would save too little."""


class _ChangedError(Exception):
    """A file has other bytes than when it was hashed."""


def _compress_all(
    folder: SiteFolder, digests: Mapping[str, FileDigest], keys: Iterable[str], *, writes: bool
) -> dict[str, CompressedCopy | None]:
    """Write the copies of the values; None for one that would be too long.

    A value that could not be read as it was hashed is left out.
    """
    workers = min(os.cpu_count() or 1, tuning.HASH_WORKERS)
    with Workers(workers, "staticstore compress") as pool:
        calls = {
            key: pool.submit(partial(_compress, folder, key, digests[key], writes=writes))
            for key in keys
        }
        found: dict[str, CompressedCopy | None] = {}
        for key, call in calls.items():
            try:
                found[key] = call.result()
            except _ChangedError:
                continue
    if writes and (paths := [str(folder.root / copy.href) for copy in found.values() if copy]):
        try:
            sync_files(paths)
            sync_folder(folder.root / Role.COMPRESSED.folder)
        except OSError as error:
            raise folder.write_error(error) from error
    return found


def _compress(
    folder: SiteFolder, key: str, digest: FileDigest, *, writes: bool
) -> CompressedCopy | None:
    path = os.path.join(folder.data, key)
    try:
        if not writes:
            size, hasher = 0, hashlib.sha256()
            for piece in _frames(path, digest):
                size += len(piece)
                hasher.update(piece)
            return CompressedCopy(size, hasher.hexdigest())
        document = write_pieces(folder, Role.COMPRESSED, _frames(path, digest))
    except _TooLongError:
        return None
    except OSError as error:
        raise folder.write_error(error) from error
    return CompressedCopy(document.size, document.sha256)


def _frames(path: str, digest: FileDigest) -> Iterator[bytes]:
    """Yield the frames of a copy and its seek table, as long as it saves a tenth."""
    zstd = find_zstd()
    assert zstd is not None, "it was looked for"
    options = zstd.CompressionParameter
    compressor = zstd.ZstdCompressor(
        options={
            options.compression_level: tuning.COMPRESSION_LEVEL,
            options.checksum_flag: 1,  # parts are verified by nothing else
        }
    )
    sizes: list[int] = []
    count, hasher = 0, hashlib.sha256()
    left = int(digest.size * _MOST_PART)
    for piece in _pieces(path, digest.size):
        count += len(piece)
        hasher.update(piece)
        compressor.set_pledged_input_size(len(piece))
        frame = compressor.compress(piece, compressor.FLUSH_FRAME)
        sizes.append(len(frame))
        left -= len(frame)
        if left < 0:
            raise _TooLongError
        yield frame
    if (count, hasher.hexdigest()) != (digest.size, digest.sha256):
        raise _ChangedError
    table = SeekTable(sizes, FRAME_BYTES, count).encode()
    if len(table) > left:
        raise _TooLongError
    yield table


def _pieces(path: str, size: int) -> Iterator[bytes]:
    try:
        with io.BufferedReader(open_regular(path), FRAME_BYTES) as file:
            left = size + 1  # bounded, since it may be growing
            while piece := file.read(min(FRAME_BYTES, left)):
                left -= len(piece)
                yield piece
    except OSError as error:
        raise _ChangedError from error


# -- verification --------------------------------------------------------------------------


def copy_problems(folder: SiteFolder, index: Index) -> Iterator[tuple[str, str]]:
    """Yield the compressed copies that are not what an index says, and why.

    Without the module that decompresses only their own digests are compared.
    """
    keys = copies_of(index)
    contents = index.contents_of(keys)
    for key, copy in sorted(keys.items(), key=lambda pair: (pair[1].href, pair[0])):
        path = folder.root / copy.href
        problem = _problem_of_file(path, copy) or _problem_of_copy(path, copy, contents[key])
        if problem is not None:
            yield copy.href, f"of {quoted(key)}: {problem}"


def _problem_of_copy(path: Path, copy: CompressedCopy, content: Content) -> str | None:
    if content.size is None or content.sha256 is None:
        return "the value has no size and digest, so that no reader uses its copy"
    if find_zstd() is None:
        return None
    try:
        with io.BufferedReader(open_regular(path)) as file:
            return _problem_of_frames(file, copy, content.size, content.sha256)
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"


def _problem_of_frames(file: BinaryIO, copy: CompressedCopy, size: int, sha256: str) -> str | None:
    file.seek(-min(copy.size, MOST_TABLE_BYTES), os.SEEK_END)
    hasher = hashlib.sha256()
    try:
        table = SeekTable.parse(file.read(), copy.size, size)
        file.seek(0)
        for number in range(len(table)):
            first, last = table.place_of(range(number, number + 1))
            hasher.update(decompressed(file.read(last - first), table.held_by(number)))
    except ValueError as error:
        return f"it cannot be used: {error}"
    return None if hasher.hexdigest() == sha256 else "it is that of another value"
