"""The signatures of a site, copied byte for byte with the whole of it.

The copy's head is the one that they sign, which is older than ``index.head.json`` while the
site is being published.  Without ``trust=`` nothing is verified here: whoever reads the copy
with its root document verifies them.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...disk.atomic import atomic_file, is_link, later_than
from ...errors import IndexFormatError, IntegrityError, StoreError, TrustError
from ...index.head import Head
from ...trust.documents import (
    MOST_ROOT_DOCUMENTS,
    ending_warnings,
    lifetime_of,
    signed_files,
    version_of,
)
from ...trust.layout import (
    ROOT,
    TARGET_NAME,
    TIMESTAMP_NAME,
    TRUST_FOLDER,
    document_name,
    root_version,
    trust_path,
)
from ..folder.trust_files import (
    read_trust,
    remove_signatures,
    remove_superseded,
    signature_names,
)

if TYPE_CHECKING:
    from ...client.site_snapshot import SiteSnapshot
    from ..folder.site_folder import SiteFolder

__all__ = ["TrustCopy", "with_signed_head"]

_LOG = logging.getLogger("staticstore.site")

_FIRST_ROOT_NAME = document_name(ROOT, 1)

_Read = Callable[[str], bytes | None]


@dataclass(frozen=True)
class TrustCopy:
    """The signatures of an origin.

    Attributes
    ----------
    files : dict of str to bytes or None
        By name, in the order in which they are written, the timestamp last; empty if there
        are none, and None if they are unknown.
    """

    files: dict[str, bytes] | None

    @property
    def head(self) -> bytes | None:
        """The bytes of the signed head."""
        files = self.files or {}
        return next((files[name] for name in files if name.endswith(TARGET_NAME)), None)

    @contextlib.contextmanager
    def replacing(self, folder: SiteFolder) -> Iterator[None]:
        """Write the signatures, run the block, which writes index and head, then the timestamp.

        Files that are right already are not touched.  If the origin has no signatures, those
        of the copy are removed, since they do not belong to its head; if they are unknown,
        the copy's stay.

        Raises
        ------
        OSError, StoreError
            A file cannot be written, or the block raised it.
        """
        files = list((self.files or {}).items())
        for name, body in files[:-1]:
            _write(folder, name, body)
        if files:
            _remove_other_roots(folder, dict(files).keys())
        yield
        if files:
            _write(folder, *files[-1])
            remove_superseded(folder, dict(files).keys())
        elif self.files is not None:
            remove_signatures(folder)


def _write(folder: SiteFolder, name: str, body: bytes) -> None:
    path = folder.root / trust_path(name)
    with contextlib.suppress(StoreError):
        if not is_link(path) and read_trust(folder)(name) == body:
            return
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path, modified=later_than(path)) as file:
        file.write(body)


def _remove_other_roots(folder: SiteFolder, current: Set[str]) -> None:
    # Of keys that the site had before it was signed anew: readers would follow them.
    for name in signature_names(folder):
        if root_version(name) is not None and name not in current:
            (folder.root / trust_path(name)).unlink(missing_ok=True)


def with_signed_head(origin: SiteSnapshot, folder: SiteFolder) -> tuple[SiteSnapshot, TrustCopy]:
    """Return a whole snapshot as its signatures name it, and the signatures.

    Parameters
    ----------
    origin : SiteSnapshot
        The site.
    folder : SiteFolder
        The copy, whose own signatures are not fetched again.

    Returns
    -------
    SiteSnapshot, TrustCopy

    Raises
    ------
    TrustError
        The store verifies signatures, and these are not right.
    TransportError
        A document cannot be fetched.
    """
    if origin.pinned is None:
        files = signed_files(_known(origin, folder))
    else:
        files = _verified_files(origin, folder, origin.pinned)
    if files is None:
        _LOG.warning("the site's signatures are incomplete, and are not copied")
        return origin, TrustCopy(None)
    copy = TrustCopy(files)
    if copy.head is None:
        return origin, copy
    _warn_of_ends(files)
    try:
        head = Head.parse(copy.head)
    except IndexFormatError:
        _LOG.warning("the site's signatures name no head that can be read, and are not copied")
        return origin, TrustCopy(None)
    held = origin.held
    if held.head != head:
        held = origin.follower.whole(replace(held, head=head, sha256=head.index.sha256))
    return origin.of_signed_head(held, copy.head), copy


def _known(origin: SiteSnapshot, folder: SiteFolder) -> _Read:
    # What the copy has under its name never changes, unless the site has new keys altogether:
    # then its first root document is another one.  The next root document may be new.
    own, has_same_keys = _own(folder), False

    def read(name: str) -> bytes | None:
        nonlocal has_same_keys
        if name == _FIRST_ROOT_NAME:
            first = origin.read_signature(name)
            has_same_keys = first is not None and first == own(name)
            return first
        if has_same_keys and name != TIMESTAMP_NAME and (found := own(name)):
            return found
        return origin.read_signature(name)

    return read


def _own(folder: SiteFolder) -> _Read:
    own = read_trust(folder)

    def read(name: str) -> bytes | None:
        with contextlib.suppress(StoreError):
            return None if is_link(folder.root / TRUST_FOLDER) else own(name)
        return None

    return read


def _verified_files(origin: SiteSnapshot, folder: SiteFolder, pinned: bytes) -> dict[str, bytes]:
    """Return what the store has verified, and the root documents before the pinned one.

    Nothing else is asked for again: a host could answer with what was signed before, and by
    keys that were replaced since.
    """
    signatures = origin.held.signatures
    assert signatures is not None, "the store has verified them"
    for read in (_known(origin, folder), origin.read_signature):
        files = {**_roots_before(pinned, read), **signatures.files(pinned)}
        rank = _verified_rank(files, pinned)
        if rank is not None:
            break
    else:
        raise TrustError(
            f"the root documents before the one that is trusted, from {_FIRST_ROOT_NAME} on, "
            "are not all there",
            reason="missing",
            url=origin.session.root.url,
        )
    there = _verified_rank(signed_files(_own(folder)) or {}, pinned)
    if there is not None and there > rank:
        raise TrustError(
            "the site is older than the copy, which stays as it is",
            reason="rollback",
            url=origin.session.root.url,
        )
    return files


def _roots_before(pinned: bytes, read: _Read) -> dict[str, bytes]:
    last = version_of(pinned)
    found: dict[str, bytes] = {}
    for version in range(1, min(last, MOST_ROOT_DOCUMENTS)):
        name = document_name(ROOT, version)
        if (body := read(name)) is None:
            break
        found[name] = body
    return {**found, document_name(ROOT, last): pinned}


def _verified_rank(files: dict[str, bytes], pinned: bytes) -> tuple[int, int] | None:
    """Return the versions of the last root document and of the timestamp.

    None if these are no signatures from the first root document on, by the pinned one.
    """
    from ...trust.chain import RootChain, SignedHead  # they import python-tuf, of an extra

    if (first := files.get(_FIRST_ROOT_NAME)) is None:
        return None
    try:
        chain = RootChain.of(first, _FIRST_ROOT_NAME).followed(files.get)
        signed = SignedHead.read(chain.root, files.get)
    except IntegrityError as error:
        _LOG.info("the signatures of the site are not right: %s", error)
        return None
    if pinned not in chain.bodies:
        return None
    return chain.root.version, signed.timestamp.signed.version


def _warn_of_ends(files: dict[str, bytes]) -> None:
    roots = [files[name] for name in files if root_version(name) is not None]
    last = [roots[-1], *list(files.values())[-3:]]
    with contextlib.suppress(LookupError, TypeError, ValueError):  # not verified
        for warning in ending_warnings(map(lifetime_of, last), time.time()):
            _LOG.warning("%s", warning)
