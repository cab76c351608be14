"""Who the user is, from a file: a password on the command line is shown by ``ps``."""

from __future__ import annotations

import logging
import os
import stat

import click

from ..errors import quoted

__all__ = ["parse_credentials", "read_auth_file"]

_LOG = logging.getLogger("staticstore.cli")
_MOST_BYTES = 1 << 16
_READABLE = stat.S_IRWXG | stat.S_IRWXO


def parse_credentials(text: str) -> tuple[str, str | None]:
    """Split ``USER[:PASSWORD]``; the password may have colons, the user has none.

    Raises
    ------
    click.BadParameter
        It cannot be sent.  The text is not repeated.

    Examples
    --------
    >>> parse_credentials("ali:open:sesame"), parse_credentials("ali")
    (('ali', 'open:sesame'), ('ali', None))
    """
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no text
        raise click.BadParameter("user and password must be text in UTF-8") from None
    user, colon, password = text.partition(":")
    return user, password if colon else None


def read_auth_file(path: str) -> tuple[str, str]:
    """Return user and password from a file of one line, ``USER:PASSWORD``.

    It may be a pipe, such as a shell makes for the output of another command.
    One that other users can read is warned of.

    Raises
    ------
    click.BadParameter
        The file cannot be read, or has another form.  Nothing of it is repeated.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            body = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise click.BadParameter(f"{quoted(path)} cannot be read: {error.strerror}") from None
    if os.name == "posix" and stat.S_ISREG(mode) and mode & _READABLE:
        _LOG.warning("other users may read the password in %s: chmod 600 it", quoted(path))
    try:
        line, *others = body.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        line, others = "", []
    user, password = parse_credentials(line)
    if password is None or any(others) or len(body) > _MOST_BYTES:
        raise click.BadParameter(
            f"{quoted(path)} must hold one line, USER:PASSWORD, in UTF-8 and no more"
        )
    return user, password
