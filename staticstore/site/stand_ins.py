"""Files that are hardly meant as values: pointers to others, unfinished ones, backups."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["pointer_problem", "unfinished"]

# git-lfs, docs/spec.md: below 1,024 bytes, the version first; and its names in earlier versions.
_LFS = re.compile(
    rb"(?:\xef\xbb\xbf)?version https?://(?:git-lfs\.github\.com/spec|hawser\.github\.com/spec"
    rb"|git-media\.io)/v/?[0-9]"
)
_MOST_LFS_BYTES = 1024
# git-annex, doc/internals/pointer_file: the path of the object, in one line, below 32 KiB.
_ANNEX = re.compile(rb"[/\\]annex[/\\]objects[/\\][A-Z0-9]+[A-Za-z0-9_+-]*--")
_MOST_ANNEX_BYTES = 1 << 15

# Of downloads that go on (`.part.json` was ours), of files being saved, and of backups.
_UNFINISHED = (
    *(".part", ".part.json", ".partial", ".filepart", ".crdownload", ".download", ".opdownload"),
    *(".aria2", ".!ut", ".bc!", ".tmp", ".temp", ".swp", "~", "#"),
)
_ENDINGS = (*_UNFINISHED, *map(str.upper, _UNFINISHED))
_TAIL = 4  # characters
_TAILS = tuple(ending[-_TAIL:] for ending in _ENDINGS)


def pointer_problem(first_bytes: bytes, size: int) -> str | None:
    r"""Say why a file is not what its name promises, and what to do; None if it may well be.

    Parameters
    ----------
    first_bytes : bytes
        The file's beginning, 1 KiB at least if it is that long.
    size : int
        Of the file, in bytes.

    Examples
    --------
    >>> pointer_problem(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", 128)
    "it is a Git LFS pointer and not the file itself: run 'git lfs pull', and publish again"
    >>> pointer_problem(b"version 1", 9) is None
    True
    """
    if size < _MOST_LFS_BYTES and _LFS.match(first_bytes):
        return (
            "it is a Git LFS pointer and not the file itself: run 'git lfs pull', and publish again"
        )
    if size < _MOST_ANNEX_BYTES and _ANNEX.match(first_bytes):
        return (
            "it is a git-annex pointer and not the file itself: run 'git annex get', "
            "and publish again"
        )
    return None


def unfinished(keys: Collection[str]) -> list[str]:
    """Return the keys whose names programs give to files that are not whole, or not the last.

    They may be data all the same, other than the names that `withheld_key` knows.

    Examples
    --------
    >>> unfinished(["a.csv", "b/a.csv.part", "a.csv~", "#a.csv#", "c#"])
    ['b/a.csv.part', 'a.csv~', '#a.csv#']
    """
    # Of a million keys few tails differ, and none need be compared with all endings.
    tails = {tail for tail in {key[-_TAIL:] for key in keys} if tail.endswith(_TAILS)}
    found = [key for key in keys if key.endswith(_ENDINGS)] if tails else []
    return [key for key in found if key[-1] != "#" or key.rpartition("/")[2][0] == "#"]
