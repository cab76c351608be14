"""Detect answers of a host that are older than what is known of its site.

A stale edge of a CDN, a cache, or a restored backup gives an older index than
the reader has.  It is ignored, so that no step back is announced; but not
forever, since the host may mean it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from .fields import parse_time
from .head import Head, parse_count, parse_lineage, parse_sha256

__all__ = ["BELIEVED_ANSWERS", "Freshness"]

#: So many older answers in a row are believed.
BELIEVED_ANSWERS = 5
# From so many older answers in a row on, requests bypass caches and have no conditions.
_DOUBTFUL_ANSWERS = 2
# So many polls fail because a known head is absent; then ``index.json`` is read.
_FAILING_POLLS = 2


@dataclass
class Freshness:
    """What is known of a site, and the number of older answers in a row.

    A store, the note of its cache and the note of a mirror share this count.
    Only one poll at a time may use it.

    Attributes
    ----------
    head : Head or None
        The last head that was accepted; stays known while the host has none.
    left : str or None
        The previous lineage, if that of `head` is another one.
    sha256 : str or None
        The digest of the last index that was accepted.
    modified : datetime or None
        Its Last-Modified, if it came without a head.
    older : int
        The number of older answers in a row, up to the last answer.
    absent : int
        The number of polls in a row in which a known head was absent.
    ignored : int
        The number of older answers that were ignored.
    believed : int
        How often older answers were accepted in the end.

    Examples
    --------
    >>> from staticstore.index.head import NamedDocument, Role
    >>> head = Head("cd" * 16, 5, "", NamedDocument.of(Role.INDEX, b"{}"), 0)
    >>> freshness = Freshness()
    >>> freshness.accepts_head(head)
    True
    >>> freshness.know_head(head)
    >>> older = Head("cd" * 16, 4, "", NamedDocument.of(Role.INDEX, b"{}"), 0)
    >>> [freshness.accepts_head(older) for _ in range(5)]
    [False, False, False, False, True]
    """

    head: Head | None = None
    left: str | None = None
    sha256: str | None = None
    modified: datetime | None = None
    older: int = 0
    absent: int = 0
    ignored: int = 0
    believed: int = 0

    @property
    def is_doubtful(self) -> bool:
        """Whether the host has given several older answers in a row."""
        return self.older >= _DOUBTFUL_ANSWERS

    @property
    def is_headless(self) -> bool:
        """Whether a known head has been absent for so long that ``index.json`` is read."""
        return self.absent > _FAILING_POLLS

    def accepts_head(self, head: Head) -> bool:
        """Count a head from the host; return whether to follow it.

        Call `know_head` once there is the index that it names.
        """
        self.absent = 0
        return self._accepts(is_older=self.is_older_head(head))

    def accepts_index(self, sha256: str, modified: datetime | None) -> bool:
        """Count an index from a host without a head; return whether to take it.

        Call `know_index` once it is parsed.

        Parameters
        ----------
        sha256 : str
            Its digest, lowercase hex.
        modified : datetime or None
            Its Last-Modified, aware.
        """
        return self._accepts(is_older=self._is_older_index(sha256, modified))

    def repeat(self, *, of_head: bool) -> None:
        """Count the answer that nothing has changed, which repeats the one before it."""
        if of_head:
            self.absent = 0
        if self.older:
            self._accepts(is_older=True)

    def tolerates_absence(self) -> bool:
        """Count an absent head; return whether to read ``index.json`` instead."""
        if self.head is None:
            return True
        self.absent = min(self.absent + 1, _FAILING_POLLS + 1)
        return self.is_headless

    def know_head(self, head: Head) -> None:
        """Remember the head whose index is current from now on."""
        if self.head is not None and self.head.lineage != head.lineage:
            self.left = self.head.lineage
        self.head, self.sha256, self.modified = head, head.index.sha256, None

    def know_index(self, sha256: str, modified: datetime | None) -> None:
        """Remember the index without a head that is current from now on.

        A known head stays known, unless the index is older and was accepted.
        """
        if self._is_older_index(sha256, modified):
            self.head = None
        if self.head is None or sha256 != self.head.index.sha256:
            self.sha256, self.modified = sha256, modified

    def _accepts(self, *, is_older: bool) -> bool:
        if not is_older:
            self.older = 0
            return True
        self.older += 1
        if self.older < BELIEVED_ANSWERS:
            self.ignored += 1
            return False
        self.older = 0
        self.believed += 1
        return True

    def is_older_head(self, head: Head) -> bool:
        """Return whether a head is older than the known one."""
        known = self.head
        if known is None:
            return False
        if head.lineage != known.lineage:
            return head.lineage == self.left
        if head.generation != known.generation:
            return head.generation < known.generation
        return head.index.sha256 != known.index.sha256

    def _is_older_index(self, sha256: str, modified: datetime | None) -> bool:
        known = self.head
        if sha256 == self.sha256 or (known is not None and sha256 == known.index.sha256):
            return False
        if known is None:
            return modified is not None and self.modified is not None and modified < self.modified
        published = parse_time(known.published)
        if modified is None or published is None or modified <= published:
            return True  # it is not known to be newer
        return self.modified is not None and modified < self.modified

    def warnings(self) -> list[str]:
        """Return warnings about older answers, for people."""
        found = []
        if self.ignored:
            found.append(
                f"the host has answered with an older index {self.ignored} times, which was "
                "ignored: a part of its network may lag behind"
            )
        if self.believed:
            found.append(
                "the host went back to an older index, which was accepted after "
                f"{BELIEVED_ANSWERS} such answers in a row"
            )
        return found

    def restore(self, other: Freshness) -> None:
        """Take over what another one knows, and its counts."""
        for field in fields(self):
            setattr(self, field.name, getattr(other, field.name))

    def forget(self) -> None:
        """Forget everything."""
        self.restore(Freshness())

    def as_json(self) -> dict[str, Any]:
        """Return what `parse` reads."""
        return {
            "head": None if self.head is None else self.head.encode().decode(),
            "left": self.left,
            "sha256": self.sha256,
            "modified": None if self.modified is None else self.modified.isoformat(),
            "older": self.older,
            "absent": self.absent,
        }

    @classmethod
    def parse(cls, parsed: Mapping[str, Any]) -> Freshness:
        """Read what `as_json` returns.

        Raises
        ------
        LookupError, TypeError, ValueError, AttributeError
            It is something else.
        """
        head, left, sha256, modified = (
            parsed[name] for name in ("head", "left", "sha256", "modified")
        )
        return cls(
            head=None if head is None else Head.parse(head.encode()),
            left=None if left is None else parse_lineage(left),
            sha256=None if sha256 is None else parse_sha256(sha256),
            modified=None if modified is None else _aware(modified),
            older=parse_count(parsed["older"]),
            absent=parse_count(parsed["absent"]),
        )


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:  # it cannot be compared with an aware one
        raise ValueError("a time has no zone")
    return moment
