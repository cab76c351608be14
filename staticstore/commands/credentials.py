"""User and password, from an option or from a file."""

from __future__ import annotations

import logging
import os
import stat

import click

from ..errors import quoted

__all__ = ["parse_credentials", "read_auth_file"]

_LOG = logging.getLogger("staticstore.cli")
_MOST_FILE_BYTES = 1 << 16
_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def parse_credentials(text: str) -> tuple[str, str | None]:
    """Split ``USER[:PASSWORD]``; only the password may contain colons.

    Raises
    ------
    click.BadParameter
        The text is not UTF-8.  The message does not repeat it.

    Examples
    --------
    >>> parse_credentials("ali:open:sesame"), parse_credentials("ali")
    (('ali', 'open:sesame'), ('ali', None))
    """
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are not text
        raise click.BadParameter("user and password must be text in UTF-8") from None
    user, colon, password = text.partition(":")
    return user, password if colon else None


def read_auth_file(path: str) -> tuple[str, str]:
    """Read user and password from a file of one line, ``USER:PASSWORD``.

    The file may be a pipe, such as a shell's ``<(command)``.  A file that
    other users can read is logged as a warning.

    Raises
    ------
    click.BadParameter
        The file cannot be read, or has another format.  The message repeats
        nothing of it.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            body = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise click.BadParameter(f"{quoted(path)} cannot be read: {error.strerror}") from None
    if os.name == "posix" and stat.S_ISREG(mode) and mode & _READABLE_BY_OTHERS:
        _LOG.warning("other users may read the password in %s: chmod 600 it", quoted(path))
    try:
        line, *others = body.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        line, others = "", []
    user, password = parse_credentials(line)
    if password is None or any(others) or len(body) > _MOST_FILE_BYTES:
        raise click.BadParameter(
            f"{quoted(path)} must contain exactly one line, USER:PASSWORD, in UTF-8"
        )
    return user, password
