"""What a store holds: a snapshot, and what is needed to ask whether it is still current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..index.head import Head
from ..index.snapshot import Index

__all__ = ["Held", "Sighting"]


@dataclass(frozen=True)
class Held:
    """A snapshot, and what is needed to ask whether it is still the current one."""

    index: Index
    #: Header fields of a conditional request for the head, or for the index where
    #: there is none (RFC 9110, section 13.1).
    validators: Mapping[str, str]
    #: Of the index, lowercase hex: so that the same bytes are not parsed again, and
    #: change files can be chosen.
    sha256: str
    #: The head that named the index; None where the site has none.
    head: Head | None = None
    #: Bytes of the index as it came.
    size: int = 0
    #: The root that it came from, if that is not the first, which decides.
    source: str | None = None
    #: Whether it was made of an older index, so that its bytes were never hashed.
    is_derived: bool = False

    @property
    def entries(self) -> int:
        """How many entries the index has."""
        return len(self.index)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out of the index, or is wrong in its head."""
        if self.head is None or self.head.entries == self.entries:
            return self.index.warnings
        counts = f"the head counts {self.head.entries} entries where the index has {self.entries}"
        return (*self.index.warnings, counts)


class Sighting(NamedTuple):
    """A head, and the header fields of a conditional request for it."""

    head: Head
    validators: Mapping[str, str]
