"""What lies in a data folder and is never published: secrets, litter, our own files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from ..transport.integrity import TEMPORARY_PATTERN

__all__ = ["FIRST_BYTES", "Withheld", "holds_private_key", "may_be_withheld", "withheld_name"]

#: How much of a file's beginning `holds_private_key` wants to see, in bytes.
FIRST_BYTES = 1 << 16

_SECRET_NAMES = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".htpasswd",
        ".htaccess",
        ".netrc",
        "_netrc",
        ".ssh",
        ".aws",
        ".gnupg",
        ".pgpass",
        ".npmrc",
        ".pypirc",
        ".git-credentials",
    ]
)
_ENVIRONMENT = re.compile(r"\.env(?:\..*)?\Z", re.DOTALL)
# What OpenSSH calls its keys, and copies of them; the .pub half is public.
_SSH_KEY = re.compile(
    r"id_(?:rsa|dsa|ecdsa|ed25519|xmss)(?:_sk)?(?:\.(?!pub\Z).*)?\Z",
    re.DOTALL,
)
_LITTER = frozenset((".ds_store", "thumbs.db", "desktop.ini"))
# How all of these begin, and our own files, at the beginning of some line.
_BEGINNING = re.compile(
    rf"^(?:\.|id_|{'|'.join(map(re.escape, sorted(_SECRET_NAMES | _LITTER)))})",
    re.MULTILINE,
)

# RFC 7468, OpenPGP's armor, the format of ssh.com, and PuTTY's.
_PRIVATE_KEY = re.compile(
    rb"^(?:\xef\xbb\xbf)?\s*"
    rb"(?:-{4,5} ?BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY\b|PuTTY-User-Key-File-)",
    re.MULTILINE,
)
# How a file begins in which a key may stand behind other things: certificates,
# or what OpenSSL makes of PKCS #12.
_CONTAINER = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:-{4,5} ?BEGIN |Bag Attributes)")


class Withheld(NamedTuple):
    """Why something is not published."""

    #: ``"secret"`` is warned of, ``"litter"`` is nobody's loss.
    kind: Literal["secret", "litter"]
    #: For people.
    reason: str


def may_be_withheld(names: Iterable[str]) -> bool:
    """Tell whether there may be a `withheld_name` among many; False if there is none for sure.

    Examples
    --------
    >>> may_be_withheld(["a.csv", "b.csv"]), may_be_withheld(["a.csv", ".env"])
    (False, True)
    """
    return _BEGINNING.search("\n".join(names).lower()) is not None


def withheld_name(name: str) -> Withheld | None:
    """Say why a file or folder of that name is not published; None if it may be.

    Case does not count, as it does not on half of the file systems.  Other
    names that start with a dot are data: zarr's are.

    Parameters
    ----------
    name : str
        One segment of a path.

    Examples
    --------
    >>> withheld_name(".env.production")
    Withheld(kind='secret', reason='it may hold secrets, going by its name')
    >>> withheld_name(".zarray") is None
    True
    """
    folded = name.lower()
    if folded in _SECRET_NAMES or _ENVIRONMENT.match(folded) or _SSH_KEY.match(folded):
        return Withheld("secret", "it may hold secrets, going by its name")
    if folded in _LITTER:
        return Withheld("litter", "the operating system put it there")
    if folded == ".staticstore" or fnmatch.fnmatchcase(folded, TEMPORARY_PATTERN):
        return Withheld("litter", "staticstore put it there")
    return None


def holds_private_key(first_bytes: bytes) -> bool:
    """Tell whether a file that begins so is a private key, or holds one behind certificates.

    Only files that begin as such files do count, so that a text *about* keys
    is published.

    Parameters
    ----------
    first_bytes : bytes
        The first `FIRST_BYTES` bytes of the file, or all of them.

    Examples
    --------
    >>> holds_private_key(b"-----BEGIN CERTIFICATE-----")
    False
    """
    if _PRIVATE_KEY.match(first_bytes):
        return True
    return bool(_CONTAINER.match(first_bytes) and _PRIVATE_KEY.search(first_bytes))
