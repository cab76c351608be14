"""What a file system of fsspec refuses that only reads."""

from __future__ import annotations

import errno
from typing import Any, NoReturn

from fsspec.asyn import AsyncFileSystem

__all__ = ["ReadOnlyFileSystem", "read_only"]


def read_only(path: object = None) -> OSError:
    """Return the error of what would write.

    Examples
    --------
    >>> read_only("a.txt").errno == errno.EROFS
    True
    """
    text = "a site cannot be written by its readers: change its folder, and publish it"
    name = path if path and isinstance(path, str) else None
    return OSError(errno.EROFS, text, name)


class ReadOnlyFileSystem(AsyncFileSystem):  # type: ignore[misc]
    """A file system in which all that writes raises `OSError` with ``EROFS``."""

    async def _refuse(self, path: object = None, *args: Any, **kwargs: Any) -> NoReturn:
        raise read_only(path)

    def refuse(self, path: object = None, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise an `OSError` with ``EROFS``: nothing can be written.

        Raises
        ------
        OSError
            Always.
        """
        raise read_only(path)

    # fsspec makes the methods without an underscore of these.
    _mkdir = _makedirs = _pipe = _pipe_file = _put = _put_file = _refuse
    _copy = _cp_file = _mv_file = _rm = _rm_file = _refuse
    # These have no such counterpart, or do more than to call it.
    rmdir = touch = mv = move = rename = refuse
    delete = upload = write_bytes = write_text = start_transaction = refuse
