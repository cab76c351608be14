"""The folder of a publisher's keys, and the keys that are elsewhere.

::

    1.root.json, 2.root.json, …         which keys count; hand the newest one to readers
    root-<key id>.pem                   the root keys: needed to replace keys, best kept offline
    publish-<key id>.pem                signs what is published
    renew-<key id>.pem                  signs that it is current; may live in a timer
    elsewhere.json                      the URIs of keys that are elsewhere, by key id
    signed.json                         what was signed last: see `SignatureNote`

A private key is found by the id that the root document gives, so files can be moved
to other machines and other folders; the names are cut to 16 digits of the id.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.exceptions import Error as SignerError
from securesystemslib.signer import CryptoSigner, Key, Signer
from tuf.api.metadata import Root

from ...disk.atomic import atomic_file
from ...disk.file_system import open_regular
from ...errors import IndexFormatError, StoreError, quoted, raise_alone, reason_of
from ...index import codec
from ...trust.chain import RootChain
from ...trust.layout import (
    MOST_DOCUMENT_BYTES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    document_name,
    root_version,
)
from .publisher_key import AskPassphrases, PublisherKey, signer_elsewhere

__all__ = [
    "KEY_NAMES",
    "PASSPHRASE_VARIABLE",
    "KeyFolder",
    "check_outside_sites",
    "key_file_name",
    "passphrase_bytes",
    "read_passphrases",
]

#: The environment variable that names a file with passphrases.
PASSPHRASE_VARIABLE = "STATICSTORE_PASSPHRASE_FILE"

#: What people call the keys of each role.
KEY_NAMES = {ROOT: "root", TARGETS: "publish", SNAPSHOT: "renew", TIMESTAMP: "renew"}

_ELSEWHERE = "elsewhere.json"
_MOST_KEY_BYTES = 64 << 10
_MOST_PASSPHRASE_BYTES = 1023  # of the cryptography library
_KEY_ID = re.compile(r"[0-9a-f]{64}\Z")
_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What only a published site has.
_SITE_NAMES = ("index.json", "index.head.json", ".staticstore")
_LOG = logging.getLogger("staticstore.site")


def check_outside_sites(folder: Path, site: Path | None = None) -> None:
    """Refuse a folder of keys inside a site, where they would be published with it.

    Parameters
    ----------
    folder : Path
        The folder of the keys.  Both the path as it is given and the one to which links in
        it lead must be outside: web servers follow links.
    site : Path, optional
        A site's folder, perhaps not yet published.

    Raises
    ------
    StoreError
        It is in a site.
    """
    real, given = Path(os.path.realpath(folder)), Path(os.path.abspath(folder))
    known = None if site is None else _identity(site)
    for above in dict.fromkeys((real, *real.parents, given, *given.parents)):
        is_known = known is not None and _identity(above) == known
        if is_known or any(os.path.lexists(above / name) for name in _SITE_NAMES):
            raise StoreError(
                f"{quoted(str(folder))} is inside the site {quoted(str(above))}, and would be "
                "published with it: keep keys elsewhere"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    # The same in every spelling, on a disk that ignores case, for instance.
    with contextlib.suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return None


class KeyFolder:
    """The private keys and the root documents of a publisher.

    Parameters
    ----------
    path : path
        The folder.
    *more : path
        Folders in which keys are looked for, too: of a stick, for instance.
    passphrases : callable, optional
        Called with the name of what is locked when a passphrase is needed, returns those to
        try.  By default the lines of the file that ``STATICSTORE_PASSPHRASE_FILE`` names.

    Notes
    -----
    A key is loaded once, and kept.  Not to be used by several threads at once.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *more: str | os.PathLike[str],
        passphrases: AskPassphrases | None = None,
    ) -> None:
        self.path = Path(path)
        self.paths = [self.path, *map(Path, more)]
        self.ask = passphrases or _passphrases_of_environment
        self._signers: dict[str, Signer] = {}
        self._passphrases: list[str] = []

    def __repr__(self) -> str:
        """Name the folder, and no secret."""
        return f"<KeyFolder {quoted(str(self.path))}>"

    def chain(self) -> RootChain:
        """Return the root documents in the folder, verified from the first on.

        Raises
        ------
        StoreError
            There is none, or one cannot be read.
        IntegrityError
            One is not signed by the keys of the one before it.
        """
        try:
            found = map(root_version, os.listdir(self.path))
            versions = sorted(version for version in found if version is not None)
        except OSError as error:
            raise StoreError(
                f"the folder of keys {quoted(str(self.path))} cannot be read: {reason_of(error)}"
            ) from None
        if not versions:
            raise StoreError(
                f"there is no root document (1.root.json) in {quoted(str(self.path))}: make keys "
                "with 'staticstore keys new', or copy it from the folder where they were made"
            )
        name = document_name(ROOT, versions[0])
        body = self._read(name)
        assert body is not None, "it was listed"
        return RootChain.of(body, name).followed(self._read)

    def _read(self, name: str) -> bytes | None:
        return _read_bounded(self.path / name, MOST_DOCUMENT_BYTES)

    def signers(self, root: Root, role: str) -> list[Signer]:
        """Return the signers of a role whose keys are at hand; asks for passphrases.

        Raises
        ------
        StoreError
            A key cannot be read, or no passphrase opens it.
        """
        keys = [root.keys[keyid] for keyid in root.roles[role].keyids]
        return [one for one in (self._signer(key, role) for key in keys) if one is not None]

    def enough_signers(self, root: Root, role: str) -> list[Signer]:
        """Return as many signers of a role as it needs; see `signers`.

        Raises
        ------
        StoreError
            Not enough keys are there, too.
        """
        wanted = root.roles[role].threshold
        keys = [root.keys[keyid] for keyid in root.roles[role].keyids]
        found: list[Signer] = []
        for key in keys:
            if len(found) < wanted and (signer := self._signer(key, role)) is not None:
                found.append(signer)
        if len(found) < wanted:
            missing = [key_file_name(role, key.keyid) for key in keys]
            name, where = KEY_NAMES[role], " or ".join(quoted(str(path)) for path in self.paths)
            raise StoreError(
                f"{wanted} {name} key{'s are' if wanted > 1 else ' is'} needed, and {len(found)} "
                f"of {', '.join(missing)} found in {where}: copy the missing ones there, "
                "or give the folder that has them"
            )
        return found

    def _signer(self, key: Key, role: str) -> Signer | None:
        if key.keyid not in self._signers:
            if not _KEY_ID.match(key.keyid):  # it becomes a path
                return None
            signer = self._own_signer(key, role) or self._signer_elsewhere(key, role)
            if signer is None:
                return None
            self._signers[key.keyid] = signer
        return self._signers[key.keyid]

    def _own_signer(self, key: Key, role: str) -> Signer | None:
        for folder in self.paths:
            path = folder / key_file_name(role, key.keyid)
            body = _read_bounded(path, _MOST_KEY_BYTES, is_secret=True)
            if body is not None:
                private = self._unlocked(body, path)
                try:
                    return CryptoSigner(private, key)  # type: ignore[arg-type]
                except (SignerError, ValueError) as error:
                    raise_alone(
                        StoreError(f"{quoted(str(path))} is not the key that its name says"), error
                    )
        return None

    def _unlocked(self, body: bytes, path: Path) -> Any:
        try:
            with contextlib.suppress(TypeError):  # it is encrypted
                return load_pem_private_key(body, None)
            for is_new in (False, True):
                if is_new:
                    self._passphrases += self.ask(path.name)
                for passphrase in self._passphrases:
                    with contextlib.suppress(ValueError):
                        return load_pem_private_key(body, passphrase_bytes(passphrase))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise_alone(StoreError(f"{quoted(str(path))} is no private key in PEM form"), error)
        raise StoreError(f"the passphrase does not open {quoted(str(path))}: try again")

    def _signer_elsewhere(self, key: Key, role: str) -> Signer | None:
        for folder in self.paths:
            uri = _uris(folder).get(key.keyid)
            if uri is not None:
                return signer_elsewhere(uri, key, self.ask)
        return None

    def write_root(self, name: str, body: bytes) -> None:
        """Write a root document into the folder.

        Raises
        ------
        OSError
            It cannot be written.
        """
        with atomic_file(self.path / name) as file:
            file.write(body)

    def write_key(self, key: PublisherKey, role: str, passphrase: str) -> None:
        """Write a new private key, encrypted, or the URI of one that is elsewhere.

        Raises
        ------
        OSError
            It cannot be written.
        """
        if key.private is None:
            uris = {**_uris(self.path), key.public.keyid: key.uri}
            with atomic_file(self.path / _ELSEWHERE) as file:
                file.write(codec.encode(uris) + b"\n")
            return
        body = key.private.private_bytes(
            Encoding.PEM,
            PrivateFormat.PKCS8,
            BestAvailableEncryption(passphrase_bytes(passphrase)),
        )
        with atomic_file(self.path / key_file_name(role, key.public.keyid), mode=0o600) as file:
            file.write(body)


