"""A survey of a folder: the values that it has, and those that it cannot take."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ... import tuning
from ...errors import InvalidKeyError, quoted, reason_of
from ...index.fields import Content, key_to_path
from ..folder.data_file import FileDigest, FoundFile
from ..folder.hashing import hash_files
from ..folder.notes import digest_in_state
from ..folder.retention import only_files_below
from ..folder.withheld import may_be_withheld

if TYPE_CHECKING:
    from ...index.snapshot import Index
    from ..folder.notes import Notes
    from ..folder.site_folder import SiteFolder

__all__ = [
    "Survey",
    "doubtful_keys",
    "spelling_of",
    "survey",
    "unfit_keys",
    "unwritable_keys",
]

#: Returns the same text for all names that a file system takes for one.
Spelling = Callable[[str], str]

# A shorter segment fits into a file name in every encoding.
_SHORT_CHARACTERS = 63


@dataclass
class Survey:
    """What a folder has of the values of an index.

    Attributes
    ----------
    kept : dict of str to FileDigest
        The keys whose files are right, and their digests.
    occupied : set of str
        The other keys whose place has a file.
    refused : dict of str to str
        The keys that cannot be written, and why.
    covered : dict of str to str
        The keys whose place is blocked by a file or folder that no value needs,
        and its path below ``data/``.
    obstacles : dict of str to int
        Those paths, and the number of files of each.
    """

    kept: dict[str, FileDigest] = field(default_factory=dict)
    occupied: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    covered: dict[str, str] = field(default_factory=dict)
    obstacles: dict[str, int] = field(default_factory=dict)


def spelling_of(folder: Path) -> Spelling:
    """Find out, by writing a file, which names a file system takes for the same.

    Parameters
    ----------
    folder : Path
        A folder that can be written.

    Returns
    -------
    callable
        Returns the same text for all keys that would be one file.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    probe = folder / "probe-\u00e9"
    probe.unlink(missing_ok=True)  # of a killed run, or a link
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

    Of two keys that would be one file the first is kept.  A key that is also a
    folder of others is unfit, so that the others are kept.

    Examples
    --------
    >>> unfit_keys(["A", "a", "b", "b/c"], str.casefold)
    {'a': "the file system takes it for 'A'", 'b': 'other keys need a folder of that name'}
    """
    keys = list(keys)
    names = list(map(spelling, keys))
    folders = _names_of_folders(names)
    are_short = os.name != "nt" and max(map(len, keys), default=0) <= _SHORT_CHARACTERS
    if are_short and not folders and len(set(names)) == len(names):  # benchmark: mirror-again
        return {}
    spelled: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for key, name in zip(keys, names, strict=True):
        if os.name == "nt" or len(key) > _SHORT_CHARACTERS:
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


def unwritable_keys(folder: Path, keys: Collection[str]) -> dict[str, str]:
    """Return the keys that cannot have files below a folder, and why; follow no link there.

    Raises
    ------
    OSError
        The folder does not exist, or cannot be written.
    """
    import tempfile  # slow to import

    with tempfile.TemporaryDirectory(prefix=".staticstore-", dir=folder) as probes:
        reasons = unfit_keys(keys, spelling_of(Path(probes)))
    places = _Places(folder)
    for key in keys:
        if key not in reasons:
            problem = places.problem(key.rpartition("/")[0]) or _status_of(f"{folder}/{key}")[1]
            if problem is not None:
                reasons[key] = problem
    return reasons


def _names_of_folders(names: Iterable[str]) -> set[str]:
    # Sorted with "/" before all other characters, a folder precedes what is below it.
    # A set of all folders of all names would be quadratic in the length of a name.
    ordered = sorted(name.replace("/", "\0") for name in names)
    starts = [f"{name}\0" for name in ordered]
    have_others = map(str.startswith, ordered[1:], starts)
    return {name.replace("\0", "/") for name in itertools.compress(ordered, have_others)}


def survey(
    folder: SiteFolder,
    contents: Mapping[str, Content],
    noted: Mapping[str, FileDigest],
    *,
    clears: bool = False,
) -> Survey:
    """Look at the place of each value; nothing is written, and no link is followed.

    A file of the right size counts as right without hashing if the notes have its
    digest and it has not changed since.  A value without a digest is never kept.

    Parameters
    ----------
    folder : SiteFolder
        The folder for the values.
    contents : mapping of str to Content
        What the index says of the values, by key.
    noted : mapping of str to FileDigest
        The digests of files when they were hashed or written.
    clears : bool, optional
        Whether files that are no values may be removed, also where a file has
        become a folder, or a folder a file.

    Notes
    -----
    Costs a system call for each value, and one for each folder.  benchmark: mirror-again
    """
    found = Survey()
    places = _Places(folder.data)
    doubtful: list[FoundFile] = []
    above = problem_above = None
    is_missing = False
    for key, content in contents.items():
        path = f"{places.data}/{key}"
        if (of_key := key.rpartition("/")[0]) != above:
            above, problem_above = of_key, places.problem(of_key)
            is_missing = above in places.missing
        status, problem = None, problem_above
        if problem is None and not is_missing:
            status, problem = _status_of(path)
        if problem is not None:
            obstacle = None
            if clears:
                with contextlib.suppress(OSError):  # what cannot be read stays
                    obstacle = places.obstacle(key)
            if obstacle is None:
                found.refused[key] = problem
            else:
                found.covered[key], files = obstacle
                found.obstacles[found.covered[key]] = files
        elif status is not None:
            size = status.st_size
            digest = digest_in_state(noted, key, size, status.st_mtime_ns, status.st_ino)
            if content.sha256 is None or (content.size is not None and content.size != size):
                found.occupied.add(key)
            elif digest is not None and digest.sha256 == content.sha256:
                found.kept[key] = digest
            else:
                doubtful.append(FoundFile.of(key, path, status))
    for key, outcome in hash_files(doubtful, seeks_keys=False).items():
        if isinstance(outcome, FileDigest) and outcome.sha256 == contents[key].sha256:
            found.kept[key] = outcome
        else:
            found.occupied.add(key)
    return found


def doubtful_keys(folder: SiteFolder, notes: Notes, old: Index, new: Index) -> set[str] | None:
    """Return the keys that `survey` has to look at, and those that are gone.

    For all others the file is as noted, and so is the entry.  None if all have to be
    looked at: some may be withheld, or cannot have files of their own, or so many entries
    have changed that a comparison costs more than it saves.

    Parameters
    ----------
    folder : SiteFolder
        The folder for the values.
    notes : Notes
        Notes that go with the old index.
    old, new : Index
        The index of the folder, and that of the site; the same one if they are equal.

    Notes
    -----
    Costs a comparison of both indexes in memory, a system call for each file, and four
    for each folder.  benchmark: mirror-again
    """
    noted = list(notes)
    if may_be_withheld(noted) or (old is not new and _differ_much(noted, old, new)):
        return None
    keys = set[str]() if old is new else set(old.keys_of_other_bytes(new, is_final=False))
    if len(noted) != len(old):
        keys.update(set(new).difference(noted))
    if any(key not in old for key in keys.difference(noted)):
        fit = set(noted).difference(keys).union(new.contents_of(keys))
        if unfit_keys(sorted(fit), spelling_of(folder.private)):
            return None
    return keys | _changed_files(folder, notes)


def _differ_much(keys: Sequence[str], old: Index, new: Index) -> bool:
    sampled = keys[:: max(len(keys) // tuning.MIRROR_SAMPLED_ENTRIES, 1)]
    differing = sum(old.raw(key) != new.raw(key) for key in sampled)
    return differing > tuning.MIRROR_COMPARED_ENTRIES


def _changed_files(folder: SiteFolder, notes: Notes) -> set[str]:
    """Return the noted keys whose files have another state now, or cannot be reached."""
    places = _Places(folder.data)
    changed = set[str]()
    for prefix, noted in notes.folders.items():
        above = prefix.rstrip("/")
        has_problem = places.problem(above) is not None or above in places.missing
        # With a slash at its end, a link would be followed.
        path = f"{places.data}/{above}".rstrip("/")
        names = noted.name_list() if has_problem else noted.changed_in(path)
        changed.update(prefix + name for name in names)
    return changed


def _status_of(path: str) -> tuple[os.stat_result | None, str | None]:
    """Return the status of a regular file, or what else is in its place."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        return None, reason_of(error)
    if stat.S_ISREG(status.st_mode):
        return status, None
    return None, f"{_kind_of(status.st_mode)} is in its place"


