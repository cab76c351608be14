"""What makes a site survive git and GitHub Pages: ``.nojekyll`` and ``.gitattributes``.

Git on Windows changes line ends unless it is told not to, when files are added
or checked out; values, indexes and the site's own words are then no longer
what their digests say.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import quoted
from ..index.about import FILE_NAMES, MOST_FILE_BYTES
from ..index.head import Role
from ..transport.atomic import atomic_file
from .folder import SiteFolder
from .own_files import read_at_most

__all__ = ["GIT_FILES", "git_warnings", "write_git_files"]

_NAME = ".gitattributes"
_ATTRIBUTES = b"""\
# From staticstore: git must not change line ends here, or digests are wrong.
* -text
"""
#: Files that are written beside a site where there are none, and never again.  GitHub Pages
#: passes over names that start with an underscore or a dot, unless there is the first.
GIT_FILES = {".nojekyll": b"", _NAME: _ATTRIBUTES}

_DATA = "data/"
# What is held against a digest beside the values; packs are no text, of which git takes notice.
_OWN = ("index.json", "index.head.json")
_NAMED = tuple(f"{role.folder}/*{role.ending}" for role in Role if role is not Role.PACK)
# Of attributes, less their values: those under which git leaves bytes alone, and the others.
_KEEPS = frozenset(("-text", "-crlf", "binary"))
_CHANGES = frozenset(("text", "!text", "eol", "crlf"))
# Of a pattern (gitattributes(5), as in gitignore(5)), what stands for more than itself.
_SPECIAL = re.compile(r"\A\*\*/|/\*\*/|/\*\*\Z|\*+|\?|\[[!^]?\]?[^]]*\]")


class _Rule(NamedTuple):
    """A line of attributes that says something of line ends."""

    expression: re.Pattern[str]
    keeps: bool


def write_git_files(folder: SiteFolder) -> None:
    """Write those of the files that are not there.

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
    """Say which rules of git may change what is published, in a checkout.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    keys : collection of str
        All keys.  A ``.gitattributes`` among them goes before that of the site.
    """
    warnings: list[str] = []
    rules = _read_rules(folder.root / _NAME)
    if rules is not None:
        words = (name for name in FILE_NAMES if (folder.root / name).is_file())
        paths = (*_OWN, *(_DATA + key for key in keys), *words, *_NAMED)
        changed = [path for path in paths if not _keeps(rules, path, otherwise=False)]
        warnings += _warning(_NAME, changed)
    for key in [key for key in keys if key.endswith(_NAME)]:
        above = key.removesuffix(_NAME)
        if not above or above.endswith("/"):
            rules = _read_rules(folder.data / key) or []
            below = (one.removeprefix(above) for one in keys if one.startswith(above))
            changed = [path for path in below if not _keeps(rules, path, otherwise=True)]
            warnings += _warning(_DATA + key, [_DATA + above + path for path in changed])
    return warnings


def _warning(name: str, changed: list[str]) -> Iterator[str]:
    if changed:
        more = f" and of {len(changed) - 1} more files" if len(changed) > 1 else ""
        yield (
            f"{quoted(name)} lets git change the line ends of {quoted(changed[0])}{more}, which "
            "makes digests wrong in a checkout: add the line '* -text' at its end"
        )


def _keeps(rules: list[_Rule], path: str, *, otherwise: bool) -> bool:
    """Return what the last rule for a path says."""
    said = (rule.keeps for rule in reversed(rules) if rule.expression.fullmatch(path))
    return next(said, otherwise)


def _read_rules(path: Path) -> list[_Rule] | None:
    """Return the rules of a file; None if there is no such file, or it is ours."""
    try:
        body = read_at_most(path, MOST_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError:
        return []
    if body == _ATTRIBUTES:
        return None
    return list(_rules((body or b"").decode("utf-8", "replace")))


def _rules(text: str) -> Iterator[_Rule]:
    for line in text.splitlines():
        pattern, *attributes = line.split() or [""]
        names = {attribute.partition("=")[0] for attribute in attributes}
        says = names & (_KEEPS | _CHANGES)
        if says and not pattern.startswith(("#", "[attr]")):
            # With `-text`, `eol` is without meaning.
            yield _Rule(_expression(pattern), not says.isdisjoint(_KEEPS))


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Return what matches the paths of a pattern, from the folder of its file on."""
    pattern = pattern.strip('"')
    start = "" if "/" in pattern else "(?:.*/)?"
    pattern = pattern.removeprefix("/")
    text, position = start, 0
    for special in _SPECIAL.finditer(pattern):
        text += re.escape(pattern[position : special.start()]) + _expression_of(special[0])
        position = special.end()
    try:
        return re.compile(text + re.escape(pattern[position:]), re.DOTALL)
    except re.error:  # a class that is none, which git matches with nothing
        return re.compile(r"(?!)")


def _expression_of(special: str) -> str:
    if special[0] == "[":
        inside = special[1:].replace("[", r"\[")
        return f"[^{inside[1:]}" if inside[0] in "!^" else f"[{inside}"
    of = {"**/": "(?:.*/)?", "/**/": "/(?:.*/)?", "/**": "/.*", "?": "[^/]"}
    return of.get(special, "[^/]*")
