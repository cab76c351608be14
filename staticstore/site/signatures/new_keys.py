"""Make the keys of a site, and the first root document: ``staticstore keys new``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tuf.api.metadata import Root

from ...errors import StoreError, quoted, reason_of
from ...trust.layout import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, document_name
from .key_folder import KEY_NAMES, KeyFolder, check_outside_sites
from .new_document import end_of, signed_by
from .passphrases import AskPassphrases, passphrase_bytes
from .publisher_key import PublisherKey, check_different

__all__ = ["MOST_ROOT_KEYS", "check_new_folder", "make_keys"]

#: A site has no more root keys.
MOST_ROOT_KEYS = 16


def make_keys(
    folder: str | os.PathLike[str],
    passphrases: Sequence[str],
    *,
    root_keys: int = 3,
    threshold: int = 2,
    root_uris: Iterable[str] = (),
    publish_uri: str | None = None,
    renew_uri: str | None = None,
    ask: AskPassphrases | None = None,
) -> KeyFolder:
    """Make the keys of a site in a new folder, and the root document that names them.

    Parameters
    ----------
    folder : path
        The folder; it must be empty, or not exist, and be in no site.
    passphrases : sequence of str
        Those of the private keys: the first one, and for the renew key the second one if
        there are two.
    root_keys : int, optional
        The number of root keys, `MOST_ROOT_KEYS` at most.
    threshold : int, optional
        How many of them are needed to replace a key.
    root_uris : iterable of str, optional
        Root keys that are elsewhere, see `PublisherKey.elsewhere`; they count as some of
        `root_keys`.
    publish_uri, renew_uri : str, optional
        The same for the other keys.
    ask : callable, optional
        Called when a key that is elsewhere needs a PIN or a passphrase.

    Returns
    -------
    KeyFolder
        The folder, with its keys at hand.

    Raises
    ------
    StoreError
        The folder is inside a site, has something in it, or cannot be written; a passphrase
        is empty or too long; or a key cannot be used.
    ValueError
        The numbers do not fit.
    """
    path, uris = Path(folder), list(root_uris)
    if not 1 <= threshold <= root_keys <= MOST_ROOT_KEYS or len(uris) > root_keys:
        raise ValueError(
            f"of {root_keys} root keys, {MOST_ROOT_KEYS} at most, {threshold} cannot be needed "
            f"and {len(uris)} be elsewhere"
        )
    for passphrase in passphrases:
        passphrase_bytes(passphrase)
    check_new_folder(path)
    keys = KeyFolder(path, passphrases=ask)

    def key(uri: str | None) -> PublisherKey:
        return PublisherKey.generate() if uri is None else PublisherKey.elsewhere(uri, keys.ask)

    own: list[str | None] = [None] * (root_keys - len(uris))
    made = {ROOT: [key(uri) for uri in (*uris, *own)]}
    check_different(made[ROOT], ())
    made[TARGETS] = [key(publish_uri)]
    made[SNAPSHOT] = made[TIMESTAMP] = [key(renew_uri)]
    root = Root(version=1, expires=end_of(ROOT), consistent_snapshot=True)
    for role, those in made.items():
        for one in those:
            root.add_key(one.public, role)
    root.roles[ROOT].threshold = threshold
    body = signed_by(root, [one.signer for one in made[ROOT]]).to_bytes()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for role in (ROOT, TARGETS, SNAPSHOT):
            for one in made[role]:
                passphrase = passphrases[-1 if KEY_NAMES[role] == "renew" else 0]
                keys.write_key(one, role, passphrase)
        keys.write_root(document_name(ROOT, 1), body)  # last, so that a part is seen to be one
    except OSError as error:
        raise StoreError(f"{quoted(str(path))} cannot be written: {reason_of(error)}") from error
    return keys


def check_new_folder(path: Path) -> None:
    """Check that a folder may become one of keys.

    Raises
    ------
    StoreError
        It is inside a site, is no folder, or has something in it.
    """
    check_outside_sites(path)
    try:
        if any(path.iterdir()):
            raise StoreError(f"{quoted(str(path))} is not empty: give a new folder for the keys")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreError(f"{quoted(str(path))} cannot be used: {reason_of(error)}") from error