def key_file_name(role: str, keyid: str) -> str:
    """Return the name of the file of a private key.

    Examples
    --------
    >>> key_file_name(TARGETS, "0123456789abcdef" * 4)
    'publish-0123456789abcdef.pem'
    """
    return f"{KEY_NAMES[role]}-{keyid[:16]}.pem"


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
    """Read the passphrases in a file, one in each line, and warn if others can read it.

    Raises
    ------
    StoreError
        It cannot be read, or has none.  The message repeats nothing of it.
    """
    name = quoted(os.fspath(path))
    try:
        with open(path, "rb") as file:  # perhaps a pipe, such as a shell's `<(command)`
            mode = os.fstat(file.fileno()).st_mode
            body = file.read(_MOST_KEY_BYTES + 1)
        lines = [] if len(body) > _MOST_KEY_BYTES else body.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise StoreError(
            f"the file of the passphrase {name} cannot be read: {reason_of(error)}"
        ) from None
    except UnicodeDecodeError:
        lines = []
    if not lines or not all(lines):
        raise StoreError(f"{name} must have a passphrase in each line, in UTF-8")
    if stat.S_ISREG(mode):
        _warn_of_readers(mode, name)
    return lines


def _passphrases_of_environment(name: str) -> list[str]:
    path = os.environ.get(PASSPHRASE_VARIABLE)
    if not path:
        raise StoreError(
            f"{quoted(name)} needs a passphrase, and none is there: name the file that has it in "
            f"{PASSPHRASE_VARIABLE}"
        )
    return read_passphrases(path)


def _warn_of_readers(mode: int, name: str) -> None:
    if os.name == "posix" and mode & _READABLE_BY_OTHERS:
        _LOG.warning("other users may read the secret in %s: chmod 600 it", name)


def _read_bounded(path: Path, most: int, *, is_secret: bool = False) -> bytes | None:
    """Return the bytes of a file; None if there is none."""
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            if is_secret:
                _warn_of_readers(status.st_mode, quoted(str(path)))
            if status.st_size > most:
                raise StoreError(f"{quoted(str(path))} is larger than {most} bytes")
            return file.readall()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{quoted(str(path))} cannot be read: {reason_of(error)}") from None


def _uris(folder: Path) -> dict[str, str]:
    """Return the URIs of the keys that are elsewhere, by key id."""
    path = folder / _ELSEWHERE
    body = _read_bounded(path, _MOST_KEY_BYTES)
    try:
        found = {} if body is None else codec.decode(body)
    except IndexFormatError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(uri, str) for uri in found.values()):
        raise StoreError(f"{quoted(str(path))} must be an object from key ids to URIs")
    return found
