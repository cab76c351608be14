"""Passphrases of keys, and PINs of tokens: where they come from."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Sequence

from ...errors import StoreError, quoted, reason_of

__all__ = [
    "AskPassphrases",
    "asked",
    "passphrase_bytes",
    "passphrases_of_environment",
    "read_passphrases",
    "warn_of_readers",
]

#: Returns the passphrase for what is named, or those to try; raises StoreError if there is none.
AskPassphrases = Callable[[str], str | Sequence[str]]

#: The environment variable that names a file with passphrases.
PASSPHRASE_VARIABLE = "STATICSTORE_PASSPHRASE_FILE"

_MOST_FILE_BYTES = 64 << 10
_MOST_PASSPHRASE_BYTES = 1023  # of the cryptography library
_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LOG = logging.getLogger("staticstore.site")


def asked(ask: AskPassphrases, name: str) -> Sequence[str]:
    """Ask for the passphrases for what is named."""
    found = ask(name)
    return [found] if isinstance(found, str) else found


def passphrase_bytes(passphrase: str) -> bytes:
    """Return the bytes of a passphrase that locks a key.

    Raises
    ------
    StoreError
        It is empty or too long.  The message does not repeat it.
    """
    found = passphrase.encode(errors="surrogateescape")  # of a terminal that is not in UTF-8
    if not 0 < len(found) <= _MOST_PASSPHRASE_BYTES:
        raise StoreError(
            f"a passphrase has from 1 to {_MOST_PASSPHRASE_BYTES} bytes, and this one "
            f"{len(found)}: give another one"
        )
    return found


def read_passphrases(path: str | os.PathLike[str]) -> list[str]:
    """Read the passphrases in a file, one a line; warn if others can read it.

    Raises
    ------
    StoreError
        It cannot be read, or has none.  The message repeats nothing of it.
    """
    name = quoted(os.fspath(path))
    try:
        with open(path, "rb") as file:  # perhaps a pipe, such as a shell's `<(command)`
            mode = os.fstat(file.fileno()).st_mode
            body = file.read(_MOST_FILE_BYTES + 1)
        lines = [] if len(body) > _MOST_FILE_BYTES else body.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise StoreError(f"the passphrase file {name} cannot be read: {reason_of(error)}") from None
    except UnicodeDecodeError:
        lines = []
    if not lines or not all(lines):
        raise StoreError(f"{name} must have a passphrase in each line, in UTF-8")
    if stat.S_ISREG(mode):
        warn_of_readers(mode, name)
    return lines


def passphrases_of_environment(name: str) -> list[str]:
    """Read the passphrases in the file that the variable names.

    Raises
    ------
    StoreError
        The variable is not set, or its file cannot be used.
    """
    path = os.environ.get(PASSPHRASE_VARIABLE)
    if not path:
        raise StoreError(
            f"{quoted(name)} needs a passphrase, and none is there: name the file that has it in "
            f"{PASSPHRASE_VARIABLE}"
        )
    return read_passphrases(path)


def warn_of_readers(mode: int, name: str) -> None:
    """Log a warning if other users can read a file with a secret."""
    if os.name == "posix" and mode & _READABLE_BY_OTHERS:
        _LOG.warning("other users may read the secret in %s: chmod 600 it", name)
