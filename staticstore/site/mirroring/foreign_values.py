"""Values of a copied foreign index that has no sha256 of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...index import codec
from ...index.fields import visible_metadata

if TYPE_CHECKING:
    from ...client.site_snapshot import SiteSnapshot
    from ...index.fields import Content
    from ...index.snapshot import Index
    from ..folder.site_folder import SiteFolder

__all__ = ["completed_contents", "count_checks", "unknown_values"]

# Fields by which a foreign index shows that a value has changed.
_MARKS = ("size", "modified", "etag", "listed", "sha512", "sha1", "md5")
_ADDED = ("size", "sha256")


def completed_contents(
    copied: Index, origin: Index, contents: Mapping[str, Content]
) -> dict[str, Content]:
    """Return the contents of values, with digests from earlier copies.

    A value counts as unchanged if its entry is the one that the copy was made of, and says
    something of the bytes: a size, a time, an ETag or a digest.

    Parameters
    ----------
    copied : Index
        The index of the copy, in which sizes and digests were added.
    origin : Index
        The foreign index.
    contents : mapping of str to Content
        What that says of the bytes of values, by key.
    """
    return {key: _completed(copied, origin, key, content) for key, content in contents.items()}


def _completed(copied: Index, origin: Index, key: str, content: Content) -> Content:
    before, now = copied.raw(key), origin.raw(key)
    if content.sha256 is not None or before is None or now is None:
        return content
    old, new = visible_metadata(before), visible_metadata(now)
    added: dict[str, Any] = {name: old.get(name) for name in _ADDED}
    # As it was written: in canonical form.
    is_same = codec.decode(codec.encode({**new, **added})) == old
    if not is_same or not any(new.get(name) for name in _MARKS):
        return content
    known = type(content).of(old)
    if None in (known.size, known.sha256) or content.size not in (None, known.size):
        return content
    return content._replace(size=known.size, sha256=known.sha256)


def unknown_values(folder: SiteFolder, copied: Index, origin: SiteSnapshot) -> dict[str, str]:
    """Return the values of a copy that its origin may still have, and why that is not known.

    What a document lists that could not be read is missing from the index as if it were
    deleted.

    Parameters
    ----------
    folder : SiteFolder
        The copy.
    copied : Index
        Its index.
    origin : SiteSnapshot
        What is copied now.
    """
    if (why := origin.held.unread) is None:
        return {}
    missing = (key for key in copied if key not in origin.snapshot)
    return {key: why for key in missing if os.path.isfile(f"{folder.data}/{key}")}


def count_checks(contents: Mapping[str, Content], keys: Iterable[str]) -> dict[str, int]:
    """Count values by what verified them: algorithm, ``"size"``, ``"nothing"``."""
    return dict(sorted(Counter(_check_of(contents[key]) for key in keys).items()))


def _check_of(content: Content) -> str:
    if content.sha256 is not None:
        return "sha256"
    if content.checksum is not None:
        return content.checksum.partition(":")[0]
    return "nothing" if content.size is None else "size"
