"""Make documents of TUF: their versions, when they expire, and their signatures."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from securesystemslib.signer import Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from ...errors import StoreError, raise_alone
from ...trust.chain import SignedHead
from ...trust.layout import LIFETIME_SECONDS, ROOT

__all__ = ["end_of", "is_signed_by", "next_version", "seconds_ahead", "signed_by"]

_MOST_VERSION = 10**16

# By the names of errors of tokens; their texts may repeat what they were given.
_HINTS = {
    "PinIncorrect": " (in a passphrase file, the PIN is the first line; do not try often: after "
    "a few wrong PINs a token locks itself)",
    "PinLocked": " (after too many wrong PINs: see the manual of the token)",
}
_T = TypeVar("_T", Root, Snapshot, Targets, Timestamp)


def end_of(role: str) -> datetime:
    """Return when a document of a role expires that is made now."""
    return datetime.fromtimestamp(int(time.time() + LIFETIME_SECONDS[role]), UTC)


def next_version(last: int) -> int:
    """Return the version after another one (0 without one): Unix seconds, or one more.

    So whoever does not know the last version, as in a fresh checkout, still gets a higher one.
    """
    return max(last + 1, int(time.time()))


def seconds_ahead(signed: SignedHead) -> float:
    """Return by how many seconds what the renew key has signed last is ahead of the clock.

    Versions are times.  A thief of the key may sign an integer that no float has, and either
    document: at most 10**16 counts, which has more digits than the name of a document may.
    """
    version = max(signed.snapshot.signed.version, signed.timestamp.signed.version)
    return min(version, _MOST_VERSION) - time.time()


def signed_by(signed: _T, signers: Iterable[Signer]) -> Metadata[_T]:
    """Return a document with the signatures of some signers.

    Raises
    ------
    StoreError
        One cannot sign; the reason is the error's cause.
    """
    document = Metadata(signed)
    for signer in signers:
        try:
            document.sign(signer, append=True)
        except UnsignedMetadataError as error:
            cause = error.__cause__
            if isinstance(cause, StoreError):  # from whoever was asked for a passphrase
                raise cause from None
            name = "root" if signed.type == ROOT else signed.type
            reason = type(cause or error).__name__
            hint = _HINTS.get(reason, "")
            raise_alone(
                StoreError(
                    f"the key {signer.public_key.keyid[:16]} cannot sign the {name} document: "
                    f"{reason}{hint}"
                ),
                error,
            )
    return document


def is_signed_by(document: Metadata[_T], signers: Iterable[Signer]) -> bool:
    """Return whether each of the signers has signed a document that was verified."""
    return all(signer.public_key.keyid in document.signatures for signer in signers)
