"""The signatures of a site, copied byte for byte with the whole of it.

The copy's head is the one that they sign, which is older than ``index.head.json`` while the
site is being published.  Without ``trust=`` nothing is verified here: whoever reads the copy
with its root document verifies them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...disk.atomic import is_link, later_than, prepared_file
from ...disk.file_system import read_regular, sync_folder
from ...errors import IndexFormatError, IntegrityError, StoreError, TrustError
from ...index import codec
from ...index.head import MOST_HEAD_BYTES, Head
from ...trust.documents import (
    ending_warnings,
    lifetime_of,
    signed_files,
    signed_part,
    signers_of,
    version_of,
)
from ...trust.layout import (
    MOST_ROOT_DOCUMENTS,
    ROOT,
    TARGET_NAME,
    TIMESTAMP,
    TIMESTAMP_NAME,
    TRUST_FOLDER,
    document_name,
    root_version,
    trust_path,
)
from ..folder.retention import forget, forget_head
from ..folder.trust_files import (
    has_signatures,
    read_trust,
    remove_roots,
    remove_signatures,
    remove_superseded,
)

if TYPE_CHECKING:
    from ...client.site_snapshot import SiteSnapshot
    from ..folder.site_folder import SiteFolder

__all__ = ["AskedForTrust", "TrustCopy", "with_signed_head"]

_LOG = logging.getLogger("staticstore.site")

_FIRST_ROOT_NAME = document_name(ROOT, 1)

_Read = Callable[[str], bytes | None]
# A site without signatures is asked for them again after so long, though its head is the same: it
# may have been asked while the first were being written.
_AGAIN_SECONDS = 24 * 3600.0


class AskedForTrust(NamedTuple):
    """When a site was asked for signatures, and had none."""

    #: The digest of its head then, and of what its host said of that: lowercase hex.
    head: str
    #: Seconds since 1970.
    when: float

    @classmethod
    def now(cls, origin: SiteSnapshot) -> AskedForTrust | None:
        """Return that a site was asked now; None if its host does not say when it changes."""
        held = origin.held
        if held.head is None or not held.validators:
            return None
        said = [held.head.encode().decode(), sorted(held.validators.items())]
        return cls(hashlib.sha256(codec.encode(said)).hexdigest(), time.time())

    @classmethod
    def parse(cls, fields: Any) -> AskedForTrust | None:
        """Read a pair of JSON; None if it is something else."""
        if isinstance(fields, list) and [*map(type, fields)] in ([str, float], [str, int]):
            return cls(*fields)
        return None

    def is_recent(self, now: AskedForTrust | None) -> bool:
        """Return whether asking now would most likely have the same answer."""
        if now is None or self.head != now.head:
            return False
        return 0.0 <= now.when - self.when < _AGAIN_SECONDS


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

    def has_other_keys(self, other: TrustCopy) -> bool:
        """Return whether a root document of the same version is another."""
        files, others = self.files or {}, other.files or {}
        return any(files[name] != others[name] for name in _roots_of(files.keys() & others.keys()))

    @contextlib.contextmanager
    def replacing(self, folder: SiteFolder, head: Head | None) -> Iterator[None]:
        """Write the signatures, run the block, which writes index and head, then the timestamp.

        The bytes of that are on the disk before the block, too, and only renamed after it, since
        readers of a replaced value wait for it.  Files that are right already are not touched.
        If the origin has no signatures, those of the copy are removed, since they do not belong
        to its head; if they are unknown, the copy's stay, and so does what they lead to.  What is
        replaced stays for a day.

        Parameters
        ----------
        folder : SiteFolder
            The copy, locked.
        head : Head or None
            Its head from then on.

        Raises
        ------
        OSError, StoreError
            A file cannot be written, or the block raised it.
        """
        files, before = list((self.files or {}).items()), _of_folder(folder)
        was_current = before.head == _head_text(folder)
        for one in files[:-1]:
            with _prepared(folder, *one):
                pass
        with _prepared(folder, *files[-1]) if files else contextlib.nullcontext():
            yield
        if files:
            gone = (before.files or {}).keys() - dict(files).keys()
            if before.has_other_keys(self):
                remove_roots(folder, gone)
            forget(folder, map(trust_path, gone))
            remove_superseded(folder, dict(files).keys())
        elif self.files is not None:
            remove_signatures(folder)
        # Else it was forgotten when the head was replaced.
        if (self.files is None or not was_current) and before.head is not None and head is not None:
            with contextlib.suppress(IndexFormatError):
                forget_head(folder, Head.parse(before.head), head)


def _of_folder(folder: SiteFolder) -> TrustCopy:
    try:
        return TrustCopy(signed_files(read_trust(folder)))
    except StoreError:
        return TrustCopy(None)


def _head_text(folder: SiteFolder) -> bytes | None:
    try:
        return read_regular(folder.head, MOST_HEAD_BYTES)
    except OSError:
        return None


@contextlib.contextmanager
def _prepared(folder: SiteFolder, name: str, body: bytes) -> Iterator[None]:
    """Write a temporary file, run the block, then rename it, unless it is there already."""
    path = folder.root / trust_path(name)
    if not is_link(path) and _own(folder, name) == body:
        yield
        return
    path.parent.mkdir(exist_ok=True)
    with prepared_file(path, body, modified=later_than(path)):
        yield
    sync_folder(path.parent)


def _own(folder: SiteFolder, name: str) -> bytes | None:
    with contextlib.suppress(StoreError):
        return read_trust(folder)(name)
    return None


def with_signed_head(
    origin: SiteSnapshot, folder: SiteFolder, asked: AskedForTrust | None
) -> tuple[SiteSnapshot, TrustCopy, AskedForTrust | None]:
    """Return a whole snapshot as its signatures name it, and the signatures.

    A site without signatures, of which the copy has none either, costs a request if it was
    never asked for them, or its head has changed since, or a day has passed.

    Parameters
    ----------
    origin : SiteSnapshot
        The site.
    folder : SiteFolder
        The copy, whose own signatures are not fetched again.
    asked : AskedForTrust or None
        When an earlier run found that the site has none.

    Returns
    -------
    SiteSnapshot, TrustCopy, AskedForTrust or None
        The last one says when the site was found to have none, if it has none.

    Raises
    ------
    TrustError
        The store verifies signatures, and these are not right.
    TransportError
        A document cannot be fetched.
    """
    if origin.pinned is None and not has_signatures(folder):
        is_known = asked is not None and asked.is_recent(AskedForTrust.now(origin))
        if is_known or origin.head is None:  # only a head is signed
            return origin, TrustCopy({}), asked
    files: dict[str, bytes] | None
    if origin.pinned is not None:
        files = _verified_files(origin, folder, origin.pinned)
    else:
        files = signed_files(_known(origin, folder))
        if files and not _are_of_one_site(files):  # the site has other keys than the copy
            files = signed_files(origin.read_signature)
    if files is None:
        _LOG.warning("the site's signatures are incomplete, and are not copied")
        return origin, TrustCopy(None), None
    copy = TrustCopy(files)
    if copy.head is None:
        return origin, copy, AskedForTrust.now(origin)
    _warn_of_ends(files)
    try:
        head = Head.parse(copy.head)
    except IndexFormatError:
        _LOG.warning("the site's signatures name no head that can be read, and are not copied")
        return origin, TrustCopy(None), None
    held = origin.held
    if held.head != head:
        held = origin.follower.whole(replace(held, head=head, sha256=head.index.sha256))
    return origin.of_signed_head(held, copy.head), copy, None


def _known(origin: SiteSnapshot, folder: SiteFolder) -> _Read:
    # What the copy has under its name never changes; the next root document may be new.
    own = read_trust(folder)

    def read(name: str) -> bytes | None:
        with contextlib.suppress(StoreError):
            is_other = name == TIMESTAMP_NAME or is_link(folder.root / TRUST_FOLDER)
            if not is_other and (found := own(name)):
                return found
        return origin.read_signature(name)

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
    there = _verified_rank(_of_folder(folder).files or {}, pinned)
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


def _are_of_one_site(files: dict[str, bytes]) -> bool:
    # The keys that the last root document names and those that claim to have signed the
    # timestamp; nothing is verified.
    last = [files[name] for name in _roots_of(files)][-1]
    with contextlib.suppress(LookupError, TypeError):
        counting = signed_part(last)["roles"][TIMESTAMP]["keyids"]
        return any(one in counting for one in signers_of(files[TIMESTAMP_NAME]))
    return False


def _roots_of(names: Iterable[str]) -> list[str]:
    return [name for name in names if root_version(name) is not None]


def _warn_of_ends(files: dict[str, bytes]) -> None:
    roots = _roots_of(files)
    last = [files[roots[-1]], *list(files.values())[-3:]]
    with contextlib.suppress(LookupError, TypeError, ValueError):  # not verified
        for warning in ending_warnings(map(lifetime_of, last), time.time()):
            _LOG.warning("%s", warning)