class _Places:
    """The folders above values; looks at each of them once."""

    def __init__(self, data: Path) -> None:
        self.data = os.fspath(data)
        self._problems: dict[str, str | None] = {"": None}
        self.missing: set[str] = set()  # folders that do not exist

    def obstacle(self, key: str) -> tuple[str, int] | None:
        """Return the path of what blocks a value, and the number of its files.

        None if it is, or has, anything but files and folders.
        """
        path = ""
        for segment in key.split("/"):
            path = f"{path}/{segment}" if path else segment
            mode = os.lstat(f"{self.data}/{path}").st_mode
            if stat.S_ISREG(mode):
                return path, 1
            if not stat.S_ISDIR(mode):
                return None
        files = only_files_below(Path(self.data, path))
        return None if files is None else (path, files)

    def problem(self, folder: str) -> str | None:
        """Return why no file can be written into a folder; None if one can."""
        if folder not in self._problems:
            self._problems[folder] = self._first_problem(folder)
        return self._problems[folder]

    def _first_problem(self, folder: str) -> str | None:
        # A loop from the top: a key may have more segments than Python can recurse.
        path = ""
        for segment in folder.split("/"):
            path = f"{path}/{segment}" if path else segment
            if path not in self._problems:
                self._problems[path] = self._problem_of(path)
            if (problem := self._problems[path]) is not None:
                return problem
            if path in self.missing:
                self.missing.add(folder)  # below a missing folder all are missing
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
        return f"{_kind_of(mode)} is in the place of its folder {quoted(folder)}"


def _kind_of(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a file" if stat.S_ISREG(mode) else "a special file"
