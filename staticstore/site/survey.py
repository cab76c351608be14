"""Where the values of an index may be written in a folder, and what stands there already."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..errors import InvalidKeyError, quoted
from ..index.fields import Content
from ..index.keys import key_to_path
from .file_digest import Digest
from .folder import SiteFolder, reason_of
from .found_file import FoundFile
from .hashing import hash_files
from .notes import Notes
from .pruning import only_files_below

__all__ = ["Ground", "spelling_of", "survey", "unfit_keys"]

#: Returns the same text for all names that a file system takes for one.
Spelling = Callable[[str], str]

# A segment of fewer characters is short enough in every encoding.
_SURELY_SHORT = 63


@dataclass
class Ground:
    """What a folder has of the values of an index, and where it takes none.

    Attributes
    ----------
    kept : dict
        From the keys whose values stand there and are right to their digests.
    occupied : set of str
        Of the others, those in whose place a file stands.
    refused : dict
        From the keys that cannot be written to the reasons.
    covered : dict
        From the keys in whose way a file or folder stands that no value needs
        to where that is below ``data/``.
    obstacles : dict
        From those places to how many files they have.
    """

    kept: dict[str, Digest] = field(default_factory=dict)
    occupied: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    covered: dict[str, str] = field(default_factory=dict)
    obstacles: dict[str, int] = field(default_factory=dict)


class _Obstacle(NamedTuple):
    """A file or folder in the way of a value that may be removed."""

    #: Where it is below ``data/``.
    place: str
    #: How many files it has.
    files: int


def spelling_of(folder: Path) -> Spelling:
    """Find out which names the file system of a folder takes for the same, by writing a file.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    probe = folder / "probe-\u00e9"
    probe.unlink(missing_ok=True)  # of a killed run, or somebody's link
    probe.touch(exist_ok=False)
    try:
        folds_case = os.path.lexists(folder / "PROBE-\u00c9")
        folds_form = os.path.lexists(folder / "probe-e\u0301")
    finally:
        probe.unlink()

    def spelling(key: str) -> str:
        if folds_form:
            key = unicodedata.normalize("NFC", key)
        if folds_case:
            key = key.casefold()
        return key

    return spelling


def unfit_keys(keys: Iterable[str], spelling: Spelling) -> dict[str, str]:
    """Return the keys that cannot have files of their own, and why.

    Of two keys that would be one file the first stays.  A key that is also a
    folder of others goes, so that those stay.

    Examples
    --------
    >>> unfit_keys(["A", "a", "b", "b/c"], str.casefold)
    {'a': "the file system takes it for 'A'", 'b': 'other keys need a folder of that name'}
    """
    keys = list(keys)
    names = [spelling(key) for key in keys]
    folders = _keys_that_are_folders(names)
    spelled: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for key, name in zip(keys, names, strict=True):
        if os.name == "nt" or len(key) > _SURELY_SHORT:
            try:
                key_to_path(key)
            except InvalidKeyError as error:
                reasons[key] = str(error)
                continue
        if name in folders:
            reasons[key] = "other keys need a folder of that name"
        elif (other := spelled.setdefault(name, key)) != key:
            reasons[key] = f"the file system takes it for {quoted(other)}"
    return reasons


def _keys_that_are_folders(names: Iterable[str]) -> set[str]:
    """Return the names that are folders of others.

    Sorting avoids a set of all folders, which is quadratic in the length of a name.
    """
    # With slashes sorted before all other characters, a folder precedes what is below it.
    ordered = sorted(name.replace("/", "\0") for name in names)
    return {
        one.replace("\0", "/")
        for one, following in itertools.pairwise(ordered)
        if following.startswith(one + "\0")
    }


