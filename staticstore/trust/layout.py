"""The files in ``trust/``: their names, their limits, and how long they hold.

::

    trust/N.root.json                   which keys count; each version signed by those before it
    trust/<sha256>.index.head.json      the head, the one target
    trust/N.targets.json                its size and digest, signed by the publish key
    trust/N.snapshot.json               the current targets, signed by the renew key
    trust/timestamp.json                the current snapshot, signed by the renew key

All are documents of TUF 1.0 with consistent snapshots.  Only the last one is replaced; root
documents stay forever.  This module does no I/O, and imports nothing of tuf.
"""

from __future__ import annotations

import re

from ..index.head import HEAD_PATH

__all__ = [
    "LIFETIME_SECONDS",
    "MOST_DOCUMENT_BYTES",
    "MOST_ROOT_DOCUMENTS",
    "MOST_ROTATIONS",
    "ROLES",
    "ROOT",
    "SNAPSHOT",
    "TARGETS",
    "TARGET_NAME",
    "TIMESTAMP",
    "TIMESTAMP_NAME",
    "TRUST_FOLDER",
    "document_name",
    "is_near_end",
    "is_trust_name",
    "root_version",
    "target_name",
    "trust_path",
]

#: The folder of the signatures, relative to the root.
TRUST_FOLDER = "trust"
#: The name of the one target: the head.
TARGET_NAME = HEAD_PATH

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
#: The roles of TUF that a site has; there are no delegations.
ROLES = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
#: The only document that is replaced.
TIMESTAMP_NAME = "timestamp.json"

#: No document is larger.
MOST_DOCUMENT_BYTES = 64 << 10
#: A site has no more; one that replaces a key each week has them after 19 years.
MOST_ROOT_DOCUMENTS = 1000
#: A reader follows so many new root documents at once.
MOST_ROTATIONS = 32

_DAY_SECONDS = 24 * 3600.0
#: How long each document holds by default.
LIFETIME_SECONDS = {
    ROOT: 730 * _DAY_SECONDS,
    TARGETS: 730 * _DAY_SECONDS,
    SNAPSHOT: 730 * _DAY_SECONDS,
    TIMESTAMP: 14 * _DAY_SECONDS,
}
_WARNED_PART = 1 / 3  # of its lifetime, before a document expires

# A version is at most the largest number that JSON readers agree on; none begins with a zero.
_VERSION = r"[1-9][0-9]{0,15}"
_ROOT_NAME = re.compile(rf"({_VERSION})\.root\.json\Z")
_NAME = re.compile(
    rf"(?:{_VERSION}\.(?:root|snapshot|targets)\.json"
    rf"|[0-9a-f]{{64}}\.{re.escape(TARGET_NAME)}"
    rf"|{re.escape(TIMESTAMP_NAME)})\Z"
)


def document_name(role: str, version: int) -> str:
    """Return the name of a document in ``trust/``.

    Examples
    --------
    >>> document_name(ROOT, 2), document_name(TIMESTAMP, 1764000000)
    ('2.root.json', 'timestamp.json')
    """
    return TIMESTAMP_NAME if role == TIMESTAMP else f"{version}.{role}.json"


def target_name(sha256: str) -> str:
    """Return the name of a head in ``trust/``, made of its digest (lowercase hex)."""
    return f"{sha256}.{TARGET_NAME}"


def trust_path(name: str) -> str:
    """Return the path of a file of ``trust/``, relative to the root."""
    return f"{TRUST_FOLDER}/{name}"


def is_trust_name(name: str) -> bool:
    """Return whether a name is that of a file which stands in ``trust/``.

    Examples
    --------
    >>> is_trust_name("1.root.json"), is_trust_name("0.root.json"), is_trust_name("a.txt")
    (True, False, False)
    """
    return _NAME.match(name) is not None


def root_version(name: str) -> int | None:
    """Return the version of a root document by its name; None for any other name."""
    match = _ROOT_NAME.match(name)
    return None if match is None else int(match[1])


def is_near_end(role: str, version: int, expires: float, now: float) -> bool:
    """Return whether less than a third of the time that a document holds is left.

    Parameters
    ----------
    role : str
        One of `ROLES`.
    version : int
        Its version.  Those of all but root documents are the Unix seconds at which they
        were signed, unless a clock was wrong.
    expires, now : float
        Seconds since 1970.

    Examples
    --------
    >>> day = 24 * 3600
    >>> [is_near_end(TIMESTAMP, 0, 14 * day, left * day) for left in (9, 10, 15)]
    [False, True, True]
    """
    lifetime = LIFETIME_SECONDS[role]
    # It was signed for a shorter time.  Compared, since no float has an integer of 400 digits.
    if role != ROOT and expires - lifetime < version < expires:
        lifetime = expires - version
    return expires - now < lifetime * _WARNED_PART
