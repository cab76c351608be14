"""Sign the head of a site: ``publish(sign=…)``, ``staticstore renew``.

Files are written in this order, so that readers see the old state or the new one::

    trust/N.root.json                   those that the folder of keys has, if they are missing
    trust/<sha256>.index.head.json      the head under its digest
    trust/N.targets.json                if it names another head, or is near its end
    trust/N.snapshot.json               if it names another version of that, or is near its end
    index.json, index.head.json         by `publish`
    trust/timestamp.json                last of all
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from ...disk.atomic import atomic_file, later_than, remove_leftovers
from ...disk.file_system import read_regular, set_time, sync_files, sync_folder
from ...errors import IndexFormatError, StoreError
from ...index.head import MOST_HEAD_BYTES, Head
from ...trust.chain import ReadTrust, RootChain, SignedHead
from ...trust.documents import Lifetime, ending_warnings
from ...trust.layout import (
    LIFETIME_SECONDS,
    ROOT,
    SNAPSHOT,
    TARGET_NAME,
    TARGETS,
    TIMESTAMP,
    TIMESTAMP_NAME,
    TRUST_FOLDER,
    document_name,
    is_near_end,
    target_name,
    trust_path,
)
from ..folder.retention import forget, forget_head
from ..folder.trust_files import read_trust, remove_superseded
from .key_folder import KeyFolder, check_outside_sites
from .new_document import end_of, is_signed_by, next_version, seconds_ahead, signed_by
from .signature_note import SignatureNote
from .site_chain import chain_of_site, write_roots

if TYPE_CHECKING:
    from ..folder.site_folder import SiteFolder

__all__ = ["HeadSigner"]

# A publish makes an older timestamp anew, also if nothing else has changed.
_FRESH_SECONDS = 24 * 3600.0
_CLOCK_SECONDS = 24 * 3600.0  # of a clock that is behind, before it is warned of

_SignersByRole = Mapping[str, list[Signer]]


class _SignedDocuments(NamedTuple):
    """What is signed; some of it may be there already."""

    targets: Metadata[Targets]
    snapshot: Metadata[Snapshot]
    timestamp: Metadata[Timestamp]


class HeadSigner:
    """Signs the head of a site with the keys of a publisher.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    chain : RootChain
        Its root documents; the newest says which keys count.
    signers : mapping of str to list of Signer
        Who signs the documents of a role.  Without those of the targets, only what is
        signed already can be prolonged.
    note : SignatureNote
        What the keys have signed last.

    Notes
    -----
    For one thread, that holds the lock of the site for all but `open`.
    """

    def __init__(
        self,
        folder: SiteFolder,
        chain: RootChain,
        signers: _SignersByRole,
        note: SignatureNote,
    ) -> None:
        self.chain = chain
        self._note = note
        self._folder = folder
        self._trust = folder.root / TRUST_FOLDER
        self._read = read_trust(folder)
        self._signers = signers
        # What is signed in the folder, and where the site is published; None if nothing is.
        self._old: SignedHead | None = None
        self._remote: SignedHead | None = None
        # The head to sign, and what is made for it; None before `prepare`.
        self._head = b""
        self._new: _SignedDocuments | None = None
        # Whether a killed publish has left a head that nobody has signed.
        self._lags = False
        # Whether versions begin anew.
        self._restarts = False

    @classmethod
    def open(cls, folder: SiteFolder, keys: KeyFolder, *, publishes: bool = True) -> HeadSigner:
        """Return what signs with the keys of a folder; asks for passphrases.

        Parameters
        ----------
        folder : SiteFolder
            The site.
        keys : KeyFolder
            The keys.
        publishes : bool, optional
            Whether a new head may be signed, for which the publish key is needed.

        Raises
        ------
        StoreError
            The keys are inside the site, a key is missing, or no passphrase opens it.
        IntegrityError
            The site is signed with other keys.
        """
        for path in keys.paths:
            check_outside_sites(path, folder.root)
        chain = chain_of_site(folder, keys)
        roles = (TARGETS, SNAPSHOT, TIMESTAMP) if publishes else (SNAPSHOT, TIMESTAMP)
        signers = {role: keys.enough_signers(chain.root, role) for role in roles}
        return cls(folder, chain, signers, SignatureNote(keys.path, folder))

    def follow(self, read: ReadTrust) -> bytes:
        """Return the signed head of the site where it is published; continue its versions.

        Parameters
        ----------
        read : callable
            Reads a file of ``trust/`` there; nothing of it is believed unsigned.

        Raises
        ------
        IntegrityError
            It is not signed with these keys, or not completely.
        StoreError
            Its keys were replaced, and the folder of keys has not the new root document.
        """
        newer = self.chain.followed(read)
        if newer.root.version != self.chain.root.version:
            name = document_name(ROOT, newer.root.version)
            raise StoreError(
                f"the keys of the published site were replaced: copy {name} and the new keys into "
                "the folder of keys"
            )
        self._remote = SignedHead.read(self.chain.root, read)
        return self._remote.head

    def prepare(self, head: bytes) -> None:
        """Sign a head, and write all but the timestamp.

        Nothing is written that is there, if it holds for long enough.

        Raises
        ------
        StoreError
            A key cannot sign; these are no bytes of a head; or the machine's clock is far
            behind the last signature.
        OSError
            Something cannot be written.
        """
        try:
            Head.parse(head)
        except IndexFormatError as error:
            raise StoreError(f"{TARGET_NAME} is no head: publish the site again") from error
        self._check_chain()
        try:
            self._old = SignedHead.read(self.chain.root, self._read)
        except StoreError:  # there is none, or a part of one
            self._old = None
        self._head = head
        self._lags = self._old is not None and self._old.head != self._head_in_folder()
        targets = None
        if self._old is not None and self._old.head == head:
            targets = self._kept(TARGETS)
        self._prepare(targets or self._new_targets(), renews=False)

    def _new_targets(self) -> Metadata[Targets]:
        target = TargetFile.from_data(TARGET_NAME, self._head, ["sha256"])
        version, end = self._version(TARGETS), end_of(TARGETS)
        return signed_by(Targets(version, None, end, {TARGET_NAME: target}), self._signers[TARGETS])

    def prepare_renewal(self) -> None:
        """Prolong what is signed: a new timestamp, and a snapshot if that is near its end.

        Raises
        ------
        IntegrityError
            What is signed is not complete, not as it was signed, or older than what these keys
            have signed last: nothing is prolonged.
        StoreError, OSError
            As of `prepare`.
        """
        self._check_chain()
        signed = SignedHead.read(self.chain.root, self._read)
        self._note.check(self.chain.root, signed.documents)
        self.prepare_again(signed)

    def prepare_again(self, old: SignedHead, *, restarts: bool = False) -> None:
        """Sign the same head by all signers, and write all but the timestamp.

        Parameters
        ----------
        old : SignedHead
            What is signed, under whichever root documents.
        restarts : bool, optional
            Whether versions begin anew, as readers permit after the renew key was replaced.

        Raises
        ------
        StoreError, OSError
            As of `prepare`.
        """
        self._old, self._head, self._lags, self._restarts = old, old.head, False, restarts
        targets = old.targets
        if self._signers.get(TARGETS):
            targets = self._kept(TARGETS) or self._new_targets()
        self._prepare(targets, renews=True)

    def _check_chain(self) -> None:
        if self.chain.followed(self._read).root.version != self.chain.root.version:
            raise StoreError("the keys of the site were replaced meanwhile: try again")

    def _new_snapshot(self, targets: Metadata[Targets]) -> Metadata[Snapshot]:
        version, end = self._version(SNAPSHOT), end_of(SNAPSHOT)
        meta = {f"{TARGETS}.json": _meta_of(targets)}
        return signed_by(Snapshot(version, None, end, meta), self._signers[SNAPSHOT])

    def _new_timestamp(self, snapshot: Metadata[Snapshot]) -> Metadata[Timestamp]:
        version, end = self._version(TIMESTAMP), end_of(TIMESTAMP)
        made = Timestamp(version, None, end, _meta_of(snapshot))
        return signed_by(made, self._signers[TIMESTAMP])

    def _prepare(self, targets: Metadata[Targets], *, renews: bool) -> None:
        # Each document names the one before it: an old one is kept only if that is kept, too.
        old = self._old
        self._check_clock()
        snapshot = timestamp = None
        if old is not None and targets is old.targets:
            snapshot = self._kept(SNAPSHOT)
            if snapshot is not None and not renews and self._is_fresh():
                timestamp = self._kept(TIMESTAMP)
        snapshot = snapshot or self._new_snapshot(targets)
        timestamp = timestamp or self._new_timestamp(snapshot)
        self._new = _SignedDocuments(targets, snapshot, timestamp)
        self._write_all_but_timestamp()

    def _kept(self, role: str) -> Metadata[Any] | None:
        """Return an old document that all signers have signed, and that holds for long enough."""
        if self._old is None:
            return None
        document = self._old.documents[role]
        part = document.signed
        ends = is_near_end(role, part.version, part.expires.timestamp(), time.time())
        # A renewal has no signers of the targets, and keeps them whatever they say.
        is_signed = is_signed_by(document, self._signers.get(role, ()))
        return document if is_signed and not ends else None

    def _is_fresh(self) -> bool:
        # Its version says when it was signed.
        assert self._old is not None, "it was asked for"
        return time.time() - _FRESH_SECONDS < self._old.timestamp.signed.version

    def _version(self, role: str) -> int:
        known = [one for one in (self._old, self._remote) if one and not self._restarts]
        last = max((one.documents[role].signed.version for one in known), default=0)
        version = next_version(last)
        # A killed run may have left one, and what was written never changes.
        while role != TIMESTAMP and (self._trust / document_name(role, version)).exists():
            version += 1
        return version

    def _check_clock(self) -> None:
        if self._old is None or self._restarts:
            return
        ahead = seconds_ahead(self._old)
        if ahead > LIFETIME_SECONDS[TIMESTAMP]:
            raise StoreError(
                "the clock of this machine is behind the last signature of the site by "
                f"{ahead / 86400:.0f} days, and what it signs would have expired for readers: set "
                "the clock; if the clock was wrong then, replace the key: "
                "staticstore keys rotate renew"
            )

    def _write_all_but_timestamp(self) -> None:
        new, old = self._new, self._old
        assert new is not None, "it was prepared"
        self._trust.mkdir(exist_ok=True)
        remove_leftovers(self._trust)
        write_roots(self._folder, self.chain)
        wanted = {self._head_name: self._head}
        for document in (new.targets, new.snapshot):
            if old is None or document not in (old.targets, old.snapshot):
                part = document.signed
                wanted[document_name(part.type, part.version)] = document.to_bytes()
        missing = [name for name, body in wanted.items() if not self._has(name, body)]
        for name in missing:
            with atomic_file(self._trust / name, sync=False) as file:
                file.write(wanted[name])
        if missing:  # synced together: nothing names them yet.  benchmark: trust-publishes
            sync_files([os.fspath(self._trust / name) for name in missing])
            sync_folder(self._trust)

    def _has(self, name: str, body: bytes) -> bool:
        try:
            return self._read(name) == body
        except StoreError:
            return False

    @property
    def _head_name(self) -> str:
        return target_name(hashlib.sha256(self._head).hexdigest())

    def _head_in_folder(self) -> bytes | None:
        try:
            return read_regular(self._folder.head, MOST_HEAD_BYTES)
        except OSError:
            return None

    def finish(self) -> None:
        """Write the timestamp, the last of all; let go of what it no longer leads to.

        Raises
        ------
        OSError
            Something cannot be written.
        """
        old, new = self._old, self._new
        assert new is not None, "it was prepared"
        is_same = old is not None and new.timestamp is old.timestamp
        if not is_same:
            path = self._trust / TIMESTAMP_NAME
            # Most timestamps have one length: see `later_than`.
            with atomic_file(path, modified=later_than(path)) as file:
                file.write(new.timestamp.to_bytes())
            if old is None:  # mirrors of an unsigned site look for signatures if its head is newer
                set_time(self._folder.head, later_than(self._folder.head))
        # Not before it: what a killed run has left would count as put back.
        self._note.write(self.chain.root, {TARGETS: new.targets, SNAPSHOT: new.snapshot})
        if is_same:
            return
        current = {document_name(one.signed.type, one.signed.version) for one in new}
        current.add(self._head_name)
        if old is not None:
            forget(self._folder, map(trust_path, old.names - current))
            if self._lags:
                self._forget_documents(old)
        remove_superseded(self._folder, current)

    def _forget_documents(self, old: SignedHead) -> None:
        # A publish was killed between its head and the timestamp: readers of the signed head
        # needed until now what the head in the folder had forgotten before.
        try:
            before, after = Head.parse(old.head), Head.parse(self._head)
        except IndexFormatError:
            return
        forget_head(self._folder, before, after)

    @property
    def expires(self) -> datetime:
        """When the timestamp expires, in UTC; after `prepare`."""
        assert self._new is not None, "it was prepared"
        return self._new.timestamp.signed.expires

    def warnings(self) -> list[str]:
        """Return what is near its end, or wrong with the clock; after `prepare`."""
        new = () if self._new is None else self._new
        parts = [self.chain.root, *(document.signed for document in new)]
        warnings = ending_warnings(map(Lifetime.of, parts), time.time())
        if self._old is not None:
            ahead = seconds_ahead(self._old)
            if ahead > _CLOCK_SECONDS:
                warnings.append(
                    "the clock of this machine is behind the last signature of the site by "
                    f"{ahead / 86400:.0f} days: set it"
                )
        return warnings


def _meta_of(document: Metadata[Any]) -> MetaFile:
    return MetaFile.from_data(document.signed.version, document.to_bytes(), ["sha256"])
