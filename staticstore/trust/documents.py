"""The documents of a signed site as data: what they say, verified or not.

Nothing here verifies a signature but `check_pinned`, and nothing else imports tuf.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..disk.file_system import read_regular
from ..errors import StoreError, quoted, raise_alone, reason_of
from ..index import codec
from ..index.codec import SHA256
from .layout import (
    MOST_DOCUMENT_BYTES,
    MOST_ROOT_DOCUMENTS,
    ROLES,
    ROOT,
    SNAPSHOT,
    TARGET_NAME,
    TARGETS,
    TIMESTAMP,
    TIMESTAMP_NAME,
    document_name,
    is_near_end,
    target_name,
    trust_path,
)

if TYPE_CHECKING:
    from tuf.api.metadata import Signed

__all__ = [
    "Lifetime",
    "TrustState",
    "VerifiedHead",
    "check_pinned",
    "ending_warnings",
    "is_document",
    "lifetime_of",
    "read_pinned",
    "signed_files",
    "signed_part",
    "signers_of",
    "version_of",
]


class TrustState(NamedTuple):
    """What a reader has verified of a site, behind which it does not go back."""

    #: The root documents after the pinned one, in order.
    roots: tuple[bytes, ...] = ()
    timestamp: bytes = b""
    snapshot: bytes = b""
    targets: bytes = b""
    #: The signed head.
    head: bytes = b""

    @property
    def rank(self) -> tuple[int, int]:
        """How new this is, to compare two states of one site that were both verified."""
        return len(self.roots), version_of(self.timestamp)

    def files(self, pinned: bytes) -> dict[str, bytes]:
        """Return the files of ``trust/`` that these are, by name, the timestamp last.

        Parameters
        ----------
        pinned : bytes
            The root document that comes before them.
        """
        versions = itertools.count(version_of(pinned) + 1)
        return {
            **{document_name(ROOT, next(versions)): root for root in self.roots},
            target_name(hashlib.sha256(self.head).hexdigest()): self.head,
            document_name(TARGETS, version_of(self.targets)): self.targets,
            document_name(SNAPSHOT, version_of(self.snapshot)): self.snapshot,
            TIMESTAMP_NAME: self.timestamp,
        }

    def encode(self) -> dict[str, Any]:
        """Return the documents as texts, for JSON."""
        return {
            name: [one.decode() for one in value] if isinstance(value, tuple) else value.decode()
            for name, value in self._asdict().items()
        }

    @classmethod
    def parse(cls, said: Mapping[str, Any]) -> TrustState:
        """Return what `encode` has made texts of; nothing is verified.

        Raises
        ------
        LookupError, TypeError, AttributeError, ValueError
            It is something else.
        """
        if not isinstance(said["roots"], list):
            raise TypeError("the root documents are no list")
        roots = tuple(one.encode() for one in said["roots"][:MOST_ROOT_DOCUMENTS])
        return cls(roots, *(said[name].encode() for name in cls._fields[1:]))


class Lifetime(NamedTuple):
    """How long a document holds."""

    role: str
    version: int
    #: Seconds since 1970.
    expires: float

    @classmethod
    def of(cls, signed: Signed) -> Lifetime:
        """Return how long the signed part of a document of python-tuf holds."""
        return cls(signed.type, signed.version, signed.expires.timestamp())

    @property
    def path(self) -> str:
        """The path of the document below the root of the site."""
        return trust_path(document_name(self.role, self.version))


class VerifiedHead(NamedTuple):
    """A head whose signatures were verified, from the pinned root document on."""

    #: The bytes of the head.
    body: bytes
    #: The version of the timestamp.
    version: int
    #: Of each document.
    lifetimes: tuple[Lifetime, ...]
    #: The documents that lead to it.
    state: TrustState = TrustState()

    @property
    def root_version(self) -> int:
        """The version of the last root document."""
        return next(one.version for one in self.lifetimes if one.role == ROOT)

    @property
    def rank(self) -> tuple[int, int]:
        """How new this is, to compare what several roots of one site have.

        A timestamp counts only among those under the same root document: an older one may
        be by a key that was stolen, and replaced since.
        """
        return self.root_version, self.version

    @property
    def expires(self) -> float:
        """When the first document expires, in seconds since 1970."""
        return min(one.expires for one in self.lifetimes)


def ending_warnings(lifetimes: Iterable[Lifetime], now: float) -> list[str]:
    """Return a text for each document of whose lifetime less than a third is left.

    Each begins with the path of the document.
    """
    return [_ending_warning(one, now) for one in lifetimes if is_near_end(*one, now)]


def _ending_warning(one: Lifetime, now: float) -> str:
    end = f"{datetime.fromtimestamp(one.expires, UTC):%Y-%m-%d %H:%M} UTC"
    said = f"has expired on {end}: readers refuse it"
    if one.expires > now:
        said = f"expires on {end}, and readers refuse it from then on"
    return f"{one.path} {said}; its publisher prolongs it by {_PROLONGED_BY[one.role]}"


_PROLONGED_BY = {
    ROOT: "'staticstore keys rotate root --same-keys'",
    TARGETS: "'staticstore publish --sign'",
    SNAPSHOT: "'staticstore renew'",
    TIMESTAMP: "'staticstore renew'",
}


def check_pinned(pinned: bytes) -> None:
    """Check that a document is a root document of TUF that is signed by its own keys.

    Raises
    ------
    ValueError
        It is something else.
    ImportError
        python-tuf is not installed: the extra ``trust`` brings it.
    """
    _require_tuf()
    from tuf.api.metadata import Metadata, Root

    if len(pinned) > MOST_DOCUMENT_BYTES:
        raise ValueError(f"a root file has at most {MOST_DOCUMENT_BYTES} bytes")
    what = "it is no document of TUF"
    try:
        root = Metadata[Root].from_bytes(pinned)
        if isinstance(root.signed, Root):
            what = "its own keys have not signed it"
            root.signed.verify_delegate(ROOT, root.signed_bytes, root.signatures)
            return
        what = "it is a document of another role"
        cause = None
    except Exception as error:
        cause = error
    raise_alone(
        ValueError(
            f"{what}, and so no root file of a signed site, such as the 1.root.json that a "
            "publisher hands out"
        ),
        cause,
    )


def read_pinned(path: str | os.PathLike[str]) -> bytes:
    """Read the file of a pinned root document.

    Raises
    ------
    StoreError
        It cannot be read.
    """
    name = os.fspath(path)
    try:
        return read_regular(path, MOST_DOCUMENT_BYTES)
    except OSError as error:
        what = reason_of(error)
        if "://" in name:  # whoever can write to a host could replace it there
            what = "it has to be a file on this machine, not a URL"
        elif os.path.isdir(path):
            what = "it is a folder; name the file in it, such as 1.root.json"
        raise StoreError(f"the root file {quoted(name)} cannot be read: {what}") from error


def signed_files(read: Callable[[str], bytes | None]) -> dict[str, bytes] | None:
    """Return the files of ``trust/`` that belong to its timestamp, not verified.

    Parameters
    ----------
    read : callable
        Returns a file by its name, or None.  The name may be any text: documents say it.

    Returns
    -------
    dict of str to bytes or None
        By name: root documents, head, targets, snapshot, timestamp, as they are to be
        written.  Empty without a timestamp; None if some are missing.
    """
    timestamp = read(TIMESTAMP_NAME)
    if timestamp is None or not is_document(timestamp):
        return {}
    files: dict[str, bytes] = {}
    for version in range(1, MOST_ROOT_DOCUMENTS + 1):
        name = document_name(ROOT, version)
        if (root := read(name)) is None or not is_document(root):
            break
        files[name] = root
    snapshot_name = _named_in(timestamp, SNAPSHOT)
    snapshot = read(snapshot_name)
    targets_name = _named_in(snapshot or b"", TARGETS)
    targets = read(targets_name)
    sha256 = _head_digest(targets or b"")
    head = read(target_name(sha256))
    if not files or snapshot is None or targets is None or head is None:
        return None
    if hashlib.sha256(head).hexdigest() != sha256:
        return None
    signed = {target_name(sha256): head, targets_name: targets, snapshot_name: snapshot}
    return {**files, **signed, TIMESTAMP_NAME: timestamp}


def _named_in(body: bytes, role: str) -> str:
    with contextlib.suppress(LookupError, TypeError):
        return document_name(role, signed_part(body)["meta"][f"{role}.json"]["version"])
    return ""


def _head_digest(targets: bytes) -> str:
    found: Any = None
    with contextlib.suppress(LookupError, TypeError):
        found = signed_part(targets)["targets"][TARGET_NAME]["hashes"]["sha256"]
    return found if isinstance(found, str) else ""


def is_document(body: bytes) -> bool:
    """Return whether a body looks like a document of TUF, and not like a page."""
    with contextlib.suppress(Exception):
        parsed = codec.decode(body)
        return isinstance(parsed, dict) and {"signed", "signatures"} <= parsed.keys()
    return False


def signed_part(body: bytes) -> dict[str, Any]:
    """Return what a document says, not verified; empty if it is none."""
    with contextlib.suppress(Exception):
        signed = codec.decode(body)["signed"]
        if isinstance(signed, dict):
            return signed
    return {}


def signers_of(body: bytes) -> list[str]:
    """Return the ids of the keys that a document says have signed it; not verified."""
    found: list[str] = []
    with contextlib.suppress(Exception):
        for signature in codec.decode(body)["signatures"]:
            if re.fullmatch(SHA256, signature["keyid"]):
                found.append(signature["keyid"])
    return found


def version_of(body: bytes) -> int:
    """Return the version that a document claims; 0 if it is none."""
    version = signed_part(body).get("version")
    return version if isinstance(version, int) else 0


def lifetime_of(body: bytes) -> Lifetime:
    """Return how long a document says that it holds.

    Raises
    ------
    LookupError, TypeError, ValueError
        It is no document, which one that python-tuf has verified cannot be.
    """
    signed = signed_part(body)
    role, version = signed["_type"], signed["version"]
    if role not in ROLES or type(version) is not int:  # they become parts of a text
        raise ValueError("it is no document of a role")
    return Lifetime(role, version, datetime.fromisoformat(signed["expires"]).timestamp())


def _require_tuf() -> None:
    try:
        import tuf.ngclient  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "signed sites need the package `tuf`, which the extra `trust` brings"
        ) from error