def survey(
    folder: SiteFolder, contents: Mapping[str, Content], notes: Notes, *, clears: bool = False
) -> Ground:
    """Look at the place of each value; nothing is written, and no link is followed.

    A file of the right size is believed if the notes say that it was right,
    and has stood still since; otherwise it is hashed.  A value without a digest
    is never believed to stand there.

    Parameters
    ----------
    folder : SiteFolder
        Where the values shall stand.
    contents : mapping
        What the index says of the values, by their keys.
    notes : Notes
        What files were when they were hashed, or written.
    clears : bool, optional
        Whether files that are no values may be removed: also where a file has
        become a folder, or a folder a file.
    """
    ground = Ground()
    ways = _Ways(folder.data)
    doubtful: list[FoundFile] = []
    for key, content in contents.items():
        path = f"{ways.data}/{key}"
        above = key.rpartition("/")[0]
        problem = ways.problem(above)
        status = None
        if problem is None and above not in ways.missing:
            status, problem = _looked_at(path)
        if problem is not None:
            obstacle = None
            if clears:
                with contextlib.suppress(OSError):  # what cannot be looked at stays
                    obstacle = ways.obstacle(key)
            if obstacle is None:
                ground.refused[key] = problem
            else:
                ground.covered[key] = obstacle.place
                ground.obstacles[obstacle.place] = obstacle.files
        elif status is not None:
            file = FoundFile.of(key, path, status)
            noted = notes.digest_of(file)
            if content.sha256 is None or content.size not in (None, file.size):
                ground.occupied.add(key)
            elif noted is not None and noted.sha256 == content.sha256:
                ground.kept[key] = noted
            else:
                doubtful.append(file)
    for key, outcome in hash_files(doubtful, seeks_keys=False).items():
        if isinstance(outcome, Digest) and outcome.sha256 == contents[key].sha256:
            ground.kept[key] = outcome
        else:
            ground.occupied.add(key)
    return ground


def _looked_at(path: str) -> tuple[os.stat_result | None, str | None]:
    """Return the status of a file, and what stands in its place if that is none."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        return None, reason_of(error)
    if stat.S_ISREG(status.st_mode):
        return status, None
    return None, f"{_what(status.st_mode)} stands in its place"


class _Ways:
    """The folders that lead to values: each looked at once."""

    def __init__(self, data: Path) -> None:
        self.data = os.fspath(data)
        self._problems: dict[str, str | None] = {"": None}
        #: Folders that are not there, and so no value in them.
        self.missing: set[str] = set()

    def obstacle(self, key: str) -> _Obstacle | None:
        """Return the file or folder in the way of a value; None if it holds anything else.

        Raises
        ------
        OSError
            It cannot be looked at.
        """
        path = ""
        for segment in key.split("/"):
            path = f"{path}/{segment}" if path else segment
            mode = os.lstat(f"{self.data}/{path}").st_mode
            if stat.S_ISREG(mode):
                return _Obstacle(path, 1)
            if not stat.S_ISDIR(mode):
                return None
        files = only_files_below(Path(self.data, path))
        return None if files is None else _Obstacle(path, files)

    def problem(self, folder: str) -> str | None:
        """Say what keeps files from being written into a folder below ``data/``."""
        if folder not in self._problems:
            self._problems[folder] = self._first_problem(folder)
        return self._problems[folder]

    def _first_problem(self, folder: str) -> str | None:
        # In a loop from the top: a key may have more segments than Python recurses.
        path = ""
        for segment in folder.split("/"):
            path = f"{path}/{segment}" if path else segment
            if path not in self._problems:
                self._problems[path] = self._problem_of(path)
            if (problem := self._problems[path]) is not None:
                return problem
            if path in self.missing:
                self.missing.add(folder)  # so is everything below a missing folder
                break
        return None

    def _problem_of(self, folder: str) -> str | None:
        try:
            mode = os.lstat(f"{self.data}/{folder}").st_mode
        except FileNotFoundError:
            self.missing.add(folder)
            return None
        except OSError as error:
            return reason_of(error)
        if stat.S_ISDIR(mode):
            return None
        return f"{_what(mode)} stands where its folder {quoted(folder)} shall be"


def _what(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a file" if stat.S_ISREG(mode) else "what is no regular file"
