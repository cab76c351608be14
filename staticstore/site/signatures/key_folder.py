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
import os
import re
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
from ...errors import (
    IndexFormatError,
    IntegrityError,
    StoreError,
    quoted,
    raise_alone,
    reason_of,
)
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
    trust_path,
)
from .passphrases import (
    AskPassphrases,
    asked,
    passphrase_bytes,
    passphrases_of_environment,
    warn_of_readers,
)
from .publisher_key import PublisherKey, signer_elsewhere

__all__ = [
    "KEY_NAMES",
    "KeyFolder",
    "check_outside_sites",
    "key_file_name",
]

#: What people call the keys of each role.
KEY_NAMES = {ROOT: "root", TARGETS: "publish", SNAPSHOT: "renew", TIMESTAMP: "renew"}

_ELSEWHERE = "elsewhere.json"
_MOST_KEY_BYTES = 64 << 10
_KEY_ID = re.compile(r"[0-9a-f]{64}\Z")
# What only a published site has.
_SITE_NAMES = ("index.json", "index.head.json", ".staticstore")


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
            inside = "is a site" if above == real else f"is inside the site {quoted(str(above))}"
            raise StoreError(
                f"{quoted(str(folder))} {inside}, and keys in it would be published: keep them "
                "in a folder of their own, elsewhere"
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
        Called with the name of what is locked when a passphrase is needed, or with ``"pin"``
        for that of a token; returns it, or several to try.  By default the lines of the file
        that ``STATICSTORE_PASSPHRASE_FILE`` names.

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
        self.ask = passphrases or passphrases_of_environment
        self._signers: dict[str, Signer] = {}
        self._passphrases: list[str] = []

    @classmethod
    def of(cls, keys: str | os.PathLike[str] | KeyFolder) -> KeyFolder:
        """Return the keys that were given, or those in a folder."""
        return keys if isinstance(keys, KeyFolder) else cls(keys)

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
        try:
            return RootChain.of(body, name).followed(self._read)
        except IntegrityError as error:
            # It names the path in a site.
            what = str(error).removeprefix(trust_path(""))
            raise_alone(
                IntegrityError(
                    f"in the folder of keys {quoted(str(self.path))}, {what}: copy the root "
                    "documents again from where the keys were made"
                ),
                error,
            )

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
            if len(keys) == 1:
                said = f"1 {name} key is needed, and {missing[0]} is not in {where}: copy it there"
            else:
                said = (
                    f"{wanted} {name} keys are needed, and {len(found)} of {', '.join(missing)} "
                    f"found in {where}: copy the missing ones there"
                )
            said += ", or give the folder that has it, too"
            if role != ROOT:
                said += f"; if it is lost, replace it: staticstore keys rotate {name}"
            raise StoreError(said)
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
                private = self._unlocked(body, path, role)
                try:
                    return CryptoSigner(private, key)  # type: ignore[arg-type]
                except (SignerError, ValueError) as error:
                    said = "is not the key that its name says, but another one"
                    raise_alone(_unusable_file(path, role, said), error)
        return None

    def _unlocked(self, body: bytes, path: Path, role: str) -> Any:
        try:
            with contextlib.suppress(TypeError):  # it is encrypted
                return load_pem_private_key(body, None)
            for is_new in (False, True):
                if is_new:
                    self._passphrases += asked(self.ask, path.name)
                for passphrase in self._passphrases:
                    with contextlib.suppress(ValueError):
                        return load_pem_private_key(body, passphrase_bytes(passphrase))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise_alone(_unusable_file(path, role, "is no private key in PEM form"), error)
        raise StoreError(
            f"the passphrase does not open {quoted(str(path))}: give the one with which it was "
            f"made, or, if that is lost, {_replacement(role)}"
        )

    def _signer_elsewhere(self, key: Key, role: str) -> Signer | None:
        for folder in self.paths:
            uri = _uris(folder).get(key.keyid)
            if uri is not None:
                return signer_elsewhere(uri, key, self.ask)
        return None

    def name_of(self, role: str, keyid: str) -> str:
        """Return the file name of a private key, or its URI if it is elsewhere."""
        for folder in self.paths:
            if (uri := _uris(folder).get(keyid)) is not None:
                return uri
        return key_file_name(role, keyid)

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


def _unusable_file(path: Path, role: str, said: str) -> StoreError:
    return StoreError(f"{quoted(str(path))} {said}: restore the file, or {_replacement(role)}")


def _replacement(role: str) -> str:
    # A rotation signs with the old key, too, if its file is there.
    return f"remove it and replace the key: staticstore keys rotate {KEY_NAMES[role]}"


def key_file_name(role: str, keyid: str) -> str:
    """Return the name of the file of a private key.

    Examples
    --------
    >>> key_file_name(TARGETS, "0123456789abcdef" * 4)
    'publish-0123456789abcdef.pem'
    """
    return f"{KEY_NAMES[role]}-{keyid[:16]}.pem"


def _read_bounded(path: Path, most: int, *, is_secret: bool = False) -> bytes | None:
    """Return the bytes of a file; None if there is none."""
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            if is_secret:
                warn_of_readers(status.st_mode, quoted(str(path)))
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
