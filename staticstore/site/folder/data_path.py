"""Where the values of a site are below its root: in ``data/``, or a folder that is remembered."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from ...disk.atomic import atomic_file
from ...disk.file_system import read_regular
from ...errors import IndexFormatError, StoreError, quoted
from ...index import codec
from ...index.fields import key_problem
from ...index.head import DIGEST_FOLDERS, ENTRY_FOLDERS
from .withheld import folded, is_hidden, path_below

__all__ = [
    "DATA_PATH",
    "check_inside",
    "checked_data_path",
    "fits",
    "noted_data_path",
    "write_data_path",
]

#: Where the values are, unless another folder was named.
DATA_PATH = "data/"

_FORMAT = "staticstore-data/1"
_MOST_NOTE_BYTES = 1 << 16
# Below the root these are written by a publish, mirror or push.
_OWN_FOLDERS = frozenset((*DIGEST_FOLDERS, *ENTRY_FOLDERS, "trust"))


def fits(data_path: str) -> bool:
    """Return whether values can be at a path below a root, such as ``rasters/2024/``.

    Examples
    --------
    >>> [fits(path) for path in ("rasters/2024/", "", "../x/", "index/", ".git/")]
    [True, False, False, False, False]
    """
    path = data_path.removesuffix("/")
    return (
        data_path.endswith("/")
        and key_problem(path) is None
        and folded(path.partition("/")[0]).rstrip(". ") not in _OWN_FOLDERS
        and not is_hidden(path)
    )


def checked_data_path(root: Path, data: str | os.PathLike[str]) -> str:
    """Return the path from a site's root to the folder of its values, with a slash at its end.

    Parameters
    ----------
    root : Path
        The site's folder.
    data : str or path
        The folder, absolute or below the root.

    Raises
    ------
    StoreError
        It does not exist; it is not below the root, perhaps because of a symbolic link; or it
        is a folder that publishing writes.
    """
    path = PurePath(data)
    if path.is_absolute() and path.is_relative_to(root.absolute()):
        path = path.relative_to(root.absolute())
    shown = f"the folder {quoted(os.fspath(data))} of the values"
    if path.is_absolute() or ".." in path.parts:
        raise StoreError(f"{shown} is not below {quoted(str(root))}, the folder of the site")
    if not path.parts:
        raise StoreError(
            f"{shown} is that of the site, where the index is written: "
            "publish the folder above it, and name this one as the data"
        )
    data_path = path.as_posix() + "/"
    if not fits(data_path):
        raise StoreError(f"{shown} is one that staticstore writes or hides: rename it")
    if not os.path.isdir(root / path):
        raise StoreError(f"there is no folder {quoted(str(root / path))}")
    check_inside(root, data_path)
    return data_path


def check_inside(root: Path, data_path: str) -> None:
    """Refuse values that are outside of a site because of a symbolic link.

    Raises
    ------
    StoreError
        They are.  ``data`` itself may be a link to any place.
    """
    real_root, real = map(os.path.realpath, (root, root / data_path))
    if data_path != DATA_PATH and path_below(real_root, real) is None:
        raise StoreError(
            f"the folder {quoted(data_path[:-1])} of the values leads out of the site by a "
            "symbolic link: replace the link by what it leads to, or name another folder (data, "
            "--data)"
        )


def noted_data_path(note: Path) -> str:
    """Return where the last publish or mirror left the values, as its note says.

    A note that is missing or cannot be used means ``data/``.
    """
    try:
        said = codec.decode(read_regular(note, _MOST_NOTE_BYTES))
        data_path = said["data"] if said["format"] == _FORMAT else None
    except (OSError, IndexFormatError, LookupError, TypeError):
        return DATA_PATH
    return data_path if isinstance(data_path, str) and fits(data_path) else DATA_PATH


def write_data_path(note: Path, data_path: str) -> None:
    """Note where the values are, unless the note says so.

    Raises
    ------
    OSError
        It cannot be written.
    """
    if noted_data_path(note) == data_path:
        return
    if data_path == DATA_PATH:
        note.unlink(missing_ok=True)
        return
    note.parent.mkdir(exist_ok=True)
    with atomic_file(note) as file:
        file.write(codec.encode({"data": data_path, "format": _FORMAT}) + b"\n")
