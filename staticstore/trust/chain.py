"""Verify the documents in ``trust/`` against each other, with python-tuf; no I/O.

Root documents form a chain: each is signed by the keys of the one before it, and by its
own.  The newest says which keys count for the others.  Expiry is for the caller to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from ..errors import IntegrityError, raise_alone
from .layout import (
    MOST_DOCUMENT_BYTES,
    MOST_ROOT_DOCUMENTS,
    ROOT,
    SNAPSHOT,
    TARGET_NAME,
    TARGETS,
    TIMESTAMP,
    document_name,
    is_trust_name,
    target_name,
    trust_path,
)

__all__ = ["ReadTrust", "RootChain", "SignedHead", "parse_document"]

#: Returns the bytes of a file in ``trust/``, at most `MOST_DOCUMENT_BYTES`; None if it is missing.
ReadTrust = Callable[[str], bytes | None]

_KINDS: dict[str, type[Signed]] = {
    ROOT: Root,
    TARGETS: Targets,
    SNAPSHOT: Snapshot,
    TIMESTAMP: Timestamp,
}


def parse_document(role: str, body: bytes, name: str) -> Metadata[Any]:
    """Parse a document of a role; no signature is verified.

    Raises
    ------
    IntegrityError
        It is none, or larger than any.
    """
    if len(body) > MOST_DOCUMENT_BYTES:
        raise IntegrityError(f"{trust_path(name)} is larger than {MOST_DOCUMENT_BYTES} bytes")
    try:
        document: Metadata[Any] = Metadata.from_bytes(body)
    except (DeserializationError, RecursionError) as error:
        raise_alone(IntegrityError(f"{trust_path(name)} is no document of TUF"), error)
    if not isinstance(document.signed, _KINDS[role]):
        raise IntegrityError(
            f"{trust_path(name)} is a document of another role",
            expected=role,
            actual=document.signed.type,
        )
    return document


@dataclass(frozen=True)
class RootChain:
    """Root documents, each verified by the one before it, except the first.

    Attributes
    ----------
    bodies : tuple of bytes
        From the first on, with rising versions.
    first : int
        The version of the first.
    root : Root
        What the last one says.
    """

    bodies: tuple[bytes, ...]
    first: int
    root: Root

    @classmethod
    def of(cls, body: bytes, name: str) -> RootChain:
        """Return the chain of one root document, which is trusted.

        Raises
        ------
        IntegrityError
            It is none, or its own keys have not signed it.
        """
        document = parse_document(ROOT, body, name)
        _check(document.signed, document, ROOT, name)
        return cls((body,), document.signed.version, document.signed)

    def followed(self, read: ReadTrust) -> RootChain:
        """Return the chain with the newer root documents that can be read.

        Raises
        ------
        IntegrityError
            A newer one is not signed by the keys of the one before it, or by its own.
        """
        chain = self
        while len(chain.bodies) < MOST_ROOT_DOCUMENTS:
            name = document_name(ROOT, chain.root.version + 1)
            body = read(name)
            if body is None:
                break
            chain = chain.with_next(body)
        return chain

    def with_next(self, body: bytes) -> RootChain:
        """Return the chain with the next root document.

        Raises
        ------
        IntegrityError
            It is not the next one, or not signed by the keys of the last one and its own.
        """
        name = document_name(ROOT, self.root.version + 1)
        document = parse_document(ROOT, body, name)
        if document.signed.version != self.root.version + 1:
            raise IntegrityError(f"{trust_path(name)} has the version {document.signed.version}")
        for root in (self.root, document.signed):
            _check(root, document, ROOT, name)
        return RootChain((*self.bodies, body), self.first, document.signed)

    def named(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the bytes of each root document."""
        for version, body in enumerate(self.bodies, self.first):
            yield document_name(ROOT, version), body


@dataclass(frozen=True)
class SignedHead:
    """A signed head with the documents that lead to it, verified under a root."""

    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]
    #: The bytes of the head.
    head: bytes
    #: Its digest, lowercase hex.
    sha256: str

    @classmethod
    def read(cls, root: Root, read: ReadTrust) -> SignedHead:
        """Read and verify what the timestamp leads to.

        Raises
        ------
        IntegrityError
            A document is missing, is not signed as the root says, or is not the one that
            is named.
        """
        timestamp = _verified(root, TIMESTAMP, read, None)
        snapshot = _verified(root, SNAPSHOT, read, timestamp.signed.snapshot_meta)
        meta = snapshot.signed.meta.get(f"{TARGETS}.json")
        targets = _verified(root, TARGETS, read, meta)
        target = targets.signed.targets.get(TARGET_NAME)
        sha256 = None if target is None else target.hashes.get("sha256")
        if target is None or sha256 is None:
            raise IntegrityError(f"{trust_path(_name_of(targets))} does not name {TARGET_NAME}")
        name = target_name(sha256)
        head = _present(read, name)
        _check_named(target, head, name)
        return cls(timestamp, snapshot, targets, head, sha256)

    @property
    def names(self) -> set[str]:
        """The names of the files in ``trust/``."""
        return {target_name(self.sha256), *map(_name_of, self.documents.values())}

    @property
    def documents(self) -> dict[str, Metadata[Any]]:
        """The documents by their roles."""
        return {TARGETS: self.targets, SNAPSHOT: self.snapshot, TIMESTAMP: self.timestamp}


def _name_of(document: Metadata[Any]) -> str:
    return document_name(document.signed.type, document.signed.version)


def _present(read: ReadTrust, name: str) -> bytes:
    # A version or a digest may be any text; the name is a path, or becomes a part of a URL.
    body = read(name) if is_trust_name(name) else None
    if body is None:
        raise IntegrityError(f"there is no file {trust_path(name)}")
    return body


def _verified(root: Root, role: str, read: ReadTrust, meta: Any) -> Metadata[Any]:
    """Return a document as the one that names it (`meta`) and the root want it."""
    if role != TIMESTAMP and meta is None:
        raise IntegrityError(f"the snapshot names no {role}.json")
    name = document_name(role, 0 if meta is None else meta.version)
    body = _present(read, name)
    if meta is not None:
        _check_named(meta, body, name)
    document = parse_document(role, body, name)
    _check(root, document, role, name)
    if meta is not None and document.signed.version != meta.version:
        raise IntegrityError(f"{trust_path(name)} has the version {document.signed.version}")
    return document


def _check(root: Root, document: Metadata[Any], role: str, name: str) -> None:
    try:
        root.verify_delegate(role, document.signed_bytes, document.signatures)
    except (RepositoryError, ValueError) as error:
        raise_alone(
            IntegrityError(f"{trust_path(name)} is not signed by the keys of the site"), error
        )


def _check_named(meta: Any, body: bytes, name: str) -> None:
    try:
        meta.verify_length_and_hashes(body)
    except RepositoryError as error:
        raise_alone(IntegrityError(f"{trust_path(name)} is not the one that is signed"), error)
