"""Files at a site's root beside index, head and page: git's, and our own.

``.nojekyll`` and ``.gitattributes`` make a site survive git and GitHub Pages.  Git on
Windows changes line ends when files are added or checked out, unless configured
otherwise; values, indexes and the site's own words then differ from their digests.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...disk.atomic import atomic_file, later_than
from ...disk.file_system import open_regular, read_regular
from ...errors import IndexFormatError, quoted
from ...index import codec
from ...index.about import FILE_NAMES, MOST_FILE_BYTES
from ...index.head import Role

if TYPE_CHECKING:
    from ..folder.site_folder import SiteFolder

__all__ = [
    "GIT_FILES",
    "OwnFiles",
    "git_warnings",
    "has_git_rules",
    "read_at_most",
    "write_git_files",
]

_ATTRIBUTES_NAME = ".gitattributes"
_ATTRIBUTES = b"""\
# From staticstore: git must not change line ends here, or digests are wrong.
* -text
"""
#: Written once, if missing.  GitHub Pages ignores names that begin with an underscore or a dot,
#: unless there is a `.nojekyll`.
GIT_FILES = {".nojekyll": b"", _ATTRIBUTES_NAME: _ATTRIBUTES}

# Verified by readers, beside the values.  Git leaves packs, tables and compressed copies alone.
_VERIFIED = ("index.json", "index.head.json")
_DIGEST_NAMED = tuple(
    f"{role.folder}/*{role.ending}"
    for role in Role
    if role not in (Role.PACK, Role.TABLE, Role.COMPRESSED)
)
# Attributes without their values: those under which git leaves bytes alone, and the others.
_KEEPS = frozenset(("-text", "-crlf", "binary"))
_CHANGES = frozenset(("text", "!text", "eol", "crlf"))
# The special parts of a pattern: gitattributes(5), as in gitignore(5).
_SPECIAL = re.compile(r"\A\*\*/|/\*\*/|/\*\*\Z|\*+|\?|\[[!^]?\]?[^]]*\]")

_NOTE_FORMAT = "staticstore-written/1"
_FOREIGN = "foreign"  # in place of the digest of what is no file, or too large to be ours


class _LineEndRule(NamedTuple):
    """A line of a ``.gitattributes`` that concerns line ends."""

    expression: re.Pattern[str]
    keeps: bool


def write_git_files(folder: SiteFolder) -> None:
    """Write ``.nojekyll`` and ``.gitattributes`` if they are missing.

    Raises
    ------
    OSError
        One cannot be written.
    """
    for name, body in GIT_FILES.items():
        path = folder.root / name
        if not os.path.lexists(path):
            with atomic_file(path) as file:
                file.write(body)


def git_warnings(folder: SiteFolder, keys: Collection[str]) -> list[str]:
    """Return warnings of rules by which git may change published files in a checkout.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    keys : collection of str
        All keys.  A ``.gitattributes`` among them takes precedence over that of the site.
    """
    warnings: list[str] = []
    data = folder.data_path
    rules = _read_rules(folder.root / _ATTRIBUTES_NAME)
    if rules is not None:
        words = (name for name in FILE_NAMES if (folder.root / name).is_file())
        paths = (*_VERIFIED, *(data + key for key in keys), *words, *_DIGEST_NAMED)
        changed = [path for path in paths if not _keeps(rules, path, otherwise=False)]
        warnings += _warning(_ATTRIBUTES_NAME, changed)
    for key in [key for key in keys if key.endswith(_ATTRIBUTES_NAME)]:
        above = key.removesuffix(_ATTRIBUTES_NAME)
        if not above or above.endswith("/"):
            rules = _read_rules(folder.data / key) or []
            below = (one.removeprefix(above) for one in keys if one.startswith(above))
            changed = [path for path in below if not _keeps(rules, path, otherwise=True)]
            warnings += _warning(data + key, [data + above + path for path in changed])
    return warnings


def has_git_rules(folder: SiteFolder, keys: Iterable[str]) -> bool:
    """Return whether `git_warnings` of such keys has any rules to apply."""
    return _read_rules(folder.root / _ATTRIBUTES_NAME) is not None or any(
        key.endswith(_ATTRIBUTES_NAME) for key in keys
    )


def _warning(name: str, changed: list[str]) -> Iterator[str]:
    if changed:
        more = f" and of {len(changed) - 1} more files" if len(changed) > 1 else ""
        yield (
            f"{quoted(name)} lets git change the line ends of {quoted(changed[0])}{more}, which "
            "makes digests wrong in a checkout: add the line '* -text' at its end"
        )


def _keeps(rules: list[_LineEndRule], path: str, *, otherwise: bool) -> bool:
    # The last rule that matches decides.
    matching = (rule.keeps for rule in reversed(rules) if rule.expression.fullmatch(path))
    return next(matching, otherwise)


def _read_rules(path: Path) -> list[_LineEndRule] | None:
    # None if the file is missing, or ours.
    try:
        body = read_at_most(path, MOST_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError:
        return []
    if body == _ATTRIBUTES:
        return None
    return list(_rules((body or b"").decode("utf-8", "replace")))


def _rules(text: str) -> Iterator[_LineEndRule]:
    for line in text.splitlines():
        pattern, *attributes = line.split() or [""]
        names = {attribute.partition("=")[0] for attribute in attributes}
        relevant = names & (_KEEPS | _CHANGES)
        if relevant and not pattern.startswith(("#", "[attr]")):
            # Next to `-text`, `eol` has no effect.
            yield _LineEndRule(_expression(pattern), not relevant.isdisjoint(_KEEPS))


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    # Paths are relative to the folder of the ``.gitattributes``.
    pattern = pattern.strip('"')
    start = "" if "/" in pattern else "(?:.*/)?"
    pattern = pattern.removeprefix("/")
    text, position = start, 0
    for special in _SPECIAL.finditer(pattern):
        text += re.escape(pattern[position : special.start()]) + _expression_of(special[0])
        position = special.end()
    try:
        return re.compile(text + re.escape(pattern[position:]), re.DOTALL)
    except re.error:  # an invalid class, which git matches with nothing
        return re.compile(r"(?!)")


def _expression_of(special: str) -> str:
    if special[0] == "[":
        inside = special[1:].replace("[", r"\[")
        return f"[^{inside[1:]}" if inside[0] in "!^" else f"[{inside}"
    of = {"**/": "(?:.*/)?", "/**/": "/(?:.*/)?", "/**": "/.*", "?": "[^/]"}
    return of.get(special, "[^/]*")


class OwnFiles:
    """Writes files at a site's root, but replaces only those that staticstore wrote.

    Names and digests are noted in ``.staticstore/written.json`` before the files are
    written: a file is ours by that note, whatever a host says of it.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked before anything is written.
    """

    def __init__(self, folder: SiteFolder) -> None:
        self._root = folder.root
        self._note = folder.private / "written.json"
        self._written = _read_written(self._note)

    def may_write(self, name: str, sha256: str, known: Collection[str] = ()) -> bool:
        """Return whether `write` may write a file: it is missing, ours, or unchanged.

        Parameters
        ----------
        name : str
            Its name at the root, one of a fixed list.
        sha256 : str
            The digest of the bytes.
        known : collection of str, optional
            Digests of files that are ours in addition to those in the note.
        """
        current = self.sha256_of(name)
        return current in (None, sha256) or self._is_ours(name, current, known)

    def write(self, name: str, body: bytes, known: Collection[str] = ()) -> bool:
        """Write a file, unless it has the bytes already; return the result of `may_write`.

        Raises
        ------
        OSError
            It cannot be written.
        """
        sha256 = hashlib.sha256(body).hexdigest()
        if not self.may_write(name, sha256, known):
            return False
        current = self.sha256_of(name)
        if current != sha256:
            # Note both digests: a killed process leaves either file.
            self._write_note({**self._written, name: [*filter(None, [current]), sha256]})
            path = self._root / name
            with atomic_file(path, modified=later_than(path)) as file:
                file.write(body)
        return True

    def remove(self, name: str, known: Collection[str] = ()) -> bool:
        """Remove a file if it is ours; return whether it was removed.

        Raises
        ------
        OSError
            It cannot be removed.
        """
        current = self.sha256_of(name)
        if current is None or not self._is_ours(name, current, known):
            return False
        (self._root / name).unlink(missing_ok=True)
        self._write_note({key: self._written[key] for key in self._written if key != name})
        return True

    def is_foreign(self, name: str) -> bool:
        """Return whether there is a file that staticstore did not write."""
        current = self.sha256_of(name)
        return current is not None and not self._is_ours(name, current, ())

    def sha256_of(self, name: str) -> str | None:
        """Return the digest of a file; None if it is missing."""
        path = self._root / name
        try:
            body = read_at_most(path, MOST_FILE_BYTES)
        except FileNotFoundError:
            return None
        except OSError:
            return _FOREIGN
        return _FOREIGN if body is None else hashlib.sha256(body).hexdigest()

    def _is_ours(self, name: str, current: str | None, known: Collection[str]) -> bool:
        return current in known or current in self._written.get(name, ())

    def _write_note(self, written: dict[str, list[str]]) -> None:
        if written != self._written:
            with atomic_file(self._note) as file:
                file.write(codec.encode({"format": _NOTE_FORMAT, "files": written}) + b"\n")
            self._written = written


def read_at_most(path: Path, most_bytes: int) -> bytes | None:
    """Read a regular file; None if it is a link, special, or larger than the bound.

    Raises
    ------
    OSError
        It is missing, or cannot be read.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        return None
    with io.BufferedReader(open_regular(path)) as file:
        if not os.path.samestat(status, os.fstat(file.fileno())):
            return None  # a link has replaced it meanwhile
        body = file.read(most_bytes + 1)
    return body if len(body) <= most_bytes else None


def _read_written(path: Path) -> dict[str, list[str]]:
    note: Any = None
    with contextlib.suppress(OSError, IndexFormatError):
        note = codec.decode(read_regular(path))
    is_note = isinstance(note, dict) and note.get("format") == _NOTE_FORMAT
    files = note.get("files") if is_note else None
    if not isinstance(files, dict):
        return {}
    return {name: digests for name, digests in files.items() if isinstance(digests, list)}
