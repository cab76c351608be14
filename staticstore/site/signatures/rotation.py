"""Replace keys of a site: ``staticstore keys rotate``.

A new root document says which keys count from then on.  It is signed by the root keys
that counted before and by those that count after it, so that readers who have the older
one follow.  What the replaced key has signed is signed by the old and the new key first:
readers are served before and after the moment at which the root document appears.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from securesystemslib.signer import Signer
from tuf.api.metadata import Root

from ...disk.atomic import remove_leftovers
from ...errors import StoreError, quoted
from ...trust.chain import RootChain, SignedHead
from ...trust.layout import (
    LIFETIME_SECONDS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    document_name,
    trust_path,
)
from ..folder.site_folder import SiteFolder
from ..folder.trust_files import read_trust
from .head_signer import HeadSigner
from .key_folder import (
    KEY_NAMES,
    KeyFolder,
    check_outside_sites,
)
from .new_document import end_of, seconds_ahead, signed_by
from .passphrases import passphrase_bytes
from .publisher_key import PublisherKey, check_different
from .renewal import open_signed
from .signature_note import SignatureNote
from .site_chain import chain_of_site, write_roots

__all__ = ["RotateReport", "rotate_keys"]

_Signers = dict[str, list[Signer]]

_ROLES = {"root": (ROOT,), "publish": (TARGETS,), "renew": (SNAPSHOT, TIMESTAMP)}


@dataclass(frozen=True)
class RotateReport:
    """What a rotation did.

    Attributes
    ----------
    root : str
        The path of the new root document in the site.
    retired : list of str
        The file names, or URIs, of the private keys that no longer count.
    is_signed : bool
        Whether the site is signed for the new keys; else it has to be published.
    """

    root: str
    retired: list[str]
    is_signed: bool


def rotate_keys(
    site: str | os.PathLike[str],
    name: str,
    keys: KeyFolder,
    new_passphrases: Callable[[], Sequence[str]],
    *,
    lost: Iterable[str] = (),
    same_keys: bool = False,
    uris: Sequence[str] = (),
) -> RotateReport:
    """Replace the root keys, the publish key or the renew key of a site.

    Parameters
    ----------
    site : path
        The site's folder.
    name : str
        ``"root"``, ``"publish"`` or ``"renew"``.
    keys : KeyFolder
        The keys: enough root keys, and the renew key unless root keys are replaced; the
        publish key, too, if that is replaced and not lost.
    new_passphrases : callable
        Called before anything is written if there are new private keys; returns their
        passphrases as in `make_keys`.
    lost : iterable of str
        The beginnings of the ids of the root keys to replace; by default all are.
    same_keys : bool, optional
        Whether no root key is replaced, and only the expiry is renewed.
    uris : sequence of str, optional
        New keys that are elsewhere; see `PublisherKey.elsewhere`.

    Returns
    -------
    RotateReport

    Raises
    ------
    StoreError
        Keys are missing or locked, the site is not signed, or something cannot be written.
    IntegrityError
        The site is signed with other keys.
    """
    folder = open_signed(site)
    for path in keys.paths:
        check_outside_sites(path, folder.root)
    roles = _ROLES[name]
    with folder.locked():
        remove_leftovers(keys.path)
        chain, note = chain_of_site(folder, keys), SignatureNote(keys.path, folder)
        signed = None
        with contextlib.suppress(StoreError):  # what is damaged is signed by the next publish
            signed = SignedHead.read(chain.root, read_trust(folder))
        if signed is not None:
            note.check(chain.root, signed.documents)
        replaced = [] if same_keys else _replaced(chain.root, roles[0], lost)
        if len(uris) > len(replaced):
            raise StoreError(f"{len(replaced)} keys are replaced, and {len(uris)} new ones given")
        old_signers = keys.enough_signers(chain.root, ROOT)
        if name == "root":  # those that stay sign the new root document, too
            old_signers = keys.signers(chain.root, ROOT)
        # Before anything is written: the renew key signs what is signed anew.
        signers = _signers(chain.root, roles, keys)
        retired = [keys.name_of(roles[0], keyid) for keyid in replaced]
        made = [PublisherKey.elsewhere(uri, keys.ask) for uri in uris]
        check_different(made, chain.root.roles[roles[0]].keyids)
        made += [PublisherKey.generate() for _ in replaced[len(made) :]]
        is_own = any(key.private is not None for key in made)
        passphrases = new_passphrases() if is_own else []
        for passphrase in passphrases:
            passphrase_bytes(passphrase)
        root = _next_root(chain.root, roles, replaced, made)
        body = signed_by(root, [*old_signers, *(k.signer for k in made if name == "root")])
        newer = chain.with_next(body.to_bytes())
        try:
            for key in made:
                passphrase = passphrases[-1 if name == "renew" else 0] if is_own else ""
                keys.write_key(key, roles[0], passphrase)
            new_signers: _Signers = {}
            for role in set(roles) & signers.keys():
                new_signers[role] = [key.signer for key in made]
            is_signed = _publish_root(
                folder, keys, (chain, newer), signers, new_signers, signed if signers else None
            )
        except OSError as error:
            raise folder.write_error(error) from error
    place = trust_path(document_name(ROOT, newer.root.version))
    return RotateReport(place, retired, is_signed)


def _signers(root: Root, roles: Sequence[str], keys: KeyFolder) -> dict[str, list[Signer]]:
    """Return who can sign what is signed anew; of the replaced key perhaps nobody."""
    if ROOT in roles:
        return {}
    wanted = {*roles, SNAPSHOT, TIMESTAMP}
    others = {role: keys.enough_signers(root, role) for role in sorted(wanted - set(roles))}
    return {**others, **{role: keys.signers(root, role) for role in roles}}


def _replaced(root: Root, role: str, lost: Iterable[str]) -> list[str]:
    """Return the ids of the keys to replace: those that are lost, or all."""
    keyids = list(root.roles[role].keyids)
    found = []
    for beginning in lost:
        matches = [keyid for keyid in keyids if beginning and keyid.startswith(beginning)]
        if len(matches) != 1:
            known = ", ".join(keyid[:16] for keyid in keyids)
            raise StoreError(
                f"{quoted(beginning)} begins no id of a {KEY_NAMES[role]} key: {known}"
            )
        found += matches
    return list(dict.fromkeys(found)) or keyids


def _next_root(
    root: Root, roles: Sequence[str], replaced: Sequence[str], made: Sequence[PublisherKey]
) -> Root:
    newer = copy.deepcopy(root)
    newer.version += 1
    newer.expires = end_of(ROOT)
    for role in roles:
        for keyid in replaced:
            newer.revoke_key(keyid, role)
        for key in made:
            newer.add_key(key.public, role)
    return newer


def _publish_root(
    folder: SiteFolder,
    keys: KeyFolder,
    chains: tuple[RootChain, RootChain],
    signers: _Signers,
    new_signers: _Signers,
    signed: SignedHead | None,
) -> bool:
    """Write the new root document, and what the new key signs.

    Returns whether all is signed.  With the old key, that is signed by both before the root
    document appears.  Without it, after that: if this is killed between, the next publish
    signs.
    """
    old, newer = chains
    # By a stolen key or a wrong clock.  Readers drop what they know of a replaced renew key.
    restarts = signed is not None and SNAPSHOT in new_signers and _is_ahead(signed)
    with_old = not restarts and all(signers[role] for role in new_signers)
    both = {**signers}
    for role, those in new_signers.items():
        both[role] = [*signers[role], *those] if with_old else those
    note = SignatureNote(keys.path, folder)
    signing = HeadSigner(folder, old if with_old else newer, both, note)

    def write_root() -> None:
        *_, (name, body) = newer.named()
        keys.write_root(name, body)
        # With those that a killed run left in the folder of keys: readers go from one to the next.
        write_roots(folder, newer)

    if not with_old:
        write_root()
    if signed is not None:
        signing.prepare_again(signed, restarts=restarts)
        signing.finish()
    if with_old:
        write_root()
    return signed is not None or not signers


def _is_ahead(signed: SignedHead) -> bool:
    return seconds_ahead(signed) > LIFETIME_SECONDS[TIMESTAMP]
