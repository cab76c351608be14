"""The note beside the index of a site in a cache: what came with it, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...disk.file_system import read_own
from ...errors import checked_number
from ...index import codec
from ...index.freshness import Freshness
from ...index.head import Head, parse_count, parse_sha256
from ...transport.http.conditions import checked_validators
from ...trust.documents import TrustState
from .folder import NOTE

__all__ = ["Note", "read_note"]

_FORMAT = "staticstore-cached-index/2"
_MOST_NOTE_BYTES = 8 << 20  # with the signatures, of which a site can have many root documents


class Note(NamedTuple):
    """The note beside the document of an index.

    It is written as a line with its own sha256 and a line of JSON.
    """

    #: The root of the site, without secrets, for people who read the cache.
    root: str
    fetched: float  #: in seconds since 1970
    #: Of the document in the cache.
    size: int
    sha256: str
    entries: int
    #: Of the index as the host sent it, perhaps in another form.
    index_sha256: str
    validators: Mapping[str, str]
    head: Head | None
    #: The root that it came from, if not the first.
    source: str | None
    #: What the first root has said: see `Freshness.as_json`.
    freshness: Mapping[str, Any]
    #: What was left out of the index.
    warnings: tuple[str, ...]
    #: When the signatures of the head expire; None if it was taken without signatures.
    expires: float | None = None
    #: The signatures of the head; None if it was taken without them.
    signatures: TrustState | None = None

    @classmethod
    def parse(cls, text: bytes) -> Note:
        """Parse what `encode` has written.

        Raises
        ------
        ValueError
            A bit of it has changed, or another version wrote it.
        """
        digest, _, line = text.partition(b"\n")
        if hashlib.sha256(line).hexdigest().encode() != digest:
            raise ValueError("the note is damaged")
        said = codec.decode(line)
        try:
            if said["format"] != _FORMAT:
                raise ValueError("the note is of another version")
            head, source = said["head"], said["source"]
            return cls(
                root=str(said["root"]),
                fetched=float(checked_number(said["fetched"], "fetched", least=0)),
                size=parse_count(said["size"]),
                sha256=parse_sha256(said["sha256"]),
                entries=parse_count(said["entries"]),
                index_sha256=parse_sha256(said["index_sha256"]),
                validators=checked_validators(said["validators"]),
                head=None if head is None else Head.parse(head.encode()),
                source=None if source is None else str(source),
                freshness=Freshness.parse(said["freshness"]).as_json(),
                warnings=tuple(map(str, said["warnings"])),
                expires=None if (end := said.get("expires")) is None else float(end),
                signatures=_signatures(said.get("signatures")),
            )
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("the note is of another version") from error

    def encode(self) -> bytes:
        """Return the bytes of the note."""
        said = {
            **self._asdict(),
            "format": _FORMAT,
            "validators": dict(self.validators),
            "head": None if self.head is None else self.head.encode().decode(),
            "freshness": dict(self.freshness),
            "signatures": None if self.signatures is None else self.signatures.encode(),
        }
        line = codec.encode(said)
        return hashlib.sha256(line).hexdigest().encode() + b"\n" + line


def _signatures(said: Any) -> TrustState | None:
    return None if said is None else TrustState.parse(said)


def read_note(place: Path) -> Note:
    """Read the note of an index; raise `ValueError` if damaged, or `OSError`."""
    return Note.parse(read_own(place / NOTE, _MOST_NOTE_BYTES))
